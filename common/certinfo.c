/* Dates and key of a certificate file, by OpenSSL. */
#include "common/certinfo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/buf.h"
#include "common/error.h"

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void compare(const X509 *cert, const char *path, struct certinfo *c)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	c->has_key = key != NULL;
	c->is_its_key = key && X509_check_private_key(cert, key) == 1;
	EVP_PKEY_free(key);
	if (f)
		fclose(f);
}

int certinfo_read(const char *path, const char *key_path, struct certinfo *c)
{
	FILE *f = fopen(path, "re");
	X509 *cert;

	*c = (struct certinfo){.from = 0};
	if (!f)
		return E_IO;
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	if (!cert)
		return E_FORMAT;
	c->from = seconds(X509_get0_notBefore(cert));
	c->until = seconds(X509_get0_notAfter(cert));
	if (key_path)
		compare(cert, key_path, c);
	X509_free(cert);
	return 0;
}

static int take(X509 *cert, struct certinfo_der *d)
{
	unsigned char *p = d->bytes;
	int n = i2d_X509(cert, NULL);

	if (n <= 0 || n > CERTINFO_DER_MAX)
		return E_FORMAT;
	d->size = (size_t)i2d_X509(cert, &p);
	return 0;
}

int certinfo_list(const char *path, struct certinfo_der *list, size_t max)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;
	X509 *cert;
	int r = 0;

	if (!f)
		return E_IO;
	while (n < max && r == 0 && (cert = PEM_read_X509(f, NULL, NULL, NULL))) {
		r = take(cert, &list[n++]);
		X509_free(cert);
	}
	fclose(f);
	ERR_clear_error();
	return r == 0 && n ? (int)n : E_FORMAT;
}

static X509 *parse(struct view der)
{
	const unsigned char *p = der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.n);

	if (cert && p != der.p + der.n) {
		X509_free(cert);
		cert = NULL;
	}
	ERR_clear_error();
	return cert;
}

int certinfo_of(struct view der, struct certinfo *c)
{
	X509 *cert = parse(der);

	*c = (struct certinfo){.from = 0};
	if (!cert)
		return E_FORMAT;
	c->from = seconds(X509_get0_notBefore(cert));
	c->until = seconds(X509_get0_notAfter(cert));
	X509_free(cert);
	return 0;
}

bool certinfo_same_holder(struct view a, struct view b)
{
	X509 *x = parse(a), *y = parse(b);
	EVP_PKEY *key = x ? X509_get0_pubkey(x) : NULL, *other = y ? X509_get0_pubkey(y) : NULL;
	bool same = key && other && EVP_PKEY_eq(key, other) == 1 && X509_NAME_cmp(X509_get_subject_name(x), X509_get_subject_name(y)) == 0;

	X509_free(x);
	X509_free(y);
	ERR_clear_error();
	return same;
}

int certinfo_pem(struct view der, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long n = bio && PEM_write_bio(bio, "CERTIFICATE", "", der.p, (long)der.n) > 0 ? BIO_get_mem_data(bio, &text) : 0;
	int r = n > 0 ? buf_put(out, text, (size_t)n) : E_CRYPTO;

	BIO_free(bio);
	return r;
}

int certinfo_public(struct view der, uint8_t spki[CERTINFO_SPKI_MAX])
{
	X509 *cert = parse(der);
	EVP_PKEY *key = cert ? X509_get0_pubkey(cert) : NULL;
	unsigned char *p = spki;
	int n = key ? i2d_PUBKEY(key, NULL) : -1;

	n = n > 0 && n <= CERTINFO_SPKI_MAX ? i2d_PUBKEY(key, &p) : E_FORMAT;
	X509_free(cert);
	ERR_clear_error();
	return n;
}

int certinfo_split(struct view ders, struct certinfo_der *list, size_t max)
{
	const unsigned char *p = ders.p;
	size_t n = 0;
	int r = 0;

	while (r == 0 && p < ders.p + ders.n) {
		X509 *cert = d2i_X509(NULL, &p, (long)(ders.p + ders.n - p));

		if (!cert || X509_check_ca(cert) != 1)
			r = E_FORMAT;
		else if (n == max)
			r = E_RANGE;
		else
			r = take(cert, &list[n++]);
		X509_free(cert);
	}
	ERR_clear_error();
	return r != 0 ? r : n ? (int)n : E_FORMAT;
}
