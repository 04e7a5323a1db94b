/* The KMC's CA on OpenSSL's X509. */
#include "kmc/ca.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/secret.h"

#define EK_USAGE "2.23.133.8.1" /* tcg-kp-EKCertificate */
#define SERIAL_BITS 127 /* random: RFC 5280 4.1.2.2 allows 20 bytes */

struct x509_key {
	EVP_PKEY *pkey;
};

static int adopt(struct x509_key **key, EVP_PKEY *pkey, int r)
{
	*key = pkey ? calloc(1, sizeof(**key)) : NULL;
	if (!*key) {
		EVP_PKEY_free(pkey);
		return r;
	}
	(*key)->pkey = pkey;
	return 0;
}

int ca_key_make(struct x509_key **key)
{
	return adopt(key, EVP_EC_gen("P-256"), E_CRYPTO);
}

int ca_key_save(const struct x509_key *key, struct secret **der)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
	int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
	unsigned char *p;

	*der = n > 0 && n <= CA_KEY_MAX ? secret_new((size_t)n) : NULL;
	if (*der) {
		p = (*der)->data;
		i2d_PKCS8_PRIV_KEY_INFO(info, &p);
	}
	PKCS8_PRIV_KEY_INFO_free(info);
	if (n <= 0 || n > CA_KEY_MAX)
		return E_CRYPTO;
	return *der ? 0 : E_NOMEM;
}

int ca_key_load(struct x509_key **key, const struct secret *der)
{
	const unsigned char *p = der->data;
	EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)der->size);

	if (pkey && p != der->data + der->size) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	ERR_clear_error();
	return adopt(key, pkey, E_FORMAT);
}

static FILE *new_file(const char *path, unsigned int mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *f = fd < 0 || fchmod(fd, mode) != 0 ? NULL : fdopen(fd, "w");

	if (!f && fd >= 0)
		close(fd);
	return f;
}

static int end_file(FILE *f, bool ok)
{
	ok = ok && fflush(f) == 0 && fsync(fileno(f)) == 0;
	return fclose(f) == 0 && ok ? 0 : E_IO;
}

int ca_key_write(const struct x509_key *key, const char *path)
{
	FILE *f = new_file(path, 0600);

	if (!f)
		return errno == EEXIST ? E_EXISTS : E_IO;
	return end_file(f, PEM_write_PKCS8PrivateKey(f, key->pkey, NULL, NULL, 0, NULL, NULL) == 1);
}

int ca_key_read(struct x509_key **key, const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *pkey = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	ERR_clear_error();
	*key = pkey ? calloc(1, sizeof(**key)) : NULL;
	if (*key)
		(*key)->pkey = pkey;
	else
		EVP_PKEY_free(pkey);
	return *key ? 0 : f ? E_FORMAT : E_NOTFOUND;
}

int ca_key_public(const struct x509_key *key, uint8_t spki[CA_SPKI_MAX])
{
	unsigned char *p = spki;
	int n = i2d_PUBKEY(key->pkey, NULL);

	return n > 0 && n <= CA_SPKI_MAX ? i2d_PUBKEY(key->pkey, &p) : E_CRYPTO;
}

int ca_public_write(const struct x509_key *key, const char *path)
{
	FILE *f = new_file(path, 0644);

	if (!f)
		return errno == EEXIST ? E_EXISTS : E_IO;
	return end_file(f, PEM_write_PUBKEY(f, key->pkey) == 1);
}

int ca_key_sign(const struct x509_key *key, struct view bytes, uint8_t *out, size_t cap)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = cap;
	int r = E_CRYPTO;

	if (md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key->pkey) == 1)
		r = (size_t)EVP_PKEY_get_size(key->pkey) > cap ? E_RANGE : 0;
	if (r == 0)
		r = EVP_DigestSign(md, out, &n, bytes.p, bytes.n) == 1 ? (int)n : E_CRYPTO;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return r;
}

int ca_verify(struct view pem, struct view bytes, struct view signature)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int r = key ? E_INTEGRITY : E_FORMAT;

	if (key && md && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestVerify(md, signature.p, signature.n, bytes.p, bytes.n) == 1)
		r = 0;
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return r;
}

int ca_key_point(const struct x509_key *key, uint8_t x[32], uint8_t y[32])
{
	BIGNUM *bx = NULL, *by = NULL;
	int ok;

	ok = EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, &bx) == 1 &&
	     EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &by) == 1 && BN_bn2binpad(bx, x, 32) == 32 &&
	     BN_bn2binpad(by, y, 32) == 32;
	BN_free(bx);
	BN_free(by);
	return ok ? 0 : E_CRYPTO;
}

