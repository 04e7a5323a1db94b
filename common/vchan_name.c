/* A KMC's address over vchan. */
#include "common/vchan_name.h"

#include <stddef.h>
#include <string.h>

#include "common/error.h"

#define MARK "vchan:"
#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS

/* All of @n bytes are letters, digits and what else is allowed, and the first is no sign. */
static int take(const char *p, size_t n, const char *allowed, char *out, size_t cap)
{
	if (n == 0 || n >= cap || strspn(p, allowed) < n || !memchr(LETTERS, *p, sizeof(LETTERS) - 1))
		return E_FORMAT;
	memcpy(out, p, n);
	out[n] = '\0';
	return 0;
}

int vchan_name_parse(const char *text, struct vchan_name *v)
{
	const char *domain = text + strlen(MARK), *colon;
	size_t n;

	memset(v, 0, sizeof(*v));
	if (strncmp(text, MARK, strlen(MARK)) != 0)
		return E_NOTFOUND;
	n = strcspn(domain, ":");
	colon = domain[n] ? domain + n : NULL;
	if (take(domain, n, LETTERS "-._", v->domain, sizeof(v->domain)) != 0)
		return E_FORMAT;
	if (!colon && v->domain[strspn(v->domain, DIGITS)] == '\0')
		return E_FORMAT;
	v->named = colon != NULL;
	return colon ? take(colon + 1, strlen(colon + 1), LETTERS "-.", v->peer, sizeof(v->peer)) :
		       take(v->domain, strlen(v->domain), LETTERS "-._", v->peer, sizeof(v->peer));
}
