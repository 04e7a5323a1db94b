/* One command's life, and which commands may be executed twice. */
#include "vtpm-stubdom/guest/command.h"

#include <string.h>

#include "tests/unit/unit.h"

static void assert_step(enum command_state now, enum command_event event, bool connected, bool again, enum command_state next, unsigned int actions)
{
	struct command_step step = command_step(now, event, connected, again);

	assert_int_equal(step.next, next);
	assert_int_equal(step.actions, actions);
}

static void a_command_goes_to_the_backend_and_its_response_back(void **state)
{
	(void)state;
	assert_step(COMMAND_NONE, COMMAND_ARRIVED, true, false, COMMAND_SUBMITTED, COMMAND_DO_SUBMIT);
	assert_step(COMMAND_SUBMITTED, COMMAND_FINISHED, true, false, COMMAND_NONE, COMMAND_DO_ANSWER);
}

static void without_a_connection_it_waits_for_one(void **state)
{
	(void)state;
	assert_step(COMMAND_NONE, COMMAND_ARRIVED, false, false, COMMAND_HELD, 0);
	assert_step(COMMAND_HELD, COMMAND_CONNECTED, true, false, COMMAND_SUBMITTED, COMMAND_DO_SUBMIT);
}

static void one_that_never_left_may_be_tried_again_by_the_kernel(void **state)
{
	(void)state;
	assert_step(COMMAND_HELD, COMMAND_DEADLINE, false, false, COMMAND_NONE, COMMAND_DO_RETRY);
	assert_step(COMMAND_QUEUED, COMMAND_DEADLINE, true, false, COMMAND_CLEARING, COMMAND_DO_RETRY);
}

static void a_newer_command_replaces_one_that_waits(void **state)
{
	(void)state;
	assert_step(COMMAND_HELD, COMMAND_ARRIVED, false, false, COMMAND_HELD, 0);
	assert_step(COMMAND_QUEUED, COMMAND_ARRIVED, true, false, COMMAND_QUEUED, 0);
}

static void a_newer_command_cancels_the_one_that_is_executed_and_waits_for_the_page(void **state)
{
	(void)state;
	assert_step(COMMAND_SUBMITTED, COMMAND_ARRIVED, true, false, COMMAND_QUEUED, COMMAND_DO_CANCEL);
	/* The response of the old one is nobody's. */
	assert_step(COMMAND_QUEUED, COMMAND_FINISHED, true, false, COMMAND_SUBMITTED, COMMAND_DO_SUBMIT);
	assert_step(COMMAND_QUEUED, COMMAND_IDLED, true, false, COMMAND_SUBMITTED, COMMAND_DO_SUBMIT);
}

static void what_was_lost_is_repeated_only_if_that_is_harmless(void **state)
{
	(void)state;
	assert_step(COMMAND_SUBMITTED, COMMAND_LOST, false, true, COMMAND_HELD, 0);
	assert_step(COMMAND_SUBMITTED, COMMAND_LOST, false, false, COMMAND_NONE, COMMAND_DO_FAIL);
	/* What never entered the page was not lost with it. */
	assert_step(COMMAND_QUEUED, COMMAND_LOST, false, false, COMMAND_HELD, 0);
	/* Nor does it enter one that became clear just before it is lost. */
	assert_step(COMMAND_QUEUED, COMMAND_FINISHED, false, false, COMMAND_HELD, 0);
	assert_step(COMMAND_QUEUED, COMMAND_IDLED, false, false, COMMAND_HELD, 0);
	assert_step(COMMAND_HELD, COMMAND_LOST, false, false, COMMAND_HELD, 0);
	assert_step(COMMAND_CLEARING, COMMAND_LOST, false, false, COMMAND_NONE, 0);
}

