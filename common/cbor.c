/* Deterministic CBOR: a head of one to nine bytes, in its shortest form, and for strings the bytes themselves. */
#include "common/cbor.h"

#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/text.h"

/* Major types (RFC 8949 section 3.1), in the head's upper three bits; its lower five say the argument, or how long that is. */
enum major { MAJOR_UINT, MAJOR_BYTES = 2, MAJOR_TEXT, MAJOR_MAP = 5, MAJOR_SIMPLE = 7 };
enum { ARG_DIRECT_MAX = 23, ARG_U8, ARG_U16, ARG_U32, ARG_U64 };
enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21 };

struct item {
	uint64_t value; /* the integer, the length, the number of pairs, or the simple value */
	const uint8_t *p;
};

/* The bytes that the head of an item with argument @v has in its shortest form (RFC 8949 section 4.2.1). */
static size_t shortest_head(uint64_t v)
{
	if (v <= ARG_DIRECT_MAX)
		return 1;
	if (v <= UINT8_MAX)
		return 2;
	if (v <= UINT16_MAX)
		return 3;
	return v <= UINT32_MAX ? 5 : 9;
}

/* The head's length by its first byte; 0: an indefinite length, or reserved. */
static size_t head_size(uint8_t first)
{
	unsigned int arg = first & 31;

	if (arg <= ARG_DIRECT_MAX)
		return 1;
	return arg <= ARG_U64 ? 1 + ((size_t)1 << (arg - ARG_U8)) : 0;
}

static uint64_t argument(const uint8_t *p, size_t head)
{
	uint64_t v = 0;

	if (head == 1)
		return p[0] & 31;
	for (size_t i = 1; i < head; i++)
		v = v << 8 | p[i];
	return v;
}

static int get_item(struct buf *b, enum major want, struct item *it)
{
	const uint8_t *p = buf_ptr(b);
	size_t left = buf_left(b), head;

	if (left == 0)
		return E_TRUNCATED;
	head = head_size(p[0]);
	if (p[0] >> 5 != (int)want || head == 0)
		return E_FORMAT;
	if (head > left)
		return E_TRUNCATED;
	*it = (struct item){.value = argument(p, head), .p = p + head};
	if (head != shortest_head(it->value))
		return E_FORMAT;
	if (want == MAJOR_BYTES || want == MAJOR_TEXT) {
		if (it->value > left - head)
			return E_TRUNCATED;
		head += (size_t)it->value;
	}
	b->off += head;
	return 0;
}

/* The lower five bits of a head of @n bytes with argument @v. */
static unsigned int first_argument(uint64_t v, size_t n)
{
	switch (n) {
	case 1:
		return (unsigned int)v;
	case 2:
		return ARG_U8;
	case 3:
		return ARG_U16;
	case 5:
		return ARG_U32;
	default:
		return ARG_U64;
	}
}

/* A head, and room for @payload bytes after it. */
static int put_head(struct buf *b, enum major major, uint64_t v, size_t payload)
{
	size_t n = shortest_head(v);
	uint8_t head[9];

	if (payload > buf_space(b) || n > buf_space(b) - payload)
		return E_RANGE;
	head[0] = (uint8_t)((unsigned int)major << 5 | first_argument(v, n));
	for (size_t i = 1; i < n; i++)
		head[i] = (uint8_t)(v >> 8 * (n - 1 - i));
	return buf_put(b, head, n);
}

int cb_put_uint(struct buf *b, uint64_t v)
{
	return put_head(b, MAJOR_UINT, v, 0);
}

int cb_put_bool(struct buf *b, bool v)
{
	return put_head(b, MAJOR_SIMPLE, v ? SIMPLE_TRUE : SIMPLE_FALSE, 0);
}

int cb_put_map(struct buf *b, size_t pairs)
{
	return put_head(b, MAJOR_MAP, pairs, 0);
}

int cb_put_bytes(struct buf *b, const void *p, size_t n)
{
	int r = put_head(b, MAJOR_BYTES, n, n);

	return r == 0 ? buf_put(b, p, n) : r;
}

int cb_put_text(struct buf *b, const char *p, size_t n)
{
	int r = put_head(b, MAJOR_TEXT, n, n);

	return r == 0 ? buf_put(b, p, n) : r;
}

int cb_get_uint(struct buf *b, uint64_t *v)
{
	struct item it;
	int r = get_item(b, MAJOR_UINT, &it);

	if (r == 0)
		*v = it.value;
	return r;
}

int cb_get_bool(struct buf *b, bool *v)
{
	size_t off = b->off;
	struct item it;
	int r = get_item(b, MAJOR_SIMPLE, &it);

	if (r != 0)
		return r;
	if (it.value != SIMPLE_FALSE && it.value != SIMPLE_TRUE) {
		b->off = off;
		return E_FORMAT;
	}
	*v = it.value == SIMPLE_TRUE;
	return 0;
}

int cb_get_map(struct buf *b, size_t *pairs)
{
	struct item it;
	int r = get_item(b, MAJOR_MAP, &it);

	if (r == 0)
		*pairs = (size_t)it.value;
	return r;
}

int cb_get_bytes(struct buf *b, const uint8_t **p, size_t *n)
{
	struct item it;
	int r = get_item(b, MAJOR_BYTES, &it);

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
	int r = get_item(b, MAJOR_TEXT, &it);

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
