/*
 * What was recorded a moment ago: a host that asks again and again, as one does that waits for a guest on its way, gets one audit record
 * of its refusal a minute instead of four a second. And a host that is refused for ever new reasons gets so many records in a minute, of
 * which the last says that there were more. Log and audit trail go by this; the counters have every refusal.
 */
#ifndef KMC_REPEATS_H
#define KMC_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "kmc/store.h"

#define REPEATS_MAX 256
#define REPEATS_MS 60000
#define REPEATS_HOSTS 256
#define REPEATS_OF_HOST 60 /* in REPEATS_MS */

enum repeats_verdict {
	REPEATS_FRESH,	/* record it */
	REPEATS_LAST,	/* record that there are more than are recorded */
	REPEATS_SILENT, /* record nothing */
};

struct repeats {
	struct repeat {
		uint64_t recorded_ms;
		unsigned int code;
		char host[STORE_NAME], reason[STORE_REASON_MAX + 1];
	} of[REPEATS_MAX];
	unsigned int n, next; /* the oldest is overwritten */
	struct refused_host {
		uint64_t since_ms; /* of its minute */
		unsigned int n;	   /* recorded in it; 0: free */
		char host[STORE_NAME];
	} hosts[REPEATS_HOSTS]; /* the one whose minute is the oldest gives way */
};

/**
 * repeats_look() - what is to be recorded of @host's refusal with this @code and @reason, at @now_ms of the loop's clock
 *
 * The same within REPEATS_MS, as long as it is remembered, is not. What is fresh or last is remembered from now on; say repeats_forget()
 * if it could not be recorded. Reasons differ in their first STORE_REASON_MAX bytes, or are taken for the same.
 */
enum repeats_verdict repeats_look(struct repeats *r, const char *host, unsigned int code, const char *reason, uint64_t now_ms);

/** repeats_forget() - take back that @host's last one was recorded. */
void repeats_forget(struct repeats *r, const char *host);

#endif
