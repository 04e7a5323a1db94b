/* TLS 1.3 with mutual certificates, on OpenSSL 3. */
#include "common/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/channel_bio.h"
#include "common/error.h"
#include "common/tls_signing.h"
#include "common/tls_words.h"

#define CIPHERSUITES "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
#define GROUPS "X25519:P-256:P-384"

#define ALPN_MAX 32 /* bytes of a protocol's name */

struct tls_context {
	SSL_CTX *ssl;
	enum tls_role role;
	const char *admitted; /* server: the protocol that needs no certificate, or NULL */
	uint8_t pin[32];      /* client without certificate: of its CA */
	const struct tls_signer *signer; /* NULL: the key was read from a file */
};

struct tls {
	SSL *ssl;
	enum tls_role role;
	bool dead, done, anonymous;
	struct tls_signing signing; /* of a key that lives elsewhere */
	char why[TLS_WHY];
};

/* A private key that others can read is no longer private. */
static int check_key_file(const char *path, char why[TLS_WHY])
{
	struct stat st;

	if (stat(path, &st) != 0) {
		snprintf(why, TLS_WHY, "can't read the private key %s: %s", path, strerror(errno));
		return E_NOTFOUND;
	}
	if (st.st_mode & (S_IRWXO | S_IWGRP)) {
		snprintf(why, TLS_WHY, "the private key %s is open to other users: run 'chmod 600 %s'", path, path);
		return E_CRYPTO;
	}
	return 0;
}

static int load_certificates(SSL_CTX *ssl, const char *ca, const char *cert, char why[TLS_WHY])
{
	if (SSL_CTX_load_verify_file(ssl, ca) != 1) {
		snprintf(why, TLS_WHY, "can't use %s as the CA's certificate: %s", ca, tls_crypto_reason());
		return E_CRYPTO;
	}
	if (SSL_CTX_use_certificate_chain_file(ssl, cert) != 1) {
		snprintf(why, TLS_WHY, "can't use the certificate %s: %s", cert, tls_crypto_reason());
		return E_CRYPTO;
	}
	return 0;
}

static int load(SSL_CTX *ssl, const char *ca, const char *cert, const char *key, char why[TLS_WHY])
{
	int r = check_key_file(key, why);

	if (r != 0 || (r = load_certificates(ssl, ca, cert, why)) != 0)
		return r;
	if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1) {
		snprintf(why, TLS_WHY, "can't use the private key %s with the certificate %s: %s", key, cert, tls_crypto_reason());
		return E_CRYPTO;
	}
	return 0;
}

static int restrict_to_13(SSL_CTX *ssl)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 && SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_num_tickets(ssl, 0) == 1 && SSL_CTX_set_max_early_data(ssl, 0) == 1 &&
	       SSL_CTX_set_ciphersuites(ssl, CIPHERSUITES) == 1 && SSL_CTX_set1_groups_list(ssl, GROUPS) == 1;
}

static int make(struct tls_context **ctx, enum tls_role role, char why[TLS_WHY])
{
	struct tls_context *c = calloc(1, sizeof(*c));

	why[0] = '\0';
	*ctx = c;
	ERR_clear_error();
	if (!c)
		return E_NOMEM;
	c->role = role;
	c->ssl = SSL_CTX_new(role == TLS_CLIENT ? TLS_client_method() : TLS_server_method());
	if (c->ssl && role == TLS_SERVER)
		SSL_CTX_set_read_ahead(c->ssl, 1); /* one read for a record, not two; a client may handshake in a job, which can't have it */
	if (c->ssl && restrict_to_13(c->ssl))
		return 0;
	snprintf(why, TLS_WHY, "OpenSSL can't do TLS 1.3: %s", tls_crypto_reason());
	tls_context_free(ctx);
	return E_CRYPTO;
}

int tls_context_new(struct tls_context **ctx, enum tls_role role, const char *ca, const char *cert, const char *key, char why[TLS_WHY])
{
	int r = make(ctx, role, why);

	if (r == 0)
		r = load((*ctx)->ssl, ca, cert, key, why);
	if (r != 0)
		tls_context_free(ctx);
	return r;
}

/* --- a key that lives elsewhere --- */

static int load_foreign(SSL_CTX *ssl, const char *cert, char why[TLS_WHY])
{
	EVP_PKEY *key = tls_signing_key(X509_get0_pubkey(SSL_CTX_get0_certificate(ssl)));
	int ok = key && SSL_CTX_use_PrivateKey(ssl, key) == 1;

	EVP_PKEY_free(key);
	SSL_CTX_set_mode(ssl, SSL_MODE_ASYNC);
	if (ok)
		return 0;
	snprintf(why, TLS_WHY, "can't use the certificate %s with a key in the TPM (is it for one on P-256?): %s", cert, tls_crypto_reason());
	return E_CRYPTO;
}

