/* What kmcctl asks of the engine. */
#ifndef KMC_ENGINE_ADMIN_H
#define KMC_ENGINE_ADMIN_H

#include "kmc/engine.h"

/** admin_request() - an admin_fn whose argument is the engine. */
void admin_request(void *arg, uint64_t client, uint64_t type, const void *fields);

/* Answers of the vault to a host's certificate. */
void admin_issued(struct engine *e, struct ticket *t, const struct vault_issued *m);
void admin_issue_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
