/*
 * Endorsement keys: is this a TPM that somebody vouches for? Beside ca.c the only file that sees OpenSSL's X509.
 *
 * What a pool may ask for at enrolment:
 *   first     trust on first use: any TPM, whose key is recorded; a certificate is checked if there is one
 *   listed    the key's SHA-256 was given to 'kmcctl host add --ek'
 *   require   a certificate for that key, from a manufacturer's CA in the file of roots
 */
#ifndef KMC_EKCERT_H
#define KMC_EKCERT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "kmc/quote.h"

struct ekroots;

enum ek_policy { EK_FIRST, EK_LISTED, EK_REQUIRE };

/* What was found out about a key; kept in the database: numbers stay. */
enum ek_check {
	EK_NO_CERTIFICATE = 0, /* the TPM has none */
	EK_UNKNOWN_CA = 1,     /* there is one for this key, from a CA that we don't know */
	EK_CERTIFIED = 2,      /* by a CA that we know */
};

#define EKCERT_WHY 200

/** ekroots_load() - manufacturers' CAs from the PEM file @path; without the file there are none. 0, E_FORMAT or E_NOMEM with @why. */
int ekroots_load(struct ekroots **roots, const char *path, char why[EKCERT_WHY]);
void ekroots_free(struct ekroots **roots);

/**
 * ekcert_check() - what a certificate (DER; absent: none) says of @ek
 *
 * Return: 0 with *check filled in; E_FORMAT (no certificate), E_INTEGRITY (for another key, or not for an endorsement key) with @why.
 */
int ekcert_check(const struct ekroots *roots, struct view cert, const struct quote_ek *ek, enum ek_check *check, char why[EKCERT_WHY]);

/** ek_decide() - NULL: the policy lets the key in; else why not. @listed: its hash was given, @same: and it is this one. Pure. */
const char *ek_decide(enum ek_policy policy, enum ek_check check, bool listed, bool same);

/** ek_check_text() - in words, for listings. */
const char *ek_check_text(uint64_t check);

#endif
