/*
 * Certificates of vTPMs' endorsement keys, the relay's side: stub domains want them, the KMC has them, sometimes only after a while.
 *
 * Nobody waits: a guest is served meanwhile. What a stub domain wants is asked for one at a time, once the KMC can be asked, and again when
 * the KMC says; a refusal ends it, until the stub domain asks anew at its next start. Without a lease, as while the guest sleeps or has just
 * been resumed, nothing is given: what is wanted waits for the next lease.
 */
#ifndef DOM0_RELAY_CERTIFYING_H
#define DOM0_RELAY_CERTIFYING_H

#include <stdint.h>

#include "common/handoff.h"
#include "common/kmcmsg.h"

struct certifying;
struct kmclink;
struct loop;

/* What came for the guest of @ticket; views are valid during the call only. */
typedef void certifying_fn(void *arg, uint64_t ticket, const struct handoff_certificates *c);

/** certifying_new() - nothing wanted yet; @kmc stays the caller's, answers are handed in through certifying_kmc(). */
struct certifying *certifying_new(struct loop *loop, struct kmclink *kmc, certifying_fn *fn, void *arg);
void certifying_free(struct certifying **c);

/** certifying_want() - the stub domain of @ticket asks, for what @q says (lease_epoch 0: there is none yet); instead of what it wanted before. */
void certifying_want(struct certifying *c, uint64_t ticket, const struct kmc_certify *q);

/** certifying_lease() - it is under this lease from now on, should anything be wanted. */
void certifying_lease(struct certifying *c, uint64_t ticket, uint64_t lease_epoch);

/** certifying_forget() - the guest of @ticket goes. */
void certifying_forget(struct certifying *c, uint64_t ticket);

void certifying_up(struct certifying *c);   /* the KMC can be asked, and will not refuse for want of attestation */
void certifying_down(struct certifying *c); /* it can't any more */

/** certifying_kmc() - an answer of the KMC to what was sent under KMC_ID_CERTIFY. */
void certifying_kmc(struct certifying *c, enum kmc_type type, const void *fields);

#endif
