/* Checks that hold for every message of a protocol, made from its table: round trip, each bound, each strange field. */
#ifndef TESTS_UNIT_SCHEMAS_H
#define TESTS_UNIT_SCHEMAS_H

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cbor.h"
#include "common/error.h"
#include "common/msg.h"
#include "common/uuid.h"
#include "tests/unit/unit.h"

#define SCHEMA_FIELDS_MAX 512
#define SCHEMA_FRAME_MAX (512 * 1024)

/* A message's fields with values made from a table, and how one of them departs from the table's bounds. */
struct filled {
	_Alignas(max_align_t) uint8_t fields[SCHEMA_FIELDS_MAX];
	uint8_t *text; /* what all views point to: SCHEMA_FRAME_MAX bytes */
};

/* The smallest, or the greatest, value that every field may have. */
static inline void fill(struct filled *f, const struct msg_schema *s, int greatest)
{
	memset(f->fields, 0, sizeof(f->fields));
	memset(f->text, 'a', SCHEMA_FRAME_MAX);
	for (size_t i = 0; i < s->n_fields; i++) {
		const struct msg_field *field = &s->fields[i];
		struct view v = view_of(f->text, greatest ? field->max : field->min);
		uint64_t n = greatest ? field->max : 0;

		if (field->kind == MSG_UINT)
			memcpy(f->fields + field->offset, &n, sizeof(n));
		else if (field->kind == MSG_UUID)
			memset(f->fields + field->offset, greatest ? 0xff : 0, UUID_SIZE);
		else if (!field->optional || greatest)
			memcpy(f->fields + field->offset, &v, sizeof(v));
	}
}

static inline int same_field(const struct msg_field *field, const uint8_t *a, const uint8_t *b)
{
	const struct view *va = (const void *)(a + field->offset), *vb = (const void *)(b + field->offset);

	if (field->kind == MSG_UINT)
		return memcmp(va, vb, sizeof(uint64_t)) == 0;
	if (field->kind == MSG_UUID)
		return memcmp(va, vb, UUID_SIZE) == 0;
	return va->n == vb->n && (va->p == NULL) == (vb->p == NULL) && (va->n == 0 || memcmp(va->p, vb->p, va->n) == 0);
}

/* Write @in, read it back, compare. */
static inline void round_trip(const struct msg_schema *s, const struct filled *in, struct buf *b)
{
	_Alignas(max_align_t) uint8_t out[SCHEMA_FIELDS_MAX];
	struct msg m;

	buf_reset(b);
	assert_int_equal(msg_write(b, s, 1, 77, in->fields), 0);
	assert_int_equal(msg_next(b, SCHEMA_FRAME_MAX, &m), 0);
	assert_true(m.head.version == 1 && m.head.id == 77 && m.head.type == s->type);
	assert_int_equal(msg_fields(&m, s, out), 0);
	for (size_t i = 0; i < s->n_fields; i++)
		if (!same_field(&s->fields[i], in->fields, out))
			fail_msg("%s: field %u did not survive", s->name, s->fields[i].key);
}

/* A value of @field that breaks its bounds, written as it is; false if there is none. */
static inline int put_beyond(struct buf *b, const struct msg_field *f, const uint8_t *text, int above)
{
	uint64_t n = above ? f->max + 1 : (uint64_t)f->min - 1;

	if (f->kind == MSG_UUID)
		return cb_put_bytes(b, text, above ? UUID_SIZE + 1 : UUID_SIZE - 1) == 0;
	if (above ? f->max == UINT64_MAX : f->kind == MSG_UINT || f->min == 0)
		return 0;
	if (f->kind == MSG_UINT)
		return cb_put_uint(b, n) == 0;
	return (f->kind == MSG_BYTES ? cb_put_bytes(b, text, n) : cb_put_text(b, (const char *)text, n)) == 0;
}

static inline void put_good(struct buf *b, const struct msg_field *f, const uint8_t *text)
{
	int r;

	if (f->kind == MSG_UINT)
		r = cb_put_uint(b, f->max);
	else if (f->kind == MSG_UUID)
		r = cb_put_bytes(b, text, UUID_SIZE);
	else
		r = f->kind == MSG_BYTES ? cb_put_bytes(b, text, f->min) : cb_put_text(b, (const char *)text, f->min);
	assert_int_equal(r, 0);
}

/* How a message built by hand departs from its table. */
enum defect { DEFECT_NONE, DEFECT_ABOVE, DEFECT_BELOW, DEFECT_KIND, DEFECT_MISSING, DEFECT_TWICE, DEFECT_SWAPPED, DEFECT_UNKNOWN, DEFECT_TRAILING };

