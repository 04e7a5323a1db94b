/* What top shows of two looks at a vTPM. */
#include "dom0-relay/top.h"
#include "tests/unit/unit.h"

static const struct top_row before = {.stub = 7, .commands = 100, .service_ns = 5000000};

static void work_is_counted_by_the_minute(void **state)
{
	const struct top_row now = {.stub = 7, .commands = 110, .service_ns = 5000000 + 10 * 2000000};
	struct top_rate r = top_rate(&before, &now, 2000);

	(void)state;
	assert_int_equal(r.per_minute, 300);
	assert_int_equal(r.mean_us, 2000);
	assert_int_equal(r.busy_permil, 10);
}

static void a_vtpm_at_rest_has_no_mean(void **state)
{
	struct top_rate r = top_rate(&before, &before, 2000);

	(void)state;
	assert_int_equal(r.per_minute, 0);
	assert_int_equal(r.mean_us, 0);
	assert_int_equal(r.busy_permil, 0);
}

static void what_another_stub_domain_did_does_not_count(void **state)
{
	const struct top_row now = {.stub = 8, .commands = 500, .service_ns = 9000000};

	(void)state;
	assert_int_equal(top_rate(&before, &now, 2000).per_minute, 0);
	assert_int_equal(top_rate(NULL, &now, 2000).per_minute, 0);
}

static void counters_that_went_back_do_not_count(void **state)
{
	const struct top_row now = {.stub = 7, .commands = 1, .service_ns = 9000000};

	(void)state;
	assert_int_equal(top_rate(&before, &now, 2000).per_minute, 0);
}

static void looks_at_the_same_moment_do_not_divide_by_zero(void **state)
{
	const struct top_row now = {.stub = 7, .commands = 101, .service_ns = 6000000};

	(void)state;
	assert_int_equal(top_rate(&before, &now, 0).per_minute, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_is_counted_by_the_minute),
		cmocka_unit_test(a_vtpm_at_rest_has_no_mean),
		cmocka_unit_test(what_another_stub_domain_did_does_not_count),
		cmocka_unit_test(counters_that_went_back_do_not_count),
		cmocka_unit_test(looks_at_the_same_moment_do_not_divide_by_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
