/*
 * vTPMs that come from another KMC.
 *
 * Theory of operation: the file says in signed terms what comes, from whom and for whom. Who may give is the administrator's word (a
 * fingerprint); that it is for this KMC, and the seed in it, the vault finds out. A move has an id: the same one again changes nothing and gets the
 * same receipt; another one for a vTPM that is here is refused, but for one that this KMC had moved away itself, under a newer lease than it left with.
 */
#ifndef KMC_ENGINE_IMPORT_H
#define KMC_ENGINE_IMPORT_H

#include "kmc/engine.h"

/** import_request() - a request of kmcctl; false: it is not about that. */
bool import_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

/* What the vault said. */
void import_made(struct engine *e, struct ticket *t, const struct vault_made *m);
void import_receipt(struct engine *e, struct ticket *t, const struct vault_receipt_is *m);
void import_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
