/* Keys that come from elsewhere: a host's public key for a certificate, or its present certificate, a private key out of the database, a wrapped secret. */
#include <string.h>

#include "common/secret.h"
#include "kmc/ca.h"
#include "kmc/rsakey.h"
#include "kmc/wrap.h"
#include "tests/fuzz/fuzz.h"

static struct x509_key *ca_key;
static struct ca_cert ca;

static void try_certificate(struct view spki)
{
	const struct ca_profile profile = {.kind = CA_HOST, .name = "fuzz", .not_before = 0, .not_after = 1000};
	struct ca_cert cert;
	char why[CA_WHY];

	if (ca_issue(ca_key, &ca, &profile, spki, &cert, why) == 0)
		must(cert.size > 100);
}

/* What a host says is its present certificate. */
static void try_present(struct view der)
{
	struct ca_cert cert = {.size = der.n};
	struct ca_description d;
	uint8_t spki[CA_SPKI_MAX];

	if (der.n > sizeof(cert.der))
		return;
	memcpy(cert.der, der.p, der.n);
	if (ca_cert_public(&cert, spki) > 0 && ca_cert_describe(&cert, &d) == 0)
		must(strlen(d.serial) % 2 == 0);
}

static void try_private_key(struct view der)
{
	struct secret *s = secret_dup(der.p, der.n);
	struct rsakey *key;

	if (!s)
		return;
	if (rsakey_load(&key, s) == 0)
		must(rsakey_size(key) >= 256);
	rsakey_free(&key);
	secret_free(&s);
}

static void try_wrapped(struct view wrapped)
{
	static const uint8_t zero[WRAP_KEY_SIZE];
	struct wrap_key k = {.number = 1, .key = secret_dup(zero, sizeof(zero))};
	struct secret *plain = NULL;

	must(k.key);
	if (wrap_open(&k, WRAP_SEED, view_text("x"), wrapped, &plain) == 0)
		must(plain->size == wrapped.n - WRAP_OVERHEAD);
	secret_free(&plain);
	secret_free(&k.key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ca_profile root = {.kind = CA_ROOT, .name = "fuzz CA", .not_before = 0, .not_after = 1000};
	char why[CA_WHY];

	if (!ca_key)
		must(ca_key_make(&ca_key) == 0 && ca_root(ca_key, &root, &ca, why) == 0);
	if (size < 2)
		return 0;
	if (data[0] >= 0xf0)
		try_present(view_of(data + 1, size - 1));
	else if (data[0] % 3 == 0)
		try_certificate(view_of(data + 1, size - 1));
	else if (data[0] % 3 == 1)
		try_private_key(view_of(data + 1, size - 1));
	else
		try_wrapped(view_of(data + 1, size - 1));
	return 0;
}
