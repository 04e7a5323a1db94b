/*
 * Grace: a host that has lost all its KMCs starts guests that it knows, for a while.
 *
 * Where [grace] time is set in relay.conf, the seed of each open is sealed to the host's TPM and its PCRs, and that copy is kept with the
 * lease's record, also when the guest has ended: the lease is parked, not given back (docs/models/README.md, rule 18). If then no KMC is
 * to be reached at any address, and one was within that time, a guest starts from the copy, under the lease that the host still holds.
 */
#ifndef DOM0_RELAY_GRACING_H
#define DOM0_RELAY_GRACING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kmcmsg.h"

struct opening_result;
struct relay;

#define GRACING_CONTACT_TICKET UINT64_MAX /* at the state process */
#define GRACING_TPM (1ull << 63)	  /* in tickets at the host-tpm process */

/** gracing_start() - when the state directory is known; @contact: as it says. Does nothing where no grace is configured. */
void gracing_start(struct relay *r, uint64_t contact);

void gracing_up(struct relay *r);   /* a KMC is there */
void gracing_down(struct relay *r); /* it is not any more, if it was */

/** gracing_lost() - no KMC was to be reached at any address: start who waits and may. */
void gracing_lost(struct relay *r);

/** gracing_unwelcome() - a KMC does not know this host (any more): the copies are erased. */
void gracing_unwelcome(struct relay *r);

/** gracing_opened() - the KMC opened a vTPM for the guest @ticket: seal a copy. */
void gracing_opened(struct relay *r, uint64_t ticket, const struct opening_result *result);

/** gracing_tpm() - an answer of the host-tpm process to a ticket with GRACING_TPM. */
void gracing_tpm(struct relay *r, uint64_t type, uint64_t ticket, const void *fields);

/** gracing_kmc() - an answer of the KMC to what was sent under KMC_ID_RECALLS. */
void gracing_kmc(struct relay *r, enum kmc_type type, const void *fields);

#endif
