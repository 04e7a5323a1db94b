/* Endorsement key certificates: what the TCG wants in them, in DER. Sees OpenSSL's EVP_PKEY and X509_NAME. */
#include "kmc/ekissue.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"

#define OID_MANUFACTURER "2.23.133.2.1"
#define OID_MODEL "2.23.133.2.2"
#define OID_VERSION "2.23.133.2.3"
#define OID_ALT_NAME "2.5.29.17"
#define OID_DIRECTORY_ATTRIBUTES "2.5.29.9"
#define MODEL "xen-vtpm"
#define DER_MAX 512

static int spki_from(const char *algorithm, OSSL_PARAM_BLD *bld, uint8_t out[CA_SPKI_MAX])
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	EVP_PKEY *key = NULL;
	unsigned char *p = out;
	int n = -1;

	if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1 &&
	    (n = i2d_PUBKEY(key, NULL)) > 0 && n <= CA_SPKI_MAX)
		n = i2d_PUBKEY(key, &p);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return n > 0 && n <= CA_SPKI_MAX ? n : E_CRYPTO;
}

/* SubjectPublicKeyInfo of a modulus with exponent 65537: bytes or E_CRYPTO. */
static int rsa_spki(struct view modulus, uint8_t out[CA_SPKI_MAX])
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(modulus.p, (int)modulus.n, NULL), *e = BN_new();
	int r = E_CRYPTO;

	if (bld && n && e && BN_set_word(e, 65537) == 1 && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		r = spki_from("RSA", bld, out);
	BN_free(n);
	BN_free(e);
	OSSL_PARAM_BLD_free(bld);
	return r;
}

static int ecc_spki(struct view xy, uint8_t out[CA_SPKI_MAX])
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	uint8_t point[1 + 64] = {4}; /* uncompressed */
	int r = E_CRYPTO;

	if (xy.n != 64)
		r = E_FORMAT;
	else if (bld && memcpy(point + 1, xy.p, 64) && OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
		 OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
		r = spki_from("EC", bld, out);
	OSSL_PARAM_BLD_free(bld);
	return r;
}

static bool add_entry(X509_NAME *name, const char *oid, const char *text)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	bool ok = o && X509_NAME_add_entry_by_OBJ(name, o, V_ASN1_UTF8STRING, (const unsigned char *)text, -1, -1, 0) == 1;

	ASN1_OBJECT_free(o);
	return ok;
}

/* GeneralNames with one directoryName: bytes or E_CRYPTO. */
static int alt_name(const struct ekmaker_made *made, uint8_t out[DER_MAX])
{
	char manufacturer[16], version[16];
	X509_NAME *name = X509_NAME_new();
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *one = GENERAL_NAME_new();
	unsigned char *p = out;
	int n = -1;

	snprintf(manufacturer, sizeof(manufacturer), "id:%08X", (unsigned int)made->manufacturer);
	snprintf(version, sizeof(version), "id:%08X", (unsigned int)made->firmware);
	if (!name || !names || !one || !add_entry(name, OID_MANUFACTURER, manufacturer) || !add_entry(name, OID_MODEL, MODEL) ||
	    !add_entry(name, OID_VERSION, version))
		goto out;
	GENERAL_NAME_set0_value(one, GEN_DIRNAME, name);
	name = NULL;
	if (sk_GENERAL_NAME_push(names, one) <= 0)
		goto out;
	one = NULL;
	n = i2d_GENERAL_NAMES(names, NULL);
	n = n > 0 && n <= DER_MAX ? i2d_GENERAL_NAMES(names, &p) : -1;
out:
	X509_NAME_free(name);
	GENERAL_NAME_free(one);
	GENERAL_NAMES_free(names);
	return n > 0 ? n : E_CRYPTO;
}

/* A value of up to 127 bytes, which is all there is here. */
static void put_der(struct buf *out, uint8_t tag, const void *p, size_t n)
{
	buf_put_u8(out, tag);
	buf_put_u8(out, (uint8_t)n);
	buf_put(out, p, n);
}

static void put_der_uint(struct buf *out, uint64_t v)
{
	uint8_t bytes[9] = {0};
	size_t n = 1;

	for (; v >> (8 * n - 1) && n < sizeof(bytes); n++) /* room for the sign */
		;
	for (size_t i = 0; i < n; i++)
		bytes[n - 1 - i] = i < 8 ? (uint8_t)(v >> (8 * i)) : 0;
	put_der(out, 0x02, bytes, n);
}

/* SubjectDirectoryAttributes: tpmSpecification { family, level, revision }. */
static size_t directory_attributes(const struct ekmaker_made *made, uint8_t out[DER_MAX])
{
	static const uint8_t oid[] = {0x67, 0x81, 0x05, 0x02, 0x10}; /* 2.23.133.2.16 */
	uint8_t bytes[4][64];
	struct buf b[4], all;

	for (int i = 0; i < 4; i++)
		buf_over(&b[i], bytes[i], sizeof(bytes[i]));
	put_der(&b[0], 0x0c, "2.0", 3);
	put_der_uint(&b[0], made->level);
	put_der_uint(&b[0], made->revision);
	put_der(&b[1], 0x30, b[0].data, b[0].len); /* TPMSpecification */
	put_der(&b[2], 0x06, oid, sizeof(oid));
	put_der(&b[2], 0x31, b[1].data, b[1].len); /* its set of values */
	put_der(&b[3], 0x30, b[2].data, b[2].len); /* Attribute */
	buf_over(&all, out, DER_MAX);
	put_der(&all, 0x30, b[3].data, b[3].len);
	return all.len;
}

static int issue(const struct ekissue_authority *by, enum ca_kind kind, const struct ca_extension more[2], const uint8_t *spki, int n_spki,
		 struct ca_cert *out, char why[CA_WHY])
{
	const struct ca_profile profile = {.kind = kind, .ca_url = by->url, .not_before = by->not_before, .more = more, .n_more = 2};

	if (n_spki > 0)
		return ca_issue(by->key, by->ca, &profile, view_of(spki, (size_t)n_spki), out, why);
	snprintf(why, CA_WHY, "an endorsement key is not what it should be");
	return n_spki;
}

int ekissue(const struct ekissue_authority *by, const struct ekmaker_made *made, struct ca_cert *rsa, struct ca_cert *ecc, char why[CA_WHY])
{
	uint8_t name[DER_MAX], attributes[DER_MAX], spki[CA_SPKI_MAX];
	int n = alt_name(made, name), r;
	const struct ca_extension more[2] = {
		{.oid = OID_ALT_NAME, .critical = true, .der = view_of(name, n > 0 ? (size_t)n : 0)},
		{.oid = OID_DIRECTORY_ATTRIBUTES, .der = view_of(attributes, directory_attributes(made, attributes))},
	};

	if (n <= 0) {
		snprintf(why, CA_WHY, "can't encode the name of a TPM");
		return E_CRYPTO;
	}
	r = issue(by, CA_EK_RSA, more, spki, rsa_spki(made->rsa, spki), rsa, why);
	return r != 0 ? r : issue(by, CA_EK_ECC, more, spki, ecc_spki(made->ecc, spki), ecc, why);
}
