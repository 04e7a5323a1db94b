/* A vTPM's state on its way by hand: what was written comes back, and nothing else is taken. */
#include "common/statefile.h"

#include <string.h>

#include "common/buf.h"
#include "tests/unit/schemas.h"
#include "tests/unit/unit.h"

static const struct statefile sample = {.uuid = {{1, 2, 3}}, .lease_epoch = 4, .version = 5, .owner_epoch = 6, .endorsement_epoch = 7, .platform_epoch = 8,
					.state = {(const uint8_t *)"sealed", 6}};

static void it_comes_back(void **state)
{
	uint8_t room[128];
	struct statefile got;
	struct buf b;

	(void)state;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(statefile_write(&b, &sample), 0);
	assert_int_equal(statefile_read(view_of(room, b.len), &got), 0);
	assert_true(uuid_equal(&got.uuid, &sample.uuid) && got.lease_epoch == 4 && got.version == 5 && got.platform_epoch == 8);
	assert_int_equal(got.state.n, 6);
	assert_memory_equal(got.state.p, "sealed", 6);
}

static void a_part_or_more_of_it_is_none(void **state)
{
	uint8_t room[128] = {0};
	struct statefile got;
	struct buf b;

	(void)state;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(statefile_write(&b, &sample), 0);
	for (size_t n = 0; n < b.len; n++)
		assert_int_not_equal(statefile_read(view_of(room, n), &got), 0);
	assert_int_equal(statefile_read(view_of(room, b.len + 1), &got), E_TRAILING);
}

static void without_a_version_there_is_no_state(void **state)
{
	struct statefile none = sample, got;
	uint8_t room[128];
	struct buf b;

	(void)state;
	none.version = 0;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(statefile_write(&b, &none), 0);
	assert_int_equal(statefile_read(view_of(room, b.len), &got), E_FORMAT);
}

static void its_fields_keep_their_bounds(void **state)
{
	(void)state;
	check_schema(&statefile_schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_comes_back),
		cmocka_unit_test(a_part_or_more_of_it_is_none),
		cmocka_unit_test(without_a_version_there_is_no_state),
		cmocka_unit_test(its_fields_keep_their_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
