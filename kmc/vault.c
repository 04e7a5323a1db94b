/* What the vault does with its keys. */
#include "kmc/vault.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/ekissue.h"
#include "kmc/rsakey.h"
#include "vtpm-stubdom/derive.h"

#define SEED_TROUBLE "can't unwrap the stored seed (was the database changed or mixed with another KMC's?)"
#define TICKETS_MAX 64
#define CACHE_MAX 256 /* unwrapped protection keys: some 4 KiB each */

struct ticket {
	uint64_t id; /* 0: free */
	uint8_t key_id[KMC_KEY_ID_SIZE];
	uint8_t cipher[KMC_RSA_MAX];
	size_t cipher_size;
	struct uuid uuid;
	uint8_t nonce[ENVELOPE_NONCE_SIZE];
	struct secret *response_key;
};

struct cached {
	uint8_t id[KMC_KEY_ID_SIZE];
	struct rsakey *key; /* NULL: free */
	uint64_t used;	    /* when, in uses of the cache */
};

struct vault {
	struct keyring keyring;
	uint64_t uses;
	struct ticket tickets[TICKETS_MAX];
	struct cached cache[CACHE_MAX];
};

static int complain(char why[KEYRING_WHY], const char *what, int r)
{
	snprintf(why, KEYRING_WHY, "%s: %s", what, error_text(r));
	return r;
}

struct vault *vault_new(struct keyring *keyring)
{
	struct vault *v = calloc(1, sizeof(*v));

	if (v) {
		v->keyring = *keyring;
		memset(keyring, 0, sizeof(*keyring));
	}
	return v;
}

static struct ticket *find(struct vault *v, uint64_t id)
{
	for (size_t i = 0; i < TICKETS_MAX; i++)
		if (v->tickets[i].id == id)
			return &v->tickets[i];
	return NULL;
}

static void drop(struct ticket *t)
{
	secret_free(&t->response_key);
	wipe(t, sizeof(*t));
}

void vault_free(struct vault **v)
{
	if (!*v)
		return;
	for (size_t i = 0; i < TICKETS_MAX; i++)
		drop(&(*v)->tickets[i]);
	for (size_t i = 0; i < CACHE_MAX; i++)
		rsakey_free(&(*v)->cache[i].key);
	keyring_close(&(*v)->keyring);
	free(*v);
	*v = NULL;
}

int vault_wrap_key(struct vault *v, const struct secret *der, struct vault_key *out)
{
	struct rsakey *key = NULL;
	int r;

	if (der->size + WRAP_OVERHEAD > sizeof(out->wrapped))
		return E_RANGE;
	if (getrandom(out->id, sizeof(out->id), 0) != sizeof(out->id))
		return E_IO;
	if ((r = rsakey_load(&key, der)) == 0 && (r = rsakey_public(key, out->modulus, &out->exponent)) == 0)
		r = wrap_ring_seal(&v->keyring.wrapping, WRAP_PROTECTION_KEY, view_of(out->id, sizeof(out->id)), der, out->wrapped);
	out->modulus_size = key ? rsakey_size(key) : 0;
	out->wrapped_size = der->size + WRAP_OVERHEAD;
	rsakey_free(&key);
	return r;
}

/* The slot that holds @id, or the one that was not used for the longest time. */
static struct cached *cache_slot(struct vault *v, const uint8_t id[KMC_KEY_ID_SIZE])
{
	struct cached *oldest = &v->cache[0];

	for (size_t i = 0; i < CACHE_MAX; i++) {
		struct cached *c = &v->cache[i];

		if (c->key && memcmp(c->id, id, KMC_KEY_ID_SIZE) == 0)
			return c;
		if (c->used < oldest->used)
			oldest = c;
	}
	rsakey_free(&oldest->key);
	return oldest;
}

