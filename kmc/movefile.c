/* The files of a vTPM's move to another KMC. */
#include "kmc/movefile.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/eckey.h"
#include "common/error.h"

#define VERSION 1

#define HASH(key, s, m) MSG_FIELD_BYTES(key, s, m, MOVE_HASH_SIZE, MOVE_HASH_SIZE)
#define ID(key, s, m) MSG_FIELD_BYTES(key, s, m, MOVE_ID_SIZE, MOVE_ID_SIZE)
#define NAME(key, s, m) MSG_FIELD_TEXT(key, s, m, 1, KMC_NAME_MAX)
#define EPOCH(key, s, m) MSG_FIELD_UINT(key, s, m, UINT32_MAX)
#define BIG(key, s, m) MSG_FIELD_UINT(key, s, m, INT64_MAX)
/* Who a KMC is, in three messages alike. */
#define CARD_FIELDS(key, s) \
	NAME(key, s, kmc), MSG_FIELD_BYTES((key) + 1, s, parent, 1, 400), MSG_FIELD_BYTES((key) + 2, s, seed_key, MOVE_NAME_SIZE, MOVE_NAME_SIZE), \
	MSG_FIELD_BYTES((key) + 3, s, signer, 1, ECKEY_SPKI_MAX)

static const struct msg_field card[] = {CARD_FIELDS(3, struct move_card)};

static const struct msg_field terms[] = {
	ID(3, struct move_terms, id),
	MSG_FIELD_UUID(4, struct move_terms, uuid),
	NAME(5, struct move_terms, from_name),
	NAME(6, struct move_terms, to_name),
	NAME(7, struct move_terms, pool),
	HASH(8, struct move_terms, from),
	HASH(9, struct move_terms, to),
	MSG_FIELD_BYTES_OPT(10, struct move_terms, origin, ORIGIN_SIZE, ORIGIN_SIZE),
	MSG_FIELD_BYTES_OPT(11, struct move_terms, state_hash, MOVE_HASH_SIZE, MOVE_HASH_SIZE),
	EPOCH(12, struct move_terms, generation),
	BIG(13, struct move_terms, lease_epoch),
	EPOCH(14, struct move_terms, owner_epoch),
	EPOCH(15, struct move_terms, endorsement_epoch),
	EPOCH(16, struct move_terms, platform_epoch),
	BIG(17, struct move_terms, state_version),
	BIG(18, struct move_terms, created_at),
	BIG(19, struct move_terms, exported_at),
};

static const struct msg_field sealed[] = {
	MSG_FIELD_BYTES(3, struct move_sealed, terms, 1, 1024),
	MSG_FIELD_BYTES(4, struct move_sealed, credential, 1, 256),
	MSG_FIELD_BYTES(5, struct move_sealed, secret, 1, 512),
	MSG_FIELD_BYTES(6, struct move_sealed, seed, MOVE_SEED_SIZE, MOVE_SEED_SIZE),
};

static const struct msg_field package[] = {
	MSG_FIELD_BYTES(3, struct move_package, sealed, 1, 2048),
	CARD_FIELDS(4, struct move_package),
	MSG_FIELD_BYTES(8, struct move_package, signature, 1, MOVE_SIGNATURE_MAX),
};

static const struct msg_field state[] = {
	MSG_FIELD_BYTES(3, struct move_state, state, 1, KMC_STATE_MAX),
};

static const struct msg_field acceptance[] = {
	ID(3, struct move_acceptance, id),
	MSG_FIELD_UUID(4, struct move_acceptance, uuid),
	HASH(5, struct move_acceptance, from),
	HASH(6, struct move_acceptance, to),
	BIG(7, struct move_acceptance, lease_epoch),
	BIG(8, struct move_acceptance, imported_at),
};

static const struct msg_field receipt[] = {
	MSG_FIELD_BYTES(3, struct move_receipt, acceptance, 1, 512),
	CARD_FIELDS(4, struct move_receipt),
	MSG_FIELD_BYTES(8, struct move_receipt, signature, 1, MOVE_SIGNATURE_MAX),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, n, s, f) {.type = (t), .name = (n), .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct s)}

static const struct msg_schema schemas[] = {
	SCHEMA(MOVE_CARD, "move key", move_card, card),
	SCHEMA(MOVE_PACKAGE, "moved vTPM", move_package, package),
	SCHEMA(MOVE_SEALED, "sealed", move_sealed, sealed),
	SCHEMA(MOVE_TERMS, "terms", move_terms, terms),
	SCHEMA(MOVE_STATE, "state", move_state, state),
	SCHEMA(MOVE_RECEIPT, "receipt", move_receipt, receipt),
	SCHEMA(MOVE_ACCEPTANCE, "acceptance", move_acceptance, acceptance),
};

const struct msg_schema *move_schema(enum movefile_type type)
{
	return msg_schema_find(schemas, COUNT(schemas), type);
}

int move_write(struct buf *out, enum movefile_type type, const void *fields)
{
	return msg_write(out, move_schema(type), VERSION, 0, fields);
}

