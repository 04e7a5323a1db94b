/* vTPMs on their way to or from another KMC, in the vault. */
#include "kmc/vault_move.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"

/* Who we are, and the bytes that its views point to. */
struct self {
	struct kmctpm_card keys;
	uint8_t signer[CA_SPKI_MAX];
	struct move_card card;
	uint8_t fingerprint[MOVE_HASH_SIZE];
};

static int complain(char why[KEYRING_WHY], const char *what, int r)
{
	snprintf(why, KEYRING_WHY, "%s: %s", what, error_text(r));
	return r;
}

static int deny(char why[KEYRING_WHY], const char *what)
{
	snprintf(why, KEYRING_WHY, "%s", what);
	return E_DENIED;
}

static int know_self(struct vault *v, const char *kmc, struct self *s, char why[KEYRING_WHY])
{
	const struct keyring *k = vault_keyring(v);
	int n = 0, r = kmctpm_card(&k->parent, &k->seed_key, &s->keys);

	if (r == 0)
		r = (n = ca_key_public(k->audit_key, s->signer)) < 0 ? n : 0;
	s->card = (struct move_card){.kmc = view_text(kmc), .parent = view_of(s->keys.parent, s->keys.parent_size),
				     .seed_key = view_of(s->keys.seed_key, sizeof(s->keys.seed_key)), .signer = view_of(s->signer, n > 0 ? (size_t)n : 0)};
	if (r == 0)
		r = move_fingerprint(&s->card, s->fingerprint);
	return r == 0 ? 0 : complain(why, "can't tell which KMC this is", r);
}

int vault_card(struct vault *v, const char *kmc, uint8_t out[MOVE_CARD_MAX], size_t *n, char why[KEYRING_WHY])
{
	struct self self;
	struct buf b;
	int r = know_self(v, kmc, &self, why);

	buf_over(&b, out, MOVE_CARD_MAX);
	if (r == 0 && (r = move_write(&b, MOVE_CARD, &self.card)) != 0)
		complain(why, "can't write this KMC's key for moves", r);
	*n = b.len;
	return r;
}

/* Bytes of the signature, or an error. */
static int sign(struct vault *v, const char *label, struct view bytes, uint8_t signature[MOVE_SIGNATURE_MAX])
{
	uint8_t room[2048 + 64];
	struct buf b;
	int r;

	buf_over(&b, room, sizeof(room));
	r = move_signed_bytes(&b, label, bytes);
	return r != 0 ? r : ca_key_sign(vault_keyring(v)->audit_key, view_of(room, b.len), signature, MOVE_SIGNATURE_MAX);
}

static int owner_bytes(const struct seed_owner *owner, uint8_t room[SEED_MESSAGE_MAX], struct view *context)
{
	struct buf b;
	int r;

	buf_over(&b, room, SEED_MESSAGE_MAX);
	r = seed_message(owner, &b);
	*context = view_of(room, b.len);
	return r;
}

/* What is moved, as both sides will read it. */
static int write_terms(const struct self *self, const struct move_card *to, const uint8_t hash[MOVE_HASH_SIZE], const struct vault_export *q, struct buf *out)
{
	const struct move_terms terms = {
		.id = q->id, .uuid = q->uuid, .from_name = self->card.kmc, .to_name = to->kmc, .pool = q->tenant,
		.from = view_of(self->fingerprint, sizeof(self->fingerprint)), .to = view_of(hash, MOVE_HASH_SIZE), .origin = q->origin,
		.state_hash = q->state_hash, .generation = q->generation, .lease_epoch = q->lease_epoch, .owner_epoch = q->owner_epoch,
		.endorsement_epoch = q->endorsement_epoch, .platform_epoch = q->platform_epoch, .state_version = q->state_version,
		.created_at = q->created_at, .exported_at = q->exported_at,
	};

	return move_write(out, MOVE_TERMS, &terms);
}