static int get_key(struct vault *v, struct view id, struct view wrapped, const struct rsakey **key)
{
	struct cached *c = cache_slot(v, id.p);
	struct secret *der = NULL;
	int r = 0;

	c->used = ++v->uses;
	if (!c->key) {
		r = wrap_ring_open(&v->keyring.wrapping, WRAP_PROTECTION_KEY, id, wrapped, &der);
		if (r == 0)
			r = rsakey_load(&c->key, der);
		secret_free(&der);
		memcpy(c->id, id.p, sizeof(c->id));
	}
	*key = c->key;
	return r;
}

/* The private key of a ticket: in the cache since its decrypt, if the cache is not smaller than the table of tickets. */
static const struct rsakey *key_of(struct vault *v, const struct ticket *t)
{
	_Static_assert(CACHE_MAX >= 2 * TICKETS_MAX, "a ticket's key must not be pushed out");
	struct cached *c = cache_slot(v, t->key_id);

	return c->key;
}

int vault_decrypt(struct vault *v, uint64_t ticket, const struct vault_decrypt *q, struct uuid *uuid, char why[KEYRING_WHY])
{
	struct ticket *t = find(v, 0);
	const struct rsakey *key;
	struct secret *plain = NULL;
	int r;

	if (!t)
		return complain(why, "too many opens are under way", E_NOMEM);
	r = get_key(v, q->key_id, q->wrapped, &key);
	if (r != 0) /* our own key is damaged: nothing that the host sent */
		return complain(why, "can't unwrap a protection key", r == E_INTEGRITY ? E_CRYPTO : r);
	r = rsakey_decrypt(key, q->cipher, ENVELOPE_LABEL, &plain);
	if (r == 0)
		r = envelope_plain_unpack(plain, &t->uuid, &t->response_key, t->nonce);
	secret_free(&plain);
	if (r != 0) {
		drop(t);
		return complain(why, "the request does not decrypt", r == E_NOMEM ? r : E_INTEGRITY);
	}
	t->id = ticket;
	t->cipher_size = q->cipher.n;
	memcpy(t->cipher, q->cipher.p, q->cipher.n);
	memcpy(t->key_id, q->key_id.p, sizeof(t->key_id));
	*uuid = t->uuid;
	return 0;
}

int vault_make_seed(struct vault *v, const struct seed_owner *owner, uint8_t wrapped[VAULT_SEED_MAX], size_t *size,
		    char why[KEYRING_WHY])
{
	_Static_assert(SEED_SIZE + WRAP_OVERHEAD <= VAULT_SEED_MAX, "a wrapped seed must fit");
	_Static_assert(SEED_MESSAGE_MAX <= WRAP_CONTEXT_MAX, "a seed's owner must fit as context");
	struct secret *entropy = NULL, *seed = NULL;
	uint8_t text[SEED_MESSAGE_MAX];
	struct view message;
	struct buf b;
	int r;

	buf_over(&b, text, sizeof(text));
	r = seed_message(owner, &b);
	if (r != 0)
		return complain(why, "can't make a seed", r);
	message = view_of(text, b.len);
	r = keyring_hmac(&v->keyring, message, &entropy, why);
	if (r == 0 && (r = seed_from_entropy(owner, entropy, &seed)) != 0)
		complain(why, "the random number generator failed", r);
	if (r == 0 && (r = wrap_ring_seal(&v->keyring.wrapping, WRAP_SEED, message, seed, wrapped)) != 0)
		complain(why, "can't wrap a seed", r);
	*size = SEED_SIZE + WRAP_OVERHEAD;
	secret_free(&entropy);
	secret_free(&seed);
	return r;
}

static int unwrap_seed(struct vault *v, const struct seed_owner *owner, struct view wrapped, struct secret **seed)
{
	uint8_t text[SEED_MESSAGE_MAX];
	struct buf b;
	int r;

	buf_over(&b, text, sizeof(text));
	r = seed_message(owner, &b);
	return r != 0 ? r : wrap_ring_open(&v->keyring.wrapping, WRAP_SEED, view_of(text, b.len), wrapped, seed);
}

