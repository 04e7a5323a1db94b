/* A host as kmcd sees one, for tests. */
#include "tests/ring2/kmc_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/proof.h"
#include "common/secret.h"
#include "common/tls.h"
#include "common/token.h"
#include "dom0-relay/host_identity.h"
#include "dom0-relay/host_tpm.h"

#define WAIT_MS 60000

struct kmc_client {
	int fd;
	const uint8_t *image, *image_said;
	struct tls_context *ctx;
	struct tls *tls;
	struct host_tpm *tpm;
	struct buf in, out;
	struct kmc_protected key; /* views into the arrays below */
	uint8_t key_id[KMC_KEY_ID_SIZE], modulus[KMC_RSA_MAX];
	uint64_t last_id;
	uint8_t nonce[PROOF_NONCE_SIZE];
	uint32_t pcrs;
	struct host_quote quote;
	char why[CLIENT_WHY];
};

static bool wait_for(struct kmc_client *c, int r)
{
	struct pollfd p = {.fd = c->fd, .events = r == E_AGAIN_OUT ? POLLOUT : POLLIN};

	if ((r == E_AGAIN_IN || r == E_AGAIN_OUT) && poll(&p, 1, WAIT_MS) == 1)
		return true;
	snprintf(c->why, sizeof(c->why), "%s", r == E_AGAIN_IN || r == E_AGAIN_OUT ? "no answer" : tls_why(c->tls));
	return false;
}

static int tcp_connect(const char *address, const char *from)
{
	const char *colon = strrchr(address, ':');
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, own = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : "0"));
	if (fd >= 0 && from && (inet_pton(AF_INET, from, &own.sin_addr) != 1 || bind(fd, (struct sockaddr *)&own, sizeof(own)) != 0))
		abort();
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool make_context(struct kmc_client *c, const struct kmc_client_options *o, char why[CLIENT_WHY])
{
	char ca[512], cert[512], key[512], tls[TLS_WHY];

	snprintf(ca, sizeof(ca), "%s/ca.crt", o->dir ? o->dir : "");
	snprintf(cert, sizeof(cert), "%s/host.crt", o->dir ? o->dir : "");
	snprintf(key, sizeof(key), "%s/host.key", o->dir ? o->dir : "");
	if ((o->token ? tls_context_new_pinned(&c->ctx, o->token->ca, KMC_ENROL_ALPN, tls)
		      : tls_context_new(&c->ctx, TLS_CLIENT, ca, cert, key, tls)) == 0)
		return true;
	snprintf(why, CLIENT_WHY, "%s", tls);
	return false;
}

struct kmc_client *client_connect(const struct kmc_client_options *o, char why[CLIENT_WHY])
{
	struct kmc_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		abort();
	c->fd = -1;
	if (buf_init(&c->in, KMC_BODY_MAX + 4) != 0 || buf_init(&c->out, KMC_BODY_MAX + 4) != 0)
		abort();
	if (!make_context(c, o, why))
		goto fail;
	c->image = o->image;
	c->image_said = o->image_said;
	if (o->tcti && host_tpm_open(&c->tpm, o->tcti, why) != 0)
		goto fail;
	c->fd = tcp_connect(o->address, o->from);
	if (c->fd < 0) {
		snprintf(why, CLIENT_WHY, "%s", strerror(errno));
		goto fail;
	}
	c->tls = tls_new(c->ctx, c->fd, o->name);
	while ((r = tls_handshake(c->tls)) != 0)
		if (!wait_for(c, r)) {
			snprintf(why, CLIENT_WHY, "%s", c->why);
			goto fail;
		}
	return c;
fail:
	client_free(&c);
	return NULL;
}

void client_free(struct kmc_client **c)
{
	if (!*c)
		return;
	tls_free(&(*c)->tls);
	tls_context_free(&(*c)->ctx);
	host_tpm_close(&(*c)->tpm);
	buf_free(&(*c)->in);
	buf_free(&(*c)->out);
	if ((*c)->fd >= 0)
		close((*c)->fd);
	free(*c);
	*c = NULL;
}

const char *client_why(const struct kmc_client *c)
{
	return c->why;
}

struct host_tpm *client_tpm(const struct kmc_client *c)
{
	return c->tpm;
}

struct view client_last(const struct kmc_client *c)
{
	return view_of(buf_ptr(&c->out), buf_left(&c->out));
}

bool client_send_raw(struct kmc_client *c, const void *p, size_t n)
{
	const uint8_t *bytes = p;

	while (n) {
		size_t put;
		int r = tls_write(c->tls, bytes, n, &put);

		if (r != 0 && !wait_for(c, r))
			return false;
		bytes += put;
		n -= put;
	}
	return true;
}

enum kmc_type client_receive(struct kmc_client *c, void *fields)
{
	const struct msg_schema *schema;
	struct msg m = {0};
	size_t n;
	int r;

