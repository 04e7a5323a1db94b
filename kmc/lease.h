/*
 * Who may open, write, suspend, move and give back a vTPM: decisions without I/O, as docs/models/lease.table and migrate.table say.
 *
 * A lease has an epoch that only grows: each grant and each take-over makes a new one, and whoever holds an older one can
 * neither write nor give back. A lease never ends by time. The same host may open again: its relay was restarted, or the answer
 * was lost on the way; the new epoch shuts out what is left of the old relay.
 *
 *   FREE --open--> HELD (new epoch) --release--> FREE (same epoch)
 *                    |  ^                           ^
 *                    |  +-- open by the same host (new epoch)
 *                    +----- take-over (new epoch) --+
 *
 *   HELD --suspend--> SUSPENDED (same epoch) --resume by its host (new epoch)--> HELD
 *                       |  ^      +--open: a cold start (new epoch)--> HELD
 *               reserve v  | cancel, resume, suspend with another image, take-over
 *                     RESERVED --commit (new epoch)--> HELD by the other host
 *
 * What is suspended has an image: the mark (incarnation) that the saved domain had. A domain that was restored from it comes with one more,
 * and only such a one gets a reservation.
 */
#ifndef KMC_LEASE_H
#define KMC_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kmcmsg.h"

#define LEASE_NAME (KMC_NAME_MAX + 1)

/* What is known of a vTPM. */
struct lease {
	char pool[LEASE_NAME];
	char holder[LEASE_NAME];      /* "": nobody */
	char last_holder[LEASE_NAME]; /* who held it last, once nobody does; of what is suspended: who suspended it */
	uint64_t epoch;		      /* 0: never opened */
	uint64_t state_version;	      /* 0: no state stored */
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;

	bool suspended; /* nobody serves it; it waits for its image */
	uint64_t image;
	char reserver[LEASE_NAME]; /* of what is suspended: the host of an incoming domain; "": none */
	uint8_t reservation[KMC_REQUEST_ID_SIZE];

	/* To which request the present epoch was granted, so that its repetition is known. */
	bool committed; /* to a COMMIT */
	uint8_t commit[KMC_REQUEST_ID_SIZE];
	uint64_t resumed_from; /* to a RESUME that named this epoch; 0: it was not */
};

enum lease_act {
	LEASE_OPEN,
	LEASE_STORE,
	LEASE_RELEASE,
	LEASE_TAKEOVER,
	LEASE_SUSPEND,
	LEASE_RESUME,
	LEASE_RESERVE,
	LEASE_COMMIT,
	LEASE_CANCEL,
};

/* What somebody wants. The administrator's take-over has neither host nor pool. */
struct lease_request {
	enum lease_act act;
	const char *host, *pool;
	bool registered_only; /* open: the pool's policy refuses vTPMs that nobody registered */
	uint64_t epoch;	      /* store, release, suspend, resume */
	uint64_t version, owner_epoch, endorsement_epoch, platform_epoch; /* store, suspend */
	bool same_state;      /* likewise: the state stored under the present version is the one that is sent, byte for byte */
	bool no_state;	      /* suspend: none is sent, the one that is stored under that version is meant */
	uint64_t image;	      /* suspend: the domain's mark; reserve: the incoming domain's incarnation */
	uint8_t id[KMC_REQUEST_ID_SIZE]; /* reserve, commit, cancel */
};

enum lease_result {
	LEASE_REFUSED, /* and code says why */
	LEASE_CREATE,  /* open: make it in the host's pool, then grant */
	LEASE_APPLY,   /* do it, and store what lease_apply() makes of it */
	LEASE_ALREADY, /* it was done before: answer as then, change nothing */
};

struct lease_verdict {
	enum lease_result result;
	enum kmc_refusal code; /* for LEASE_REFUSED */
};

/** lease_decide() - @lease NULL: nobody knows this vTPM. */
struct lease_verdict lease_decide(const struct lease *lease, const struct lease_request *q);

/** lease_apply() - what becomes of the lease after LEASE_APPLY, or after LEASE_CREATE with a zeroed lease in the pool. */
void lease_apply(struct lease *lease, const struct lease_request *q);

/** lease_recovered() - its epoch after the recovery of a KMC from a backup: beyond all that the lost one can have given out. */
uint64_t lease_recovered(uint64_t epoch);

/** lease_is_latest() - was the lease with @epoch taken over, or was the KMC recovered since, and has nobody had the vTPM after that? */
bool lease_is_latest(const struct lease *lease, uint64_t epoch);

/** lease_wake() - what was suspended is so no more: image, reservation and grants are forgotten; who holds it is not changed. */
void lease_wake(struct lease *lease);

#endif
