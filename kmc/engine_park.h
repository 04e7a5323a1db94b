/* Leases that hosts keep for a grace start: parking, and calling them back for another host. */
#ifndef KMC_ENGINE_PARK_H
#define KMC_ENGINE_PARK_H

#include "kmc/engine.h"

/** engine_park_stands() - @p is of the lease @l: else somebody has opened it since. */
bool engine_park_stands(const struct store_parked *p, const struct lease *l);

/** engine_park() - a host keeps the lease of a vTPM of which no guest runs. */
void engine_park(struct engine *e, const struct asker *a, const struct kmc_park *m);

/** engine_recalls() - a host asks whether a lease that it keeps is wanted. */
void engine_recalls(struct engine *e, const struct asker *a);

/** engine_recall() - another host wants @uuid, which is held as in @lease. True: its holder has parked it, and is asked to give it back. */
bool engine_recall(struct engine *e, const struct uuid *uuid, const struct lease *lease);

#endif
