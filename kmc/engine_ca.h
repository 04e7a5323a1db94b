/*
 * The KMC's certificate authorities, in the engine: which one signs, which ones are trusted, and the change from one to the next.
 *
 *   (current) --renew--> current and next: hosts learn the next one --switch--> former and current: hosts get certificates by the new one
 *   --retire--> (current)
 *
 * Each step is one transaction in the database; every kmcd over it follows within some seconds. What the database says is believed only if the
 * vault finds the authority's wrapped key to be its own: who can write the database can't have hosts trust an authority of his.
 */
#ifndef KMC_ENGINE_CA_H
#define KMC_ENGINE_CA_H

#include "kmc/authorities.h"
#include "kmc/engine.h"

/** engine_ca_start() - over the open store; @ready is called once, when it is known who signs. */
void engine_ca_start(struct engine *e, struct loop *loop, void (*ready)(struct engine *e));

/** engine_ca_known() - it is known who signs: before that no host can be served. */
bool engine_ca_known(const struct engine *e);

/** engine_ca_trust() - a host says whom it trusts; @fingerprint: of the certificate that it came with. */
void engine_ca_trust(struct engine *e, const struct asker *a, struct view fingerprint, const struct kmc_trust *m);

/** engine_ca_look() - follow the database now. */
void engine_ca_look(struct engine *e);

/** engine_ca_of_host() - the number of the authority that signed that certificate of a host; 0: unknown. 0 or E_DB. */
int engine_ca_of_host(struct engine *e, const char *host, const uint8_t fingerprint[32], uint32_t *number);

/* The vault's answers; failed: to kmcctl's request for a new one as well. */
void engine_ca_taken(struct engine *e, struct ticket *t);
void engine_ca_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
