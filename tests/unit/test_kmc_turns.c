/* Whose request goes to the engine next: nobody waits for a host that floods. */
#include <stdio.h>
#include <string.h>

#include "kmc/turns.h"
#include "tests/unit/unit.h"

#define PLACES 400
#define RATE 100

static struct turns *t;
static uint64_t wait_ms;

static int begin(void **state)
{
	(void)state;
	t = turns_new(PLACES, RATE);
	return t ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	turns_free(&t);
	return t ? -1 : 0;
}

/* Connections have their place's number and 1000 more. */
static void ask(size_t place, const char *host, enum turn_size size, uint64_t now_ms)
{
	turns_ask(t, place, place + 1000, host, size, now_ms);
}

static void next_is(size_t place, uint64_t now_ms)
{
	size_t got = PLACES;

	assert_true(turns_next(t, now_ms, &got, &wait_ms));
	assert_int_equal(got, place);
}

static void none_is_next(uint64_t now_ms)
{
	size_t got;

	assert_false(turns_next(t, now_ms, &got, &wait_ms));
}

static void answered(size_t place)
{
	assert_true(turns_answered(t, place + 1000));
}

static void who_is_alone_goes_at_once(void **state)
{
	(void)state;
	none_is_next(0);
	assert_int_equal(wait_ms, 0);
	ask(7, "a", TURN_LARGE, 0);
	next_is(7, 0);
	none_is_next(0);
	answered(7);
	assert_false(turns_answered(t, 1007));
}

static void a_host_has_its_share_of_the_large_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < 8; i++)
		ask(i, "flood", TURN_LARGE, 0);
	for (size_t i = 0; i < TURNS_LARGE_SHARE; i++)
		next_is(i, 0);
	none_is_next(0);
	assert_int_equal(wait_ms, 0); /* it waits for its own */
	ask(20, "a", TURN_LARGE, 0);
	next_is(20, 0);
	ask(21, "flood", TURN_SMALL, 0); /* the small ones are counted apart */
	next_is(21, 0);
	answered(0);
	next_is(TURNS_LARGE_SHARE, 0);
	none_is_next(0);
}

static void all_of_them_together_have_so_many(void **state)
{
	char name[8];

	(void)state;
	for (size_t i = 0; i < TURNS_LARGE + 1; i++) {
		snprintf(name, sizeof(name), "h%zu", i);
		ask(i, name, TURN_LARGE, 0);
	}
	for (size_t i = 0; i < TURNS_LARGE; i++)
		next_is(i, 0);
	none_is_next(0);
	answered(2);
	next_is(TURNS_LARGE, 0);
}

static void who_has_less_under_way_goes_first(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		ask(i, "x", TURN_LARGE, 0);
	for (size_t i = 3; i < 6; i++)
		ask(i, "y", TURN_LARGE, 0);
	for (size_t i = 0; i < 6; i++) {
		size_t got;

		assert_true(turns_next(t, 0, &got, &wait_ms));
	}
	ask(6, "x", TURN_LARGE, 0); /* all slots are taken, and these wait */
	ask(7, "y", TURN_LARGE, 0);
	ask(8, "a", TURN_LARGE, 0);
	none_is_next(0);
	answered(0);
	next_is(8, 0); /* the youngest, but it has none */
	answered(3);
	next_is(6, 0); /* two each: who waits the longest */
	answered(4);
	next_is(7, 0);
}

static void what_comes_faster_than_the_rate_waits(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * RATE; i++) {
		ask(1, "a", TURN_SMALL, 5000);
		next_is(1, 5000);
		answered(1);
	}
	ask(1, "a", TURN_SMALL, 5000);
	none_is_next(5000);
	assert_int_equal(wait_ms, 1000 / RATE);
	ask(2, "b", TURN_SMALL, 5000); /* nobody else does */
	next_is(2, 5000);
	none_is_next(5000 + 1000 / RATE - 1);
	assert_int_equal(wait_ms, 1);
	next_is(1, 5000 + 1000 / RATE);
	answered(1);
	turns_leave(t, 1); /* another connection is no other host */
	ask(3, "a", TURN_SMALL, 5010);
	none_is_next(5010);
}

static void who_leaves_waits_no_more_and_frees_its_slot_when_answered(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5; i++)
		ask(i, "a", TURN_LARGE, 0);
	for (size_t i = 0; i < TURNS_LARGE_SHARE; i++)
		next_is(i, 0);
	turns_leave(t, 3);
	turns_leave(t, 3);
	turns_leave(t, 0); /* it is at the engine */
	none_is_next(0);
	answered(0);
	next_is(4, 0);
	none_is_next(0);
}

static void strangers_are_one_host(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5; i++)
		ask(i, "", TURN_LARGE, 0);
	for (size_t i = 0; i < TURNS_LARGE_SHARE; i++)
		next_is(i, 0);
	none_is_next(0);
}

static void more_hosts_than_are_remembered_find_their_place(void **state)
{
	char name[16];

	(void)state;
	for (unsigned int i = 0; i < 5 * PLACES; i++) {
		snprintf(name, sizeof(name), "host%u", i);
		ask(i % PLACES, name, TURN_SMALL, i);
		next_is(i % PLACES, i);
		answered(i % PLACES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_alone_goes_at_once, begin, end),
		cmocka_unit_test_setup_teardown(a_host_has_its_share_of_the_large_ones, begin, end),
		cmocka_unit_test_setup_teardown(all_of_them_together_have_so_many, begin, end),
		cmocka_unit_test_setup_teardown(who_has_less_under_way_goes_first, begin, end),
		cmocka_unit_test_setup_teardown(what_comes_faster_than_the_rate_waits, begin, end),
		cmocka_unit_test_setup_teardown(who_leaves_waits_no_more_and_frees_its_slot_when_answered, begin, end),
		cmocka_unit_test_setup_teardown(strangers_are_one_host, begin, end),
		cmocka_unit_test_setup_teardown(more_hosts_than_are_remembered_find_their_place, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
