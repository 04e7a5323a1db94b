/* A suspension that Linux gave up because of a command: when it is asked for again, and when never. */
#include "vtpm-stubdom/guest/frozen.h"

#include "tests/unit/unit.h"

#define PATIENCE 20000
#define T0 1000000

static struct frozen fresh(void)
{
	return (struct frozen){.patience_ms = PATIENCE};
}

/* Linux begins to freeze at @at, some time after the daemon's last look, and lets go again; the request was written just before. */
static bool refuse(struct frozen *f, uint64_t at, bool under_way)
{
	frozen_looks(f, at - 200, true, under_way);
	return frozen_looks(f, at + f->patience_ms, true, under_way);
}

static void a_refused_suspension_is_asked_for_once(void **state)
{
	struct frozen f = fresh();

	(void)state;
	assert_true(refuse(&f, T0, true));
	frozen_written(&f, T0 + PATIENCE);
	assert_true(frozen_ask(&f, T0 + PATIENCE + 1, false));
	assert_false(frozen_ask(&f, T0 + PATIENCE + 2, false));
}

static void not_before_the_command_is_answered(void **state)
{
	struct frozen f = fresh();

	(void)state;
	refuse(&f, T0, true);
	frozen_written(&f, T0 + PATIENCE);
	assert_false(frozen_ask(&f, T0 + PATIENCE, true));
	assert_true(frozen_ask(&f, T0 + PATIENCE + 9000, false));
}

static void not_when_nobody_may_wait_any_more(void **state)
{
	struct frozen f = fresh();

	(void)state;
	refuse(&f, T0, true);
	frozen_written(&f, T0 + PATIENCE);
	assert_false(frozen_ask(&f, T0 + PATIENCE + 16000, false)); /* the freezer could end after 60 s */
	assert_false(frozen_ask(&f, T0 + PATIENCE + 16001, false));
}

static void the_request_may_be_seen_before_and_after_the_standstill(void **state)
{
	static const int64_t seen[] = {-1500, -200, 0, PATIENCE, PATIENCE + 900};

	(void)state;
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
		struct frozen f = fresh();

		frozen_looks(&f, T0 - 200, true, true);
		if (seen[i] < PATIENCE)
			frozen_written(&f, (uint64_t)(T0 + seen[i]));
		frozen_looks(&f, T0 + PATIENCE, true, true);
		if (seen[i] >= PATIENCE) {
			assert_false(frozen_ask(&f, T0 + PATIENCE, false));
			frozen_written(&f, (uint64_t)(T0 + seen[i]));
		}
		assert_true(frozen_ask(&f, T0 + PATIENCE + 2000, false));
	}
}

static void what_was_not_asked_for_is_not_asked_for_again(void **state)
{
	struct frozen f = fresh();

	(void)state;
	refuse(&f, T0, true);
	assert_false(frozen_ask(&f, T0 + PATIENCE, false));
	f = fresh();
	frozen_written(&f, T0 - 60000); /* long ago: another request */
	refuse(&f, T0, true);
	assert_false(frozen_ask(&f, T0 + PATIENCE, false));
	frozen_written(&f, T0 + PATIENCE + 1500); /* a later one */
	assert_false(frozen_ask(&f, T0 + PATIENCE + 1500, false));
}

static void without_a_command_it_was_not_us(void **state)
{
	struct frozen f = fresh();

	(void)state;
	assert_false(refuse(&f, T0, false));
	frozen_written(&f, T0);
	assert_false(frozen_ask(&f, T0 + PATIENCE, false));
}

static void another_standstill_is_not_the_freezers(void **state)
{
	static const uint64_t still[] = {1, 600, 5000, PATIENCE - 200, PATIENCE + 3000, 3600000};

	(void)state;
	for (size_t i = 0; i < sizeof(still) / sizeof(still[0]); i++) {
		struct frozen f = fresh();

		frozen_looks(&f, T0, true, true);
		assert_false(frozen_looks(&f, T0 + still[i], true, true));
	}
}

static void an_idle_daemon_sleeps_as_long_as_it_likes(void **state)
{
	struct frozen f = fresh();

	(void)state;
	frozen_looks(&f, T0, false, false);
	assert_int_equal(f.looked_ms, 0);
	assert_false(frozen_looks(&f, T0 + PATIENCE, true, true));
}

static void a_second_refusal_is_taken_as_it_is(void **state)
{
	struct frozen f = fresh();

	(void)state;
	refuse(&f, T0, true);
	frozen_written(&f, T0 + PATIENCE);
	assert_true(frozen_ask(&f, T0 + PATIENCE, false));
	frozen_written(&f, T0 + PATIENCE); /* our own */
	assert_true(refuse(&f, T0 + PATIENCE + 200, true));
	assert_false(frozen_ask(&f, T0 + 2 * PATIENCE + 400, false));
}

/* An administrator who gives the freezer less patience gets more tries. */
static void with_a_short_patience_there_are_more_tries(void **state)
{
	struct frozen f = {.patience_ms = 5000};
	unsigned int asked = 0;
	uint64_t t = T0;

	(void)state;
	for (int i = 0; i < 20; i++) {
		frozen_written(&f, t);
		refuse(&f, t, true);
		t += 5000 + 300;
		if (!frozen_ask(&f, t, false))
			break;
		asked++;
		assert_true(t + 5000 < T0 + 60000);
	}
	assert_int_equal(asked, 9);
}

static void the_next_request_has_tries_of_its_own(void **state)
{
	struct frozen f = fresh();

	(void)state;
	for (int i = 0; i < 3; i++) {
		const uint64_t at = T0 + (uint64_t)i * 300000;

		refuse(&f, at, true);
		frozen_written(&f, at + PATIENCE);
		assert_true(frozen_ask(&f, at + PATIENCE, false));
	}
}

static void a_kernel_without_a_freezer(void **state)
{
	struct frozen f = {0};

	(void)state;
	frozen_looks(&f, T0, true, true);
	frozen_written(&f, T0);
	for (uint64_t still = 1; still < 100000; still += 99)
		assert_false(frozen_looks(&f, f.looked_ms + still, true, true));
	assert_false(frozen_ask(&f, T0 + 1, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_suspension_is_asked_for_once),
		cmocka_unit_test(not_before_the_command_is_answered),
		cmocka_unit_test(not_when_nobody_may_wait_any_more),
		cmocka_unit_test(the_request_may_be_seen_before_and_after_the_standstill),
		cmocka_unit_test(what_was_not_asked_for_is_not_asked_for_again),
		cmocka_unit_test(without_a_command_it_was_not_us),
		cmocka_unit_test(another_standstill_is_not_the_freezers),
		cmocka_unit_test(an_idle_daemon_sleeps_as_long_as_it_likes),
		cmocka_unit_test(a_second_refusal_is_taken_as_it_is),
		cmocka_unit_test(with_a_short_patience_there_are_more_tries),
		cmocka_unit_test(the_next_request_has_tries_of_its_own),
		cmocka_unit_test(a_kernel_without_a_freezer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
