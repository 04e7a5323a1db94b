/*
 * Certificates of vTPMs' endorsement keys, for the host that holds the vTPM.
 *
 * The host names a lease and no key: the keys are made here from the stored seed, so there is nothing that a host could have certified but
 * what the stub domain of that vTPM derives. Making them takes a processor for a good part of a second. Nobody waits for it:
 * the host is told when to ask again, and the certificates are kept.
 */
#ifndef KMC_ENGINE_CERTIFY_H
#define KMC_ENGINE_CERTIFY_H

#include "kmc/engine.h"

/** certify_ask() - a host wants the certificates of a vTPM that it holds. */
void certify_ask(struct engine *e, const struct asker *a, const struct kmc_certify *m);

/** certify_endorsed() - the vault has made them. */
void certify_endorsed(struct engine *e, struct ticket *t, const struct vault_endorsed *m);

/** certify_failed() - or not. */
void certify_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