	buf_compact(&c->in);
	while ((r = msg_next(&c->in, KMC_BODY_MAX, &m)) == E_AGAIN_IN) {
		r = tls_read(c->tls, buf_end(&c->in), buf_space(&c->in), &n);
		if (r == 0)
			c->in.len += n;
		else if (!wait_for(c, r))
			return 0;
	}
	schema = r == 0 ? kmc_schema(m.head.type) : NULL;
	if (!schema || m.head.version != KMC_VERSION || msg_fields(&m, schema, fields) != 0) {
		snprintf(c->why, sizeof(c->why), "the KMC broke the protocol");
		return 0;
	}
	return (enum kmc_type)m.head.type;
}

enum kmc_type client_ask(struct kmc_client *c, enum kmc_type type, const void *request, void *fields)
{
	buf_reset(&c->out);
	if (kmc_write(&c->out, type, ++c->last_id, request) != 0) {
		snprintf(c->why, sizeof(c->why), "can't write the request");
		return 0;
	}
	return client_send_raw(c, buf_ptr(&c->out), buf_left(&c->out)) ? client_receive(c, fields) : 0;
}

enum kmc_type client_protect(struct kmc_client *c, struct kmc_refused *refused)
{
	_Alignas(max_align_t) uint8_t fields[256];
	enum kmc_type type = client_ask(c, KMC_PROTECT, NULL, fields);

	if (type == KMC_REFUSED)
		memcpy(refused, fields, sizeof(*refused));
	if (type != KMC_PROTECTED)
		return type;
	memcpy(&c->key, fields, sizeof(c->key));
	memcpy(c->key_id, c->key.key_id.p, sizeof(c->key_id));
	memcpy(c->modulus, c->key.modulus.p, c->key.modulus.n);
	c->key.key_id = view_of(c->key_id, sizeof(c->key_id));
	c->key.modulus = view_of(c->modulus, c->key.modulus.n);
	return type;
}

/* The public key for software. */
static EVP_PKEY *public_key(const struct kmc_client *c)
{
	BIGNUM *n = BN_bin2bn(c->modulus, (int)c->key.modulus.n, NULL), *e = BN_new();
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (!n || !e || !b || !ctx || !BN_set_word(e, c->key.exponent) || !OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) ||
	    !OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) || !(params = OSSL_PARAM_BLD_to_param(b)) ||
	    EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		abort();
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(ctx);
	BN_free(n);
	BN_free(e);
	return key;
}

static int soft_encrypt(const struct kmc_client *c, const struct secret *in, bool oaep, uint8_t *out)
{
	EVP_PKEY *key = public_key(c);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = KMC_RSA_MAX;
	int ok = EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, oaep ? RSA_PKCS1_OAEP_PADDING
										 : RSA_NO_PADDING) == 1;

	if (oaep)
		ok = ok && EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
		     EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_memdup(ENVELOPE_LABEL, sizeof(ENVELOPE_LABEL)),
						      sizeof(ENVELOPE_LABEL)) == 1;
	ok = ok && EVP_PKEY_encrypt(ctx, out, &n, in->data, in->size) == 1;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? 0 : E_CRYPTO;
}

static int encrypt(struct kmc_client *c, const struct secret *plain, uint8_t *out)
{
	const struct host_tpm_key key = {.modulus = c->key.modulus, .exponent = (uint32_t)c->key.exponent};

	return c->tpm ? host_tpm_encrypt(c->tpm, &key, plain, ENVELOPE_LABEL, out, c->why) : soft_encrypt(c, plain, true, out);
}

static int recover(struct kmc_client *c, const struct secret *inner, struct secret **block)
{
	const struct host_tpm_key key = {.modulus = c->key.modulus, .exponent = (uint32_t)c->key.exponent};

	if (c->tpm)
		return host_tpm_recover(c->tpm, &key, inner, block, c->why);
	*block = secret_new(inner->size);
	return *block ? soft_encrypt(c, inner, false, (*block)->data) : E_NOMEM;
}

/* As the host-tpm process does it: both layers off, padding and hash right. NULL: believed; else why not. */
static const char *believe(struct kmc_client *c, const struct envelope_facts *facts, const struct secret *key, struct view reply, uint8_t out[32])
{
	struct secret *inner = NULL, *block = NULL, *seed = NULL;
	uint8_t hash[ENVELOPE_HASH_SIZE];
	int r;

	if ((r = envelope_exchange(facts, hash)) == 0 && (r = envelope_open(key, hash, reply, &inner)) == 0 &&
	    (r = recover(c, inner, &block)) == 0 && (r = envelope_block_check(block, hash, &seed)) == 0)
		memcpy(out, seed->data, 32);
	secret_free(&inner);
	secret_free(&block);
	secret_free(&seed);
	return r == 0 ? NULL : error_text(r);
}

/* A request on its way: what the host keeps until the reply. */
struct request {
	uint8_t cipher[KMC_RSA_MAX];
	struct envelope_facts facts;
	struct secret *key;
};

