/* The wrapping key, for administrators. */
#ifndef KMC_ENGINE_KEYS_H
#define KMC_ENGINE_KEYS_H

#include "kmc/engine.h"

/** keys_request() - whether this was a request about it; it is answered then. */
bool keys_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

/* What the vault said to the request for a new one. */
void keys_made(struct engine *e, struct ticket *t, const struct vault_wrapping *m);
void keys_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
