/* Hosts' next certificates. */
#ifndef KMC_ENGINE_RENEW_H
#define KMC_ENGINE_RENEW_H

#include "kmc/engine.h"

/** renew_ask() - a host that may open vTPMs asks for its next certificate; @fingerprint: of the one that it came with. */
void renew_ask(struct engine *e, const struct asker *a, struct view fingerprint, const struct kmc_renew *m);

/* The vault's answers to it. */
void renew_issued(struct engine *e, struct ticket *t, const struct vault_issued *m);
void renew_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

/** renew_used() - the host was welcomed with it: if it is newer than the one on record, it becomes that. */
void renew_used(struct engine *e, const struct asker *a, struct view fingerprint);

#endif
