/* Dates and key of a certificate file, by OpenSSL. */
#include "common/certinfo.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

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
