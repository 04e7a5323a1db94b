/*
 * This host's certificate, the relay's side: it asks for the next one when a third of the present one's life is left, and when
 * it is told to.
 *
 *   RESTING --time, or vtpmctl--> SIGNING --key--> ASKING --RENEWED--> KEEPING --state process--> in use from the next connection on
 *
 * Whom it trusts comes along: at each connection, and as often as the KMC says, TRUST asks for the KMC's authorities, which are kept and used in
 * the same way. TRUSTED also says when this host's own certificate is by an authority that goes.
 *
 *   RESTING --connection, or time--> TRUSTING --TRUSTED, if they are others--> KEEPING --> and TRUST again, so that the KMC knows
 *
 * The next one counts once it is on the disk; until then, whatever breaks, the present one does. Then the relay connects anew, so that it is
 * known while there is time whether the KMC takes it. A try that fails is made again, the sooner the less time is left.
 */
#ifndef DOM0_RELAY_RENEWING_H
#define DOM0_RELAY_RENEWING_H

#include <stdint.h>

#include "common/kmcmsg.h"
#include "dom0-relay/ctlmsg.h"
#include "dom0-relay/identity.h"

struct kmclink;
struct link;
struct loop;
struct renewing;

#define RENEWING_TICKET (UINT64_MAX - 1) /* at the host-tpm process and at the state process */

/**
 * renewing_new() - nothing is under way
 * @kmc, @tpm, @disk: stay the caller's; answers are handed in
 * @id: is copied
 */
struct renewing *renewing_new(struct loop *loop, struct kmclink *kmc, struct link *tpm, struct link *disk, const struct identity *id);
void renewing_free(struct renewing **r);

void renewing_up(struct renewing *r);	/* the KMC can be asked, and will not refuse for want of attestation */
void renewing_down(struct renewing *r); /* it can't any more */

/** renewing_now() - somebody wants it now. */
void renewing_now(struct renewing *r);

/** renewing_status() - its part of the status; the text stays valid until the next try ends. */
void renewing_status(const struct renewing *r, struct ctl_status *s);

/** renewing_kmc() - an answer of the KMC to what was sent under KMC_ID_RENEW. */
void renewing_kmc(struct renewing *r, enum kmc_type type, const void *fields);

/* Answers of the host-tpm process and the state process to RENEWING_TICKET. */
void renewing_tpm(struct renewing *r, uint64_t type, const void *fields);
void renewing_disk(struct renewing *r, uint64_t type, const void *fields);

/** renewing_due() - when to ask for the next of a certificate that is valid @from @until, all in seconds since 1970; @spread: random. */
int64_t renewing_due(int64_t from, int64_t until, uint32_t spread);

#endif
