/* Certificates of hosts as the engine gives them out: how long, which of them stand, and when it is time for the next. */
#ifndef KMC_HOSTCERT_H
#define KMC_HOSTCERT_H

#include <stdbool.h>
#include <stdint.h>

#include "kmc/ca.h"
#include "kmc/store.h"

#define HOSTCERT_KEPT 4 /* of a host, beside the one that it uses */

/** hostcert_begins() - when a certificate that is issued @now for @lifetime_s begins to be valid: clocks of hosts may be behind. */
int64_t hostcert_begins(int64_t now, int64_t lifetime_s);

/** hostcert_row() - the row of @cert. 0, E_FORMAT, E_RANGE or E_CRYPTO. */
int hostcert_row(struct store_hostcert *row, const char *host, const struct ca_cert *cert, const struct ca_cert *ca, int64_t now);

/**
 * hostcert_again() - whether a host that asks for a new one is given @newest once more
 * @present: SHA-256 of the one that it uses; @ca: of the CA that signs now
 *
 * So it is when an answer was lost, when two relays of one host ask, or a host asks all the time: one that it has not used yet and that
 * has two thirds of its life before it, or one that was issued just now.
 */
bool hostcert_again(const struct store_hostcert *newest, const uint8_t present[32], const uint8_t ca[32], int64_t now);

/** hostcert_stands() - whether @c lets its host in. */
bool hostcert_stands(const struct store_hostcert *c, int64_t now);

/** hostcert_find() - whether @fingerprint is of a certificate of @host, beside the one on record, that stands. 0, E_NOTFOUND or E_DB. */
int hostcert_find(struct store *s, const char *host, const uint8_t fingerprint[32], int64_t now);

/** hostcert_overdue() - whether a host whose certificate was issued then and expires then should have got another by now. */
bool hostcert_overdue(int64_t issued_at, int64_t expires_at, int64_t now);

#endif
