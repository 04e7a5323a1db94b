/*
 * Attestation at the KMC, the relay's side: once when the connection is up, then as often as the KMC says.
 *
 *   RESTING --up, or time--> ASKING --NONCE--> QUOTING --host TPM--> SHOWING --ATTESTED--> RESTING
 *
 * The KMC decides whether this host is asked at all. Whatever comes of it, the owner is told once for each connection that the matter is
 * settled: opens before that would be refused. A refusal is tried again after a while, because an administrator may have accepted the
 * host's new state meanwhile.
 */
#ifndef DOM0_RELAY_ATTESTING_H
#define DOM0_RELAY_ATTESTING_H

#include <stdint.h>

#include "common/kmcmsg.h"

struct attesting;
struct kmclink;
struct link;
struct loop;

#define ATTESTING_TICKET UINT64_MAX /* at the host-tpm process */

/**
 * attesting_new() - nothing yet
 * @kmc, @tpm: stay the caller's; answers are handed in through attesting_kmc() and attesting_tpm()
 * @settled: called once after each attesting_up()
 */
struct attesting *attesting_new(struct loop *loop, struct kmclink *kmc, struct link *tpm, void (*settled)(void *arg), void *arg);
void attesting_free(struct attesting **a);

void attesting_up(struct attesting *a, const uint8_t certificate[32]); /* the KMC can be asked; SHA-256 of what this host shows there */
void attesting_down(struct attesting *a); /* it can't any more */

/** attesting_image() - digest of what stub domains start from, NULL if it can't be read: nothing is attested before the first call. */
void attesting_image(struct attesting *a, const uint8_t *digest);

/** attesting_good_ms() - loop_now_ms() of the last success, 0 if there was none since the last refusal. */
uint64_t attesting_good_ms(const struct attesting *a);

/** attesting_hurry() - an open was refused for want of it: try now instead of later. */
void attesting_hurry(struct attesting *a);

/** attesting_kmc() - an answer of the KMC to what was sent under KMC_ID_ATTEST. */
void attesting_kmc(struct attesting *a, enum kmc_type type, const void *fields);

/** attesting_tpm() - an answer of the host-tpm process to ATTESTING_TICKET. */
void attesting_tpm(struct attesting *a, uint64_t type, const void *fields);

#endif
