/* The stub domain's end of the hand-off: frames of common/handoff.h over a channel. */
#ifndef VTPM_STUBDOM_RELAYLINK_H
#define VTPM_STUBDOM_RELAYLINK_H

#include <stdbool.h>

#include "common/handoff.h"

struct channel;
struct loop;
struct relaylink;

struct relaylink_ops {
	/* @fields: the type's struct; views are valid during the call only */
	void (*message)(void *arg, enum handoff_type type, const void *fields);
	/* the relay is gone (E_EOF), or talks nonsense; the link says nothing more and may be freed in the call */
	void (*broken)(void *arg, int r);
};

/** relaylink_new() - talk over @channel, which the link owns from now on, even if NULL (no memory) is returned. */
struct relaylink *relaylink_new(struct loop *loop, struct channel *channel, const struct relaylink_ops *ops, void *arg);

/** relaylink_send() - queue one message: 0, or E_RANGE when the relay does not read. */
int relaylink_send(struct relaylink *l, enum handoff_type type, const void *fields);

/** relaylink_is_drained() - has everything that was queued been written? */
bool relaylink_is_drained(const struct relaylink *l);

/** relaylink_free() - close and release *@l, in its own callbacks too; it may be NULL. */
void relaylink_free(struct relaylink **l);

#endif
