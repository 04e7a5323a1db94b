/* What a host does with a lease that it has, or gets without a seed: store, release, suspend, resume, commit, cancel. */
#ifndef KMC_ENGINE_LEASE_H
#define KMC_ENGINE_LEASE_H

#include "kmc/engine.h"

/** engine_lease_ask() - serve a request about a lease; false: it is about something else. */
bool engine_lease_ask(struct engine *e, const struct asker *a, enum kmc_type type, const void *fields);

#endif
