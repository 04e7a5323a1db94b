/* Sealing with AES-256-GCM, and the strict reader of what was sealed. */
#include "vtpm-stubdom/sealed.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"

#define MAGIC "XVTPMST1"
#define MAGIC_SIZE 8
#define SALT_SIZE 32
#define KEY_SIZE 32
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define PAYLOAD_MIN (2 * sizeof(uint32_t) + 1)
#define PAYLOAD_MAX (BLOB_PERMANENT_MAX + 2 * sizeof(uint32_t))

_Static_assert(SEALED_HEADER_SIZE == MAGIC_SIZE + 1 + UUID_SIZE + 7 * 8 + SALT_SIZE + 4, "one field each");

/* The parts of a sealed state; views into it. */
struct layout {
	struct view header, salt, cipher, tag;
};

static int put_head(struct buf *out, const struct sealed_head *h, const uint8_t salt[SALT_SIZE], size_t n)
{
	int r;

	if ((r = buf_put(out, MAGIC, MAGIC_SIZE)) != 0 || (r = buf_put_u8(out, (uint8_t)h->kind)) != 0 ||
	    (r = buf_put(out, h->uuid.b, UUID_SIZE)) != 0 || (r = buf_put_u64(out, h->generation)) != 0 ||
	    (r = buf_put_u64(out, h->lease_epoch)) != 0 || (r = buf_put_u64(out, h->version)) != 0 ||
	    (r = buf_put_u64(out, h->epochs.owner)) != 0 || (r = buf_put_u64(out, h->epochs.endorsement)) != 0 ||
	    (r = buf_put_u64(out, h->epochs.platform)) != 0 || (r = buf_put_u64(out, h->incarnation)) != 0 ||
	    (r = buf_put(out, salt, SALT_SIZE)) != 0 || (r = buf_put_u32(out, (uint32_t)n)) != 0)
		return r;
	return 0;
}

static int get_head(struct buf *b, struct sealed_head *h, struct layout *at)
{
	const uint8_t *start = buf_ptr(b), *magic, *p;
	uint8_t kind;
	uint32_t n;
	int r;

	if ((r = buf_get_view(b, &magic, MAGIC_SIZE)) != 0)
		return r;
	if (memcmp(magic, MAGIC, MAGIC_SIZE) != 0)
		return E_FORMAT;
	if ((r = buf_get_u8(b, &kind)) != 0 || (r = buf_get(b, h->uuid.b, UUID_SIZE)) != 0 || (r = buf_get_u64(b, &h->generation)) != 0 ||
	    (r = buf_get_u64(b, &h->lease_epoch)) != 0 || (r = buf_get_u64(b, &h->version)) != 0 ||
	    (r = buf_get_u64(b, &h->epochs.owner)) != 0 || (r = buf_get_u64(b, &h->epochs.endorsement)) != 0 ||
	    (r = buf_get_u64(b, &h->epochs.platform)) != 0 || (r = buf_get_u64(b, &h->incarnation)) != 0 ||
	    (r = buf_get_view(b, &p, SALT_SIZE)) != 0 || (r = buf_get_u32(b, &n)) != 0)
		return r;
	if ((kind != SEALED_PERMANENT && kind != SEALED_TRANSIENT) || n < PAYLOAD_MIN || n > PAYLOAD_MAX)
		return E_FORMAT;
	h->kind = (enum sealed_kind)kind;
	at->header = view_of(start, SEALED_HEADER_SIZE);
	at->salt = view_of(p, SALT_SIZE);
	if ((r = buf_get_view(b, &p, n)) != 0)
		return r;
	at->cipher = view_of(p, n);
	if ((r = buf_get_view(b, &p, TAG_SIZE)) != 0)
		return r;
	at->tag = view_of(p, TAG_SIZE);
	return buf_done(b);
}

/* Key and nonce, one behind the other. */
static struct secret *derive_key(const struct secret *state_key, struct view salt)
{
	struct secret *s = secret_new(KEY_SIZE + NONCE_SIZE);

	if (s && derive_hkdf(view_of(state_key->data, state_key->size), salt, view_text("xen-vtpm/sealed-state/v1"), s->data, s->size) != 0)
		secret_free(&s);
	return s;
}

static size_t size_of(const struct secret *s)
{
	return s ? s->size : 0;
}

/* One blob of the payload, behind its length. */
static bool encrypt_blob(EVP_CIPHER_CTX *ctx, const struct secret *s, struct buf *out)
{
	uint8_t length[sizeof(uint32_t)];
	struct buf b;
	int n;

	buf_over(&b, length, sizeof(length));
	buf_put_u32(&b, (uint32_t)size_of(s));
	if (EVP_EncryptUpdate(ctx, buf_end(out), &n, length, (int)sizeof(length)) != 1)
		return false;
	out->len += (size_t)n;
	if (!s)
		return true;
	if (EVP_EncryptUpdate(ctx, buf_end(out), &n, s->data, (int)s->size) != 1)
		return false;
	out->len += (size_t)n;
	return true;
}

