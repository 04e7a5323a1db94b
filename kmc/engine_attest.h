/* Attestation of hosts at their connections, in the engine. */
#ifndef KMC_ENGINE_ATTEST_H
#define KMC_ENGINE_ATTEST_H

#include "kmc/engine.h"

/* What is known of one connection; the table has as many as the front has. */
struct attestation {
	uint64_t conn; /* 0: none */
	uint8_t nonce[32];
	uint32_t pcrs;	    /* that were asked for with it */
	int64_t nonce_at;   /* 0: there is no nonce to answer */
	int64_t good_until; /* of the last good quote; 0: none */
};

/** engine_attest_start() - make the table; fatal() without memory. */
void engine_attest_start(struct engine *e);

/** engine_policy() - what @pool asks of its hosts; 0 or E_DB. */
int engine_policy(struct engine *e, const char *pool, struct store_policy *policy);

/** engine_attest_ask() - a host asks what to quote. */
void engine_attest_ask(struct engine *e, const struct asker *a);

/** engine_attest_quote() - and here it is; @fingerprint: of its certificate. */
void engine_attest_quote(struct engine *e, const struct asker *a, struct view fingerprint, const struct kmc_quote *m);

/** engine_attest_allows() - whether the host may have a seed now; if not, it has been refused. */
bool engine_attest_allows(struct engine *e, const struct asker *a);

#endif
