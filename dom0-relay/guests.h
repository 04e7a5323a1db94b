/* The relay's table of vTPM devices, and the last refusals for `vtpmctl list`. */
#ifndef DOM0_RELAY_GUESTS_H
#define DOM0_RELAY_GUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/buf.h"
#include "common/handoff.h"
#include "common/kmcmsg.h"
#include "common/log.h"
#include "common/origin.h"
#include "common/uuid.h"
#include "dom0-relay/guest_machine.h"
#include "xenstore-schema/nodes.h"

struct relay;
struct secret;
struct source;
struct stublink;

#define GUESTS_MAX 256
#define REFUSALS_MAX 16 /* remembered */
#define GUEST_REASON 400 /* bytes of a reason with its NUL */
#define GUEST_FAILURE 160

/* What an open gave; the seed goes as soon as the stub domain has it. */
struct guest_lease {
	char tenant[65];
	uint64_t generation, epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	struct origin origin; /* of its keys */
	struct secret *seed;
	struct buf state, transient; /* sealed; transient: of a guest that was resumed */
};

struct guest {
	uint64_t ticket; /* 0: free; never used twice */
	struct relay *relay;
	struct node_ids ids; /* stub: 0 until it is built */
	unsigned int backend; /* the domain that its line names, below which libxl waits; 0: dom0 */
	struct guest_machine machine;
	struct uuid uuid, handle; /* the vTPM's; the domain's own */
	uint32_t incarnation; /* one more than the image that the domain was restored from, or 1 */
	uint32_t image;	      /* its mark: what its next image is known by */
	uint8_t request[KMC_REQUEST_ID_SIZE]; /* of its reservation */
	struct guest_lease lease;
	struct stublink *stub;
	struct source *deadline;
	struct source *look;	/* at a guest that sleeps, and the next try to reserve */
	bool looking;		/* it is set */
	bool look_pending;	/* the builder was asked */
	uint64_t look_asked_ms;
	bool closing;		/* libxl takes the device away, and it is looked once more whether the guest sleeps */
	bool look_stale;	/* the look under way was asked before that */
	bool unseen;		/* nobody looked while there was no relay: it may have slept and woken up */
	bool reserving;		/* a reservation is to be asked for, once it is on record or some time has passed */
	char not_yet[GUEST_REASON]; /* what the KMC said to the last try */
	bool build_pending; /* the builder has not answered yet */
	uint64_t build_ticket; /* of that request: a spare's own, if the guest took one */
	bool handed_off;     /* its stub domain has the seed, or may have */
	bool destroy_wanted; /* and what it builds is no longer wanted */
	bool grace;	     /* started, or being started, without a KMC: see gracing.h */
	bool open_waits;     /* its open, for what an earlier run left to be stored */
	bool connected;	     /* the guest's driver is */
	struct handoff_status_reply usage; /* as the stub domain last told */
	time_t since;	     /* of machine.state */
	uint64_t asked_ms, store_ms; /* loop_now_ms() of libxl's request; of the store that is under way, 0 for none */
	char reason[GUEST_REASON];
	char failure[GUEST_FAILURE]; /* of its TPM, which is served nonetheless; "": none */
};

/* A device that never came to serve, or whose service broke. */
struct refusal {
	struct node_ids ids;
	struct uuid uuid;
	time_t when; /* 0: free */
	char reason[GUEST_REASON];
};

struct guests {
	uint64_t last_ticket;
	struct guest table[GUESTS_MAX];
	struct refusal refusals[REFUSALS_MAX]; /* a ring */
	unsigned int next_refusal;
};

/** guests_add() - a fresh entry with a new ticket, or NULL when the table is full. */
struct guest *guests_add(struct guests *t, struct node_ids ids);

/** guests_drop() - release what the entry holds and free it. */
void guests_drop(struct guest *g);

struct guest *guests_find(struct guests *t, struct node_ids ids); /* by guest and dev */
struct guest *guests_by_ticket(struct guests *t, uint64_t ticket);
struct guest *guests_by_stub(struct guests *t, unsigned int stub);

/** guests_holder() - an entry that has the vTPM @uuid, is not @self and not its source, or NULL. @self: NULL counts all. */
struct guest *guests_holder(struct guests *t, const struct guest *self, const struct uuid *uuid);

/** guests_source() - who @g was resumed from, still here: xl migrates it to its own host. NULL: nobody. */
struct guest *guests_source(struct guests *t, const struct guest *g);

/** guest_log() - a line about @g: "domain 5 device 0 vTPM 8c6f...: " and the rest. */
void guest_log(const struct guest *g, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** guests_remember() - keep @g's reason for vtpmctl. */
void guests_remember(struct guests *t, const struct guest *g);

/** guests_forgive() - the vTPM serves: its earlier refusals are history. */
void guests_forgive(struct guests *t, const struct uuid *uuid);

/** guest_lease_clear() - wipe seed and state. */
void guest_lease_clear(struct guest_lease *l);

#endif
