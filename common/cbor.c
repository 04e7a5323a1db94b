/* Deterministic CBOR through libcbor's streaming decoder, which neither copies nor allocates. */
#include "common/cbor.h"

#include <string.h>

#include <cbor.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/text.h"

enum item_kind { ITEM_OTHER, ITEM_UINT, ITEM_BOOL, ITEM_BYTES, ITEM_TEXT, ITEM_MAP };

struct item {
	enum item_kind kind;
	uint64_t value; /* the integer, the length or the number of pairs */
	const uint8_t *p;
};

static void on_uint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .value = v};
}

static void on_uint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .value = v};
}

static void on_uint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .value = v};
}

static void on_uint64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .value = v};
}

static void on_bool(void *ctx, bool v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_BOOL, .value = v};
}

static void on_bytes(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_BYTES, .value = n, .p = p};
}

static void on_text(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_TEXT, .value = n, .p = p};
}

static void on_map(void *ctx, size_t pairs)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_MAP, .value = pairs};
}

/* The bytes that the head of an item with argument @v has in its shortest form (RFC 8949 section 3). */
static size_t shortest_head(uint64_t v)
{
	if (v < 24)
		return 1;
	if (v <= UINT8_MAX)
		return 2;
	if (v <= UINT16_MAX)
		return 3;
	return v <= UINT32_MAX ? 5 : 9;
}

static int get_item(struct buf *b, enum item_kind want, struct item *it)
{
	struct cbor_callbacks cb = cbor_empty_callbacks;
	struct cbor_decoder_result res;
	size_t payload;

	cb.uint8 = on_uint8;
	cb.uint16 = on_uint16;
	cb.uint32 = on_uint32;
	cb.uint64 = on_uint64;
	cb.boolean = on_bool;
	cb.byte_string = on_bytes;
	cb.string = on_text;
	cb.map_start = on_map;
	it->kind = ITEM_OTHER;
	res = cbor_stream_decode(buf_ptr(b), buf_left(b), &cb, it);
	if (res.status == CBOR_DECODER_NEDATA)
		return E_TRUNCATED;
	if (res.status != CBOR_DECODER_FINISHED || it->kind != want)
		return E_FORMAT;
	payload = it->p ? (size_t)it->value : 0;
	if (want != ITEM_BOOL && res.read - payload != shortest_head(it->value))
		return E_FORMAT;
	b->off += res.read;
	return 0;
}

/* Head encoders return 0 when the item does not fit. */
static int wrote(struct buf *b, size_t n)
{
	if (n == 0)
		return E_RANGE;
	b->len += n;
	return 0;
}

int cb_put_uint(struct buf *b, uint64_t v)
{
	return wrote(b, cbor_encode_uint(v, buf_end(b), buf_space(b)));
}

int cb_put_bool(struct buf *b, bool v)
{
	return wrote(b, cbor_encode_bool(v, buf_end(b), buf_space(b)));
}

int cb_put_map(struct buf *b, size_t pairs)
{
	return wrote(b, cbor_encode_map_start(pairs, buf_end(b), buf_space(b)));
}

int cb_put_bytes(struct buf *b, const void *p, size_t n)
{
	if (n > buf_space(b) || shortest_head(n) > buf_space(b) - n)
		return E_RANGE;
	b->len += cbor_encode_bytestring_start(n, buf_end(b), buf_space(b));
	return buf_put(b, p, n);
}

int cb_put_text(struct buf *b, const char *p, size_t n)
{
	if (n > buf_space(b) || shortest_head(n) > buf_space(b) - n)
		return E_RANGE;
	b->len += cbor_encode_string_start(n, buf_end(b), buf_space(b));
	return buf_put(b, p, n);
}

int cb_get_uint(struct buf *b, uint64_t *v)
{
	struct item it;
	int r = get_item(b, ITEM_UINT, &it);

	if (r == 0)
		*v = it.value;
	return r;
}

int cb_get_bool(struct buf *b, bool *v)
{
	struct item it;
	int r = get_item(b, ITEM_BOOL, &it);

	if (r == 0)
		*v = it.value != 0;
	return r;
}

int cb_get_map(struct buf *b, size_t *pairs)
{
	struct item it;
	int r = get_item(b, ITEM_MAP, &it);

	if (r == 0)
		*pairs = (size_t)it.value;
	return r;
}

int cb_get_bytes(struct buf *b, const uint8_t **p, size_t *n)
{
	struct item it;
	int r = get_item(b, ITEM_BYTES, &it);

	if (r == 0) {
		*p = it.p;
		*n = (size_t)it.value;
	}
	return r;
}

static bool text_is_clean(const uint8_t *p, size_t n)
{
	for (size_t size; n; p += size, n -= size) {
		size = text_char(p, n);
		if (size == 0 || *p == 0)
			return false;
	}
	return true;
}

int cb_get_text(struct buf *b, const uint8_t **p, size_t *n)
{
	size_t off = b->off;
	struct item it;
	int r = get_item(b, ITEM_TEXT, &it);

	if (r != 0)
		return r;
	if (!text_is_clean(it.p, (size_t)it.value)) {
		b->off = off;
		return E_FORMAT;
	}
	*p = it.p;
	*n = (size_t)it.value;
	return 0;
}
