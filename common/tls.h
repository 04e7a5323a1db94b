/*
 * TLS 1.3 with mutual certificates, non-blocking, over a stream descriptor or a channel. Only tls.c sees OpenSSL's SSL API.
 *
 * Nothing can be configured down: TLS 1.3 only, both sides show a certificate, no resumption, no early data, no
 * renegotiation, peers chain to the one CA given and to nothing else.
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct channel;
struct tls_context;
struct tls;

enum tls_role { TLS_CLIENT, TLS_SERVER };

#define TLS_WHY 256  /* bytes for an error's text */
#define TLS_NAME 129 /* bytes for a peer's name with its NUL */

/**
 * tls_context_new() - certificates and rules of one side
 * @ca, @cert, @key: PEM files: the trust anchor, this side's chain, and its private key
 * @why: TLS_WHY bytes; on error one line saying which file and what is wrong with it
 *
 * Return: 0 (*ctx is the caller's), E_NOTFOUND, E_CRYPTO or E_NOMEM.
 */
int tls_context_new(struct tls_context **ctx, enum tls_role role, const char *ca, const char *cert, const char *key, char why[TLS_WHY]);
void tls_context_free(struct tls_context **ctx);

/**
 * tls_context_new_pinned() - a client that has no certificate yet and knows its CA by a fingerprint
 * @ca: SHA-256 of the CA's certificate, which the server shows in its chain
 * @alpn: names the protocol, so that the server knows that no certificate will come
 *
 * Return: 0 (*ctx is the caller's), E_CRYPTO or E_NOMEM.
 */
int tls_context_new_pinned(struct tls_context **ctx, const uint8_t ca[32], const char *alpn, char why[TLS_WHY]);

/* A private key that lives elsewhere (in a TPM), for ECDSA on P-256. */
struct tls_signer {
	/* Begin to sign; tls_signed() is called for @t later, not inside. False: it can't be asked now. */
	bool (*sign)(void *arg, struct tls *t, const uint8_t digest[32]);
	void *arg;
};

/**
 * tls_context_new_signer() - as tls_context_new(), with such a key; @signer stays the caller's
 *
 * tls_handshake() of its connections may return E_BUSY: call it again after tls_signed().
 */
int tls_context_new_signer(struct tls_context **ctx, enum tls_role role, const char *ca, const char *cert, const struct tls_signer *signer,
			   char why[TLS_WHY]);

/** tls_signed() - the signature in DER that the signer was asked for; empty: there is none, and @why says why. */
void tls_signed(struct tls *t, const uint8_t *signature, size_t n, const char *why);

/** tls_context_fingerprint() - SHA-256 of this side's own certificate in DER; 0, E_NOTFOUND or E_CRYPTO. */
int tls_context_fingerprint(const struct tls_context *ctx, uint8_t hash[32]);

/** tls_context_trust() - peers of connections from now on must chain to one of these @n CAs, certificates in DER; 0, or E_FORMAT or E_CRYPTO: all is as it was. */
int tls_context_trust(struct tls_context *ctx, const struct view *cas, size_t n);

#define TLS_SIGNATURE_MAX 80 /* bytes of ECDSA on P-256 in DER */

/** tls_context_renew() - connections from now on show the certificate @der of @n bytes, for the same key; 0, or E_FORMAT or E_CRYPTO: all is as it was. */
int tls_context_renew(struct tls_context *ctx, const uint8_t *der, size_t n);

/** tls_context_sign() - with this side's key, where that was read from a file: SHA-256 and ECDSA. Return: bytes, E_STATE (it is elsewhere) or E_CRYPTO. */
int tls_context_sign(const struct tls_context *ctx, const void *p, size_t n, uint8_t signature[TLS_SIGNATURE_MAX]);

/** tls_context_admit() - a server lets in clients without certificate that name the protocol @alpn, and only those; @alpn stays. */
void tls_context_admit(struct tls_context *ctx, const char *alpn);

/**
 * tls_new() - a connection over the connected, non-blocking @fd, which stays the caller's
 * @peer: for a client the DNS name or IP address that the server's certificate must carry; NULL for a server
 *
 * Return: the connection, owned by the caller, or NULL.
 */
struct tls *tls_new(struct tls_context *ctx, int fd, const char *peer);

/** tls_new_over() - the same over @channel, which stays the caller's and must outlive the connection. */
struct tls *tls_new_over(struct tls_context *ctx, struct channel *channel, const char *peer);

/** tls_free() - send close_notify if possible and release *@t; it may be NULL. Descriptor or channel stay open. */
void tls_free(struct tls **t);

/**
 * tls_handshake() - go on with the handshake
 *
 * A TLS 1.3 client is done before the server has seen its certificate: that the server accepted it is only known
 * once the first bytes arrive, and a refusal then shows as an error of tls_read().
 *
 * Return: 0 when done; E_AGAIN_IN, E_AGAIN_OUT; E_EOF, E_DENIED (a certificate was refused, by us or by the peer),
 * E_CRYPTO (a protocol error), E_IO: tls_why() says more and the connection is dead.
 */
int tls_handshake(struct tls *t);

/** tls_read() - up to @n bytes into @p, *@got at least 1. Return: 0 or the errors of tls_handshake(). */
int tls_read(struct tls *t, void *p, size_t n, size_t *got);

/** tls_write() - up to @n bytes from @p, *@put at least 1. Return: 0 or the errors of tls_handshake(). */
int tls_write(struct tls *t, const void *p, size_t n, size_t *put);

/** tls_why() - one line about the last error: "server certificate expired on ...", "unknown CA". Never NULL. */
const char *tls_why(const struct tls *t);

/** tls_is_anonymous() - the client named the protocol of tls_context_admit(): it is nobody that we know. */
bool tls_is_anonymous(const struct tls *t);

/** tls_peer_name() - the common name in the peer's verified certificate, into @name; 0 or E_FORMAT. */
int tls_peer_name(const struct tls *t, char name[TLS_NAME]);

/** tls_own_fingerprint() - SHA-256 of the certificate that this side shows over @t; 0, E_NOTFOUND or E_CRYPTO. */
int tls_own_fingerprint(const struct tls *t, uint8_t hash[32]);

/** tls_peer_root() - SHA-256 of the CA's certificate that the peer's chains to; 0, E_NOTFOUND or E_CRYPTO. */
int tls_peer_root(const struct tls *t, uint8_t hash[32]);

/** tls_peer_fingerprint() - SHA-256 of the peer's certificate in DER; 0, E_NOTFOUND or E_CRYPTO. */
int tls_peer_fingerprint(const struct tls *t, uint8_t hash[32]);

#endif
