/* AES-256-GCM under the wrapping key. */
#include "kmc/wrap.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"

#define VERSION 0x01
#define HEAD_SIZE (1 + 4)
#define IV_SIZE 12
#define TAG_SIZE 16
#define AAD_MAX (HEAD_SIZE + 1 + 4 + WRAP_CONTEXT_MAX)

static int put_aad(struct buf *b, const struct wrap_key *k, enum wrap_purpose purpose, struct view context)
{
	int r;

	if (context.n > WRAP_CONTEXT_MAX || k->key->size != WRAP_KEY_SIZE)
		return E_ARG;
	if ((r = buf_put_u8(b, VERSION)) != 0 || (r = buf_put_u32(b, k->number)) != 0 ||
	    (r = buf_put_u8(b, (uint8_t)purpose)) != 0 ||
	    (r = buf_put_u32(b, (uint32_t)context.n)) != 0)
		return r;
	return buf_put(b, context.p, context.n);
}

int wrap_seal(const struct wrap_key *k, enum wrap_purpose purpose, struct view context, const struct secret *plain, uint8_t *out)
{
	uint8_t aad[AAD_MAX], *iv = out + HEAD_SIZE, *text = iv + IV_SIZE, *tag = text + plain->size;
	EVP_CIPHER_CTX *c;
	struct buf b;
	int n, ok, r;

	buf_over(&b, aad, sizeof(aad));
	r = put_aad(&b, k, purpose, context);
	if (r != 0)
		return r;
	memcpy(out, aad, HEAD_SIZE);
	c = EVP_CIPHER_CTX_new();
	ok = c && RAND_bytes(iv, IV_SIZE) == 1 && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->key->data, iv) == 1 &&
	     EVP_EncryptUpdate(c, NULL, &n, aad, (int)b.len) == 1 &&
	     EVP_EncryptUpdate(c, text, &n, plain->data, (int)plain->size) == 1 && (size_t)n == plain->size &&
	     EVP_EncryptFinal_ex(c, tag, &n) == 1 && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		wipe(out, plain->size + WRAP_OVERHEAD);
	return ok ? 0 : E_CRYPTO;
}

/* Cipher text and tag into *plain. */
static int decrypt(const struct wrap_key *k, const struct buf *aad, const uint8_t *iv, struct view text, struct secret **plain)
{
	struct secret *p = secret_new(text.n - TAG_SIZE);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t tag[TAG_SIZE];
	int n, ok, genuine;

	if (!p || !c) {
		secret_free(&p);
		EVP_CIPHER_CTX_free(c);
		return E_NOMEM;
	}
	memcpy(tag, text.p + p->size, TAG_SIZE);
	ok = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->key->data, iv) == 1 &&
	     EVP_DecryptUpdate(c, NULL, &n, aad->data, (int)aad->len) == 1 &&
	     EVP_DecryptUpdate(c, p->data, &n, text.p, (int)p->size) == 1 && (size_t)n == p->size &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1;
	genuine = ok && EVP_DecryptFinal_ex(c, p->data + p->size, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!genuine) {
		secret_free(&p);
		return ok ? E_INTEGRITY : E_CRYPTO;
	}
	*plain = p;
	return 0;
}

int wrap_open(const struct wrap_key *k, enum wrap_purpose purpose, struct view context, struct view wrapped, struct secret **plain)
{
	uint8_t aad[AAD_MAX], version;
	const uint8_t *iv;
	uint32_t number;
	struct buf in, b;
	int r;

	*plain = NULL;
	if (wrapped.n <= WRAP_OVERHEAD)
		return E_RANGE;
	buf_view(&in, wrapped.p, wrapped.n);
	if ((r = buf_get_u8(&in, &version)) != 0 || (r = buf_get_u32(&in, &number)) != 0 ||
	    (r = buf_get_view(&in, &iv, IV_SIZE)) != 0)
		return r;
	if (version != VERSION || number != k->number)
		return E_VERSION;
	buf_over(&b, aad, sizeof(aad));
	if ((r = put_aad(&b, k, purpose, context)) != 0)
		return r;
	return decrypt(k, &b, iv, view_of(buf_ptr(&in), buf_left(&in)), plain);
}

uint32_t wrap_number(struct view wrapped)
{
	uint8_t version;
	uint32_t number;
	struct buf in;

	if (wrapped.n <= WRAP_OVERHEAD)
		return 0;
	buf_view(&in, wrapped.p, wrapped.n);
	return buf_get_u8(&in, &version) == 0 && buf_get_u32(&in, &number) == 0 && version == VERSION ? number : 0;
}

const struct wrap_key *wrap_ring_key(const struct wrap_ring *r, uint32_t number)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		if (number && r->keys[i].number == number)
			return &r->keys[i];
	return NULL;
}

int wrap_ring_add(struct wrap_ring *r, uint32_t number, struct secret **key)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++) {
		if (r->keys[i].number)
			continue;
		r->keys[i] = (struct wrap_key){.number = number, .key = *key};
		*key = NULL;
		return 0;
	}
	return E_RANGE;
}

void wrap_ring_drop(struct wrap_ring *r, uint32_t number)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++) {
		if (number && r->keys[i].number >= number)
			continue;
		secret_free(&r->keys[i].key);
		r->keys[i].number = 0;
	}
}

int wrap_ring_seal(const struct wrap_ring *r, enum wrap_purpose purpose, struct view context, const struct secret *plain, uint8_t *out)
{
	const struct wrap_key *k = wrap_ring_key(r, r->use);

	return k ? wrap_seal(k, purpose, context, plain, out) : E_STATE;
}

int wrap_ring_open(const struct wrap_ring *r, enum wrap_purpose purpose, struct view context, struct view wrapped, struct secret **plain)
{
	const struct wrap_key *k = wrap_ring_key(r, wrap_number(wrapped));

	*plain = NULL;
	return k ? wrap_open(k, purpose, context, wrapped, plain) : E_VERSION;
}