int ca_key_scalar(const struct x509_key *key, struct secret **scalar)
{
	struct secret *room = secret_new(32);
	BIGNUM *d = NULL;
	int ok;

	*scalar = NULL;
	if (!room)
		return E_NOMEM;
	ok = EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 && BN_bn2binpad(d, room->data, 32) == 32;
	BN_clear_free(d);
	if (!ok)
		secret_free(&room);
	*scalar = room;
	return ok ? 0 : E_CRYPTO;
}

void ca_key_free(struct x509_key **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

static int complain(char why[CA_WHY], const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	snprintf(why, CA_WHY, "%s: %s", what, reason ? reason : "OpenSSL gave no reason");
	ERR_clear_error();
	return E_CRYPTO;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *x;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = x && X509_add_ext(cert, x, -1) == 1;
	X509_EXTENSION_free(x);
	return ok;
}

/* "caIssuers;URI:...": the configuration has checked that the URL has no comma in it. */
static bool add_url(X509 *cert, X509 *issuer, const char *url)
{
	char value[300];

	return !url || (snprintf(value, sizeof(value), "caIssuers;URI:%s", url) < (int)sizeof(value) &&
			add_extension(cert, issuer, NID_info_access, value));
}

static bool add_more(X509 *cert, const struct ca_profile *p)
{
	bool ok = true;

	for (size_t i = 0; i < p->n_more && ok; i++) {
		ASN1_OBJECT *oid = OBJ_txt2obj(p->more[i].oid, 1);
		ASN1_OCTET_STRING *bytes = ASN1_OCTET_STRING_new();
		X509_EXTENSION *x = NULL;

		ok = oid && bytes && ASN1_OCTET_STRING_set(bytes, p->more[i].der.p, (int)p->more[i].der.n) == 1 &&
		     (x = X509_EXTENSION_create_by_OBJ(NULL, oid, p->more[i].critical, bytes)) && X509_add_ext(cert, x, -1) == 1;
		X509_EXTENSION_free(x);
		ASN1_OCTET_STRING_free(bytes);
		ASN1_OBJECT_free(oid);
	}
	return ok;
}

static bool is_dns_name(const char *s)
{
	return *s && strlen(s) <= 253 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == strlen(s) && *s != '.' && *s != '-';
}

/* Each word as "IP:..." or "DNS:...". */
static int add_alt_names(X509 *cert, const char *names, char why[CA_WHY])
{
	char copy[CA_NAMES], list[2048] = "", *save = NULL, *name;
	size_t at = 0;

	if (strlen(names) >= sizeof(copy)) {
		snprintf(why, CA_WHY, "the list of names is too long");
		return E_ARG;
	}
	memcpy(copy, names, strlen(names) + 1);
	for (name = strtok_r(copy, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		unsigned char address[16];
		bool is_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

		if (!is_address && !is_dns_name(name)) {
			snprintf(why, CA_WHY, "'%.64s' is neither a DNS name nor an address", name);
			return E_ARG;
		}
		at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s:%s", at ? "," : "", is_address ? "IP" : "DNS", name);
		if (at >= sizeof(list)) {
			snprintf(why, CA_WHY, "the list of names is too long");
			return E_ARG;
		}
	}
	if (at == 0) {
		snprintf(why, CA_WHY, "a server needs at least one name or address");
		return E_ARG;
	}
	return add_extension(cert, cert, NID_subject_alt_name, list) ? 0 : complain(why, "can't add the names to a certificate");
}

static bool set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	bool ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		  BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;

	BN_free(n);
	return ok;
}

static bool set_times(X509 *cert, X509 *issuer, const struct ca_profile *p)
{
	if (!ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)p->not_before))
		return false;
	return p->not_after ? ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)p->not_after) != NULL
			    : issuer && X509_set1_notAfter(cert, X509_get0_notAfter(issuer)) == 1;
}

static bool set_subject(X509 *cert, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(cert);

	return !name || X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1;
}

