/* A refusal is recorded once a minute, whoever asks how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kmc/repeats.h"

static struct repeats r;

static void fresh(enum repeats_verdict v)
{
	assert_int_equal(v, REPEATS_FRESH);
}

static void silent(enum repeats_verdict v)
{
	assert_int_equal(v, REPEATS_SILENT);
}

static int empty(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	return 0;
}

static void the_first_is_recorded_and_its_repetitions_are_not(void **state)
{
	(void)state;
	fresh(repeats_look(&r, "a", 1, "held", 1000));
	silent(repeats_look(&r, "a", 1, "held", 1250));
	silent(repeats_look(&r, "a", 1, "held", 1000 + REPEATS_MS - 1));
}

static void after_a_minute_it_is_recorded_again(void **state)
{
	(void)state;
	fresh(repeats_look(&r, "a", 1, "held", 1000));
	fresh(repeats_look(&r, "a", 1, "held", 1000 + REPEATS_MS));
	silent(repeats_look(&r, "a", 1, "held", 1001 + REPEATS_MS));
}

static void another_host_reason_or_code_is_another_refusal(void **state)
{
	(void)state;
	fresh(repeats_look(&r, "a", 1, "held", 0));
	fresh(repeats_look(&r, "b", 1, "held", 0));
	fresh(repeats_look(&r, "a", 2, "held", 0));
	fresh(repeats_look(&r, "a", 1, "held by another", 0));
	silent(repeats_look(&r, "a", 1, "held", 0));
}

static void a_flood_of_others_makes_it_recorded_again_but_never_lost(void **state)
{
	char host[16];

	(void)state;
	fresh(repeats_look(&r, "a", 1, "held", 0));
	for (int i = 0; i < REPEATS_MAX; i++) {
		snprintf(host, sizeof(host), "b%d", i);
		fresh(repeats_look(&r, host, 1, "held", 0));
	}
	fresh(repeats_look(&r, "a", 1, "held", 0));
}

static void a_host_has_so_many_in_a_minute_and_one_that_says_so(void **state)
{
	char reason[16];

	(void)state;
	for (int i = 0; i < 3 * REPEATS_OF_HOST; i++) {
		snprintf(reason, sizeof(reason), "%d", i);
		assert_int_equal(repeats_look(&r, "a", 1, reason, 10), i < REPEATS_OF_HOST ? REPEATS_FRESH : i == REPEATS_OF_HOST ? REPEATS_LAST : REPEATS_SILENT);
	}
	fresh(repeats_look(&r, "b", 1, "held", 10)); /* nobody else's business */
	silent(repeats_look(&r, "a", 1, "another", 9 + REPEATS_MS));
	fresh(repeats_look(&r, "a", 1, "another", 10 + REPEATS_MS));
}

static void what_says_so_is_said_again_if_it_was_not_recorded(void **state)
{
	char reason[16];

	(void)state;
	for (int i = 0; i < REPEATS_OF_HOST; i++) {
		snprintf(reason, sizeof(reason), "%d", i);
		fresh(repeats_look(&r, "a", 1, reason, 0));
	}
	assert_int_equal(repeats_look(&r, "a", 1, "x", 0), REPEATS_LAST);
	repeats_forget(&r, "a");
	assert_int_equal(repeats_look(&r, "a", 1, "y", 0), REPEATS_LAST);
	silent(repeats_look(&r, "a", 1, "z", 0));
	silent(repeats_look(&r, "a", 1, "0", 0));
}

static void what_could_not_be_recorded_is_tried_again(void **state)
{
	(void)state;
	fresh(repeats_look(&r, "a", 1, "held", 0));
	repeats_forget(&r, "a");
	fresh(repeats_look(&r, "a", 1, "held", 0));
	silent(repeats_look(&r, "a", 1, "held", 0));
}

static void long_reasons_are_the_same_when_what_is_kept_of_them_is(void **state)
{
	char reason[STORE_REASON_MAX + 20];

	(void)state;
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	fresh(repeats_look(&r, "a", 1, reason, 0));
	silent(repeats_look(&r, "a", 1, reason, 0));
	reason[0] = 'y';
	fresh(repeats_look(&r, "a", 1, reason, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_is_recorded_and_its_repetitions_are_not, empty),
		cmocka_unit_test_setup(after_a_minute_it_is_recorded_again, empty),
		cmocka_unit_test_setup(another_host_reason_or_code_is_another_refusal, empty),
		cmocka_unit_test_setup(a_flood_of_others_makes_it_recorded_again_but_never_lost, empty),
		cmocka_unit_test_setup(a_host_has_so_many_in_a_minute_and_one_that_says_so, empty),
		cmocka_unit_test_setup(what_says_so_is_said_again_if_it_was_not_recorded, empty),
		cmocka_unit_test_setup(what_could_not_be_recorded_is_tried_again, empty),
		cmocka_unit_test_setup(long_reasons_are_the_same_when_what_is_kept_of_them_is, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
