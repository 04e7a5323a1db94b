/*
 * Opening vTPMs at the KMC: the host's side of a seed's way, for any number of guests at once.
 *
 *   WAITING --link up, protection key--> WRAPPING --host TPM--> RECORDING --disk--> ASKING --KMC--> BELIEVING --host TPM--> told
 *
 * A connection that breaks sends an opening back to WAITING. One that is abandoned after it was asked goes on, so
 * that the lease it may have got is known and given back. That it is asked for is on the disk before (docs/models/README.md, rule 3), where the next
 * relay finds it; the disk works while the host TPM does.
 */
#ifndef DOM0_RELAY_OPENING_H
#define DOM0_RELAY_OPENING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/origin.h"
#include "common/uuid.h"

struct kmclink;
struct link;
struct openings;

/* What an open gives. The views are valid during the call only. */
struct opening_result {
	struct uuid uuid;
	struct view seed; /* empty if the opening was abandoned */
	struct view tenant, state, transient; /* transient: of a reservation only */
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	struct view origin; /* whose keys it has; absent: its own */
};

struct opening_ops {
	void (*opened)(void *arg, uint64_t ticket, const struct opening_result *result);
	void (*refused)(void *arg, uint64_t ticket, const char *why);
	void (*not_yet)(void *arg, uint64_t ticket, const char *why); /* a reservation that may be granted when it is asked for again */
	void (*parked)(void *arg);     /* another host is asked to give a vTPM back, or the KMC does not decide: call openings_again() soon */
	void (*unattested)(void *arg); /* the KMC wants this host attested: an open was refused for that */
	void (*orphaned)(void *arg, const struct uuid *uuid, uint64_t lease_epoch, uint64_t state_version); /* a lease that nobody wants any more */
	void (*ended)(void *arg, const struct uuid *uuid);			    /* an abandoned opening got none */
	int (*intend)(void *arg, uint64_t ticket, const struct uuid *uuid); /* put on record that a lease may come, then call openings_intended(); 0 or an error */
	void (*undone)(void *arg, const struct uuid *uuid);		    /* none came, and none can come any more */
};

#define OPENING_WHY 320 /* bytes of a reason */

/**
 * openings_new() - none yet
 * @kmc, @tpm: stay the caller's; answers are handed in through openings_kmc() and openings_tpm()
 */
struct openings *openings_new(struct kmclink *kmc, struct link *tpm, const struct opening_ops *ops, void *arg);
void openings_free(struct openings **o);

/** openings_start() - open @uuid: one of the ops is called with @ticket, later. Return: 0 or E_NOMEM (too many). */
int openings_start(struct openings *o, uint64_t ticket, const struct uuid *uuid);

/**
 * openings_reserve() - the same for a guest that was resumed from the image that @image is one more than
 * @request: KMC_REQUEST_ID_SIZE random bytes, on record already: what it may get is given back by CANCEL, whatever becomes of this
 */
int openings_reserve(struct openings *o, uint64_t ticket, const struct uuid *uuid, uint32_t image, const uint8_t *request);

/** openings_settle() - what came of an open of @uuid that an earlier relay was to ask for: it is `orphaned` or `ended`, as soon as the KMC says. 0 or E_NOMEM. */
int openings_settle(struct openings *o, uint64_t ticket, const struct uuid *uuid);

/** openings_intended() - that @uuid is opened is on record; @why: it can't be, or NULL. */
void openings_intended(struct openings *o, const struct uuid *uuid, const char *why);

/** openings_has() - is one of @uuid under way? Then another must wait: it could get the older lease of the two. */
bool openings_has(const struct openings *o, const struct uuid *uuid);

/** openings_abandon() - nobody waits for @ticket any more. */
void openings_abandon(struct openings *o, uint64_t ticket);

/** openings_cancel() - @ticket was not asked at the KMC yet, and won't be. False: it was, or there is none. */
bool openings_cancel(struct openings *o, uint64_t ticket);

/** openings_again() - ask once more what another host was to give back; what the KMC does not decide, less and less often. */
void openings_again(struct openings *o);

/** openings_why() - what @ticket is waiting for, in one line, into @why. */
void openings_why(const struct openings *o, uint64_t ticket, char why[OPENING_WHY]);

void openings_up(struct openings *o);	/* the KMC can be asked, and will not refuse for want of attestation */
void openings_down(struct openings *o); /* it can't any more */

/** openings_kmc() - an answer of the KMC: @id as given to kmclink_send(), with OPENING_PROTECT for the protection key. */
void openings_kmc(struct openings *o, enum kmc_type type, uint64_t id, const void *fields);

/** openings_tpm() - an answer of the host-tpm process. */
void openings_tpm(struct openings *o, uint64_t type, uint64_t ticket, const void *fields);

/* Ids on the KMC link say what they are about: KMC_ID(kind, ticket). */
enum kmc_id_kind { KMC_ID_OPEN, KMC_ID_RELEASE, KMC_ID_STORE, KMC_ID_PROTECT, KMC_ID_MOVE, KMC_ID_CHECK, KMC_ID_VERIFY };
#define KMC_ID(kind, ticket) ((uint64_t)(ticket) << 3 | (uint64_t)(kind))
#define KMC_ID_KIND(id) ((enum kmc_id_kind)((id)&7))
#define KMC_ID_TICKET(id) ((id) >> 3)
#define KMC_ID_ATTEST KMC_ID(KMC_ID_PROTECT, 1) /* see attesting.h */
#define KMC_ID_RECALLS KMC_ID(KMC_ID_PROTECT, 2) /* see gracing.h */
#define KMC_ID_CERTIFY KMC_ID(KMC_ID_PROTECT, 3) /* see certifying.h */
#define KMC_ID_RENEW KMC_ID(KMC_ID_PROTECT, 4) /* see renewing.h */

#endif
