/*
 * Who may open, write and give back a vTPM: decisions without I/O.
 *
 * A lease has an epoch that only grows: each grant and each take-over makes a new one, and whoever holds an older one can
 * neither write nor give back. A lease never ends by time. The same host may open again: its relay was restarted, or the answer
 * was lost on the way; the new epoch shuts out what is left of the old relay.
 *
 *   FREE --open--> HELD (new epoch) --release--> FREE (same epoch)
 *                    |  ^                           ^
 *                    |  +-- open by the same host (new epoch)
 *                    +----- take-over (new epoch) --+
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
	char last_holder[LEASE_NAME]; /* who held it last, once nobody does */
	uint64_t epoch;		      /* 0: never opened */
	uint64_t state_version;	      /* 0: no state stored */
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
};

enum lease_act { LEASE_OPEN, LEASE_STORE, LEASE_RELEASE, LEASE_TAKEOVER };

/* What somebody wants. The administrator's take-over has neither host nor pool. */
struct lease_request {
	enum lease_act act;
	const char *host, *pool;
	bool registered_only; /* open: the pool's policy refuses vTPMs that nobody registered */
	uint64_t epoch;	      /* store, release */
	uint64_t version, owner_epoch, endorsement_epoch, platform_epoch; /* store */
	bool same_state;      /* store: the state stored under the present version is the one that is sent, byte for byte */
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

#endif
