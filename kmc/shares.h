/*
 * A secret of 32 bytes, split so that any @needed of @count shares give it back and fewer tell nothing (Shamir over GF(2^8)). Only
 * shares.c sees libgfshare.
 *
 * A share is a line of text:  kmc-share/1 NEEDED-of-COUNT INDEX SET XXXX XXXX ... CHECK
 * SET tells sets apart; CHECK finds a mistyped line before it spoils the rest.
 */
#ifndef KMC_SHARES_H
#define KMC_SHARES_H

#include <stdint.h>

struct secret;

#define SHARES_MAX 16
#define SHARES_SECRET 32 /* bytes */
#define SHARES_SET 8	 /* bytes */
#define SHARES_LINE 200	 /* bytes of a line with its NUL */
#define SHARES_WHY 300

/* One share. */
struct share {
	uint8_t set[SHARES_SET];
	unsigned int needed, count, index; /* index: from 1 */
	struct secret *bytes;
};

/** shares_split() - @count shares of @s into @out, which the caller frees with share_free(). 0, E_ARG or E_NOMEM. */
int shares_split(const struct secret *s, unsigned int needed, unsigned int count, const uint8_t set[SHARES_SET], struct share *out);

/** shares_join() - the secret from @n shares of one set. 0, E_ARG (too few, or not of one set) with @why, or E_NOMEM. */
int shares_join(const struct share *in, unsigned int n, struct secret **s, char why[SHARES_WHY]);

/** share_format() - as a line, into a new secret with its NUL; NULL: no memory. */
struct secret *share_format(const struct share *s);

/** share_parse() - from a line. 0, or E_FORMAT, E_INTEGRITY (mistyped), E_NOMEM. */
int share_parse(const char *line, struct share *s);

void share_free(struct share *s);

#endif