static int next(struct buf *in, enum movefile_type type, struct msg *m)
{
	int r = msg_next(in, KMC_STATE_MAX + 64, m);

	if (r != 0)
		return r == E_AGAIN_IN ? E_TRUNCATED : r;
	return m->head.version != VERSION ? E_VERSION : m->head.type != type ? E_UNKNOWN : m->head.id ? E_FORMAT : 0;
}

int move_read(struct view frame, enum movefile_type type, void *fields)
{
	struct msg m = {0};
	struct buf b;
	int r;

	buf_view(&b, frame.p, frame.n);
	if ((r = next(&b, type, &m)) != 0 || (r = msg_fields(&m, move_schema(type), fields)) != 0)
		return r;
	return buf_done(&b);
}

int move_next(struct buf *in, enum movefile_type type, struct view *frame)
{
	const uint8_t *at = buf_ptr(in);
	struct msg m = {0};
	int r = next(in, type, &m);

	*frame = view_of(at, r == 0 ? (size_t)(buf_ptr(in) - at) : 0);
	return r;
}

static bool add(EVP_MD_CTX *md, struct view v)
{
	const uint8_t n[4] = {(uint8_t)(v.n >> 24), (uint8_t)(v.n >> 16), (uint8_t)(v.n >> 8), (uint8_t)v.n};

	return EVP_DigestUpdate(md, n, sizeof(n)) == 1 && EVP_DigestUpdate(md, v.p, v.n) == 1;
}

int move_fingerprint(const struct move_card *c, uint8_t hash[MOVE_HASH_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, MOVE_CARD_LABEL, sizeof(MOVE_CARD_LABEL)) == 1 &&
		  add(md, c->parent) && add(md, c->seed_key) && add(md, c->signer) && EVP_DigestFinal_ex(md, hash, NULL) == 1;

	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

int move_hash(const char *label, struct view bytes, uint8_t hash[MOVE_HASH_SIZE])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, label, strlen(label) + 1) == 1 &&
		  EVP_DigestUpdate(md, bytes.p, bytes.n) == 1 && EVP_DigestFinal_ex(md, hash, NULL) == 1;

	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

int move_signed_bytes(struct buf *out, const char *label, struct view bytes)
{
	int r = buf_put(out, label, strlen(label) + 1);

	return r != 0 ? r : buf_put(out, bytes.p, bytes.n);
}

/* @by has signed @bytes, and is the KMC with @fingerprint. */
static int check_signature(const struct move_card *by, const char *label, struct view bytes, struct view signature, struct view fingerprint)
{
	uint8_t room[2048 + 64], hash[MOVE_HASH_SIZE];
	struct buf b;
	int r;

	buf_over(&b, room, sizeof(room));
	if ((r = move_fingerprint(by, hash)) != 0 || (r = move_signed_bytes(&b, label, bytes)) != 0)
		return r;
	if (CRYPTO_memcmp(hash, fingerprint.p, sizeof(hash)) != 0)
		return E_INTEGRITY;
	return eckey_verify(by->signer, view_of(room, b.len), signature) == 0 ? 0 : E_INTEGRITY;
}

int move_check(struct view frame, struct move_checked *out)
{
	struct move_package *p = &out->package;
	struct move_card by;
	int r;

	if ((r = move_read(frame, MOVE_PACKAGE, p)) != 0 || (r = move_read(p->sealed, MOVE_SEALED, &out->sealed)) != 0 ||
	    (r = move_read(out->sealed.terms, MOVE_TERMS, &out->terms)) != 0 || (r = origin_get(out->terms.origin, &out->origin)) != 0)
		return r;
	if (uuid_is_nil(&out->terms.uuid) || out->terms.generation == 0 || (out->terms.state_version != 0) != (out->terms.state_hash.p != NULL))
		return E_FORMAT;
	by = (struct move_card){.kmc = p->kmc, .parent = p->parent, .seed_key = p->seed_key, .signer = p->signer};
	return check_signature(&by, MOVE_LABEL, p->sealed, p->signature, out->terms.from);
}

int move_check_state(const struct move_terms *t, struct view bytes)
{
	uint8_t hash[MOVE_HASH_SIZE];

	if (!t->state_hash.p || !bytes.p)
		return !t->state_hash.p && !bytes.p ? 0 : E_INTEGRITY;
	if (EVP_Digest(bytes.p, bytes.n, hash, NULL, EVP_sha256(), NULL) != 1)
		return E_CRYPTO;
	return CRYPTO_memcmp(hash, t->state_hash.p, sizeof(hash)) == 0 ? 0 : E_INTEGRITY;
}

int move_check_receipt(struct view frame, struct move_acceptance *out)
{
	struct move_receipt p;
	struct move_card by;
	int r;

	if ((r = move_read(frame, MOVE_RECEIPT, &p)) != 0 || (r = move_read(p.acceptance, MOVE_ACCEPTANCE, out)) != 0)
		return r;
	by = (struct move_card){.kmc = p.kmc, .parent = p.parent, .seed_key = p.seed_key, .signer = p.signer};
	return check_signature(&by, MOVE_RECEIPT_LABEL, p.acceptance, p.signature, out->to);
}
