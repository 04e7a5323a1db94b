/* Grace: how long it lasts, and the copy as a record holds it. */
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "dom0-relay/grace.h"
#include "tests/unit/unit.h"

enum { HOUR = 3600, NOW = 1000000 };

static void it_lasts_as_long_as_was_configured(void **state)
{
	(void)state;
	assert_null(grace_why_not(HOUR, NOW - 1, NOW));
	assert_null(grace_why_not(HOUR, NOW - HOUR, NOW));
	assert_non_null(strstr(grace_why_not(HOUR, NOW - HOUR - 1, NOW), "longer than"));
}

static void without_configuration_or_contact_there_is_none(void **state)
{
	(void)state;
	assert_non_null(grace_why_not(0, NOW, NOW));
	assert_non_null(grace_why_not(HOUR, 0, NOW));
}

static void a_clock_that_was_put_back_ends_it(void **state)
{
	(void)state;
	assert_null(grace_why_not(HOUR, NOW + 60, NOW)); /* a clock that was corrected */
	assert_non_null(strstr(grace_why_not(30 * 86400, NOW + 2 * HOUR, NOW), "clock is behind"));
	assert_null(grace_why_not(UINT64_MAX, NOW, UINT64_MAX - HOUR));
}

static const struct grace_copy copy = {.tenant = {(const uint8_t *)"prod", 4}, .generation = 3, .pcrs = 0x8f, .sealed = {(const uint8_t *)"\1\2\3", 3}};

static void a_copy_is_read_as_it_was_written(void **state)
{
	struct grace_copy found;
	uint8_t room[800];
	struct buf b;

	(void)state;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(grace_copy_write(&b, &copy), 0);
	assert_int_equal(grace_copy_read(view_of(room, b.len), &found), 0);
	assert_int_equal(found.tenant.n, 4);
	assert_memory_equal(found.tenant.p, "prod", 4);
	assert_int_equal(found.generation, 3);
	assert_int_equal(found.pcrs, 0x8f);
	assert_int_equal(found.sealed.n, 3);
}

/* As every copy was before vTPMs could share keys, and as those are that do. */
static void a_copy_says_whose_keys_they_are_if_they_are_anothers(void **state)
{
	struct grace_copy c = copy, found;
	uint8_t room[800];
	struct buf b;

	(void)state;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(grace_copy_write(&b, &c), 0);
	assert_int_equal(grace_copy_read(view_of(room, b.len), &found), 0);
	assert_null(found.origin.p);
	buf_over(&b, room, sizeof(room));
	c.origin = view_text("twenty bytes, a UUID");
	assert_int_equal(grace_copy_write(&b, &c), 0);
	assert_int_equal(grace_copy_read(view_of(room, b.len), &found), 0);
	assert_int_equal(found.origin.n, 20);
	assert_memory_equal(found.origin.p, c.origin.p, 20);
}

static void a_copy_that_was_cut_or_has_something_behind_it_is_none(void **state)
{
	struct grace_copy found;
	uint8_t room[800] = {0};
	struct buf b;

	(void)state;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(grace_copy_write(&b, &copy), 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_not_equal(grace_copy_read(view_of(room, n), &found), 0);
	assert_int_not_equal(grace_copy_read(view_of(room, b.len + 1), &found), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_lasts_as_long_as_was_configured),
		cmocka_unit_test(without_configuration_or_contact_there_is_none),
		cmocka_unit_test(a_clock_that_was_put_back_ends_it),
		cmocka_unit_test(a_copy_is_read_as_it_was_written),
		cmocka_unit_test(a_copy_says_whose_keys_they_are_if_they_are_anothers),
		cmocka_unit_test(a_copy_that_was_cut_or_has_something_behind_it_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
