/*
 * The one-time token that enrols a host, as an administrator carries it from the KMC to the host:
 *
 *   xvt1/ADDRESS[,ADDRESS...]/SECRET/CA/CHECK
 *
 * ADDRESS is host:port of a KMC or vchan:DOMAIN[:NAME] (common/vchan_name.h), SECRET 24 random bytes in hex, CA the SHA-256 of the KMC's CA certificate in hex, and CHECK the first
 * four bytes of the SHA-256 of all that stands before its slash: it tells a token that was copied badly from one that is not accepted.
 */
#ifndef COMMON_TOKEN_H
#define COMMON_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#define TOKEN_SECRET_SIZE 24
#define TOKEN_ADDRESSES_MAX 300 /* bytes, without NUL */
#define TOKEN_TEXT_MAX (5 + TOKEN_ADDRESSES_MAX + 1 + 2 * TOKEN_SECRET_SIZE + 1 + 64 + 1 + 8) /* bytes, without NUL */

struct token {
	char addresses[TOKEN_ADDRESSES_MAX + 1];
	uint8_t secret[TOKEN_SECRET_SIZE]; /* the owner wipes it */
	uint8_t ca[32];
};

/** token_format() - the text into @text; 0, E_ARG (addresses that no token can carry) or E_CRYPTO. */
int token_format(const struct token *t, char text[TOKEN_TEXT_MAX + 1]);

/** token_parse() - read @text; white space around it is skipped. 0, E_FORMAT, E_VERSION (of a newer KMC) or E_INTEGRITY (CHECK). */
int token_parse(const char *text, struct token *t);

/** token_hash() - what the KMC keeps of a secret; 0 or E_CRYPTO. */
int token_hash(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t hash[32]);

/** token_address() - the address number @n of the list into @address; 0, E_NOTFOUND after the last, E_RANGE. */
int token_address(const struct token *t, unsigned int n, char *address, size_t cap);

#endif
