/* RSA protection keys on OpenSSL's EVP_PKEY. */
#include "kmc/rsakey.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"

struct rsakey {
	EVP_PKEY *pkey;
};

static int adopt(struct rsakey **key, EVP_PKEY *pkey, int r)
{
	*key = pkey ? calloc(1, sizeof(**key)) : NULL;
	if (!*key) {
		EVP_PKEY_free(pkey);
		return pkey ? E_NOMEM : r;
	}
	(*key)->pkey = pkey;
	return 0;
}

int rsakey_make(struct rsakey **key, unsigned int bits)
{
	return adopt(key, EVP_RSA_gen(bits), E_CRYPTO);
}

int rsakey_load(struct rsakey **key, const struct secret *der)
{
	const unsigned char *p = der->data;
	size_t left = der->size;
	EVP_PKEY *pkey = NULL;
	OSSL_DECODER_CTX *d;
	int size;

	d = OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", "type-specific", "RSA", OSSL_KEYMGMT_SELECT_KEYPAIR, NULL, NULL);
	if (!d || OSSL_DECODER_from_data(d, &p, &left) != 1 || left != 0) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	OSSL_DECODER_CTX_free(d);
	ERR_clear_error();
	size = pkey ? EVP_PKEY_get_size(pkey) : 0;
	if (size < 256 || size > KMC_RSA_MAX) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return adopt(key, pkey, E_FORMAT);
}

int rsakey_save(const struct rsakey *key, struct secret **der)
{
	struct secret *room = secret_new(RSAKEY_DER_MAX);
	OSSL_ENCODER_CTX *e;
	unsigned char *p;
	size_t left = RSAKEY_DER_MAX;
	int ok;

	*der = NULL;
	if (!room)
		return E_NOMEM;
	p = room->data;
	e = OSSL_ENCODER_CTX_new_for_pkey(key->pkey, OSSL_KEYMGMT_SELECT_KEYPAIR, "DER", "type-specific", NULL);
	ok = e && OSSL_ENCODER_to_data(e, &p, &left) == 1;
	OSSL_ENCODER_CTX_free(e);
	if (!ok) {
		secret_free(&room);
		return E_CRYPTO;
	}
	room->size = RSAKEY_DER_MAX - left;
	*der = room;
	return 0;
}

void rsakey_free(struct rsakey **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

size_t rsakey_size(const struct rsakey *key)
{
	return (size_t)EVP_PKEY_get_size(key->pkey);
}

int rsakey_public(const struct rsakey *key, uint8_t modulus[KMC_RSA_MAX], uint64_t *exponent)
{
	BIGNUM *n = NULL, *e = NULL;
	int ok;

	ok = EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
	     EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
	     BN_bn2binpad(n, modulus, (int)rsakey_size(key)) == (int)rsakey_size(key) && BN_num_bits(e) <= 32;
	*exponent = ok ? BN_get_word(e) : 0;
	BN_free(n);
	BN_free(e);
	return ok ? 0 : E_CRYPTO;
}

static int set_oaep(EVP_PKEY_CTX *c, const char *label)
{
	size_t n = strlen(label) + 1;
	void *copy = OPENSSL_memdup(label, n);

	if (copy && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) == 1 &&
	    EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_sha256()) == 1 && EVP_PKEY_CTX_set0_rsa_oaep_label(c, copy, (int)n) == 1)
		return 1; /* the context owns the copy now */
	OPENSSL_free(copy);
	return 0;
}

int rsakey_decrypt(const struct rsakey *key, struct view cipher, const char *label, struct secret **plain)
{
	struct secret *room = secret_new(KMC_RSA_MAX);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key->pkey, NULL);
	size_t n = KMC_RSA_MAX;
	int ok;

	*plain = NULL;
	ok = room && c && cipher.n == rsakey_size(key) && EVP_PKEY_decrypt_init(c) == 1 && set_oaep(c, label) &&
	     EVP_PKEY_decrypt(c, room->data, &n, cipher.p, cipher.n) == 1;
	EVP_PKEY_CTX_free(c);
	ERR_clear_error();
	if (!ok || n == 0) {
		secret_free(&room);
		return E_INTEGRITY;
	}
	room->size = n;
	*plain = room;
	return 0;
}

int rsakey_private(const struct rsakey *key, const struct secret *block, struct secret **out)
{
	EVP_PKEY_CTX *c;
	size_t n = rsakey_size(key);
	int ok;

	*out = NULL;
	if (block->size != n)
		return E_ARG;
	*out = secret_new(n);
	if (!*out)
		return E_NOMEM;
	c = EVP_PKEY_CTX_new(key->pkey, NULL);
	ok = c && EVP_PKEY_decrypt_init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_NO_PADDING) == 1 &&
	     EVP_PKEY_decrypt(c, (*out)->data, &n, block->data, block->size) == 1 && n == block->size;
	EVP_PKEY_CTX_free(c);
	ERR_clear_error();
	if (!ok)
		secret_free(out);
	return ok ? 0 : E_CRYPTO;
}
