/* A host that is being enrolled, for tests. */
#include "tests/ring2/kmc_enrol.h"

#include <stdlib.h>

#include "common/buf.h"
#include "common/eckey.h"
#include "common/proof.h"
#include "common/token.h"
#include "dom0-relay/host_identity.h"

enum kmc_type client_enrol(struct kmc_client *c, const struct token *token, struct view behind, void *fields)
{
	static struct host_identity id;
	uint8_t spki[ECKEY_SPKI_MAX];
	struct eckey *key = NULL;
	char why[HOST_TPM_WHY];
	enum kmc_type type = 0;
	struct kmc_enrol m;
	struct buf out;
	int n;

	if (buf_init(&out, KMC_ENROL_BODY_MAX + 4 + behind.n) != 0 || eckey_make(&key) != 0 || (n = eckey_public(key, spki)) < 0 ||
	    host_identity_read(client_tpm(c), &id, why) != 0)
		abort();
	m = (struct kmc_enrol){.token = view_of(token->secret, TOKEN_SECRET_SIZE), .ek = view_of(id.ek, id.ek_size), .ak = view_of(id.ak, id.ak_size),
			       .spki = view_of(spki, (size_t)n), .software_key = 1};
	if (kmc_write(&out, KMC_ENROL, 1, &m) != 0 || buf_put(&out, behind.p, behind.n) != 0)
		abort();
	if (client_send_raw(c, buf_ptr(&out), buf_left(&out)))
		type = client_receive(c, fields);
	buf_free(&out);
	eckey_free(&key);
	return type;
}

enum kmc_type client_prove_wrongly(struct kmc_client *c, void *fields)
{
	const uint8_t nothing[PROOF_SIZE] = {0};
	struct host_quote q;
	char why[HOST_TPM_WHY];

	if (host_identity_quote(client_tpm(c), nothing, 1, &q, why) != 0)
		abort();
	return client_ask(c, KMC_PROVE, &(const struct kmc_prove){
		.credential = view_of(nothing, sizeof(nothing)), .quote = view_of(q.attest, q.attest_size), .signature = view_of(q.signature, q.signature_size),
		.values = view_of(q.values, q.values_size), .possession = view_of(nothing, sizeof(nothing))}, fields);
}