int tls_context_new_signer(struct tls_context **ctx, enum tls_role role, const char *ca, const char *cert, const struct tls_signer *signer,
			   char why[TLS_WHY])
{
	int r = make(ctx, role, why);

	if (r == 0)
		r = load_certificates((*ctx)->ssl, ca, cert, why);
	if (r == 0)
		r = load_foreign((*ctx)->ssl, cert, why);
	if (r == 0)
		(*ctx)->signer = signer;
	else
		tls_context_free(ctx);
	return r;
}

/* --- a CA that is known by its hash --- */

/* The certificate with the pinned hash becomes the one trust anchor; all else is verified as ever: chain, times, name, purpose. */
static int verify_pinned(X509_STORE_CTX *store, void *arg)
{
	const struct tls_context *c = arg;
	STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(store), *anchors = sk_X509_new_null();
	uint8_t hash[32];
	int ok = 0;

	for (int i = 0; anchors && i < sk_X509_num(shown); i++)
		if (X509_digest(sk_X509_value(shown, i), EVP_sha256(), hash, NULL) == 1 && memcmp(hash, c->pin, sizeof(hash)) == 0)
			sk_X509_push(anchors, sk_X509_value(shown, i));
	if (anchors) {
		X509_STORE_CTX_set0_trusted_stack(store, anchors);
		ok = X509_verify_cert(store) == 1;
		X509_STORE_CTX_set0_trusted_stack(store, NULL);
	}
	sk_X509_free(anchors);
	return ok;
}

/* On the wire a list of names, each behind its length. */
static int offer(SSL_CTX *ssl, const char *alpn)
{
	unsigned char list[1 + ALPN_MAX];
	size_t n = strlen(alpn);

	if (n == 0 || n > ALPN_MAX)
		return 0;
	list[0] = (unsigned char)n;
	memcpy(list + 1, alpn, n);
	return SSL_CTX_set_alpn_protos(ssl, list, (unsigned int)n + 1) == 0;
}

int tls_context_new_pinned(struct tls_context **ctx, const uint8_t ca[32], const char *alpn, char why[TLS_WHY])
{
	int r = make(ctx, TLS_CLIENT, why);

	if (r != 0)
		return r;
	memcpy((*ctx)->pin, ca, sizeof((*ctx)->pin));
	SSL_CTX_set_cert_verify_callback((*ctx)->ssl, verify_pinned, *ctx);
	if (offer((*ctx)->ssl, alpn))
		return 0;
	snprintf(why, TLS_WHY, "can't name the protocol: %s", tls_crypto_reason());
	tls_context_free(ctx);
	return E_CRYPTO;
}

/* --- what is shown, and who is trusted --- */

int tls_context_fingerprint(const struct tls_context *ctx, uint8_t hash[32])
{
	const X509 *cert = SSL_CTX_get0_certificate(ctx->ssl);

	if (!cert)
		return E_NOTFOUND;
	return X509_digest(cert, EVP_sha256(), hash, NULL) == 1 ? 0 : E_CRYPTO;
}

int tls_context_renew(struct tls_context *ctx, const uint8_t *der, size_t n)
{
	const unsigned char *p = der;
	X509 *cert = d2i_X509(NULL, &p, (long)n);
	int r = cert && p == der + n ? 0 : E_FORMAT;

	/* Asked first: OpenSSL drops the key when the certificate is not for it. */
	if (r == 0 && X509_check_private_key(cert, SSL_CTX_get0_privatekey(ctx->ssl)) != 1)
		r = E_CRYPTO;
	if (r == 0 && (SSL_CTX_use_certificate(ctx->ssl, cert) != 1 || SSL_CTX_clear_chain_certs(ctx->ssl) != 1))
		r = E_CRYPTO;
	X509_free(cert);
	ERR_clear_error();
	return r;
}

int tls_context_trust(struct tls_context *ctx, const struct view *cas, size_t n)
{
	X509_STORE *store = X509_STORE_new();
	int r = !store ? E_CRYPTO : n ? 0 : E_FORMAT;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const unsigned char *p = cas[i].p;
		X509 *cert = d2i_X509(NULL, &p, (long)cas[i].n);

		if (!cert || p != cas[i].p + cas[i].n)
			r = E_FORMAT;
		else if (X509_STORE_add_cert(store, cert) != 1)
			r = E_CRYPTO;
		X509_free(cert);
	}
	ERR_clear_error();
	if (r == 0)
		SSL_CTX_set_cert_store(ctx->ssl, store);
	else
		X509_STORE_free(store);
	return r;
}

