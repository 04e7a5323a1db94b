/* Whose keys a vTPM has, as bytes: written, read, absent, and what is none. */
#include <string.h>

#include "common/error.h"
#include "common/origin.h"
#include "tests/unit/unit.h"

static void it_is_a_uuid_and_a_generation(void **state)
{
	static const uint8_t bytes[ORIGIN_SIZE] = {1, 2, [15] = 3, [16] = 0x01, [17] = 0x02, [18] = 0x03, [19] = 0x04};
	const struct origin o = {.uuid = {{1, 2, [15] = 3}}, .generation = 0x01020304};
	uint8_t room[ORIGIN_SIZE];
	struct origin back;
	struct view v = origin_put(&o, room);

	(void)state;
	assert_int_equal(v.n, ORIGIN_SIZE);
	assert_memory_equal(v.p, bytes, ORIGIN_SIZE);
	assert_int_equal(origin_get(v, &back), 0);
	assert_true(uuid_equal(&back.uuid, &o.uuid) && back.generation == o.generation);
}

static void one_whose_keys_are_its_own_has_none(void **state)
{
	const struct origin o = {.uuid = {{1}}, .generation = 0};
	struct origin back = {.generation = 9};
	uint8_t room[ORIGIN_SIZE];

	(void)state;
	assert_null(origin_put(&o, room).p);
	assert_int_equal(origin_get((struct view){0}, &back), 0);
	assert_int_equal(back.generation, 0);
}

static void no_generation_no_uuid_and_other_lengths_are_refused(void **state)
{
	uint8_t bytes[ORIGIN_SIZE + 1] = {1, [19] = 1};
	struct origin o;

	(void)state;
	assert_int_equal(origin_get(view_of(bytes, ORIGIN_SIZE), &o), 0);
	for (size_t n = 0; n <= sizeof(bytes); n++)
		if (n != ORIGIN_SIZE)
			assert_int_equal(origin_get(view_of(bytes, n), &o), E_FORMAT);
	bytes[19] = 0;
	assert_int_equal(origin_get(view_of(bytes, ORIGIN_SIZE), &o), E_FORMAT);
	bytes[19] = 1;
	bytes[0] = 0;
	assert_int_equal(origin_get(view_of(bytes, ORIGIN_SIZE), &o), E_FORMAT);
	assert_int_equal(o.generation, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_a_uuid_and_a_generation),
		cmocka_unit_test(one_whose_keys_are_its_own_has_none),
		cmocka_unit_test(no_generation_no_uuid_and_other_lengths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
