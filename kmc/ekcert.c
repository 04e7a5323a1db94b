/* Endorsement keys and their certificates (TCG EK Credential Profile for TPM Family 2.0). */
#include "kmc/ekcert.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

#define EK_PURPOSE "2.23.133.8.1" /* tcg-kp-EKCertificate */
#define DEPTH_MAX 6

struct ekroots {
	X509_STORE *store;
	STACK_OF(X509) *between; /* the same certificates: intermediate ones are given in the same file */
};

static int read_all(struct ekroots *r, FILE *f)
{
	X509 *cert;

	while ((cert = PEM_read_X509(f, NULL, NULL, NULL)) != NULL) {
		bool self = X509_self_signed(cert, 0) == 1; /* anchors must be roots: who adds a lone intermediate trusts its root too */

		if (self && X509_STORE_add_cert(r->store, cert) != 1) {
			X509_free(cert);
			return E_NOMEM;
		}
		if (sk_X509_push(r->between, cert) <= 0) {
			X509_free(cert);
			return E_NOMEM;
		}
	}
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : E_FORMAT;
}

int ekroots_load(struct ekroots **roots, const char *path, char why[EKCERT_WHY])
{
	struct ekroots *r = calloc(1, sizeof(*r));
	FILE *f = fopen(path, "re");
	int code = 0;

	*roots = NULL;
	if (!r || !(r->store = X509_STORE_new()) || !(r->between = sk_X509_new_null()))
		code = E_NOMEM;
	else if (!f && errno != ENOENT)
		code = E_IO;
	else if (f)
		code = read_all(r, f);
	if (code != 0) {
		snprintf(why, EKCERT_WHY, "can't read the TPM manufacturers' CAs in %s: %s", path,
			 code == E_IO ? strerror(errno) : code == E_FORMAT ? "a certificate in it is damaged" : error_text(code));
		ekroots_free(&r);
	}
	if (f)
		fclose(f);
	ERR_clear_error();
	*roots = r;
	return code;
}

void ekroots_free(struct ekroots **roots)
{
	if (!*roots)
		return;
	X509_STORE_free((*roots)->store);
	sk_X509_pop_free((*roots)->between, X509_free);
	free(*roots);
	*roots = NULL;
}

static bool same_number(EVP_PKEY *key, const char *name, struct view expected)
{
	BIGNUM *found = NULL, *wanted = BN_bin2bn(expected.p, (int)expected.n, NULL);
	bool same = wanted && EVP_PKEY_get_bn_param(key, name, &found) == 1 && BN_cmp(found, wanted) == 0;

	BN_free(found);
	BN_free(wanted);
	return same;
}

static bool is_for(X509 *cert, const struct quote_ek *ek)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[32] = "";
	size_t n;

	if (!key)
		return false;
	if (ek->is_rsa)
		return EVP_PKEY_is_a(key, "RSA") && same_number(key, OSSL_PKEY_PARAM_RSA_N, ek->modulus);
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	       strcmp(group, "prime256v1") == 0 && same_number(key, OSSL_PKEY_PARAM_EC_PUB_X, ek->x) &&
	       same_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, ek->y);
}

/* Where a certificate says what it is for, it must be this; older TPMs' don't say. */
static bool is_endorsement(X509 *cert)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	bool found = !usage;
	char oid[64];

	for (int i = 0; usage && i < sk_ASN1_OBJECT_num(usage); i++)
		if (OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(usage, i), 1) > 0)
			found |= strcmp(oid, EK_PURPOSE) == 0;
	EXTENDED_KEY_USAGE_free(usage);
	return found && X509_check_ca(cert) == 0;
}

static bool is_known(const struct ekroots *roots, X509 *cert)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = ctx && X509_STORE_CTX_init(ctx, roots->store, cert, roots->between) == 1;

	if (ok) {
		X509_STORE_CTX_set_depth(ctx, DEPTH_MAX);
		ok = X509_verify_cert(ctx) == 1;
	}
	X509_STORE_CTX_free(ctx);
	return ok;
}

int ekcert_check(const struct ekroots *roots, struct view der, const struct quote_ek *ek, enum ek_check *check, char why[EKCERT_WHY])
{
	const unsigned char *p = der.p;
	X509 *cert;
	int r = 0;

	*check = EK_NO_CERTIFICATE;
	if (!der.p)
		return 0;
	cert = d2i_X509(NULL, &p, (long)der.n);
	if (!cert || p != der.p + der.n) {
		snprintf(why, EKCERT_WHY, "what the TPM has for its endorsement certificate is no certificate");
		r = E_FORMAT;
	} else if (!is_for(cert, ek) || !is_endorsement(cert)) {
		snprintf(why, EKCERT_WHY, "the endorsement certificate is not for the endorsement key that was shown");
		r = E_INTEGRITY;
	} else {
		*check = is_known(roots, cert) ? EK_CERTIFIED : EK_UNKNOWN_CA;
	}
	ERR_clear_error();
	X509_free(cert);
	return r;
}

const char *ek_decide(enum ek_policy policy, enum ek_check check, bool listed, bool same)
{
	if (listed && !same)
		return "its TPM's endorsement key is not the one that was listed for this host";
	if (policy == EK_LISTED && !listed)
		return "the pool asks for listed endorsement keys: give the key's hash to 'kmcctl host add --ek'";
	if (policy == EK_REQUIRE && check == EK_NO_CERTIFICATE)
		return "the pool asks for an endorsement certificate, and its TPM has none";
	if (policy == EK_REQUIRE && check == EK_UNKNOWN_CA)
		return "its TPM's endorsement certificate is from a CA that is not among the KMC's ek-roots";
	return NULL;
}

const char *ek_check_text(uint64_t check)
{
	static const char *const texts[] = {
		[EK_NO_CERTIFICATE] = "no certificate", [EK_UNKNOWN_CA] = "unknown CA", [EK_CERTIFIED] = "certified"};

	return check < sizeof(texts) / sizeof(texts[0]) ? texts[check] : "?";
}
