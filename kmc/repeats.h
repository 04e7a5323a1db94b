/*
 * What was recorded a moment ago: a host that asks again and again, as one does that waits for a guest on its way, gets one audit record
 * of its refusal a minute instead of four a second. The log and the counters have every one.
 */
#ifndef KMC_REPEATS_H
#define KMC_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "kmc/store.h"

#define REPEATS_MAX 64
#define REPEATS_MS 60000

struct repeats {
	struct repeat {
		uint64_t recorded_ms;
		unsigned int code;
		char host[STORE_NAME], reason[STORE_REASON_MAX + 1];
	} of[REPEATS_MAX];
	unsigned int n, next; /* the oldest is overwritten */
};

/**
 * repeats_fresh() - whether @host's refusal with this @code and @reason is to be recorded, at @now_ms of the loop's clock
 *
 * False: the same was recorded less than REPEATS_MS ago and is still remembered. True: it is remembered from now on; say repeats_forget()
 * if it could not be recorded. Reasons differ in their first STORE_REASON_MAX bytes, or are taken for the same.
 */
bool repeats_fresh(struct repeats *r, const char *host, unsigned int code, const char *reason, uint64_t now_ms);

/** repeats_forget() - take back what the last repeats_fresh() remembered. */
void repeats_forget(struct repeats *r);

#endif
