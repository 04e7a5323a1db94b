/* The KMC's time never goes back, and no request is answered twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kmc/clock.h"
#include "kmc/replays.h"

#define DAY 86400

static void it_follows_the_machine_forward(void **state)
{
	struct kmc_clock c = {0};

	(void)state;
	assert_int_equal(kmc_clock_tell(&c, 1000000, 5000), 1000000);
	assert_int_equal(kmc_clock_tell(&c, 1000001, 6000), 1000001);
	assert_int_equal(kmc_clock_tell(&c, 1000001 + DAY, 6000), 1000001 + DAY);
	assert_int_equal(kmc_clock_behind(&c, 1000001 + DAY, 6000), 0);
}

static void a_clock_that_is_set_back_changes_nothing(void **state)
{
	struct kmc_clock c = {0};

	(void)state;
	kmc_clock_tell(&c, 1000000, 5000);
	assert_int_equal(kmc_clock_tell(&c, 1000000 - DAY, 5000), 1000000);
	assert_int_equal(kmc_clock_tell(&c, 1000000 - DAY + 90, 95000), 1000090); /* it goes on */
	assert_int_equal(kmc_clock_behind(&c, 1000000 - DAY + 90, 95000), DAY);
	assert_int_equal(kmc_clock_tell(&c, 0, 95000), 1000090);
}

static void once_it_is_right_again_it_is_followed_again(void **state)
{
	struct kmc_clock c = {0};

	(void)state;
	kmc_clock_tell(&c, 1000000, 0);
	kmc_clock_tell(&c, 10, 1000);
	assert_int_equal(kmc_clock_tell(&c, 1000500, 2000), 1000500);
	assert_int_equal(kmc_clock_behind(&c, 1000500, 2000), 0);
	assert_int_equal(kmc_clock_tell(&c, 1000500, 2500), 1000500);
}

static void small_steps_do_not_add_up(void **state)
{
	struct kmc_clock c = {0};
	int64_t told = 0;

	(void)state;
	kmc_clock_tell(&c, 1000000, 0);
	for (uint64_t ms = 1; ms <= 100000; ms += 7) /* a clock that stands still, asked often */
		told = kmc_clock_tell(&c, 1000000, ms);
	assert_int_equal(told, 1000099);
}

static struct view cipher(uint8_t bytes[256], unsigned int n)
{
	memset(bytes, 0, 256);
	memcpy(bytes + 256 - sizeof(n), &n, sizeof(n));
	return (struct view){.p = bytes, .n = 256};
}

static void a_request_is_fresh_once(void **state)
{
	static struct replays r;
	uint8_t bytes[256];

	(void)state;
	for (unsigned int i = 1; i <= REPLAYS_MAX; i++)
		assert_true(replays_fresh(&r, cipher(bytes, i)));
	for (unsigned int i = 1; i <= REPLAYS_MAX; i++)
		assert_false(replays_fresh(&r, cipher(bytes, i)));
	assert_true(replays_fresh(&r, cipher(bytes, REPLAYS_MAX + 1))); /* in the place of the oldest, and of no other */
	assert_true(replays_fresh(&r, cipher(bytes, 1)));
	assert_false(replays_fresh(&r, cipher(bytes, 3)));
	assert_false(replays_fresh(&r, cipher(bytes, REPLAYS_MAX + 1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_follows_the_machine_forward),
		cmocka_unit_test(a_clock_that_is_set_back_changes_nothing),
		cmocka_unit_test(once_it_is_right_again_it_is_followed_again),
		cmocka_unit_test(small_steps_do_not_add_up),
		cmocka_unit_test(a_request_is_fresh_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
