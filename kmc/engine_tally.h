/* What the engine counts as it goes, since it was started. engine_metrics.c tells it to node_exporter. */
#ifndef KMC_ENGINE_TALLY_H
#define KMC_ENGINE_TALLY_H

#include <stdint.h>

#include "common/metrics.h"

#define REFUSAL_CODES 32 /* more than enum kmc_refusal has */

struct engine_tally {
	uint64_t refusals[REFUSAL_CODES]; /* by enum kmc_refusal */
	struct histogram open;		  /* from the request to the grant */
};

#endif
