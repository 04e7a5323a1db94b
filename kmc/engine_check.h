/* What a host asks of a vTPM without changing anything: may it open it, has somebody else had it since. */
#ifndef KMC_ENGINE_CHECK_H
#define KMC_ENGINE_CHECK_H

#include "kmc/engine.h"

/** check_ask() - answer CHECK: as OPEN would be, but that nothing changes, and that another host may have the vTPM at this moment. */
void check_ask(struct engine *e, const struct asker *a, const struct kmc_check *m);

/** check_verify() - answer VERIFY. */
void check_verify(struct engine *e, const struct asker *a, const struct kmc_verify *m);

#endif