static void one_that_takes_too_long_fails_and_clears_the_page(void **state)
{
	(void)state;
	assert_step(COMMAND_SUBMITTED, COMMAND_DEADLINE, true, true, COMMAND_CLEARING, COMMAND_DO_CANCEL | COMMAND_DO_FAIL);
	assert_step(COMMAND_CLEARING, COMMAND_ARRIVED, true, false, COMMAND_QUEUED, 0);
	assert_step(COMMAND_CLEARING, COMMAND_FINISHED, true, false, COMMAND_NONE, 0);
	assert_step(COMMAND_CLEARING, COMMAND_IDLED, true, false, COMMAND_NONE, 0);
}

static void one_that_the_backend_drops_fails(void **state)
{
	(void)state;
	assert_step(COMMAND_SUBMITTED, COMMAND_IDLED, true, true, COMMAND_NONE, COMMAND_DO_FAIL);
}

static void a_closed_device_leaves_no_answer_and_a_page_to_clear(void **state)
{
	(void)state;
	assert_step(COMMAND_HELD, COMMAND_ABANDONED, false, false, COMMAND_NONE, 0);
	assert_step(COMMAND_SUBMITTED, COMMAND_ABANDONED, true, true, COMMAND_CLEARING, COMMAND_DO_CANCEL);
	assert_step(COMMAND_QUEUED, COMMAND_ABANDONED, true, true, COMMAND_CLEARING, 0);
}

/* Whatever comes: the page is written only when it is clear and there, and a command gets one response at most. */
static void every_step_keeps_the_rules(void **state)
{
	(void)state;
	for (int now = COMMAND_NONE; now <= COMMAND_QUEUED; now++)
		for (int event = COMMAND_ARRIVED; event <= COMMAND_ABANDONED; event++)
			for (int flags = 0; flags < 4; flags++) {
				struct command_step s = command_step((enum command_state)now, (enum command_event)event, flags & 1, flags & 2);
				const unsigned int answers = s.actions & (COMMAND_DO_ANSWER | COMMAND_DO_RETRY | COMMAND_DO_FAIL);
				bool occupied = now == COMMAND_SUBMITTED || now == COMMAND_CLEARING || now == COMMAND_QUEUED;
				bool cleared = event == COMMAND_FINISHED || event == COMMAND_IDLED;

				assert_true((answers & (answers - 1)) == 0);
				if (s.actions & COMMAND_DO_SUBMIT) {
					assert_int_equal(s.next, COMMAND_SUBMITTED);
					assert_true(!occupied || cleared);
				}
				if (s.actions & COMMAND_DO_CANCEL)
					assert_int_equal(now, COMMAND_SUBMITTED);
				if (answers)
					assert_true(s.next == COMMAND_NONE || s.next == COMMAND_CLEARING);
				if (event == COMMAND_LOST)
					assert_true(s.next == COMMAND_NONE || s.next == COMMAND_HELD);
				/* What was in the page leaves it by an answer, a loss, or not at all. */
				if (occupied && !cleared && event != COMMAND_LOST)
					assert_true(s.next == COMMAND_SUBMITTED || s.next == COMMAND_CLEARING || s.next == COMMAND_QUEUED);
			}
}

static void no_state_in_which_the_kernel_waits_lasts_for_ever(void **state)
{
	(void)state;
	assert_true(command_patience_ms(COMMAND_HELD) > 0);
	assert_true(command_patience_ms(COMMAND_QUEUED) > 0);
	assert_true(command_patience_ms(COMMAND_SUBMITTED) > 300000); /* the kernel's own for a key generation */
	assert_int_equal(command_patience_ms(COMMAND_NONE), 0);
	assert_int_equal(command_patience_ms(COMMAND_CLEARING), 0);
}

static size_t build(uint8_t out[64], uint16_t tag, uint32_t cc, uint8_t first)
{
	const uint8_t head[] = {(uint8_t)(tag >> 8), (uint8_t)tag, 0, 0, 0, 14, (uint8_t)(cc >> 24), (uint8_t)(cc >> 16), (uint8_t)(cc >> 8), (uint8_t)cc, first, 0, 0, 1};

	memcpy(out, head, sizeof(head));
	return sizeof(head);
}

