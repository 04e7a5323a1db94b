/* The one-time token that enrols a host. */
#include "common/token.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"

#define MARK "xvt1/"
#define CHECK_SIZE 4
#define ADDRESS_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_[],"

static int sha256(const void *p, size_t n, uint8_t hash[32])
{
	return EVP_Digest(p, n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

int token_hash(const uint8_t secret[TOKEN_SECRET_SIZE], uint8_t hash[32])
{
	return sha256(secret, TOKEN_SECRET_SIZE, hash);
}

static char *put_hex(char *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out += sprintf(out, "%02x", p[i]);
	return out;
}

static bool are_addresses(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!p[i] || !strchr(ADDRESS_CHARACTERS, p[i]))
			return false;
	return n > 0 && n <= TOKEN_ADDRESSES_MAX && p[0] != ',' && p[n - 1] != ',' && !memmem(p, n, ",,", 2);
}

int token_format(const struct token *t, char text[TOKEN_TEXT_MAX + 1])
{
	uint8_t hash[32];
	char *p = text;
	int r;

	if (!are_addresses(t->addresses, strnlen(t->addresses, sizeof(t->addresses))))
		return E_ARG;
	p += sprintf(p, MARK "%s/", t->addresses);
	p = put_hex(p, t->secret, sizeof(t->secret));
	*p++ = '/';
	p = put_hex(p, t->ca, sizeof(t->ca));
	r = sha256(text, (size_t)(p - text), hash);
	if (r != 0)
		return r;
	*p++ = '/';
	*put_hex(p, hash, CHECK_SIZE) = '\0';
	return 0;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly @n bytes of hex at *p, with @end behind them. */
static int take_hex(const char **p, uint8_t *out, size_t n, char end)
{
	for (size_t i = 0; i < n; i++) {
		int high = digit((*p)[0]), low = high < 0 ? -1 : digit((*p)[1]);

		if (low < 0)
			return E_FORMAT;
		out[i] = (uint8_t)(high << 4 | low);
		*p += 2;
	}
	return **p == end ? 0 : E_FORMAT;
}

static int parse(const char *text, struct token *t)
{
	const char *p = text + strlen(MARK), *slash = strchr(p, '/'), *checked;
	uint8_t check[CHECK_SIZE], hash[32];
	int r;

	if (strncmp(text, MARK, strlen(MARK)) != 0)
		return strncmp(text, "xvt", 3) == 0 ? E_VERSION : E_FORMAT;
	if (!slash || !are_addresses(p, (size_t)(slash - p)))
		return E_FORMAT;
	memcpy(t->addresses, p, (size_t)(slash - p));
	p = slash + 1;
	if ((r = take_hex(&p, t->secret, sizeof(t->secret), '/')) != 0)
		return r;
	p++;
	if ((r = take_hex(&p, t->ca, sizeof(t->ca), '/')) != 0)
		return r;
	checked = p++;
	if ((r = take_hex(&p, check, sizeof(check), '\0')) != 0 || (r = sha256(text, (size_t)(checked - text), hash)) != 0)
		return r;
	return memcmp(check, hash, sizeof(check)) == 0 ? 0 : E_INTEGRITY;
}

int token_parse(const char *text, struct token *t)
{
	static const char space[] = " \t\r\n";
	char copy[TOKEN_TEXT_MAX + 1];
	size_t n;
	int r = E_FORMAT;

	memset(t, 0, sizeof(*t));
	text += strspn(text, space);
	n = strcspn(text, space);
	if (n > strlen(MARK) && n <= TOKEN_TEXT_MAX && !text[n + strspn(text + n, space)]) {
		memcpy(copy, text, n);
		copy[n] = '\0';
		r = parse(copy, t);
		wipe(copy, sizeof(copy));
	}
	if (r != 0)
		wipe(t, sizeof(*t));
	return r;
}

int token_address(const struct token *t, unsigned int n, char *address, size_t cap)
{
	const char *p = t->addresses;
	size_t length;

	for (; n && p; n--) {
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	if (!p || !*p)
		return E_NOTFOUND;
	length = strcspn(p, ",");
	if (length >= cap)
		return E_RANGE;
	memcpy(address, p, length);
	address[length] = '\0';
	return 0;
}
