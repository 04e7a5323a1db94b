/* Deterministic CBOR: RFC 8949 appendix A both ways, and every form that is not the shortest refused. */
#include <string.h>

#include "common/buf.h"
#include "common/cbor.h"
#include "common/error.h"
#include "tests/unit/unit.h"

static int read_uint(const char *bytes, size_t n, uint64_t *v)
{
	struct buf b;
	int r;

	buf_view(&b, bytes, n);
	r = cb_get_uint(&b, v);
	return r != 0 ? r : buf_done(&b);
}

static void integers_follow_appendix_a(void **state)
{
	static const struct {
		uint64_t v;
		const char *bytes;
		size_t n;
	} cases[] = {
		{0, "\x00", 1}, {23, "\x17", 1}, {24, "\x18\x18", 2}, {255, "\x18\xff", 2}, {256, "\x19\x01\x00", 3}, {1000000, "\x1a\x00\x0f\x42\x40", 5},
		{18446744073709551615u, "\x1b\xff\xff\xff\xff\xff\xff\xff\xff", 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t mem[9];
		struct buf w;
		uint64_t v;

		buf_over(&w, mem, sizeof(mem));
		assert_int_equal(cb_put_uint(&w, cases[i].v), 0);
		assert_int_equal(w.len, cases[i].n);
		assert_memory_equal(mem, cases[i].bytes, cases[i].n);
		assert_int_equal(read_uint(cases[i].bytes, cases[i].n, &v), 0);
		assert_true(v == cases[i].v);
	}
}

static void longer_forms_than_needed_are_refused(void **state)
{
	uint64_t v;
	const uint8_t *p;
	size_t n;
	struct buf b;

	(void)state;
	assert_int_equal(read_uint("\x18\x17", 2, &v), E_FORMAT);
	assert_int_equal(read_uint("\x19\x00\xff", 3, &v), E_FORMAT);
	assert_int_equal(read_uint("\x1a\x00\x00\xff\xff", 5, &v), E_FORMAT);
	assert_int_equal(read_uint("\x1b\x00\x00\x00\x00\xff\xff\xff\xff", 9, &v), E_FORMAT);
	buf_view(&b, "\x58\x01x", 3);
	assert_int_equal(cb_get_bytes(&b, &p, &n), E_FORMAT);
	buf_view(&b, "\x5f\x41x\xff", 4);
	assert_int_equal(cb_get_bytes(&b, &p, &n), E_FORMAT);
	buf_view(&b, "\xb8\x01", 2);
	assert_int_equal(cb_get_map(&b, &n), E_FORMAT);
	assert_int_equal(b.off, 0);
}

static void other_kinds_are_refused(void **state)
{
	static const char *const others[] = {"\x20", "\xf4", "\xf6", "\xf9\x3c\x01", "\xc1\x01", "\x80", "\xa0", "\x60", "\x40", "\xff"};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(read_uint(others[i], strlen(others[i]), &v), E_FORMAT);
}

static void cut_items_are_truncated(void **state)
{
	uint64_t v;
	const uint8_t *p;
	size_t n;
	struct buf b;

	(void)state;
	assert_int_equal(read_uint("", 0, &v), E_TRUNCATED);
	assert_int_equal(read_uint("\x19\x01", 2, &v), E_TRUNCATED);
	buf_view(&b, "\x43xy", 3);
	assert_int_equal(cb_get_bytes(&b, &p, &n), E_TRUNCATED);
	buf_view(&b, "\x5b\xff\xff\xff\xff\xff\xff\xff\xffxy", 11);
	assert_int_not_equal(cb_get_bytes(&b, &p, &n), 0);
}

static void text_must_be_utf8(void **state)
{
	static const char *const bad[] = {"\x61\x80", "\x62\xc0\x80", "\x63\xe0\x80\x80", "\x63\xed\xa0\x80", "\x64\xf4\x90\x80\x80", "\x61\xc3", "\x61\xff"};
	const uint8_t *p;
	size_t n;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_view(&b, bad[i], strlen(bad[i]));
		assert_int_equal(cb_get_text(&b, &p, &n), E_FORMAT);
		assert_int_equal(b.off, 0);
	}
	buf_view(&b, "\x61\x00", 2);
	assert_int_equal(cb_get_text(&b, &p, &n), E_FORMAT);
	buf_view(&b, "\x62\xc3\xbc", 3);
	assert_int_equal(cb_get_text(&b, &p, &n), 0);
	assert_int_equal(n, 2);
}

static void a_string_that_does_not_fit_is_not_half_written(void **state)
{
	uint8_t mem[4];
	struct buf w;

	(void)state;
	buf_over(&w, mem, sizeof(mem));
	assert_int_equal(cb_put_bytes(&w, "abcd", 4), E_RANGE);
	assert_int_equal(w.len, 0);
	assert_int_equal(cb_put_text(&w, "abc", 3), 0);
	assert_int_equal(cb_put_uint(&w, 1), E_RANGE);
	assert_memory_equal(mem, "\x63" "abc", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_follow_appendix_a),
		cmocka_unit_test(longer_forms_than_needed_are_refused),
		cmocka_unit_test(other_kinds_are_refused),
		cmocka_unit_test(cut_items_are_truncated),
		cmocka_unit_test(text_must_be_utf8),
		cmocka_unit_test(a_string_that_does_not_fit_is_not_half_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