static bool repeatable(uint16_t tag, uint32_t cc, uint8_t first)
{
	uint8_t command[64];
	size_t n = build(command, tag, cc, first);

	return command_repeatable(command, n);
}

static void what_only_reads_may_be_repeated(void **state)
{
	static const uint32_t codes[] = {0x17a, 0x17b, 0x17e, 0x173, 0x169, 0x181, 0x17d, 0x177, 0x143};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		assert_true(repeatable(0x8001, codes[i], 0));
}

static void what_carries_sessions_never_is(void **state)
{
	(void)state;
	for (uint32_t cc = 0x11f; cc < 0x1a0; cc++)
		assert_false(repeatable(0x8002, cc, 0));
}

static void what_changes_the_tpm_never_is(void **state)
{
	/* NV_Increment, Clear, PCR_Extend, NV_Write, CreatePrimary, Startup, Load, ContextLoad, StartAuthSession, LoadExternal, GetTime, EventSequence... */
	static const uint32_t codes[] = {0x134, 0x126, 0x182, 0x137, 0x131, 0x144, 0x157, 0x161, 0x176, 0x167, 0x14c, 0x13e, 0x15c, 0x186, 0x153, 0x122, 0x13d};

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		assert_false(repeatable(0x8001, codes[i], 0x80));
}

static void saving_an_object_may_be_repeated_saving_a_session_may_not(void **state)
{
	(void)state;
	assert_true(repeatable(0x8001, 0x162, 0x80));
	assert_false(repeatable(0x8001, 0x162, 0x02));
	assert_false(repeatable(0x8001, 0x162, 0x03));
}

static void what_is_no_command_is_not_repeated(void **state)
{
	uint8_t command[64];
	size_t n = build(command, 0x8001, 0x17b, 0);

	(void)state;
	assert_false(command_repeatable(command, n - 1));
	assert_false(command_repeatable(command, 9));
	assert_false(command_repeatable(command, 0));
	command[2] = 0xff;
	assert_false(command_repeatable(command, n));
	assert_false(command_repeatable((const uint8_t *)"\x80\x01\0\0\0\x0a\0\0\x01\x62", 10)); /* ContextSave of nothing */
}

static void the_proxys_locality_command_is_recognised(void **state)
{
	uint8_t command[] = {0x80, 0x02, 0, 0, 0, 11, 0x20, 0, 0x10, 0, 3};

	(void)state;
	assert_int_equal(command_locality(command, sizeof(command)), 3);
	command[1] = 1;
	assert_int_equal(command_locality(command, sizeof(command)), -1);
	command[1] = 2;
	command[9] = 1;
	assert_int_equal(command_locality(command, sizeof(command)), -1);
	assert_int_equal(command_locality(command, 10), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_goes_to_the_backend_and_its_response_back),
		cmocka_unit_test(without_a_connection_it_waits_for_one),
		cmocka_unit_test(one_that_never_left_may_be_tried_again_by_the_kernel),
		cmocka_unit_test(a_newer_command_replaces_one_that_waits),
		cmocka_unit_test(a_newer_command_cancels_the_one_that_is_executed_and_waits_for_the_page),
		cmocka_unit_test(what_was_lost_is_repeated_only_if_that_is_harmless),
		cmocka_unit_test(one_that_takes_too_long_fails_and_clears_the_page),
		cmocka_unit_test(one_that_the_backend_drops_fails),
		cmocka_unit_test(a_closed_device_leaves_no_answer_and_a_page_to_clear),
		cmocka_unit_test(every_step_keeps_the_rules),
		cmocka_unit_test(no_state_in_which_the_kernel_waits_lasts_for_ever),
		cmocka_unit_test(what_only_reads_may_be_repeated),
		cmocka_unit_test(what_carries_sessions_never_is),
		cmocka_unit_test(what_changes_the_tpm_never_is),
		cmocka_unit_test(saving_an_object_may_be_repeated_saving_a_session_may_not),
		cmocka_unit_test(what_is_no_command_is_not_repeated),
		cmocka_unit_test(the_proxys_locality_command_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
