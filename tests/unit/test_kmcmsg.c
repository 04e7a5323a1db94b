/* The messages between a host and the KMC: each survives the round trip, and each rule of its table is enforced. */
#include "common/kmcmsg.h"
#include "tests/unit/schemas.h"

static void every_message_survives_and_every_bound_holds(void **state)
{
	(void)state;
	for (uint64_t type = KMC_HELLO; type <= KMC_VERIFIED; type++) {
		assert_non_null(kmc_schema(type));
		check_schema(kmc_schema(type));
	}
}

static void there_are_no_other_types(void **state)
{
	(void)state;
	assert_null(kmc_schema(0));
	assert_null(kmc_schema(KMC_VERIFIED + 1));
	assert_null(kmc_schema(UINT64_MAX));
}

static void the_largest_message_fits_the_bound_of_a_frame(void **state)
{
	struct filled f = {.text = malloc(SCHEMA_FRAME_MAX)};
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, SCHEMA_FRAME_MAX), 0);
	for (uint64_t type = KMC_HELLO; type <= KMC_VERIFIED; type++) {
		buf_reset(&b);
		fill(&f, kmc_schema(type), 1);
		assert_int_equal(kmc_write(&b, (enum kmc_type)type, UINT64_MAX, f.fields), 0);
		assert_true(b.len <= KMC_BODY_MAX + 4);
	}
	buf_free(&b);
	free(f.text);
}

static void every_refusal_has_a_name(void **state)
{
	(void)state;
	for (uint64_t code = KMC_REFUSED_VERSION; code <= KMC_REFUSED_SESSION; code++)
		assert_string_not_equal(kmc_refusal_text(code), kmc_refusal_text(UINT64_MAX));
	assert_string_equal(kmc_refusal_text(0), kmc_refusal_text(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_and_every_bound_holds),
		cmocka_unit_test(there_are_no_other_types),
		cmocka_unit_test(the_largest_message_fits_the_bound_of_a_frame),
		cmocka_unit_test(every_refusal_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
