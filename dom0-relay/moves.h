/* What the KMC is told about a guest that sleeps or was resumed, from the record of its vTPM: SUSPEND, RESUME, COMMIT, CANCEL. */
#ifndef DOM0_RELAY_MOVES_H
#define DOM0_RELAY_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kmcmsg.h"
#include "dom0-relay/statemsg.h"

struct kmclink;

/** moves_send() - send @type about @r, to be answered under KMC_ID_MOVE and @ticket: 0, or an error of kmclink_send(). */
int moves_send(struct kmclink *kmc, enum kmc_type type, uint64_t ticket, const struct state_record *r);

/** moves_answer() - is @answer what the KMC says to @request when it did it? @lease_epoch: the present one; 0 if it names none. */
bool moves_answer(enum kmc_type request, enum kmc_type answer, const void *fields, uint64_t *lease_epoch);

/** moves_is_final() - will the KMC say the same to @request again however often it is asked, and is nothing lost by giving up? */
bool moves_is_final(enum kmc_type request, uint64_t refusal);

#endif
