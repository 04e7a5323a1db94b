/* Opens and protection keys: what a host asks of the vault through the engine. */
#ifndef KMC_ENGINE_OPEN_H
#define KMC_ENGINE_OPEN_H

#include "kmc/engine.h"

void open_protect(struct engine *e, const struct asker *a);
void open_start(struct engine *e, const struct asker *a, const struct kmc_open *m);
void open_reserve(struct engine *e, const struct asker *a, const struct kmc_reserve *m);

/* Answers of the vault to a ticket that still waits. */
void open_protected(struct engine *e, struct ticket *t, const struct vault_protected *m);
void open_decrypted(struct engine *e, struct ticket *t, const struct vault_decrypted *m);
void open_made(struct engine *e, struct ticket *t, const struct vault_made *m);
void open_sealed(struct engine *e, struct ticket *t, const struct vault_sealed *m);
void open_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

/** open_decide() - at the end of a round: decide what the vault decrypted, or made a seed for. */
void open_decide(struct engine *e);

/** open_refuse_lease() - a lease's verdict in words, with @lease as it is (NULL: unknown vTPM). */
void open_refuse_lease(struct engine *e, const struct asker *a, enum kmc_refusal code, const struct uuid *uuid, const struct lease *lease);

#endif