/* The seed under a fresh key, and that key for the other KMC's TPMs. */
static int seal_seed(struct vault *v, const struct move_card *to, const struct vault_export *q, struct view terms, struct kmctpm_credential *credential,
		     uint8_t sealed[MOVE_SEED_SIZE], char why[KEYRING_WHY])
{
	_Static_assert(MOVE_SEED_SIZE == SEED_SIZE + ENVELOPE_OVERHEAD, "a sealed seed must fit");
	const struct seed_owner owner = {.tenant = q->tenant, .uuid = q->uuid, .generation = (uint32_t)q->generation};
	struct secret *seed = NULL, *key = secret_random(ENVELOPE_KEY_SIZE);
	uint8_t room[SEED_MESSAGE_MAX], hash[MOVE_HASH_SIZE];
	struct view context;
	int r = key ? owner_bytes(&owner, room, &context) : E_NOMEM;

	if (r == 0)
		r = wrap_ring_open(&vault_keyring(v)->wrapping, WRAP_SEED, context, q->seed, &seed);
	if (r == 0 && seed->size != SEED_SIZE)
		r = E_RANGE;
	if (r != 0)
		complain(why, "can't unwrap the stored seed", r);
	else if ((r = move_hash(MOVE_LABEL, terms, hash)) != 0 || (r = envelope_seal(key, hash, seed, sealed)) != 0)
		complain(why, "can't encrypt the seed", r);
	else
		r = keyring_make_credential(vault_keyring(v), to->parent, to->seed_key, key, credential, why);
	secret_free(&seed);
	secret_free(&key);
	return r;
}

static int write_package(struct vault *v, const struct self *self, const struct move_sealed *sealed, struct buf *out)
{
	uint8_t bytes[2048], signature[MOVE_SIGNATURE_MAX];
	struct move_package p = {.kmc = self->card.kmc, .parent = self->card.parent, .seed_key = self->card.seed_key, .signer = self->card.signer};
	struct buf b;
	int n, r;

	buf_over(&b, bytes, sizeof(bytes));
	if ((r = move_write(&b, MOVE_SEALED, sealed)) != 0)
		return r;
	p.sealed = view_of(bytes, b.len);
	if ((n = sign(v, MOVE_LABEL, p.sealed, signature)) < 0)
		return n;
	p.signature = view_of(signature, (size_t)n);
	return move_write(out, MOVE_PACKAGE, &p);
}

int vault_export(struct vault *v, const char *kmc, const struct vault_export *q, uint8_t out[MOVE_PACKAGE_MAX], size_t *n, char why[KEYRING_WHY])
{
	uint8_t room[1024], seed[MOVE_SEED_SIZE], hash[MOVE_HASH_SIZE];
	struct kmctpm_credential credential;
	struct move_sealed sealed;
	struct move_card to;
	struct self self;
	struct buf terms, b;
	int r = move_read(q->card, MOVE_CARD, &to);

	*n = 0;
	if (r == 0 && (!kmctpm_is_parent(to.parent) || move_fingerprint(&to, hash) != 0))
		r = E_FORMAT;
	if (r != 0)
		return complain(why, "that is no KMC's key for moves", r);
	if ((r = know_self(v, kmc, &self, why)) != 0)
		return r;
	if (memcmp(hash, self.fingerprint, sizeof(hash)) == 0)
		return deny(why, "that is this KMC's own key");
	buf_over(&terms, room, sizeof(room));
	if ((r = write_terms(&self, &to, hash, q, &terms)) != 0)
		return complain(why, "can't write down what is moved", r);
	sealed.terms = view_of(room, terms.len);
	if ((r = seal_seed(v, &to, q, sealed.terms, &credential, seed, why)) != 0)
		return r;
	sealed.credential = view_of(credential.blob, credential.blob_size);
	sealed.secret = view_of(credential.secret, credential.secret_size);
	sealed.seed = view_of(seed, sizeof(seed));
	buf_over(&b, out, MOVE_PACKAGE_MAX);
	r = write_package(v, &self, &sealed, &b);
	*n = b.len;
	return r == 0 ? 0 : complain(why, "can't sign what is moved", r);
}

