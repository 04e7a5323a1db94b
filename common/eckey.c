/* ECDSA on P-256, on OpenSSL. */
#include "common/eckey.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"

struct eckey {
	EVP_PKEY *pkey;
};

int eckey_make(struct eckey **key)
{
	*key = calloc(1, sizeof(**key));
	if (*key && ((*key)->pkey = EVP_EC_gen("P-256")))
		return 0;
	eckey_free(key);
	return E_CRYPTO;
}

void eckey_free(struct eckey **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

int eckey_pem(const struct eckey *key, struct secret **pem)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *text = NULL;
	long n = 0;

	*pem = NULL;
	if (bio && PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1)
		n = BIO_get_mem_data(bio, &text);
	if (n > 0)
		*pem = secret_dup(text, (size_t)n);
	if (n > 0)
		wipe(text, (size_t)n);
	BIO_free(bio);
	if (n <= 0)
		return E_CRYPTO;
	return *pem ? 0 : E_NOMEM;
}

int eckey_public(const struct eckey *key, uint8_t spki[ECKEY_SPKI_MAX])
{
	unsigned char *p = spki;
	int n = i2d_PUBKEY(key->pkey, NULL);

	return n > 0 && n <= ECKEY_SPKI_MAX ? i2d_PUBKEY(key->pkey, &p) : E_CRYPTO;
}

int eckey_sign(const struct eckey *key, struct view message, uint8_t signature[ECKEY_SIGNATURE_MAX])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = ECKEY_SIGNATURE_MAX;
	int ok = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
		 EVP_DigestSign(md, signature, &n, message.p, message.n) == 1;

	EVP_MD_CTX_free(md);
	return ok ? (int)n : E_CRYPTO;
}

static EVP_PKEY *read_public(struct view spki)
{
	const unsigned char *p = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	char group[32] = "";
	size_t n;

	if (key && p == spki.p + spki.n && EVP_PKEY_is_a(key, "EC") &&
	    EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 && strcmp(group, "prime256v1") == 0)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

int eckey_verify(struct view spki, struct view message, struct view signature)
{
	EVP_PKEY *key = read_public(spki);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = key && md && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
		 EVP_DigestVerify(md, signature.p, signature.n, message.p, message.n) == 1;
	int r = key ? E_INTEGRITY : E_FORMAT;

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok ? 0 : r;
}

/* RFC 5480: a SubjectPublicKeyInfo of id-ecPublicKey on secp256r1 with an uncompressed point. */
static const uint8_t spki_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
				    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
#define SPKI_SIZE (sizeof(spki_head) + 64)

/* A number of up to 32 bytes, to the right. */
static int put_number(uint8_t out[32], struct view v)
{
	if (v.n == 0 || v.n > 32)
		return E_RANGE;
	memset(out, 0, 32);
	memcpy(out + 32 - v.n, v.p, v.n);
	return 0;
}

int eckey_signature_of(struct view r, struct view s, uint8_t signature[ECKEY_SIGNATURE_MAX])
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *br = BN_bin2bn(r.p, (int)r.n, NULL), *bs = BN_bin2bn(s.p, (int)s.n, NULL);
	unsigned char *p = signature;
	int n = -1;

	if (sig && br && bs && ECDSA_SIG_set0(sig, br, bs) == 1) {
		n = i2d_ECDSA_SIG(sig, NULL);
		n = n > 0 && n <= ECKEY_SIGNATURE_MAX ? i2d_ECDSA_SIG(sig, &p) : -1;
	} else {
		BN_free(br);
		BN_free(bs);
	}
	ECDSA_SIG_free(sig);
	return n;
}

int eckey_spki_of(struct view x, struct view y, uint8_t spki[ECKEY_SPKI_MAX])
{
	memcpy(spki, spki_head, sizeof(spki_head));
	if (put_number(spki + sizeof(spki_head), x) != 0 || put_number(spki + sizeof(spki_head) + 32, y) != 0)
		return E_FORMAT;
	return SPKI_SIZE;
}

int eckey_verify_numbers(const struct eckey_numbers *k, struct view message)
{
	uint8_t spki[ECKEY_SPKI_MAX], signature[ECKEY_SIGNATURE_MAX];
	int n;

	if (k->r.n == 0 || k->r.n > 32 || k->s.n == 0 || k->s.n > 32 || eckey_spki_of(k->x, k->y, spki) < 0)
		return E_FORMAT;
	n = eckey_signature_of(k->r, k->s, signature);
	return n < 0 ? E_CRYPTO : eckey_verify(view_of(spki, SPKI_SIZE), message, view_of(signature, (size_t)n));
}