int vault_share_seed(struct vault *v, const struct vault_share *q, uint8_t wrapped[VAULT_SEED_MAX], size_t *size, char why[KEYRING_WHY])
{
	const struct seed_owner from = {.tenant = q->tenant, .uuid = q->from, .generation = (uint32_t)q->generation},
				to = {.tenant = q->tenant, .uuid = q->to, .generation = (uint32_t)q->to_generation};
	struct secret *seed = NULL;
	uint8_t text[SEED_MESSAGE_MAX];
	struct buf b;
	int r = unwrap_seed(v, &from, q->seed, &seed);

	if (r != 0)
		return complain(why, SEED_TROUBLE, r);
	buf_over(&b, text, sizeof(text));
	r = seed_message(&to, &b);
	if (r == 0)
		r = wrap_ring_seal(&v->keyring.wrapping, WRAP_SEED, view_of(text, b.len), seed, wrapped);
	*size = seed->size + WRAP_OVERHEAD;
	secret_free(&seed);
	return r == 0 ? 0 : complain(why, "can't wrap a seed", r);
}

static int hash_exchange(const struct ticket *t, const struct vault_seal *q, uint8_t hash[ENVELOPE_HASH_SIZE])
{
	struct envelope_facts facts = {
		.key_id = view_of(t->key_id, sizeof(t->key_id)), .cipher = view_of(t->cipher, t->cipher_size), .tenant = q->tenant,
		.uuid = t->uuid, .generation = q->generation, .lease_epoch = q->lease_epoch, .owner_epoch = q->owner_epoch,
		.endorsement_epoch = q->endorsement_epoch, .platform_epoch = q->platform_epoch, .state_version = q->state_version,
		.image = q->image, .request = q->request, .origin = q->origin,
	};

	memcpy(facts.nonce, t->nonce, sizeof(facts.nonce));
	return envelope_exchange(&facts, hash);
}

int vault_seal(struct vault *v, uint64_t ticket, const struct vault_seal *q, uint8_t reply[KMC_RSA_MAX + ENVELOPE_OVERHEAD],
	       size_t *size,
	       char why[KEYRING_WHY])
{
	struct secret *seed = NULL, *block = NULL, *inner = NULL;
	struct ticket *t = ticket ? find(v, ticket) : NULL;
	const struct rsakey *key = t ? key_of(v, t) : NULL;
	struct seed_owner owner = {.tenant = q->tenant, .generation = (uint32_t)q->generation};
	uint8_t hash[ENVELOPE_HASH_SIZE];
	int r;

	if (!key)
		return complain(why, "can't reply to an open that is not under way", E_STATE);
	owner.uuid = t->uuid;
	r = unwrap_seed(v, &owner, q->seed, &seed);
	if (r != 0) {
		complain(why, SEED_TROUBLE, r);
		goto out;
	}
	if ((r = hash_exchange(t, q, hash)) != 0)
		goto out;
	block = envelope_block_pack(seed, hash, rsakey_size(key));
	r = block ? rsakey_private(key, block, &inner) : E_NOMEM;
	if (r == 0)
		r = envelope_seal(t->response_key, hash, inner, reply);
	if (r != 0)
		complain(why, "can't put a seed into its envelope", r);
	*size = rsakey_size(key) + ENVELOPE_OVERHEAD;
out:
	secret_free(&seed);
	secret_free(&block);
	secret_free(&inner);
	drop(t);
	return r;
}

void vault_forget(struct vault *v, uint64_t ticket)
{
	struct ticket *t = ticket ? find(v, ticket) : NULL;

	if (t)
		drop(t);
}

int vault_challenge(struct vault *v, const struct vault_credential *q, struct kmctpm_credential *out, uint8_t answer[32], char why[KEYRING_WHY])
{
	struct secret *value = secret_random(32);
	int r = E_NOMEM;

	if (value && EVP_Digest(value->data, value->size, answer, NULL, EVP_sha256(), NULL) == 1)
		r = keyring_make_credential(&v->keyring, q->ek, q->name, value, out, why);
	else
		complain(why, "can't make a challenge", r);
	secret_free(&value);
	return r;
}

