/* A TLS handshake whose key lives elsewhere. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_KEY_METHOD: see tls_signing_key() */
#include "common/tls_signing.h"

#include <openssl/async.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static struct tls_signing *shaking; /* whose handshake OpenSSL goes on with just now */

static int sign_elsewhere(int type, const unsigned char *digest, int n, unsigned char *out, unsigned int *n_out, const BIGNUM *kinv,
			  const BIGNUM *r, EC_KEY *key)
{
	struct tls_signing *s = shaking;

	(void)type, (void)kinv, (void)r, (void)key;
	if (!s || !s->sign || n != 32 || !ASYNC_get_current_job() || !s->sign(s->arg, s->t, digest))
		return 0;
	s->state = TLS_SIGNING_ASKED;
	while (s->state == TLS_SIGNING_ASKED)
		ASYNC_pause_job();
	memcpy(out, s->signature, s->size);
	*n_out = (unsigned int)s->size;
	return s->size != 0;
}

/* A provider would need ten times the lines for the same one operation. */
EVP_PKEY *tls_signing_key(const EVP_PKEY *public)
{
	static EC_KEY_METHOD *method;
	EVP_PKEY *key = EVP_PKEY_new();
	unsigned char *der = NULL;
	const unsigned char *p;
	EC_KEY *ec = NULL;
	int n = public ? i2d_PUBKEY(public, &der) : 0;

	if (!method && (method = EC_KEY_METHOD_new(EC_KEY_OpenSSL())))
		EC_KEY_METHOD_set_sign(method, sign_elsewhere, NULL, NULL);
	p = der;
	ec = n > 0 ? d2i_EC_PUBKEY(NULL, &p, n) : NULL;
	OPENSSL_free(der);
	if (key && ec && method && EC_KEY_set_method(ec, method) == 1 && EVP_PKEY_assign_EC_KEY(key, ec) == 1)
		return key;
	EC_KEY_free(ec);
	EVP_PKEY_free(key);
	return NULL;
}

void tls_signing_enter(struct tls_signing *s)
{
	shaking = s;
}

void tls_signing_leave(void)
{
	shaking = NULL;
}

bool tls_signing_waits(const struct tls_signing *s)
{
	return s->state == TLS_SIGNING_ASKED;
}

void tls_signing_done(struct tls_signing *s, const uint8_t *signature, size_t n, const char *why)
{
	if (!tls_signing_waits(s))
		return;
	if (n > sizeof(s->signature))
		n = 0;
	if (n)
		memcpy(s->signature, signature, n);
	s->size = n;
	snprintf(s->why, sizeof(s->why), "%s", n ? "" : why);
	s->state = TLS_SIGNING_DONE;
}