/* One field with its key; false if it can't have that defect. */
static inline int put_field_with(struct buf *b, const struct msg_field *f, const uint8_t *text, enum defect d)
{
	assert_int_equal(cb_put_uint(b, f->key), 0);
	if (d == DEFECT_ABOVE || d == DEFECT_BELOW)
		return put_beyond(b, f, text, d == DEFECT_ABOVE);
	if (d == DEFECT_KIND)
		return cb_put_bool(b, true) == 0;
	put_good(b, f, text);
	if (d == DEFECT_TWICE) {
		assert_int_equal(cb_put_uint(b, f->key), 0);
		put_good(b, f, text);
	}
	return 1;
}

/* Build a message of @s whose field @at has the defect; return what reading it says, or 1 if there is no such message. */
static inline int read_with(const struct msg_schema *s, size_t at, enum defect d, const uint8_t *text, struct buf *b)
{
	_Alignas(max_align_t) uint8_t out[SCHEMA_FIELDS_MAX];
	size_t pairs = 3 + s->n_fields + (d == DEFECT_TWICE || d == DEFECT_UNKNOWN) - (d == DEFECT_MISSING);
	struct buf length;
	struct msg m;

	buf_reset(b);
	assert_int_equal(buf_put_u32(b, 0) | cb_put_map(b, pairs), 0);
	assert_int_equal(cb_put_uint(b, 0) | cb_put_uint(b, 1) | cb_put_uint(b, 1) | cb_put_uint(b, s->type) | cb_put_uint(b, 2) | cb_put_uint(b, 0), 0);
	for (size_t i = 0; i < s->n_fields; i++) {
		size_t which = d == DEFECT_SWAPPED && i == at ? at + 1 : d == DEFECT_SWAPPED && i == at + 1 ? at : i;

		if (d == DEFECT_MISSING && i == at)
			continue;
		if (!put_field_with(b, &s->fields[which], text, i == at ? d : DEFECT_NONE))
			return 1;
	}
	if (d == DEFECT_UNKNOWN)
		assert_int_equal(cb_put_uint(b, 200) | cb_put_uint(b, 0), 0);
	if (d == DEFECT_TRAILING)
		assert_int_equal(cb_put_uint(b, 0), 0);
	buf_over(&length, b->data, 4);
	assert_int_equal(buf_put_u32(&length, (uint32_t)b->len - 4), 0);
	assert_int_equal(msg_next(b, SCHEMA_FRAME_MAX, &m), 0);
	return msg_fields(&m, s, out);
}

static inline void expect(const struct msg_schema *s, size_t at, enum defect d, int expected, const uint8_t *text, struct buf *b)
{
	int r = read_with(s, at, d, text, b);

	if (r != 1 && r != expected)
		fail_msg("%s: field %zu with defect %d gives '%s'", s->name, at, (int)d, error_text(r));
}

static inline void check_schema(const struct msg_schema *s)
{
	struct filled f = {.text = malloc(SCHEMA_FRAME_MAX)};
	struct buf b;

	assert_non_null(f.text);
	assert_true(s->size <= SCHEMA_FIELDS_MAX);
	assert_int_equal(buf_init(&b, SCHEMA_FRAME_MAX), 0);
	fill(&f, s, 0);
	round_trip(s, &f, &b);
	fill(&f, s, 1);
	round_trip(s, &f, &b);
	expect(s, 0, DEFECT_NONE, 0, f.text, &b);
	expect(s, 0, DEFECT_UNKNOWN, E_UNKNOWN, f.text, &b);
	expect(s, 0, DEFECT_TRAILING, E_TRAILING, f.text, &b);
	for (size_t i = 0; i < s->n_fields; i++) {
		expect(s, i, DEFECT_ABOVE, E_RANGE, f.text, &b);
		expect(s, i, DEFECT_BELOW, E_RANGE, f.text, &b);
		expect(s, i, DEFECT_KIND, E_FORMAT, f.text, &b);
		expect(s, i, DEFECT_TWICE, E_FORMAT, f.text, &b);
		expect(s, i, DEFECT_MISSING, s->fields[i].optional ? 0 : E_FORMAT, f.text, &b);
		if (i + 1 < s->n_fields)
			expect(s, i, DEFECT_SWAPPED, E_FORMAT, f.text, &b);
	}
	buf_free(&b);
	free(f.text);
}

#endif
