/*
 * What must reach the KMC sooner or later: sealed state and leases given back.
 *
 * Both wait for the link, are sent again when it broke before the answer, and are told of once. A store whose
 * lease is over is refused by the KMC (fencing) and not repeated.
 */
#ifndef DOM0_RELAY_KEEPING_H
#define DOM0_RELAY_KEEPING_H

#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/uuid.h"

struct kmclink;
struct keeping;

struct keeping_ops {
	void (*stored)(void *arg, uint64_t ticket, uint64_t version, int r); /* r: 0, or E_STATE: refused for good */
	void (*released)(void *arg, uint64_t ticket);
};

/** keeping_new() - nothing to keep yet; @kmc stays the caller's. NULL if there is no memory. */
struct keeping *keeping_new(struct kmclink *kmc, const struct keeping_ops *ops, void *arg);
void keeping_free(struct keeping **k);

/** keeping_store() - a guest's newest sealed state, copied; replaces an older one that is still on its way. 0 or E_NOMEM. */
int keeping_store(struct keeping *k, uint64_t ticket, const struct kmc_store *store);

/** keeping_release() - give a lease back, after what is still to be stored under @ticket. 0 or E_NOMEM. */
int keeping_release(struct keeping *k, uint64_t ticket, const struct uuid *uuid, uint64_t lease_epoch);

/** keeping_up() - the KMC can be asked: send what waits. */
void keeping_up(struct keeping *k);

/** keeping_kmc() - an answer of the KMC to a message with KMC_ID_STORE or KMC_ID_RELEASE. */
void keeping_kmc(struct keeping *k, enum kmc_type type, uint64_t id, const void *fields);

#endif