/* Append ciphertext and tag to @out, which has the room. */
static int encrypt(const struct secret *key, struct view aad, const struct engine_state *state, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, r = E_CRYPTO;

	if (ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->data, key->data + KEY_SIZE) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.n) == 1 && encrypt_blob(ctx, state->permanent, out) &&
	    encrypt_blob(ctx, state->transient, out) && EVP_EncryptFinal_ex(ctx, buf_end(out), &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, buf_end(out)) == 1) {
		out->len += TAG_SIZE;
		r = 0;
	}
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

static int decrypt(const struct secret *key, const struct layout *at, struct secret *plain)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_SIZE];
	int n, r = E_CRYPTO;

	memcpy(tag, at->tag.p, TAG_SIZE);
	if (ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->data, key->data + KEY_SIZE) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, at->header.p, (int)at->header.n) == 1 &&
	    EVP_DecryptUpdate(ctx, plain->data, &n, at->cipher.p, (int)at->cipher.n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1)
		r = EVP_DecryptFinal_ex(ctx, plain->data + n, &n) == 1 ? 0 : E_INTEGRITY;
	EVP_CIPHER_CTX_free(ctx);
	return r;
}

static int unpack_one(struct buf *b, uint32_t max, struct secret **s)
{
	const uint8_t *p;
	uint32_t n;
	int r = buf_get_u32(b, &n);

	if (r == 0 && n > max)
		r = E_FORMAT;
	if (r != 0 || (r = buf_get_view(b, &p, n)) != 0 || n == 0)
		return r;
	*s = secret_dup(p, n);
	return *s ? 0 : E_NOMEM;
}

static int unpack(const struct secret *plain, enum sealed_kind kind, struct engine_state *state)
{
	struct buf b;
	int r;

	buf_view(&b, plain->data, plain->size);
	if ((r = unpack_one(&b, BLOB_PERMANENT_MAX, &state->permanent)) != 0 ||
	    (r = unpack_one(&b, BLOB_VOLATILE_MAX, &state->transient)) != 0 || (r = buf_done(&b)) != 0)
		return r;
	return (kind == SEALED_PERMANENT) == (state->permanent != NULL) && (kind == SEALED_TRANSIENT) == (state->transient != NULL) ? 0 : E_FORMAT;
}

int sealed_write(struct buf *out, const struct secret *state_key, const struct sealed_head *head, const struct engine_state *state)
{
	const struct engine_state half = {.permanent = head->kind == SEALED_PERMANENT ? state->permanent : NULL,
					  .transient = head->kind == SEALED_TRANSIENT ? state->transient : NULL};
	size_t start = out->len, n = 2 * sizeof(uint32_t) + size_of(half.permanent) + size_of(half.transient);
	uint8_t salt[SALT_SIZE];
	struct secret *key;
	int r;

	if (size_of(half.permanent) > BLOB_PERMANENT_MAX || size_of(half.transient) > BLOB_VOLATILE_MAX ||
	    buf_space(out) < SEALED_HEADER_SIZE + n + TAG_SIZE)
		return E_RANGE;
	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return E_CRYPTO;
	key = derive_key(state_key, view_of(salt, sizeof(salt)));
	if (!key)
		return E_NOMEM;
	r = put_head(out, head, salt, n);
	if (r == 0)
		r = encrypt(key, view_of(out->data + start, out->len - start), &half, out);
	if (r != 0)
		out->len = start;
	secret_free(&key);
	return r;
}

int sealed_head(const uint8_t *p, size_t n, struct sealed_head *head)
{
	struct layout at;
	struct buf b;

	buf_view(&b, p, n);
	return get_head(&b, head, &at);
}

int sealed_open(const uint8_t *p, size_t n, const struct secret *state_key, struct sealed_head *head, struct engine_state *state)
{
	struct secret *plain, *key;
	struct layout at;
	struct buf b;
	int r;

	*state = (struct engine_state){0};
	buf_view(&b, p, n);
	if ((r = get_head(&b, head, &at)) != 0)
		return r;
	plain = secret_new(at.cipher.n);
	key = derive_key(state_key, at.salt);
	r = plain && key ? decrypt(key, &at, plain) : E_NOMEM;
	if (r == 0)
		r = unpack(plain, head->kind, state);
	if (r != 0)
		engine_state_free(state);
	secret_free(&plain);
	secret_free(&key);
	return r;
}