/* The seed out of a package that is for us. */
static int open_seed(struct vault *v, const struct move_checked *c, struct secret **seed, char why[KEYRING_WHY])
{
	struct secret *key = NULL;
	uint8_t hash[MOVE_HASH_SIZE];
	int r = keyring_open_credential(vault_keyring(v), c->sealed.credential, c->sealed.secret, &key, why);

	if (r != 0)
		return r;
	r = key->size == ENVELOPE_KEY_SIZE ? move_hash(MOVE_LABEL, c->sealed.terms, hash) : E_RANGE;
	if (r == 0)
		r = envelope_open(key, hash, c->sealed.seed, seed);
	secret_free(&key);
	return r == 0 ? 0 : complain(why, "the seed in the file does not decrypt", r);
}

int vault_import(struct vault *v, const struct vault_import *q, uint8_t out[VAULT_SEED_MAX], size_t *n, char why[KEYRING_WHY])
{
	struct seed_owner owner = {.tenant = q->tenant};
	struct secret *seed = NULL;
	uint8_t room[SEED_MESSAGE_MAX];
	struct move_checked c;
	struct view context;
	struct self self;
	int r = move_check(q->package, &c);

	*n = SEED_SIZE + WRAP_OVERHEAD;
	if (r != 0)
		return complain(why, "the file is not as a KMC has signed it", r);
	if (CRYPTO_memcmp(c.terms.from.p, q->from.p, MOVE_HASH_SIZE) != 0)
		return deny(why, "the file is of another KMC than the one that is trusted");
	if ((r = know_self(v, "-", &self, why)) != 0)
		return r;
	if (CRYPTO_memcmp(c.terms.to.p, self.fingerprint, MOVE_HASH_SIZE) != 0)
		return deny(why, "the file is for another KMC: only that can open it");
	if ((r = open_seed(v, &c, &seed, why)) != 0)
		return r;
	owner.uuid = c.terms.uuid;
	owner.generation = (uint32_t)c.terms.generation;
	r = owner_bytes(&owner, room, &context);
	if (r == 0)
		r = wrap_ring_seal(&vault_keyring(v)->wrapping, WRAP_SEED, context, seed, out);
	secret_free(&seed);
	return r == 0 ? 0 : complain(why, "can't wrap a seed", r);
}

int vault_receipt(struct vault *v, const char *kmc, const struct vault_receipt *q, uint8_t out[MOVE_RECEIPT_MAX], size_t *n, char why[KEYRING_WHY])
{
	uint8_t bytes[512], signature[MOVE_SIGNATURE_MAX];
	struct move_acceptance a = {.id = q->id, .uuid = q->uuid, .from = q->from, .lease_epoch = q->lease_epoch, .imported_at = q->imported_at};
	struct move_receipt p;
	struct self self;
	struct buf b, o;
	int s = 0, r = know_self(v, kmc, &self, why);

	*n = 0;
	if (r != 0)
		return r;
	buf_over(&b, bytes, sizeof(bytes));
	buf_over(&o, out, MOVE_RECEIPT_MAX);
	a.to = view_of(self.fingerprint, sizeof(self.fingerprint));
	if ((r = move_write(&b, MOVE_ACCEPTANCE, &a)) == 0)
		r = (s = sign(v, MOVE_RECEIPT_LABEL, view_of(bytes, b.len), signature)) < 0 ? s : 0;
	p = (struct move_receipt){.acceptance = view_of(bytes, b.len), .kmc = self.card.kmc, .parent = self.card.parent, .seed_key = self.card.seed_key,
				  .signer = self.card.signer, .signature = view_of(signature, s > 0 ? (size_t)s : 0)};
	if (r == 0)
		r = move_write(&o, MOVE_RECEIPT, &p);
	*n = o.len;
	return r == 0 ? 0 : complain(why, "can't sign the receipt", r);
}
