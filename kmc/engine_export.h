/*
 * vTPMs that leave for another KMC: export, its cancellation, and the other KMC's receipt.
 *
 *   here --export--> leaving --receipt--> moved, its seed is destroyed
 *     ^---cancel--------'
 *
 * Theory of operation: as with a retirement the wrapped seed is moved out of the vTPM's row, in the transaction before its file is given out: who
 * has the file knows that nobody opens the vTPM here. An export may be repeated for the same KMC, and is the same move then.
 */
#ifndef KMC_ENGINE_EXPORT_H
#define KMC_ENGINE_EXPORT_H

#include "kmc/engine.h"

/** export_request() - a request of kmcctl; false: it is not about that. */
bool export_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

/* What the vault said. */
void export_card(struct engine *e, struct ticket *t, const struct vault_card *m);
void export_made(struct engine *e, struct ticket *t, const struct vault_exported *m);
void export_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