static void encrypt_request(struct kmc_client *c, const struct uuid *uuid, struct request *q)
{
	struct secret *plain;

	*q = (struct request){.facts = {.key_id = c->key.key_id, .uuid = *uuid}, .key = secret_random(ENVELOPE_KEY_SIZE)};
	q->facts.cipher = view_of(q->cipher, c->key.modulus.n);
	if (!q->key || getrandom(q->facts.nonce, sizeof(q->facts.nonce), 0) != sizeof(q->facts.nonce))
		abort();
	plain = envelope_plain_pack(uuid, q->key, q->facts.nonce);
	if (!plain || encrypt(c, plain, q->cipher) != 0)
		abort();
	secret_free(&plain);
}

void client_open(struct kmc_client *c, const struct uuid *uuid, bool spoil, struct client_opened *out)
{
	_Alignas(max_align_t) uint8_t fields[256];
	struct kmc_open open = {.key_id = c->key.key_id};
	struct request q;

	memset(out, 0, sizeof(*out));
	if (!c->key.modulus.n) {
		snprintf(c->why, sizeof(c->why), "there is no protection key to ask with");
		return;
	}
	encrypt_request(c, uuid, &q);
	if (spoil)
		q.cipher[c->key.modulus.n / 2] ^= 1;
	open.cipher = q.facts.cipher;
	out->type = client_ask(c, KMC_OPEN, &open, fields);
	if (out->type == KMC_REFUSED)
		memcpy(&out->refused, fields, sizeof(out->refused));
	if (out->type == KMC_OPENED) {
		memcpy(&out->facts, fields, sizeof(out->facts));
		q.facts.tenant = out->facts.tenant;
		q.facts.generation = out->facts.generation;
		q.facts.lease_epoch = out->facts.lease_epoch;
		q.facts.owner_epoch = out->facts.owner_epoch;
		q.facts.endorsement_epoch = out->facts.endorsement_epoch;
		q.facts.platform_epoch = out->facts.platform_epoch;
		q.facts.state_version = out->facts.state_version;
		q.facts.origin = out->facts.origin;
		out->distrust = believe(c, &q.facts, q.key, out->facts.reply, out->seed);
	}
	secret_free(&q.key);
}

void client_reserve(struct kmc_client *c, const struct uuid *uuid, uint64_t image, const uint8_t request[KMC_REQUEST_ID_SIZE],
		    struct client_reserved *out)
{
	_Alignas(max_align_t) uint8_t fields[256];
	struct kmc_reserve reserve = {.key_id = c->key.key_id, .image = image, .request = view_of(request, KMC_REQUEST_ID_SIZE)};
	struct request q;

	memset(out, 0, sizeof(*out));
	if (!c->key.modulus.n) {
		snprintf(c->why, sizeof(c->why), "there is no protection key to ask with");
		return;
	}
	encrypt_request(c, uuid, &q);
	reserve.cipher = q.facts.cipher;
	out->type = client_ask(c, KMC_RESERVE, &reserve, fields);
	if (out->type == KMC_REFUSED)
		memcpy(&out->refused, fields, sizeof(out->refused));
	if (out->type == KMC_RESERVED) {
		memcpy(&out->facts, fields, sizeof(out->facts));
		q.facts.tenant = out->facts.tenant;
		q.facts.generation = out->facts.generation;
		q.facts.lease_epoch = out->facts.lease_epoch;
		q.facts.owner_epoch = out->facts.owner_epoch;
		q.facts.endorsement_epoch = out->facts.endorsement_epoch;
		q.facts.platform_epoch = out->facts.platform_epoch;
		q.facts.state_version = out->facts.state_version;
		q.facts.origin = out->facts.origin;
		q.facts.image = image;
		q.facts.request = reserve.request;
		out->distrust = believe(c, &q.facts, q.key, out->facts.reply, out->seed);
	}
	secret_free(&q.key);
}

enum kmc_type client_nonce(struct kmc_client *c, void *fields)
{
	const struct kmc_nonce *m = fields;
	enum kmc_type type = client_ask(c, KMC_ATTEST, NULL, fields);

	if (type == KMC_NONCE) {
		memcpy(c->nonce, m->nonce.p, sizeof(c->nonce));
		c->pcrs = (uint32_t)m->pcrs;
	}
	return type;
}

enum kmc_type client_quote(struct kmc_client *c, bool again, void *fields)
{
	uint8_t certificate[32], proof[PROOF_SIZE];
	struct kmc_quote m;

	if (!again && (tls_context_fingerprint(c->ctx, certificate) != 0 || proof_attest(c->nonce, certificate, c->image, proof) != 0 ||
		       host_identity_quote(c->tpm, proof, c->pcrs, &c->quote, c->why) != 0))
		return 0;
	m = (struct kmc_quote){.quote = view_of(c->quote.attest, c->quote.attest_size),
			       .signature = view_of(c->quote.signature, c->quote.signature_size),
			       .values = view_of(c->quote.values, c->quote.values_size),
			       .image = c->image_said ? view_of(c->image_said, PROOF_IMAGE_SIZE) : (struct view){0}};
	return client_ask(c, KMC_QUOTE, &m, fields);
}