/* RFC 5280's profile of each kind. */
static bool add_usage(X509 *cert, X509 *issuer, enum ca_kind kind)
{
	static const struct {
		const char *constraints, *usage, *extended;
	} profiles[] = {
		[CA_ROOT] = {"critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL},
		[CA_SERVER] = {"critical,CA:FALSE", "critical,digitalSignature", "serverAuth"},
		[CA_HOST] = {"critical,CA:FALSE", "critical,digitalSignature", "clientAuth"},
		[CA_EK_RSA] = {"critical,CA:FALSE", "critical,keyEncipherment", EK_USAGE},
		[CA_EK_ECC] = {"critical,CA:FALSE", "critical,keyAgreement", EK_USAGE},
	};

	return add_extension(cert, issuer, NID_basic_constraints, profiles[kind].constraints) &&
	       add_extension(cert, issuer, NID_key_usage, profiles[kind].usage) &&
	       (!profiles[kind].extended || add_extension(cert, issuer, NID_ext_key_usage, profiles[kind].extended)) &&
	       add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always");
}

static int to_der(X509 *cert, struct ca_cert *out, char why[CA_WHY])
{
	unsigned char *p = out->der;
	int n = i2d_X509(cert, NULL);

	if (n <= 0 || n > CA_DER_MAX)
		return complain(why, "the certificate is too large");
	out->size = (size_t)i2d_X509(cert, &p);
	return 0;
}

static X509 *from_der(const struct ca_cert *cert)
{
	const unsigned char *p = cert->der;

	return d2i_X509(NULL, &p, (long)cert->size);
}

/* A certificate for @subject; @issuer NULL: signed by itself. */
static int make(EVP_PKEY *ca_key, X509 *issuer, const struct ca_profile *p, EVP_PKEY *subject, struct ca_cert *out,
		char why[CA_WHY])
{
	X509 *cert = X509_new();
	int r = E_CRYPTO;

	if (!cert || X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) || !set_times(cert, issuer, p) ||
	    !set_subject(cert, p->name) ||
	    X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert)) != 1 || X509_set_pubkey(cert, subject) != 1 ||
	    !add_usage(cert, issuer ? issuer : cert, p->kind) || !add_url(cert, issuer, p->ca_url) || !add_more(cert, p)) {
		complain(why, "can't fill in a certificate");
		goto out;
	}
	r = p->kind == CA_SERVER ? add_alt_names(cert, p->alt_names, why) : 0;
	if (r != 0)
		goto out;
	r = X509_sign(cert, ca_key, EVP_sha256()) > 0 ? to_der(cert, out, why) : complain(why, "can't sign a certificate");
out:
	X509_free(cert);
	return r;
}

int ca_root(const struct x509_key *key, const struct ca_profile *profile, struct ca_cert *out, char why[CA_WHY])
{
	return make(key->pkey, NULL, profile, key->pkey, out, why);
}

static bool is_strong(EVP_PKEY *key)
{
	char group[32] = "";
	size_t n;

	if (EVP_PKEY_is_a(key, "RSA"))
		return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 4096;
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	       (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0);
}

int ca_issue(const struct x509_key *ca_key, const struct ca_cert *ca, const struct ca_profile *profile, struct view spki,
	     struct ca_cert *out, char why[CA_WHY])
{
	const unsigned char *p = spki.p;
	EVP_PKEY *subject = d2i_PUBKEY(NULL, &p, (long)spki.n);
	X509 *issuer = from_der(ca);
	int r;

	if (!subject || p != spki.p + spki.n || !is_strong(subject)) {
		snprintf(why, CA_WHY, "the public key is neither ECDSA on P-256 or P-384 nor RSA with 2048 to 4096 bits");
		r = E_FORMAT;
	} else if (!issuer) {
		r = complain(why, "can't read the CA's certificate");
	} else {
		r = make(ca_key->pkey, issuer, profile, subject, out, why);
	}
	ERR_clear_error();
	EVP_PKEY_free(subject);
	X509_free(issuer);
	return r;
}

int ca_cert_write(const struct ca_cert *cert, const char *path)
{
	X509 *x = from_der(cert);
	FILE *f;
	int r;

	if (!x)
		return E_FORMAT;
	f = new_file(path, 0644);
	r = f ? end_file(f, PEM_write_X509(f, x) == 1) : errno == EEXIST ? E_EXISTS : E_IO;
	X509_free(x);
	return r;
}

int ca_cert_read(struct ca_cert *cert, const char *path)
{
	FILE *f = fopen(path, "re");
	char why[CA_WHY];
	X509 *x;
	int r;

	if (!f)
		return E_NOTFOUND;
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	r = x ? to_der(x, cert, why) : E_FORMAT;
	X509_free(x);
	ERR_clear_error();
	return r == 0 ? 0 : E_FORMAT;
}

