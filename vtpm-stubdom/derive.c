/* HKDF-SHA256 through OpenSSL, and what stands in the info of each output. */
#include "vtpm-stubdom/derive.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"

#define PRK_SIZE 32
#define EPOCHS_MAX 2
#define INFO_MAX 96

static const char salt_text[] = "xen-vtpm/stub-domain/v1";

static OSSL_PARAM text(const char *key, const char *value)
{
	return OSSL_PARAM_construct_utf8_string(key, (char *)(uintptr_t)value, 0);
}

static OSSL_PARAM octets(const char *key, struct view v)
{
	return OSSL_PARAM_construct_octet_string(key, (uint8_t *)(uintptr_t)v.p, v.n);
}

static int hkdf(const char *mode, struct view key, struct view salt, struct view info, void *out, size_t n_out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[6];
	size_t n = 0;
	int r;

	params[n++] = text(OSSL_KDF_PARAM_MODE, mode);
	params[n++] = text(OSSL_KDF_PARAM_DIGEST, "SHA256");
	params[n++] = octets(OSSL_KDF_PARAM_KEY, key);
	if (salt.n)
		params[n++] = octets(OSSL_KDF_PARAM_SALT, salt);
	if (info.n)
		params[n++] = octets(OSSL_KDF_PARAM_INFO, info);
	params[n] = OSSL_PARAM_construct_end();
	r = ctx && EVP_KDF_derive(ctx, out, n_out, params) == 1 ? 0 : E_CRYPTO;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return r;
}

int derive_hkdf(struct view ikm, struct view salt, struct view info, void *out, size_t n)
{
	return hkdf("EXTRACT_AND_EXPAND", ikm, salt, info, out, n);
}

int derive_init(struct derive *d, const void *seed, size_t n, const struct uuid *uuid, uint64_t generation)
{
	int r;

	*d = (struct derive){.prk = secret_new(PRK_SIZE), .uuid = *uuid, .generation = generation};
	if (!d->prk)
		return E_NOMEM;
	r = hkdf("EXTRACT_ONLY", view_of(seed, n), view_text(salt_text), (struct view){0}, d->prk->data, PRK_SIZE);
	if (r != 0)
		derive_free(d);
	return r;
}

void derive_free(struct derive *d)
{
	secret_free(&d->prk);
	*d = (struct derive){0};
}

void derive_share(struct derive *d, const struct origin *origin)
{
	d->origin = *origin;
}

/* What a derivation is for: a vTPM and a generation of its seed. */
struct subject {
	struct uuid uuid;
	uint64_t generation;
};

static int expand(const struct derive *d, const struct subject *s, const char *label, const uint64_t *epochs, size_t n_epochs, void *out,
		  size_t n_out)
{
	uint8_t bytes[INFO_MAX];
	struct buf info;
	size_t n = strlen(label);
	int r;

	buf_over(&info, bytes, sizeof(bytes));
	if ((r = buf_put_u8(&info, (uint8_t)n)) != 0 || (r = buf_put(&info, label, n)) != 0 ||
	    (r = buf_put(&info, s->uuid.b, UUID_SIZE)) != 0 || (r = buf_put_u64(&info, s->generation)) != 0 ||
	    (r = buf_put_u8(&info, (uint8_t)n_epochs)) != 0)
		return r;
	for (size_t i = 0; i < n_epochs; i++)
		if ((r = buf_put_u64(&info, epochs[i])) != 0)
			return r;
	return hkdf("EXPAND_ONLY", view_of(d->prk->data, d->prk->size), (struct view){0}, view_of(info.data, info.len), out, n_out);
}

struct secret *derive_roots(const struct derive *d, const struct epochs *e)
{
	/* As TPM 2.0 renews them: Clear the owner's and ehProof, ChangeEPS the endorsement's, ChangePPS the platform's. */
	const struct {
		const char *label;
		uint64_t epochs[EPOCHS_MAX];
		size_t n;
	} how[ROOT_COUNT] = {
		[ROOT_EPS] = {"EPS", {e->endorsement}, 1},	    [ROOT_SPS] = {"SPS", {e->owner}, 1},
		[ROOT_PPS] = {"PPS", {e->platform}, 1},		    [ROOT_PH_PROOF] = {"phProof", {e->platform}, 1},
		[ROOT_SH_PROOF] = {"shProof", {e->owner}, 1},	    [ROOT_EH_PROOF] = {"ehProof", {e->endorsement, e->owner}, 2},
	};
	const struct subject own = {d->uuid, d->generation}, shared = {d->origin.uuid, d->origin.generation};
	struct secret *s = secret_new(sizeof(struct roots));
	struct roots *roots = s ? (struct roots *)s->data : NULL;

	for (size_t i = 0; s && i < ROOT_COUNT; i++)
		if (expand(d, d->origin.generation ? &shared : &own, how[i].label, how[i].epochs, how[i].n, roots->value[i], DERIVE_ROOT_SIZE) != 0)
			secret_free(&s);
	return s;
}

struct secret *derive_state_key(const struct derive *d)
{
	const struct subject own = {d->uuid, d->generation};
	struct secret *s = secret_new(DERIVE_STATE_KEY_SIZE);

	if (s && expand(d, &own, "state key", NULL, 0, s->data, DERIVE_STATE_KEY_SIZE) != 0)
		secret_free(&s);
	return s;
}
