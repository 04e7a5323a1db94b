/* The server's own certificate, in the engine: who asked, and the record of what the vault issued. */
#ifndef KMC_ENGINE_SERVER_H
#define KMC_ENGINE_SERVER_H

#include "kmc/engine.h"

/** server_request() - a request of kmcctl; false: it is not about that. */
bool server_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

/* Answers of the vault to a TICKET_SERVER. */
void server_issued(struct engine *e, struct ticket *t, const struct vault_issued *m);
void server_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
