/* The envelope around a base seed: packing, padding, hash and AES-256-GCM, on OpenSSL. */
#include "common/envelope.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"

#define PLAIN_VERSION 0x01
#define IV_SIZE 12
#define TAG_SIZE 16
#define PAD_MIN 8 /* RFC 8017 9.2: at least eight bytes of FF */

static int hash_number(EVP_MD_CTX *md, uint64_t v, size_t size)
{
	uint8_t b[8];

	for (size_t i = 0; i < size; i++)
		b[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
	return EVP_DigestUpdate(md, b, size);
}

static int hash_view(EVP_MD_CTX *md, struct view v)
{
	return hash_number(md, v.n, 4) && EVP_DigestUpdate(md, v.p, v.n);
}

static int hash_label(EVP_MD_CTX *md, bool reserve)
{
	return reserve ? EVP_DigestUpdate(md, ENVELOPE_RESERVE_LABEL, sizeof(ENVELOPE_RESERVE_LABEL))
		       : EVP_DigestUpdate(md, ENVELOPE_LABEL, sizeof(ENVELOPE_LABEL));
}

int envelope_exchange(const struct envelope_facts *f, uint8_t hash[ENVELOPE_HASH_SIZE])
{
	const uint64_t numbers[] = {f->generation, f->lease_epoch, f->owner_epoch, f->endorsement_epoch, f->platform_epoch, f->state_version};
	bool reserve = f->request.p != NULL;
	EVP_MD_CTX *md;
	int ok;

	if ((reserve && f->request.n != ENVELOPE_REQUEST_SIZE) || (f->origin.p && f->origin.n != ORIGIN_SIZE))
		return E_ARG;
	md = EVP_MD_CTX_new();
	ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && hash_label(md, reserve) &&
	     hash_view(md, f->key_id) && hash_view(md, f->cipher) && hash_view(md, f->tenant) &&
	     EVP_DigestUpdate(md, f->uuid.b, sizeof(f->uuid.b)) && EVP_DigestUpdate(md, f->nonce, sizeof(f->nonce));
	for (size_t i = 0; ok && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		ok = hash_number(md, numbers[i], 8);
	if (ok && reserve)
		ok = hash_number(md, f->image, 8) && EVP_DigestUpdate(md, f->request.p, f->request.n);
	if (ok && f->origin.p)
		ok = EVP_DigestUpdate(md, f->origin.p, f->origin.n);
	ok = ok && EVP_DigestFinal_ex(md, hash, NULL);
	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

struct secret *envelope_plain_pack(const struct uuid *uuid, const struct secret *key, const uint8_t nonce[ENVELOPE_NONCE_SIZE])
{
	struct secret *plain = key->size == ENVELOPE_KEY_SIZE ? secret_new(ENVELOPE_PLAIN_SIZE) : NULL;
	struct buf b;

	if (!plain)
		return NULL;
	buf_over(&b, plain->data, plain->size);
	buf_put_u8(&b, PLAIN_VERSION);
	buf_put(&b, uuid->b, sizeof(uuid->b));
	buf_put(&b, key->data, key->size);
	buf_put(&b, nonce, ENVELOPE_NONCE_SIZE);
	return plain;
}

int envelope_plain_unpack(const struct secret *plain, struct uuid *uuid, struct secret **key, uint8_t nonce[ENVELOPE_NONCE_SIZE])
{
	uint8_t version;
	struct buf b;

	*key = NULL;
	if (plain->size != ENVELOPE_PLAIN_SIZE)
		return E_RANGE;
	buf_view(&b, plain->data, plain->size);
	if (buf_get_u8(&b, &version) != 0 || version != PLAIN_VERSION)
		return E_VERSION;
	*key = secret_new(ENVELOPE_KEY_SIZE);
	if (!*key)
		return E_NOMEM;
	buf_get(&b, uuid->b, sizeof(uuid->b));
	buf_get(&b, (*key)->data, ENVELOPE_KEY_SIZE);
	buf_get(&b, nonce, ENVELOPE_NONCE_SIZE);
	return 0;
}

/* 00 01 FF..FF 00 in front of the last @payload bytes. */
static void put_padding(uint8_t *p, size_t size, size_t payload)
{
	memset(p, 0xff, size - payload);
	p[0] = 0x00;
	p[1] = 0x01;
	p[size - payload - 1] = 0x00;
}

#define PAYLOAD (ENVELOPE_SEED_SIZE + ENVELOPE_HASH_SIZE)

struct secret *envelope_block_pack(const struct secret *seed, const uint8_t hash[ENVELOPE_HASH_SIZE], size_t size)
{
	struct secret *block;

	if (seed->size != ENVELOPE_SEED_SIZE || size < PAYLOAD + PAD_MIN + 3 || !(block = secret_new(size)))
		return NULL;
	put_padding(block->data, size, PAYLOAD);
	memcpy(block->data + size - PAYLOAD, seed->data, ENVELOPE_SEED_SIZE);
	memcpy(block->data + size - ENVELOPE_HASH_SIZE, hash, ENVELOPE_HASH_SIZE);
	return block;
}

int envelope_block_check(const struct secret *block, const uint8_t hash[ENVELOPE_HASH_SIZE], struct secret **seed)
{
	struct secret *expected;
	bool good;

	*seed = NULL;
	if (block->size < PAYLOAD + PAD_MIN + 3)
		return E_RANGE;
	/* Everything but the seed is known: compare it as one, so that nothing tells which part was wrong. */
	expected = secret_new(block->size);
	if (!expected)
		return E_NOMEM;
	put_padding(expected->data, expected->size, PAYLOAD);
	memcpy(expected->data + expected->size - PAYLOAD, block->data + block->size - PAYLOAD, ENVELOPE_SEED_SIZE);
	memcpy(expected->data + expected->size - ENVELOPE_HASH_SIZE, hash, ENVELOPE_HASH_SIZE);
	good = secret_equal(block, expected);
	if (good)
		*seed = secret_dup(block->data + block->size - PAYLOAD, ENVELOPE_SEED_SIZE);
	secret_free(&expected);
	if (!good)
		return E_INTEGRITY;
	return *seed ? 0 : E_NOMEM;
}

int envelope_seal(const struct secret *key, const uint8_t hash[ENVELOPE_HASH_SIZE], const struct secret *inner, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *text = out + IV_SIZE, *tag = text + inner->size;
	int n, ok;

	ok = c && key->size == ENVELOPE_KEY_SIZE && RAND_bytes(out, IV_SIZE) == 1 &&
	     EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->data, out) == 1 &&
	     EVP_EncryptUpdate(c, NULL, &n, hash, ENVELOPE_HASH_SIZE) == 1 &&
	     EVP_EncryptUpdate(c, text, &n, inner->data, (int)inner->size) == 1 && (size_t)n == inner->size &&
	     EVP_EncryptFinal_ex(c, tag, &n) == 1 && n == 0 && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		wipe(out, inner->size + ENVELOPE_OVERHEAD);
	return ok ? 0 : E_CRYPTO;
}

int envelope_open(const struct secret *key, const uint8_t hash[ENVELOPE_HASH_SIZE], struct view reply, struct secret **inner)
{
	EVP_CIPHER_CTX *c;
	uint8_t tag[TAG_SIZE];
	struct secret *text;
	int n = 0, ok, genuine;

	*inner = NULL;
	if (key->size != ENVELOPE_KEY_SIZE || reply.n <= ENVELOPE_OVERHEAD || reply.n > ENVELOPE_OVERHEAD + 1024)
		return E_RANGE;
	c = EVP_CIPHER_CTX_new();
	text = secret_new(reply.n - ENVELOPE_OVERHEAD);
	if (!c || !text) {
		EVP_CIPHER_CTX_free(c);
		secret_free(&text);
		return E_NOMEM;
	}
	memcpy(tag, reply.p + reply.n - TAG_SIZE, TAG_SIZE);
	ok = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key->data, reply.p) == 1 &&
	     EVP_DecryptUpdate(c, NULL, &n, hash, ENVELOPE_HASH_SIZE) == 1 &&
	     EVP_DecryptUpdate(c, text->data, &n, reply.p + IV_SIZE, (int)text->size) == 1 && (size_t)n == text->size &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1;
	genuine = ok && EVP_DecryptFinal_ex(c, text->data + text->size, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!genuine) {
		secret_free(&text);
		return ok ? E_INTEGRITY : E_CRYPTO;
	}
	*inner = text;
	return 0;
}
