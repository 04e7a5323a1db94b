/* A refusal is recorded once a minute, whoever asks how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kmc/repeats.h"

static struct repeats r;

static int empty(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	return 0;
}

static void the_first_is_recorded_and_its_repetitions_are_not(void **state)
{
	(void)state;
	assert_true(repeats_fresh(&r, "a", 1, "held", 1000));
	assert_false(repeats_fresh(&r, "a", 1, "held", 1250));
	assert_false(repeats_fresh(&r, "a", 1, "held", 1000 + REPEATS_MS - 1));
}

static void after_a_minute_it_is_recorded_again(void **state)
{
	(void)state;
	assert_true(repeats_fresh(&r, "a", 1, "held", 1000));
	assert_true(repeats_fresh(&r, "a", 1, "held", 1000 + REPEATS_MS));
	assert_false(repeats_fresh(&r, "a", 1, "held", 1001 + REPEATS_MS));
}

static void another_host_reason_or_code_is_another_refusal(void **state)
{
	(void)state;
	assert_true(repeats_fresh(&r, "a", 1, "held", 0));
	assert_true(repeats_fresh(&r, "b", 1, "held", 0));
	assert_true(repeats_fresh(&r, "a", 2, "held", 0));
	assert_true(repeats_fresh(&r, "a", 1, "held by another", 0));
	assert_false(repeats_fresh(&r, "a", 1, "held", 0));
}

static void a_flood_of_others_makes_it_recorded_again_but_never_lost(void **state)
{
	char reason[16];

	(void)state;
	assert_true(repeats_fresh(&r, "a", 1, "held", 0));
	for (int i = 0; i < REPEATS_MAX; i++) {
		snprintf(reason, sizeof(reason), "%d", i);
		assert_true(repeats_fresh(&r, "b", 1, reason, 0));
	}
	assert_true(repeats_fresh(&r, "a", 1, "held", 0));
}

static void what_could_not_be_recorded_is_tried_again(void **state)
{
	(void)state;
	assert_true(repeats_fresh(&r, "a", 1, "held", 0));
	repeats_forget(&r);
	assert_true(repeats_fresh(&r, "a", 1, "held", 0));
	assert_false(repeats_fresh(&r, "a", 1, "held", 0));
}

static void long_reasons_are_the_same_when_what_is_kept_of_them_is(void **state)
{
	char reason[STORE_REASON_MAX + 20];

	(void)state;
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	assert_true(repeats_fresh(&r, "a", 1, reason, 0));
	assert_false(repeats_fresh(&r, "a", 1, reason, 0));
	reason[0] = 'y';
	assert_true(repeats_fresh(&r, "a", 1, reason, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_is_recorded_and_its_repetitions_are_not, empty),
		cmocka_unit_test_setup(after_a_minute_it_is_recorded_again, empty),
		cmocka_unit_test_setup(another_host_reason_or_code_is_another_refusal, empty),
		cmocka_unit_test_setup(a_flood_of_others_makes_it_recorded_again_but_never_lost, empty),
		cmocka_unit_test_setup(what_could_not_be_recorded_is_tried_again, empty),
		cmocka_unit_test_setup(long_reasons_are_the_same_when_what_is_kept_of_them_is, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
