/* The frontend's life on the bus: when a page is offered, confirmed, given up, and left to the kernel's driver. */
#include "vtpm-stubdom/guest/life.h"

#include "tests/unit/unit.h"
#include "vtpm-stubdom/port.h"

static const struct life_offer told = {.backend = 7, .ring_ref = 40, .event_channel = 9};

/* What the bus says while all is well. */
static struct life_seen well(enum life life, int theirs)
{
	return (struct life_seen){
		.there = true, .ours = life == LIFE_OFFERED ? XENBUS_INITIALISED : XENBUS_CONNECTED, .offer = told, .theirs = theirs, .protocol_v2 = true,
	};
}

static void assert_step(enum life now, const struct life_seen *seen, enum life next, enum life_action action)
{
	struct life_step step = life_step(now, &told, seen);

	assert_int_equal(step.next, next);
	assert_int_equal(step.action, action);
}

static void without_a_device_nothing_happens(void **state)
{
	struct life_seen seen = {0};

	(void)state;
	assert_step(LIFE_AWAY, &seen, LIFE_AWAY, LIFE_STAY);
	seen.theirs = XENBUS_INIT_WAIT; /* of nobody */
	assert_step(LIFE_AWAY, &seen, LIFE_AWAY, LIFE_STAY);
}

static void a_page_is_offered_once_the_backend_is_there(void **state)
{
	(void)state;
	for (int theirs = XENBUS_GONE; theirs <= XENBUS_CLOSED; theirs++) {
		struct life_seen seen = {.there = true, .ours = XENBUS_INITIALISING, .offer.backend = 7, .theirs = theirs};

		if (theirs == XENBUS_INIT_WAIT || theirs == XENBUS_INITIALISED || theirs == XENBUS_CONNECTED)
			assert_step(LIFE_AWAY, &seen, LIFE_OFFERED, LIFE_OFFER);
		else
			assert_step(LIFE_AWAY, &seen, LIFE_AWAY, LIFE_STAY);
	}
}

static void whatever_a_former_frontend_left_does_not_keep_us_from_offering(void **state)
{
	(void)state;
	for (int ours = -1; ours <= 99; ours++) {
		struct life_seen seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);

		seen.ours = ours;
		assert_step(LIFE_AWAY, &seen, LIFE_OFFERED, LIFE_OFFER);
	}
}

static void an_answer_is_confirmed(void **state)
{
	struct life_seen seen = well(LIFE_OFFERED, XENBUS_CONNECTED);

	(void)state;
	assert_step(LIFE_OFFERED, &seen, LIFE_CONNECTED, LIFE_CONFIRM);
	seen.theirs = XENBUS_INIT_WAIT;
	assert_step(LIFE_OFFERED, &seen, LIFE_OFFERED, LIFE_STAY);
}

static void a_backend_of_another_protocol_is_not_confirmed(void **state)
{
	struct life_seen seen = well(LIFE_OFFERED, XENBUS_CONNECTED);

	(void)state;
	seen.protocol_v2 = false;
	assert_step(LIFE_OFFERED, &seen, LIFE_OFFERED, LIFE_STAY);
}

static void a_connection_stays_while_both_ends_say_so(void **state)
{
	struct life_seen seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);

	(void)state;
	assert_step(LIFE_CONNECTED, &seen, LIFE_CONNECTED, LIFE_STAY);
	/* A program that was started again in the backend's domain takes the page that stands in xenstore. */
	seen.theirs = XENBUS_INIT_WAIT;
	assert_step(LIFE_CONNECTED, &seen, LIFE_CONNECTED, LIFE_STAY);
	seen.theirs = XENBUS_INITIALISING;
	assert_step(LIFE_CONNECTED, &seen, LIFE_CONNECTED, LIFE_STAY);
}

static void assert_lost(const struct life_seen *seen)
{
	struct life_seen s = *seen;

	s.ours = seen->ours == XENBUS_CONNECTED ? XENBUS_INITIALISED : seen->ours;
	assert_step(LIFE_OFFERED, &s, LIFE_AWAY, LIFE_DROP);
	assert_step(LIFE_CONNECTED, seen, LIFE_AWAY, LIFE_DROP);
}

static void a_directory_that_was_written_anew_is_a_loss(void **state)
{
	struct life_seen seen = well(LIFE_CONNECTED, XENBUS_INIT_WAIT);

	(void)state;
	seen.ours = XENBUS_INITIALISING;
	seen.offer.ring_ref = seen.offer.event_channel = 0; /* as libxl leaves it after a restore */
	assert_lost(&seen);
	assert_false(life_ours(&told, &seen));
}

static void each_value_that_is_not_ours_any_more_is_a_loss(void **state)
{
	struct life_seen seen;

	(void)state;
	seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);
	seen.offer.backend++;
	assert_lost(&seen);
	assert_true(life_ours(&told, &seen)); /* the same domain, another backend: the event channel is as good as ever */
	seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);
	seen.offer.ring_ref++;
	assert_lost(&seen);
	assert_false(life_ours(&told, &seen));
	seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);
	seen.offer.event_channel++;
	assert_lost(&seen);
	assert_false(life_ours(&told, &seen));
	seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);
	seen.there = false;
	assert_lost(&seen);
	assert_false(life_ours(&told, &seen));
}

static void a_state_that_somebody_else_wrote_is_a_loss(void **state)
{
	(void)state;
	for (int ours = -1; ours <= 9; ours++) {
		struct life_seen seen = well(LIFE_CONNECTED, XENBUS_CONNECTED);

		seen.ours = ours;
		if (ours != XENBUS_CONNECTED)
			assert_step(LIFE_CONNECTED, &seen, LIFE_AWAY, LIFE_DROP);
		if (ours != XENBUS_INITIALISED)
			assert_step(LIFE_OFFERED, &seen, LIFE_AWAY, LIFE_DROP);
	}
}

static void a_backend_that_closes_or_vanishes_is_a_loss(void **state)
{
	static const int ends[] = {XENBUS_GONE, XENBUS_CLOSING, XENBUS_CLOSED};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct life_seen seen = well(LIFE_CONNECTED, ends[i]);

		assert_lost(&seen);
	}
}

static void the_kernels_driver_is_yielded_to_at_any_time_and_for_good(void **state)
{
	(void)state;
	for (int now = LIFE_AWAY; now <= LIFE_CONNECTED; now++) {
		struct life_seen seen = well((enum life)now, XENBUS_CONNECTED);

		seen.driver = true;
		assert_step((enum life)now, &seen, LIFE_YIELDED, LIFE_YIELD);
		seen.driver = false;
		assert_step(LIFE_YIELDED, &seen, LIFE_YIELDED, LIFE_STAY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_device_nothing_happens),
		cmocka_unit_test(a_page_is_offered_once_the_backend_is_there),
		cmocka_unit_test(whatever_a_former_frontend_left_does_not_keep_us_from_offering),
		cmocka_unit_test(an_answer_is_confirmed),
		cmocka_unit_test(a_backend_of_another_protocol_is_not_confirmed),
		cmocka_unit_test(a_connection_stays_while_both_ends_say_so),
		cmocka_unit_test(a_directory_that_was_written_anew_is_a_loss),
		cmocka_unit_test(each_value_that_is_not_ours_any_more_is_a_loss),
		cmocka_unit_test(a_state_that_somebody_else_wrote_is_a_loss),
		cmocka_unit_test(a_backend_that_closes_or_vanishes_is_a_loss),
		cmocka_unit_test(the_kernels_driver_is_yielded_to_at_any_time_and_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