int tls_context_sign(const struct tls_context *ctx, const void *p, size_t n, uint8_t signature[TLS_SIGNATURE_MAX])
{
	EVP_PKEY *key = SSL_CTX_get0_privatekey(ctx->ssl);
	EVP_MD_CTX *md;
	size_t size = TLS_SIGNATURE_MAX;
	int ok;

	if (!key || ctx->signer)
		return E_STATE;
	if (EVP_PKEY_get_size(key) > TLS_SIGNATURE_MAX)
		return E_CRYPTO;
	md = EVP_MD_CTX_new();
	ok = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSign(md, signature, &size, p, n) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return ok ? (int)size : E_CRYPTO;
}

/* Called before the server decides whether it asks for a certificate (RFC 8446 4.3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *in, unsigned int n, void *arg)
{
	const struct tls_context *c = arg;
	struct tls *t = SSL_get_app_data(ssl);
	size_t wanted = strlen(c->admitted);

	for (unsigned int at = 0; at < n; at += 1u + in[at]) {
		if (in[at] != wanted || n - at - 1 < wanted || memcmp(in + at + 1, c->admitted, wanted) != 0)
			continue;
		*out = in + at + 1;
		*n_out = in[at];
		t->anonymous = true;
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK; /* any other protocol: a certificate is asked for as ever */
}

void tls_context_admit(struct tls_context *ctx, const char *alpn)
{
	ctx->admitted = alpn;
	SSL_CTX_set_alpn_select_cb(ctx->ssl, on_alpn, ctx);
}

void tls_context_free(struct tls_context **ctx)
{
	if (!*ctx)
		return;
	SSL_CTX_free((*ctx)->ssl);
	free(*ctx);
	*ctx = NULL;
}

/* --- connections --- */

/* The server's certificate must carry @peer as an IP address or as a DNS name. */
static int expect_name(SSL *ssl, const char *peer)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, peer) == 1)
		return 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return SSL_set1_host(ssl, peer) == 1 && SSL_set_tlsext_host_name(ssl, peer) == 1;
}

/* A connection that has no transport yet. */
static struct tls *new_bare(struct tls_context *ctx, const char *peer)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->role = ctx->role;
	if (ctx->signer)
		t->signing = (struct tls_signing){.sign = ctx->signer->sign, .arg = ctx->signer->arg, .t = t};
	t->ssl = SSL_new(ctx->ssl);
	if (!t->ssl || (ctx->role == TLS_CLIENT && (!peer || !expect_name(t->ssl, peer)))) {
		tls_free(&t);
		return NULL;
	}
	SSL_set_app_data(t->ssl, t);
	if (ctx->role == TLS_CLIENT)
		SSL_set_connect_state(t->ssl);
	else
		SSL_set_accept_state(t->ssl);
	return t;
}

struct tls *tls_new(struct tls_context *ctx, int fd, const char *peer)
{
	struct tls *t = new_bare(ctx, peer);

	if (t && SSL_set_fd(t->ssl, fd) != 1)
		tls_free(&t);
	return t;
}

struct tls *tls_new_over(struct tls_context *ctx, struct channel *channel, const char *peer)
{
	struct tls *t = new_bare(ctx, peer);
	BIO *bio = t ? channel_bio(channel) : NULL;

	if (bio)
		SSL_set_bio(t->ssl, bio, bio); /* one reference serves both ways, and is SSL's now */
	else
		tls_free(&t);
	return t;
}

static int shake(struct tls *t)
{
	int result;

	tls_signing_enter(&t->signing);
	result = SSL_do_handshake(t->ssl);
	tls_signing_leave();
	return result;
}

void tls_signed(struct tls *t, const uint8_t *signature, size_t n, const char *why)
{
	tls_signing_done(&t->signing, signature, n, why);
}

void tls_free(struct tls **t)
{
	if (!*t)
		return;
	ERR_clear_error();
	if ((*t)->ssl && (*t)->done && !(*t)->dead)
		SSL_shutdown((*t)->ssl);
	if (tls_signing_waits(&(*t)->signing)) { /* the job has to end before its connection */
		tls_signed(*t, NULL, 0, "given up");
		shake(*t);
	}
	SSL_free((*t)->ssl);
	free(*t);
	*t = NULL;
}

