/* What was recorded a moment ago. */
#include "kmc/repeats.h"

#include <stdio.h>
#include <string.h>

static bool is_known(const struct repeats *r, const char *host, unsigned int code, const char *reason, uint64_t now_ms)
{
	for (unsigned int i = 0; i < r->n; i++) {
		const struct repeat *p = &r->of[i];

		if (now_ms - p->recorded_ms < REPEATS_MS && p->code == code && strcmp(p->host, host) == 0 &&
		    strncmp(p->reason, reason, STORE_REASON_MAX) == 0)
			return true;
	}
	return false;
}

static struct refused_host *find(struct repeats *r, const char *host)
{
	struct refused_host *oldest = &r->hosts[0];

	for (size_t i = 0; i < REPEATS_HOSTS; i++) {
		struct refused_host *h = &r->hosts[i];

		if (h->n && strcmp(h->host, host) == 0)
			return h;
		if (!h->n ? oldest->n != 0 : oldest->n && h->since_ms < oldest->since_ms)
			oldest = h;
	}
	*oldest = (struct refused_host){0};
	snprintf(oldest->host, sizeof(oldest->host), "%s", host);
	return oldest;
}

/* How many of its minute that makes. */
static unsigned int count(struct repeats *r, const char *host, uint64_t now_ms)
{
	struct refused_host *h = find(r, host);

	if (!h->n || now_ms - h->since_ms >= REPEATS_MS) {
		h->n = 0;
		h->since_ms = now_ms;
	}
	if (h->n <= REPEATS_OF_HOST)
		h->n++;
	return h->n;
}

enum repeats_verdict repeats_look(struct repeats *r, const char *host, unsigned int code, const char *reason, uint64_t now_ms)
{
	const struct refused_host *h = find(r, host);
	struct repeat *p = &r->of[r->next];

	if ((h->n > REPEATS_OF_HOST && now_ms - h->since_ms < REPEATS_MS) || is_known(r, host, code, reason, now_ms))
		return REPEATS_SILENT;
	if (count(r, host, now_ms) > REPEATS_OF_HOST)
		return REPEATS_LAST;
	p->recorded_ms = now_ms;
	p->code = code;
	snprintf(p->host, sizeof(p->host), "%s", host);
	snprintf(p->reason, sizeof(p->reason), "%.*s", STORE_REASON_MAX, reason);
	r->next = (r->next + 1) % REPEATS_MAX;
	if (r->n < REPEATS_MAX)
		r->n++;
	return REPEATS_FRESH;
}

void repeats_forget(struct repeats *r, const char *host)
{
	struct refused_host *h = find(r, host);

	if (h->n)
		h->n--;
	if (r->n && h->n < REPEATS_OF_HOST)
		r->of[(r->next + REPEATS_MAX - 1) % REPEATS_MAX].host[0] = '\0'; /* no host has no name */
}
