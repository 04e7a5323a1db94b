/* Replicas: a copy of the parent key for another machine's TPM. */
#ifndef KMC_ENGINE_REPLICA_H
#define KMC_ENGINE_REPLICA_H

#include "kmc/admmsg.h"
#include "kmc/engine.h"

/** replica_request() - answer one request of the control socket; false: it is none of these. */
bool replica_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

void replica_duplicated(struct engine *e, struct ticket *t, const struct vault_duplicated *m);
void replica_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