static int fail(struct tls *t, int code, const char *text)
{
	t->dead = true;
	snprintf(t->why, sizeof(t->why), "%s", text);
	return code;
}

/* Turn the result of an SSL call that did not succeed into a code and a sentence. */
static int outcome(struct tls *t, int result)
{
	int saved = errno, kind = SSL_get_error(t->ssl, result);
	long verdict = SSL_get_verify_result(t->ssl);
	unsigned long e;
	const char *text;
	char line[TLS_WHY];

	switch (kind) {
	case SSL_ERROR_WANT_READ:
		return E_AGAIN_IN;
	case SSL_ERROR_WANT_WRITE:
		return E_AGAIN_OUT;
	case SSL_ERROR_WANT_ASYNC:
		return E_BUSY;
	case SSL_ERROR_ZERO_RETURN:
		return fail(t, E_EOF, "the peer closed the connection");
	case SSL_ERROR_SYSCALL:
		return saved ? fail(t, E_IO, strerror(saved)) : fail(t, E_EOF, "the peer broke off the connection");
	default:
		break;
	}
	if (t->signing.why[0])
		return fail(t, E_CRYPTO, t->signing.why);
	e = ERR_peek_last_error();
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		snprintf(line, sizeof(line), "the %s was refused: %s", t->role == TLS_CLIENT ? "server" : "client", tls_verify_text(verdict));
		return fail(t, E_DENIED, line);
	}
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return fail(t, E_EOF, "the peer broke off the connection");
	text = ERR_GET_LIB(e) == ERR_LIB_SSL ? tls_alert_text(ERR_GET_REASON(e)) : NULL;
	if (text)
		return fail(t, E_DENIED, text);
	snprintf(line, sizeof(line), "TLS protocol error: %s", tls_crypto_reason());
	return fail(t, E_CRYPTO, line);
}

int tls_handshake(struct tls *t)
{
	int result;

	if (t->dead)
		return E_STATE;
	ERR_clear_error();
	errno = 0;
	if (tls_signing_waits(&t->signing))
		return E_BUSY;
	result = shake(t);
	t->done = result == 1;
	if (t->done)
		SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
	return t->done ? 0 : outcome(t, result);
}

int tls_read(struct tls *t, void *p, size_t n, size_t *got)
{
	int result;

	*got = 0;
	if (t->dead)
		return E_STATE;
	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(t->ssl, p, n, got);
	return result == 1 ? 0 : outcome(t, result);
}

int tls_write(struct tls *t, const void *p, size_t n, size_t *put)
{
	int result;

	*put = 0;
	if (t->dead)
		return E_STATE;
	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(t->ssl, p, n, put);
	return result == 1 ? 0 : outcome(t, result);
}

const char *tls_why(const struct tls *t)
{
	return t->why[0] ? t->why : "no error";
}

bool tls_is_anonymous(const struct tls *t)
{
	return t->anonymous;
}

int tls_peer_name(const struct tls *t, char name[TLS_NAME])
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
	const ASN1_STRING *text;
	int at, n;

	at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return E_FORMAT;
	text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	n = ASN1_STRING_length(text);
	if (n < 1 || n >= TLS_NAME)
		return E_FORMAT;
	for (int i = 0; i < n; i++)
		if (ASN1_STRING_get0_data(text)[i] <= ' ' || ASN1_STRING_get0_data(text)[i] > '~')
			return E_FORMAT;
	memcpy(name, ASN1_STRING_get0_data(text), (size_t)n);
	name[n] = '\0';
	return 0;
}

int tls_peer_root(const struct tls *t, uint8_t hash[32])
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
	int n = chain ? sk_X509_num(chain) : 0;

	if (n < 1)
		return E_NOTFOUND;
	return X509_digest(sk_X509_value(chain, n - 1), EVP_sha256(), hash, NULL) == 1 ? 0 : E_CRYPTO;
}

int tls_own_fingerprint(const struct tls *t, uint8_t hash[32])
{
	const X509 *cert = SSL_get_certificate(t->ssl);

	if (!cert)
		return E_NOTFOUND;
	return X509_digest(cert, EVP_sha256(), hash, NULL) == 1 ? 0 : E_CRYPTO;
}

int tls_peer_fingerprint(const struct tls *t, uint8_t hash[32])
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	unsigned int n = 0;

	if (!cert)
		return E_NOTFOUND;
	return X509_digest(cert, EVP_sha256(), hash, &n) == 1 && n == 32 ? 0 : E_CRYPTO;
}