int ca_cert_print(const struct ca_cert *cert, FILE *out)
{
	X509 *x = from_der(cert);
	int r = !x ? E_FORMAT : PEM_write_X509(out, x) == 1 && fflush(out) == 0 ? 0 : E_IO;

	X509_free(x);
	return r;
}

static bool seconds_of(const ASN1_TIME *t, int64_t *seconds)
{
	struct tm tm = {0};

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*seconds = (int64_t)timegm(&tm);
	return true;
}

int ca_cert_describe(const struct ca_cert *cert, struct ca_description *d)
{
	X509 *x = from_der(cert);
	const ASN1_INTEGER *serial = x ? X509_get0_serialNumber(x) : NULL;
	bool ok = x && seconds_of(X509_get0_notBefore(x), &d->not_before) && seconds_of(X509_get0_notAfter(x), &d->not_after) &&
		  X509_NAME_oneline(X509_get_subject_name(x), d->subject, CA_TEXT) && X509_NAME_oneline(X509_get_issuer_name(x), d->issuer, CA_TEXT);

	d->serial[0] = '\0';
	for (int i = 0; ok && i < serial->length && i < 20; i++)
		snprintf(d->serial + 2 * i, 3, "%02x", serial->data[i]);
	X509_free(x);
	ERR_clear_error();
	return ok ? 0 : E_FORMAT;
}

bool ca_cert_issued_by(const struct ca_cert *cert, const struct ca_cert *ca)
{
	X509 *x = from_der(cert), *issuer = from_der(ca);
	bool ok = x && issuer && X509_check_issued(issuer, x) == X509_V_OK && X509_verify(x, X509_get0_pubkey(issuer)) == 1;

	X509_free(x);
	X509_free(issuer);
	ERR_clear_error();
	return ok;
}

bool ca_is_root_of(const struct ca_cert *cert, const struct x509_key *key)
{
	X509 *x = from_der(cert);
	bool ok = x && X509_check_ca(x) == 1 && EVP_PKEY_eq(X509_get0_pubkey(x), key->pkey) == 1 && X509_verify(x, key->pkey) == 1;

	X509_free(x);
	ERR_clear_error();
	return ok;
}

int ca_cert_public(const struct ca_cert *cert, uint8_t spki[CA_SPKI_MAX])
{
	X509 *x = from_der(cert);
	EVP_PKEY *key = x ? X509_get0_pubkey(x) : NULL;
	unsigned char *p = spki;
	int n = key ? i2d_PUBKEY(key, NULL) : -1;

	n = n > 0 && n <= CA_SPKI_MAX ? i2d_PUBKEY(key, &p) : E_FORMAT;
	X509_free(x);
	ERR_clear_error();
	return n;
}

static bool name_text(const GENERAL_NAME *n, char text[256])
{
	const ASN1_STRING *s = n->type == GEN_IPADD ? n->d.iPAddress : n->d.dNSName;
	const unsigned char *bytes = ASN1_STRING_get0_data(s);
	int size = ASN1_STRING_length(s);

	if (n->type == GEN_IPADD)
		return (size == 4 || size == 16) && inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, text, 256) != NULL;
	return size > 0 && size < 256 && snprintf(text, 256, "%.*s", size, (const char *)bytes) == size && is_dns_name(text);
}

int ca_cert_names(const struct ca_cert *cert, char names[CA_NAMES])
{
	X509 *x = from_der(cert);
	GENERAL_NAMES *all = x ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;
	int count = all ? sk_GENERAL_NAME_num(all) : 0, r = !x ? E_FORMAT : count ? 0 : E_NOTFOUND;
	size_t at = 0;

	for (int i = 0; i < count && r == 0; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
		char text[256];

		if ((n->type != GEN_IPADD && n->type != GEN_DNS) || !name_text(n, text))
			r = E_FORMAT;
		else if ((at += (size_t)snprintf(names + at, CA_NAMES - at, "%s%s", at ? " " : "", text)) >= CA_NAMES)
			r = E_FORMAT;
	}
	GENERAL_NAMES_free(all);
	X509_free(x);
	ERR_clear_error();
	return r;
}

int ca_cert_fingerprint(const struct ca_cert *cert, uint8_t hash[32])
{
	return EVP_Digest(cert->der, cert->size, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}
