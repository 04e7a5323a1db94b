/* A suspension that Linux gave up because of a command: when its log is read, when it is asked for again, and when never. */
#include "vtpm-stubdom/guest/frozen.h"

#include "tests/unit/unit.h"

#define PATIENCE 20000
#define T0 1000000

static struct frozen fresh(void)
{
	return (struct frozen){.patience_ms = PATIENCE};
}

/* All stand still from @at for @still ms, some time after the daemon's last look; @under_way: with a command. */
static bool stands_still(struct frozen *f, uint64_t at, uint64_t still, bool under_way)
{
	frozen_looks(f, at - 200, true, under_way);
	return frozen_looks(f, at + still, true, under_way);
}

/* Linux gives up at @at. */
static void give_up(struct frozen *f, uint64_t at)
{
	assert_true(stands_still(f, at - PATIENCE, PATIENCE, true));
	frozen_refused(f, at);
}

static void after_a_standstill_the_log_is_read_for_a_moment(void **state)
{
	struct frozen f = fresh();

	(void)state;
	assert_true(stands_still(&f, T0, 1000, true));
	assert_true(frozen_looks(&f, T0 + 1300, false, false)); /* the word comes a moment later */
	assert_int_equal(f.looked_ms, T0 + 1300);
	assert_false(frozen_looks(&f, T0 + 2300, false, false));
	assert_int_equal(f.looked_ms, 0);
}

static void without_a_command_it_was_not_us(void **state)
{
	struct frozen f = fresh();

	(void)state;
	assert_false(stands_still(&f, T0, PATIENCE, false));
}

static void an_idle_daemon_sleeps_as_long_as_it_likes(void **state)
{
	struct frozen f = fresh();

	(void)state;
	frozen_looks(&f, T0, false, false);
	assert_int_equal(f.looked_ms, 0);
	assert_false(frozen_looks(&f, T0 + PATIENCE, true, true));
}

static void a_daemon_that_looks_in_time_has_not_stood_still(void **state)
{
	struct frozen f = fresh();

	(void)state;
	for (uint64_t t = T0; t < T0 + 60000; t += FROZEN_TICK_MS)
		assert_false(frozen_looks(&f, t, true, true));
}

static void a_suspension_that_was_given_up_is_asked_for_once(void **state)
{
	struct frozen f = fresh();

	(void)state;
	give_up(&f, T0);
	assert_int_equal(frozen_ask(&f, T0 + 1, false), 1000);
	assert_int_equal(frozen_ask(&f, T0 + 2, false), 0);
}

static void not_before_the_command_is_answered(void **state)
{
	struct frozen f = fresh();

	(void)state;
	give_up(&f, T0);
	assert_int_equal(frozen_ask(&f, T0, true), 0);
	assert_int_equal(frozen_ask(&f, T0 + 9000, false), 1000);
}

static void nothing_is_asked_that_linux_has_not_given_up(void **state)
{
	struct frozen f = fresh();

	(void)state;
	assert_true(stands_still(&f, T0, PATIENCE, true));
	assert_int_equal(frozen_ask(&f, T0 + PATIENCE, false), 0);
}

/* libxl waits a minute from the first request: each try must have ended by then. */
static void tries_go_on_while_somebody_waits_and_no_longer(void **state)
{
	struct frozen f = fresh();
	uint64_t t = T0 + PATIENCE, last = 0;
	unsigned int asked = 0;

	(void)state;
	give_up(&f, t);
	for (int i = 0; i < 100; i++) {
		if (!frozen_ask(&f, t, false))
			break;
		last = t;
		asked++;
		t += 1300;
		assert_true(stands_still(&f, t - 1000, 1000, true));
		frozen_refused(&f, t);
	}
	assert_in_range(asked, 15, 30);
	assert_true(last + 1000 < T0 + 55000);
}

static void the_freezer_gets_its_patience_back_once_a_try_is_over(void **state)
{
	struct frozen f = fresh();

	(void)state;
	assert_false(frozen_is_over(&f, T0));
	give_up(&f, T0);
	assert_false(frozen_is_over(&f, T0 + 100000)); /* it was not taken */
	frozen_ask(&f, T0, false);
	assert_false(frozen_is_over(&f, T0 + 2000)); /* the try may be under way */
	assert_true(frozen_is_over(&f, T0 + 6000));
	assert_false(frozen_is_over(&f, T0 + 7000));
}

static void the_last_try_that_fails_gives_it_back_as_well(void **state)
{
	struct frozen f = fresh();

	(void)state;
	give_up(&f, T0);
	frozen_ask(&f, T0, false);
	frozen_refused(&f, T0 + 39000);
	assert_int_equal(frozen_ask(&f, T0 + 39000, false), 0);
	assert_true(frozen_is_over(&f, T0 + 39000));
}

static void the_next_request_has_tries_of_its_own(void **state)
{
	struct frozen f = fresh();

	(void)state;
	for (uint64_t at = T0; at < T0 + 300000; at += 100000) {
		give_up(&f, at);
		assert_int_equal(frozen_ask(&f, at, false), 1000);
	}
}

static void a_freezer_with_less_patience_keeps_it(void **state)
{
	struct frozen f = {.patience_ms = 400};

	(void)state;
	frozen_refused(&f, T0);
	assert_int_equal(frozen_ask(&f, T0, false), 400);
}

static void without_a_freezer_the_log_is_not_read(void **state)
{
	struct frozen f = {0};

	(void)state;
	assert_false(stands_still(&f, T0, PATIENCE, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_standstill_the_log_is_read_for_a_moment),
		cmocka_unit_test(without_a_command_it_was_not_us),
		cmocka_unit_test(an_idle_daemon_sleeps_as_long_as_it_likes),
		cmocka_unit_test(a_daemon_that_looks_in_time_has_not_stood_still),
		cmocka_unit_test(a_suspension_that_was_given_up_is_asked_for_once),
		cmocka_unit_test(not_before_the_command_is_answered),
		cmocka_unit_test(nothing_is_asked_that_linux_has_not_given_up),
		cmocka_unit_test(tries_go_on_while_somebody_waits_and_no_longer),
		cmocka_unit_test(the_freezer_gets_its_patience_back_once_a_try_is_over),
		cmocka_unit_test(the_last_try_that_fails_gives_it_back_as_well),
		cmocka_unit_test(the_next_request_has_tries_of_its_own),
		cmocka_unit_test(a_freezer_with_less_patience_keeps_it),
		cmocka_unit_test(without_a_freezer_the_log_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
