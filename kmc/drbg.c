/*
 * HMAC_DRBG with SHA-256 through OpenSSL's EVP_RAND.
 *
 * Theory of operation: OpenSSL takes a DRBG's entropy and nonce from its parent. The parent here is the provider's
 * TEST-RAND, which hands out exactly the bytes that it was given: the one supported way to choose a DRBG's inputs.
 */
#include "kmc/drbg.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "common/error.h"
#include "common/secret.h"

#define STRENGTH 256 /* bits */

static EVP_RAND_CTX *new_context(const char *algorithm, EVP_RAND_CTX *parent)
{
	EVP_RAND *rand = EVP_RAND_fetch(NULL, algorithm, NULL);
	EVP_RAND_CTX *ctx = rand ? EVP_RAND_CTX_new(rand, parent) : NULL;

	EVP_RAND_free(rand);
	return ctx;
}

static EVP_RAND_CTX *new_source(const struct secret *entropy, struct view nonce)
{
	EVP_RAND_CTX *ctx = new_context("TEST-RAND", NULL);
	unsigned int strength = STRENGTH;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint(OSSL_RAND_PARAM_STRENGTH, &strength),
		OSSL_PARAM_construct_octet_string(OSSL_RAND_PARAM_TEST_ENTROPY, entropy->data, entropy->size),
		OSSL_PARAM_construct_octet_string(OSSL_RAND_PARAM_TEST_NONCE, (void *)(uintptr_t)nonce.p, nonce.n),
		OSSL_PARAM_construct_end(),
	};

	if (ctx && EVP_RAND_instantiate(ctx, STRENGTH, 0, NULL, 0, params) == 1)
		return ctx;
	EVP_RAND_CTX_free(ctx);
	return NULL;
}

static EVP_RAND_CTX *new_drbg(EVP_RAND_CTX *source, struct view personal)
{
	EVP_RAND_CTX *ctx = new_context("HMAC-DRBG", source);
	char mac[] = "HMAC", digest[] = "SHA256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_DRBG_PARAM_MAC, mac, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_DRBG_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	if (ctx && EVP_RAND_instantiate(ctx, STRENGTH, 0, personal.p, personal.n, params) == 1)
		return ctx;
	EVP_RAND_CTX_free(ctx);
	return NULL;
}

static int generate(EVP_RAND_CTX *drbg, size_t size, struct secret **out)
{
	*out = secret_new(size);
	if (!*out)
		return E_NOMEM;
	if (EVP_RAND_generate(drbg, (*out)->data, size, STRENGTH, 0, NULL, 0) == 1)
		return 0;
	secret_free(out);
	return E_CRYPTO;
}

int drbg_generate(const struct secret *entropy, struct view nonce, struct view personal, size_t skip, size_t size,
		  struct secret **out)
{
	EVP_RAND_CTX *source = NULL, *drbg = NULL;
	struct secret *dropped = NULL;
	int r = E_CRYPTO;

	*out = NULL;
	if (entropy->size < DRBG_ENTROPY_MIN || nonce.n < DRBG_NONCE_MIN || size == 0)
		return E_ARG;
	source = new_source(entropy, nonce);
	drbg = source ? new_drbg(source, personal) : NULL;
	if (!drbg)
		goto out;
	r = skip ? generate(drbg, skip, &dropped) : 0;
	if (r == 0)
		r = generate(drbg, size, out);
out:
	secret_free(&dropped);
	EVP_RAND_CTX_free(drbg);
	EVP_RAND_CTX_free(source);
	return r;
}
