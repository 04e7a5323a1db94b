/* What kmcctl asks of the engine about enrolment and attestation. */
#ifndef KMC_ENGINE_POLICY_H
#define KMC_ENGINE_POLICY_H

#include "kmc/admmsg.h"
#include "kmc/engine.h"

/** engine_policy_request() - answer one request of the control socket; false: it is none of these. */
bool engine_policy_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

/** engine_policy_host() - fill in what is known of a host's identity; @identity keeps the text. 0 or E_DB. */
int engine_policy_host(struct engine *e, const char *name, struct store_identity *identity, struct adm_host *m);

#endif
