/* The certificate authorities of a KMC as they stand in the database, and what hosts are to trust of it. */
#ifndef KMC_AUTHORITIES_H
#define KMC_AUTHORITIES_H

#include <stdbool.h>
#include <stdint.h>

#include "kmc/ca.h"
#include "kmc/store.h"

#define AUTHORITIES_MAX 32     /* that there ever were */
#define AUTHORITIES_LIVE_MAX 3 /* not retired */

struct authority {
	uint32_t number, state; /* state: enum authority_state */
	struct ca_cert cert;
	uint8_t hash[32]; /* SHA-256 of the certificate */
	uint8_t key[STORE_CA_KEY_MAX]; /* wrapped */
	size_t key_size;
	int64_t made_at;
};

struct authorities {
	struct authority list[AUTHORITIES_MAX]; /* by number */
	size_t n, n_live;
	uint8_t bundle[KMC_AUTHORITIES_MAX]; /* certificates of those that are not retired, DER, one behind the other */
	size_t bundle_size;
	uint8_t bundle_hash[32];
};

/**
 * authorities_read() - all of them
 * @file: the one that 'kmcctl init' made: it is number 1 where there are no rows yet
 *
 * Return: 0, E_DB, or E_RANGE (more than there can be).
 */
int authorities_read(struct authorities *a, struct store *s, const struct ca_cert *file);

/** authorities_same() - whether nothing has changed from @a to @b. */
bool authorities_same(const struct authorities *a, const struct authorities *b);

/** authorities_in() - the one in that state, or NULL. */
const struct authority *authorities_in(const struct authorities *a, enum authority_state state);

/** authorities_newest() - the one with the highest number that is not retired. */
const struct authority *authorities_newest(const struct authorities *a);

/** authorities_issuer() - the one that signed @cert, or NULL. */
const struct authority *authorities_issuer(const struct authorities *a, const struct ca_cert *cert);

#endif