int vault_issue(struct vault *v, const struct vault_issue *q, struct ca_cert *out, char why[KEYRING_WHY])
{
	char name[KMC_NAME_MAX + 1], servers[CA_NAMES];
	struct ca_description ca;
	struct ca_profile profile = {
		.kind = q->servers.p ? CA_SERVER : CA_HOST, .name = name, .alt_names = q->servers.p ? servers : NULL,
		.not_before = (int64_t)q->not_before, .not_after = (int64_t)q->not_after};
	int r = view_copy_text(q->name, name, sizeof(name));

	if (r == 0 && q->servers.p)
		r = view_copy_text(q->servers, servers, sizeof(servers));
	if (r != 0)
		return complain(why, "can't issue a certificate", r);
	if (ca_cert_describe(&v->keyring.ca, &ca) == 0 && profile.not_after > ca.not_after)
		profile.not_after = 0; /* nobody would take it for longer */
	return ca_issue(v->keyring.ca_key, &v->keyring.ca, &profile, q->spki, out, why);
}

int vault_sign(struct vault *v, const char *kmc, const struct vault_sign *q, uint8_t out[AUDIT_HEAD_MAX], size_t *size,
	       char why[KEYRING_WHY])
{
	const struct audit_head head = {.kmc = view_text(kmc), .hash = q->hash, .time = q->time};
	uint8_t bytes[AUDIT_HEAD_MAX], message[AUDIT_HEAD_MAX + sizeof(AUDIT_LABEL)], signature[AUDIT_SIGNATURE_MAX];
	struct audit_signed s;
	struct buf b, m, o;
	int r, n = 0;

	buf_over(&b, bytes, sizeof(bytes));
	buf_over(&m, message, sizeof(message));
	buf_over(&o, out, AUDIT_HEAD_MAX);
	r = audit_head_write(&b, q->seq, &head);
	s.head = view_of(bytes, b.len);
	if (r == 0 && (r = audit_signed_bytes(&m, s.head)) == 0)
		r = (n = ca_key_sign(v->keyring.audit_key, view_of(message, m.len), signature, sizeof(signature))) < 0 ? n : 0;
	s.signature = view_of(signature, n > 0 ? (size_t)n : 0);
	if (r == 0)
		r = audit_signed_write(&o, q->seq, &s);
	*size = o.len;
	return r == 0 ? 0 : complain(why, "can't sign the head of the audit trail", r);
}

int vault_duplicate(struct vault *v, const struct vault_duplicate *q, struct kmctpm_credential *credential, struct kmctpm_copy *copy,
		    char why[KEYRING_WHY])
{
	struct secret *value = secret_random(32), *inner = value ? secret_dup(value->data, KMCTPM_INNER_SIZE) : NULL;
	struct kmctpm_order order = {.to = q->storage, .signature = q->signature, .inner = inner};
	uint8_t name[34];
	int r = inner ? kmctpm_area_name(q->storage, name) : E_NOMEM;

	memcpy(order.authority.x, q->authority.p, 32);
	memcpy(order.authority.y, q->authority.p + 32, 32);
	if (r == 0 && !kmctpm_is_storage(q->storage))
		r = E_FORMAT;
	if (r != 0)
		complain(why, "that is no storage key of a TPM", r);
	else if ((r = keyring_duplicate(&v->keyring, &order, copy, why)) == 0)
		r = keyring_make_credential(&v->keyring, q->ek, view_of(name, sizeof(name)), value, credential, why);
	secret_free(&inner);
	secret_free(&value);
	return r;
}

int vault_endorsement_seed(struct vault *v, const struct vault_endorse *q, struct secret **eps, char why[KEYRING_WHY])
{
	const struct seed_owner owner = {.tenant = q->tenant, .uuid = q->uuid, .generation = (uint32_t)q->generation};
	const struct epochs epochs = {.endorsement = q->endorsement_epoch};
	struct secret *seed = NULL, *roots = NULL;
	struct derive d = {0};
	struct origin origin;
	int r = unwrap_seed(v, &owner, q->seed, &seed);

	*eps = NULL;
	if (r != 0)
		return complain(why, SEED_TROUBLE, r);
	if ((r = origin_get(q->origin, &origin)) == 0)
		r = derive_init(&d, seed->data, seed->size, &q->uuid, q->generation);
	if (r == 0)
		derive_share(&d, &origin);
	if (r == 0)
		r = (roots = derive_roots(&d, &epochs)) ? 0 : E_CRYPTO;
	if (r == 0)
		r = (*eps = secret_dup(((const struct roots *)roots->data)->value[ROOT_EPS], DERIVE_ROOT_SIZE)) ? 0 : E_NOMEM;
	secret_free(&seed);
	secret_free(&roots);
	derive_free(&d);
	return r == 0 ? 0 : complain(why, "can't derive a vTPM's endorsement seed", r);
}

