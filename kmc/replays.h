/*
 * Requests that were made: one that comes again is refused.
 *
 * Each open is encrypted anew, in the host's TPM, so that no two are alike. TLS keeps others from repeating one; this keeps the host itself,
 * or who sits between its parts, from it. The last REPLAYS_MAX are remembered, until kmcd ends.
 */
#ifndef KMC_REPLAYS_H
#define KMC_REPLAYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"

#define REPLAYS_MAX 4096
#define REPLAYS_BYTES 16 /* of a cipher text, which looks random in all its bytes but the first */

struct replays {
	uint8_t of[REPLAYS_MAX][REPLAYS_BYTES];
	unsigned int n, next; /* the oldest is overwritten */
};

/** replays_fresh() - whether @cipher did not come before; it is remembered from now on. */
bool replays_fresh(struct replays *r, struct view cipher);

#endif
