/* M-of-N shares of a secret, on libgfshare. */
#include "kmc/shares.h"

#include <ctype.h>
#include <libgfshare.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"
#include "common/secret.h"

#define CHECK 4 /* bytes */

static void fill_random(unsigned char *p, unsigned int n)
{
	for (unsigned int at = 0; at < n;) {
		ssize_t got = getrandom(p + at, n - at, 0);

		if (got <= 0)
			abort(); /* weak shares would be worse, and the library can't be told */
		at += (unsigned int)got;
	}
}

int shares_split(const struct secret *s, unsigned int needed, unsigned int count, const uint8_t set[SHARES_SET], struct share *out)
{
	unsigned char numbers[SHARES_MAX];
	gfshare_ctx *c;
	int r = 0;

	memset(out, 0, count <= SHARES_MAX ? count * sizeof(*out) : 0);
	if (s->size != SHARES_SECRET || needed < 2 || needed > count || count > SHARES_MAX)
		return E_ARG;
	for (unsigned int i = 0; i < count; i++)
		numbers[i] = (unsigned char)(i + 1);
	gfshare_fill_rand = fill_random;
	c = gfshare_ctx_init_enc(numbers, count, (unsigned char)needed, SHARES_SECRET);
	if (!c)
		return E_NOMEM;
	gfshare_ctx_enc_setsecret(c, s->data);
	for (unsigned int i = 0; i < count && r == 0; i++) {
		out[i] = (struct share){.needed = needed, .count = count, .index = i + 1, .bytes = secret_new(SHARES_SECRET)};
		memcpy(out[i].set, set, SHARES_SET);
		if (out[i].bytes)
			gfshare_ctx_enc_getshare(c, (unsigned char)i, out[i].bytes->data);
		else
			r = E_NOMEM;
	}
	gfshare_ctx_free(c); /* which overwrites */
	return r;
}

static int check_set(const struct share *in, unsigned int n, char why[SHARES_WHY])
{
	for (unsigned int i = 0; i < n; i++) {
		if (in[i].needed != in->needed || in[i].count != in->count || memcmp(in[i].set, in->set, SHARES_SET) != 0) {
			snprintf(why, SHARES_WHY, "shares %u and %u are not of one set", in->index, in[i].index);
			return E_ARG;
		}
		for (unsigned int j = 0; j < i; j++)
			if (in[j].index == in[i].index) {
				snprintf(why, SHARES_WHY, "share %u is there twice", in[i].index);
				return E_ARG;
			}
	}
	if (n >= 1 && n >= in->needed)
		return 0;
	snprintf(why, SHARES_WHY, "%u share%s there, %u are needed", n, n == 1 ? " is" : "s are", n ? in->needed : 2);
	return E_ARG;
}

int shares_join(const struct share *in, unsigned int n, struct secret **s, char why[SHARES_WHY])
{
	unsigned char numbers[SHARES_MAX];
	gfshare_ctx *c;
	int r = n > SHARES_MAX ? E_ARG : check_set(in, n, why);

	*s = NULL;
	if (r != 0)
		return r;
	n = in->needed; /* more give the same */
	for (unsigned int i = 0; i < n; i++)
		numbers[i] = (unsigned char)in[i].index;
	gfshare_fill_rand = fill_random; /* with which it overwrites in the end */
	c = gfshare_ctx_init_dec(numbers, n, SHARES_SECRET);
	*s = c ? secret_new(SHARES_SECRET) : NULL;
	if (*s) {
		for (unsigned int i = 0; i < n; i++)
			gfshare_ctx_dec_giveshare(c, (unsigned char)i, in[i].bytes->data);
		gfshare_ctx_dec_extract(c, (*s)->data);
	}
	if (c)
		gfshare_ctx_free(c);
	snprintf(why, SHARES_WHY, "no memory");
	return *s ? 0 : E_NOMEM;
}

static int checksum(const char *text, size_t n, char hex[2 * CHECK + 1])
{
	uint8_t hash[32];

	if (EVP_Digest(text, n, hash, NULL, EVP_sha256(), NULL) != 1)
		return E_CRYPTO;
	for (int i = 0; i < CHECK; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	wipe(hash, sizeof(hash));
	return 0;
}

struct secret *share_format(const struct share *s)
{
	struct secret *line = secret_new(SHARES_LINE);
	char *text = line ? (char *)line->data : NULL, check[2 * CHECK + 1];
	size_t n;

	if (!line)
		return NULL;
	n = (size_t)snprintf(text, SHARES_LINE, "kmc-share/1 %u-of-%u %u ", s->needed, s->count, s->index);
	for (int i = 0; i < SHARES_SET; i++)
		n += (size_t)snprintf(text + n, SHARES_LINE - n, "%02x", s->set[i]);
	for (int i = 0; i < SHARES_SECRET; i++)
		n += (size_t)snprintf(text + n, SHARES_LINE - n, i % 2 ? "%02x" : " %02x", s->bytes->data[i]);
	if (checksum(text, n, check) != 0)
		secret_free(&line);
	else
		snprintf(text + n, SHARES_LINE - n, " %s", check);
	return line;
}

/* @n bytes in hex, with spaces between; the text behind them, or NULL. */
static const char *get_hex(const char *p, uint8_t *out, int n)
{
	for (int i = 0; i < n; i++) {
		unsigned int v = 0;

		while (*p == ' ')
			p++;
		for (int j = 0; j < 2; j++, p++) {
			if (!isxdigit((unsigned char)*p))
				return NULL;
			v = v * 16 + (unsigned int)(isdigit((unsigned char)*p) ? *p - '0' : tolower((unsigned char)*p) - 'a' + 10);
		}
		out[i] = (uint8_t)v;
	}
	return p;
}

int share_parse(const char *line, struct share *s)
{
	struct secret *again;
	const char *p;
	int at = 0, r = 0;
	size_t n;

	memset(s, 0, sizeof(*s));
	/* NOLINTNEXTLINE(cert-err34-c): two digits fit */
	if (sscanf(line, "kmc-share/1 %2u-of-%2u %2u %n", &s->needed, &s->count, &s->index, &at) != 3 || at == 0 || s->needed < 2 ||
	    s->needed > s->count || s->count > SHARES_MAX || s->index < 1 || s->index > s->count)
		return E_FORMAT;
	s->bytes = secret_new(SHARES_SECRET);
	if (!s->bytes)
		return E_NOMEM;
	p = get_hex(line + at, s->set, SHARES_SET);
	p = p ? get_hex(p, s->bytes->data, SHARES_SECRET) : NULL;
	/* the line that this share has: the one that was given must be the same, but for spaces at its end and capitals */
	again = p ? share_format(s) : NULL;
	n = again ? strlen((const char *)again->data) : 0;
	if (!again)
		r = p ? E_NOMEM : E_FORMAT;
	else if (strncasecmp((const char *)again->data, line, n) != 0 || line[n + strspn(line + n, " \t\r\n")] != '\0')
		r = E_INTEGRITY;
	secret_free(&again);
	if (r != 0)
		share_free(s);
	return r;
}

void share_free(struct share *s)
{
	secret_free(&s->bytes);
	memset(s, 0, sizeof(*s));
}
