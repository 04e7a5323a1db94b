/* Grants: opens and reservations decided, and recorded, together. */
#ifndef KMC_ENGINE_GRANT_H
#define KMC_ENGINE_GRANT_H

#include "kmc/engine.h"

/* One open in its decision. */
struct grant {
	const struct ticket *t;
	int r; /* 0; E_AGAIN_OUT: the vault must make its seed first; E_DENIED: see code */
	enum kmc_refusal code;
	struct store_host host;
	struct store_pool pool;
	struct store_vtpm vtpm; /* as recorded, or as found */
	bool known; /* the vTPM is */
	bool stale; /* E_AGAIN_OUT: the seed that the vault made is under a wrapping key that was replaced */
	bool woken; /* it was suspended, and starts cold */
	struct store_retirement retired; /* due_at 0: it is not */
	bool foreign; /* its seed was another KMC's, and is lost: there is no making it anew */
};

/**
 * grant_decide() - decide @n opens, in their order, in one transaction; each has its ticket, whose vTPM's seed is the one that the vault made
 *
 * Return: 0 (each has its result, and what it was given is on stable storage), E_EOF (nobody knows), else the database failed: none was given anything.
 */
int grant_decide(struct engine *e, struct grant *grants, size_t n);

/**
 * grant_take_back() - an open that may have been granted is refused after all: a lease that it got goes back, before the host hears
 *
 * The host takes a refusal as no lease given. What has changed hands since is left alone; a reservation its host cancels. Where the database fails,
 * grant_unsure().
 */
void grant_take_back(struct engine *e, const struct ticket *t);

/**
 * grant_unsure() - nobody knows whether @a was granted what it asked for
 *
 * A refusal would be taken for no lease given, and the lease stay with a host that does not know of it. So its connections end, before a refusal that follows, and
 * it asks again over the next one.
 */
void grant_unsure(struct engine *e, const struct asker *a);

/** grant_settle_images() - in a transaction that changed @v's lease: destroy volatile states, but for the present and the kept ones. */
int grant_settle_images(struct store *s, const struct engine *e, const struct store_vtpm *v);

#endif
