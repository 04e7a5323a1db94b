/*
 * What the relay and its state process say to each other, and what a file of the state directory holds: the record of
 * one lease.
 *
 *   relay -> state     NEXT, SAVE, DROP        state -> relay     RECORD, LISTED, SAVED, DROPPED, FAILED
 *                      NOTE                    no answer: what can't be noted is in the log
 */
#ifndef DOM0_RELAY_STATEMSG_H
#define DOM0_RELAY_STATEMSG_H

#include <stdint.h>

#include "common/handoff.h"
#include "common/msg.h"
#include "common/privsep.h"
#include "common/uuid.h"

enum state_type {
	STATE_NEXT = 1, /* for start-up: the record with this number, counted from 0 */
	STATE_RECORD,
	STATE_LISTED, /* there is none with that number, nor behind it */
	STATE_SAVE,
	STATE_SAVED,
	STATE_DROP,
	STATE_DROPPED,
	STATE_FAILED,
	STATE_TOUCH, /* when the KMC was there last */
	STATE_TOUCHED,
	STATE_IDENTITY, /* what the KMC gave this host: its certificate, and whom to trust */
	STATE_IDENTIFIED,
	STATE_NOTE, /* of what happened to a vTPM, see history.h */
};

struct state_next {
	uint64_t number;
};

/* How the vTPM of a record stands. */
enum state_phase {
	PHASE_SERVING,	/* the lease is this host's: it goes back with RELEASE */
	PHASE_FROZEN,	/* its guest sleeps, or just woke up: SUSPEND says so to the KMC, and nothing goes back */
	PHASE_RESERVED, /* its guest was resumed here and has not run yet, as far as is known: it goes back with CANCEL */
	PHASE_OPENING,	/* an OPEN is asked for: what comes of it goes back with RELEASE. lease_epoch 0, or of the lease that was parked here before */
};

/* A lease that this host holds, whom it serves, and the newest sealed state: what a file holds. */
struct state_record {
	struct uuid uuid;	      /* the vTPM's */
	struct uuid handle;	      /* the guest domain's own UUID */
	struct uuid boot;	      /* of the host when it was written: domain ids mean nothing after the next one */
	uint64_t guest, dev, stub;    /* stub: 0 until it serves */
	uint64_t lease_epoch, version; /* version 0: no state came yet */
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	struct view state; /* sealed; absent with version 0 */
	uint64_t phase;	   /* enum state_phase */
	uint64_t image;	   /* the guest domain's mark, or of what it slept with */
	struct view request;   /* of the reservation; absent for none */
	struct view transient; /* sealed, with phase frozen */
	struct view grace; /* see gracing.h; absent: the KMC is needed to start it again */
};

/*
 * A guest that migrates to its own host sleeps in one domain while the other comes in: its vTPM has two records for a while, each in a place of its own.
 * Which of them is where means nothing.
 */
#define STATE_PLACES 2

/* The body of RECORD and of SAVE. */
struct state_placed {
	struct state_record record;
	uint64_t place;
	uint64_t unreadable; /* 1: there is a file, and nothing of what it says is known but the UUID, which is its name */
};

/* A file. The body of DROP. */
struct state_name {
	struct uuid uuid;
	uint64_t place;
};

struct state_failed {
	struct view reason;
};

struct state_listed {
	uint64_t contact; /* of the last TOUCH, seconds since 1970; 0: never */
};

struct state_touch {
	uint64_t contact;
};

struct state_identity {
	struct view pem; /* all of the file, see identity.h */
};

struct state_note {
	struct uuid uuid;
	uint64_t guest, dev, event; /* enum history_event */
	struct view detail;	    /* for people; absent: none */
};

struct state_empty {
	uint8_t unused;
};

#define STATE_IDENTITY_MAX (16 * 1024)
#define STATE_GRACE_MAX 800
#define STATE_BODY_MAX (HANDOFF_STATE_MAX + HANDOFF_TRANSIENT_MAX + 2048)

extern const struct privsep_protocol state_protocol;

/** state_record_write() - append @r as one frame to @out: what a file holds. 0, E_RANGE or E_ARG. */
int state_record_write(struct buf *out, const struct state_record *r);

/** state_record_read() - the one record in @in and nothing behind it; views point into @in. 0 or an error of msg.h. */
int state_record_read(struct buf *in, struct state_record *r);

#endif
