/*
 * A TLS handshake whose key lives elsewhere, in a TPM.
 *
 * Theory of operation: OpenSSL wants a signature at once. So the handshake runs as a job of OpenSSL's own (a second stack), which is left
 * in the midst of signing until the signature is there: SSL_do_handshake() returns meanwhile.
 */
#ifndef COMMON_TLS_SIGNING_H
#define COMMON_TLS_SIGNING_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls;

/* Of one connection. */
struct tls_signing {
	bool (*sign)(void *arg, struct tls *t, const uint8_t digest[32]); /* as of struct tls_signer; NULL: the key is here */
	void *arg;
	struct tls *t;
	enum { TLS_SIGNING_NOT, TLS_SIGNING_ASKED, TLS_SIGNING_DONE } state;
	uint8_t signature[80]; /* DER */
	size_t size;	       /* 0: it could not be had, why says why */
	char why[256];
};

/** tls_signing_key() - a certificate's @public half with this way to sign: the caller's, or NULL. */
EVP_PKEY *tls_signing_key(const EVP_PKEY *public);

/** tls_signing_enter(), tls_signing_leave() - around SSL_do_handshake(): whose it is. */
void tls_signing_enter(struct tls_signing *s);
void tls_signing_leave(void);

/** tls_signing_waits() - it was asked for, and is not there. */
bool tls_signing_waits(const struct tls_signing *s);

/** tls_signing_done() - as tls_signed(). */
void tls_signing_done(struct tls_signing *s, const uint8_t *signature, size_t n, const char *why);

#endif
