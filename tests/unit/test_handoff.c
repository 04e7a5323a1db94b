/* The hand-off's messages: each survives the round trip, and each rule of its table is enforced. */
#include "common/handoff.h"
#include "tests/unit/schemas.h"

static void every_message_survives_and_every_bound_holds(void **state)
{
	(void)state;
	for (uint64_t type = HANDOFF_HELLO; type < HANDOFF_END; type++) {
		assert_non_null(handoff_schema(type));
		check_schema(handoff_schema(type));
	}
}

static void there_are_no_other_types(void **state)
{
	(void)state;
	assert_null(handoff_schema(0));
	assert_null(handoff_schema(HANDOFF_END));
	assert_null(handoff_schema(UINT64_MAX));
}

static void the_largest_message_fits_the_bound_of_a_frame(void **state)
{
	struct filled f = {.text = malloc(SCHEMA_FRAME_MAX)};
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, SCHEMA_FRAME_MAX), 0);
	for (uint64_t type = HANDOFF_HELLO; type < HANDOFF_END; type++) {
		buf_reset(&b);
		fill(&f, handoff_schema(type), 1);
		assert_int_equal(handoff_write(&b, (enum handoff_type)type, f.fields), 0);
		assert_true(b.len <= HANDOFF_BODY_MAX + 4);
	}
	buf_free(&b);
	free(f.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_and_every_bound_holds),
		cmocka_unit_test(there_are_no_other_types),
		cmocka_unit_test(the_largest_message_fits_the_bound_of_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
