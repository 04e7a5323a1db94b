/* What kmcctl asks about certificate authorities. */
#ifndef KMC_ENGINE_CA_ADMIN_H
#define KMC_ENGINE_CA_ADMIN_H

#include "kmc/engine.h"

/** engine_ca_request() - a request of kmcctl; false: it is not about that. */
bool engine_ca_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

/** engine_ca_made() - the vault has made the next one. */
void engine_ca_made(struct engine *e, struct ticket *t, const struct vault_ca_made *m);

/** engine_ca_kept() - the key of who signs is in this machine's file; engine_ca_keep_failed() - it is not. */
void engine_ca_kept(struct engine *e, struct ticket *t);
void engine_ca_keep_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
