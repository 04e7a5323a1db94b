/* Buffers: bounds, byte order, and that a failed call changes nothing. */
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "tests/unit/unit.h"

static void integers_come_back_big_endian(void **state)
{
	uint8_t mem[15], a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	struct buf w, r;

	(void)state;
	buf_over(&w, mem, sizeof(mem));
	assert_int_equal(buf_put_u8(&w, 0x01), 0);
	assert_int_equal(buf_put_u16(&w, 0x0203), 0);
	assert_int_equal(buf_put_u32(&w, 0x04050607), 0);
	assert_int_equal(buf_put_u64(&w, 0x08090a0b0c0d0e0f), 0);
	for (size_t i = 0; i < sizeof(mem); i++)
		assert_int_equal(mem[i], i + 1);
	buf_view(&r, mem, sizeof(mem));
	assert_int_equal(buf_get_u8(&r, &a) | buf_get_u16(&r, &b) | buf_get_u32(&r, &c) | buf_get_u64(&r, &d), 0);
	assert_true(a == 1 && b == 0x0203 && c == 0x04050607 && d == 0x08090a0b0c0d0e0f);
	assert_int_equal(buf_done(&r), 0);
}

static void a_put_that_does_not_fit_leaves_the_buffer_alone(void **state)
{
	uint8_t mem[3];
	struct buf w;

	(void)state;
	buf_over(&w, mem, sizeof(mem));
	assert_int_equal(buf_put_u16(&w, 1), 0);
	assert_int_equal(buf_put_u16(&w, 2), E_RANGE);
	assert_int_equal(w.len, 2);
}

static void a_get_past_the_end_leaves_the_buffer_alone(void **state)
{
	uint8_t mem[3] = {1, 2, 3};
	const uint8_t *view;
	struct buf r;
	uint32_t v = 7;

	(void)state;
	buf_view(&r, mem, sizeof(mem));
	assert_int_equal(buf_get_u32(&r, &v), E_TRUNCATED);
	assert_int_equal(v, 7);
	assert_int_equal(buf_get_view(&r, &view, 4), E_TRUNCATED);
	assert_int_equal(buf_get_view(&r, &view, SIZE_MAX), E_TRUNCATED);
	assert_int_equal(buf_left(&r), 3);
	assert_int_equal(buf_done(&r), E_TRAILING);
}

static void compacting_keeps_the_unread_and_wipes_the_read(void **state)
{
	uint8_t out[4];
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 16), 0);
	assert_int_equal(buf_put(&b, "secretrest", 10), 0);
	assert_int_equal(buf_get(&b, out, 4), 0);
	assert_int_equal(buf_get(&b, out, 2), 0);
	buf_compact(&b);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "rest", 4);
	assert_memory_equal(b.data + 4, "\0\0\0\0\0\0", 6);
	buf_free(&b);
	assert_null(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_come_back_big_endian),
		cmocka_unit_test(a_put_that_does_not_fit_leaves_the_buffer_alone),
		cmocka_unit_test(a_get_past_the_end_leaves_the_buffer_alone),
		cmocka_unit_test(compacting_keeps_the_unread_and_wipes_the_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
