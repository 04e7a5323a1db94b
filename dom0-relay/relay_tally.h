/* What the relay counts as it goes, since it was started. relay_metrics.c tells it to node_exporter. */
#ifndef DOM0_RELAY_RELAY_TALLY_H
#define DOM0_RELAY_RELAY_TALLY_H

#include <stdint.h>

#include "common/metrics.h"
#include "dom0-relay/guest_machine.h"

struct relay_tally {
	uint64_t requests, served, stores;
	uint64_t refusals[GUEST_EVENTS]; /* by what happened */
	struct histogram start;		 /* from libxl's request to the guest being let go */
	struct histogram store;		 /* from the stub domain's write to its being safe */
};

#endif