int vault_endorse(struct vault *v, const char *url, int64_t not_before, const struct ekmaker_made *made, struct ca_cert *rsa, struct ca_cert *ecc,
		  char why[KEYRING_WHY])
{
	const struct ekissue_authority by = {.key = v->keyring.ca_key, .ca = &v->keyring.ca, .url = url, .not_before = not_before};

	return ekissue(&by, made, rsa, ecc, why);
}

int vault_make_ca(struct vault *v, const struct vault_ca_make *q, struct vault_authorities *out, char why[KEYRING_WHY])
{
	char name[KMC_NAME_MAX + 1];
	const struct ca_profile profile = {.kind = CA_ROOT, .name = name, .not_before = (int64_t)q->not_before, .not_after = (int64_t)q->not_after};
	struct x509_key *key = NULL;
	int r = view_copy_text(q->name, name, sizeof(name)), n = 0;

	if (r == 0)
		r = ca_key_make(&key);
	if (r == 0)
		r = ca_root(key, &profile, &out->made, why);
	if (r == 0)
		r = (n = keyring_wrap_ca(&v->keyring, key, out->key)) < 0 ? n : 0;
	out->key_size = n > 0 ? (size_t)n : 0;
	if (r == 0)
		r = (n = keyring_wrap_ca(&v->keyring, v->keyring.ca_key, out->present_key)) < 0 ? n : 0;
	out->present_key_size = n > 0 ? (size_t)n : 0;
	out->present = v->keyring.ca;
	ca_key_free(&key);
	return r == 0 ? 0 : complain(why, "can't make a CA", r);
}

int vault_take_ca(struct vault *v, const struct vault_ca *q, char why[KEYRING_WHY])
{
	struct ca_cert cert = {.size = q->certificate.n};
	struct x509_key *key = NULL;
	int r;

	memcpy(cert.der, q->certificate.p, q->certificate.n);
	r = keyring_unwrap_ca(&v->keyring, &cert, q->key, &key);
	if (r != 0)
		return complain(why, "an authority in the database is not this KMC's (was the database changed or mixed with another KMC's?)", r);
	if (q->sign) {
		ca_key_free(&v->keyring.ca_key);
		v->keyring.ca_key = key;
		v->keyring.ca = cert;
		key = NULL;
	}
	ca_key_free(&key);
	return 0;
}

struct keyring *vault_keyring(struct vault *v)
{
	return &v->keyring;
}

int vault_rewrap(struct vault *v, const struct vault_rewrap *q, uint8_t out[VAULT_WRAPPED_MAX], size_t *n, char why[KEYRING_WHY])
{
	static const enum wrap_purpose purposes[] = {WRAP_PROTECTION_KEY, WRAP_SEED, WRAP_CA_KEY};
	enum wrap_purpose purpose = purposes[q->kind];
	struct secret *plain = NULL;
	int r = wrap_ring_open(&v->keyring.wrapping, purpose, q->context, q->wrapped, &plain);

	if (r == 0)
		r = plain->size + WRAP_OVERHEAD <= VAULT_WRAPPED_MAX ? wrap_ring_seal(&v->keyring.wrapping, purpose, q->context, plain, out) : E_RANGE;
	*n = r == 0 ? plain->size + WRAP_OVERHEAD : 0;
	secret_free(&plain);
	return r == 0 ? 0 : complain(why, purpose == WRAP_SEED ? SEED_TROUBLE : "can't unwrap a stored key", r);
}
