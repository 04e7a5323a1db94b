/*
 * A stub domain's whole work: take one vTPM over from the relay, serve the guest, keep the state safe, end.
 *
 *   WAITING --HANDOFF--> READY --SERVE--> SERVING --CLOSE--> CLOSING --state safe--> ENDED
 *      |                   |                 |
 *      +----- refused -----+---> FAILED      +-- relay gone: serves on, offers its channel anew
 *                                            +-- FREEZE: the present command ends, no other begins before THAW
 *
 * Or, after the death of the stub domain that was here before: WAITING --STAND_IN--> STANDING_IN --CLOSE--> ENDED (standin.h).
 *
 * One thread: while the engine executes a command, messages wait in the channel; nothing is lost.
 */
#ifndef VTPM_STUBDOM_SERVICE_H
#define VTPM_STUBDOM_SERVICE_H

#include <stdint.h>

struct channel;
struct loop;
struct node_ids;
struct port;
struct service;

/* How this process meets the world: Xen, or the Unix twins. */
struct service_world {
	/* offer a channel to the relay; NULL with errno set: not now, or, with ENOTSUP, never again: then this is the end */
	struct channel *(*offer)(void *arg);
	/* the way in for the guest's device @ids (guest and dev are set); NULL: refused */
	struct port *(*open_port)(void *arg, const struct node_ids *ids);
	void *arg;
	uint8_t program[32]; /* SHA-256 of the program's file */
};

/** service_new() - offer the channel and wait for a relay; NULL: no memory or no channel (errno). */
struct service *service_new(struct loop *loop, const struct service_world *world);

/** service_free() - wipe and release; *@s may be NULL. */
void service_free(struct service **s);

#endif
