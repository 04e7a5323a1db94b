/* Enrolment of hosts by token, in the engine. */
#ifndef KMC_ENGINE_ENROL_H
#define KMC_ENGINE_ENROL_H

#include "kmc/attest.h"
#include "kmc/ekcert.h"
#include "kmc/engine.h"

#define ENROLMENTS_MAX 16 /* the front lets in fewer */

/* One host on its way, from ENROL to ENROLLED. */
struct enrolment {
	uint64_t conn; /* 0: free */
	uint64_t serial; /* the lower, the older */
	uint8_t token[32]; /* the hash */
	char host[STORE_NAME], pool[STORE_NAME];
	uint8_t ek[32]; /* the hash */
	enum ek_check ek_check;
	uint8_t ak[STORE_AK_MAX], spki[128];
	size_t ak_size, spki_size;
	bool software_key;
	uint8_t tls_key[128]; /* TPMT_PUBLIC, unless it is a file */
	size_t tls_key_size;
	bool challenged; /* PROVE is awaited */
	uint8_t answer[32], nonce[32]; /* answer: SHA-256 of the right one */
	uint32_t pcrs;
	struct attest_facts facts; /* of the first quote */
};

/** engine_enrol_ask() - a message of a peer without certificate. */
void engine_enrol_ask(struct engine *e, struct asker *a, enum kmc_type type, const void *fields);

/* The vault's answers to it. */
void engine_enrol_challenge(struct engine *e, struct ticket *t, const struct vault_challenge *m);
void engine_enrol_issued(struct engine *e, struct ticket *t, const struct vault_issued *m);
void engine_enrol_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
