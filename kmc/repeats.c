/* What was recorded a moment ago. */
#include "kmc/repeats.h"

#include <stdio.h>
#include <string.h>

bool repeats_fresh(struct repeats *r, const char *host, unsigned int code, const char *reason, uint64_t now_ms)
{
	struct repeat *p;

	for (unsigned int i = 0; i < r->n; i++) {
		p = &r->of[i];
		if (now_ms - p->recorded_ms < REPEATS_MS && p->code == code && strcmp(p->host, host) == 0 &&
		    strncmp(p->reason, reason, STORE_REASON_MAX) == 0)
			return false;
	}
	p = &r->of[r->next];
	p->recorded_ms = now_ms;
	p->code = code;
	snprintf(p->host, sizeof(p->host), "%s", host);
	snprintf(p->reason, sizeof(p->reason), "%.*s", STORE_REASON_MAX, reason);
	r->next = (r->next + 1) % REPEATS_MAX;
	if (r->n < REPEATS_MAX)
		r->n++;
	return true;
}

void repeats_forget(struct repeats *r)
{
	if (r->n)
		r->of[(r->next + REPEATS_MAX - 1) % REPEATS_MAX].host[0] = '\0'; /* no host has no name */
}
