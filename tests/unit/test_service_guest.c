/* The whole service, and a guest with bad manners. */
#include "vtpm-stubdom/service.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/stub.h"
#include "tests/unit/tpm.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

/* Once more, with a new ring. */
static void load_driver(struct stub *s)
{
	s->guest.ring_ref++;
	frontend_say(&s->guest, XENBUS_INITIALISED);
}

static void a_driver_can_be_unloaded_and_loaded_and_the_tpm_is_not_reset(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint8_t response[TPMIF_DATA_MAX], pcr[32], zero[32] = {0};
	struct tpm_command c;

	(void)state;
	tpm_pcr_extend(&c, 16, 5);
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	tpm_pcr_read(&c, 16);
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	memcpy(pcr, response + 30, 32);
	assert_memory_not_equal(pcr, zero, 32);
	for (int i = 0; i < 20; i++) {
		frontend_say(&s.guest, XENBUS_CLOSING);
		frontend_say(&s.guest, XENBUS_CLOSED);
		stub_expect_frontend(&s, false);
		assert_int_equal(frontend_await(&s.guest, XENBUS_INIT_WAIT, WAIT_MS), 0);
		load_driver(&s); /* 6 -> 3 */
		assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
		stub_expect_frontend(&s, true);
	}
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	assert_memory_equal(response + 30, pcr, 32);
	stub_close(&s);
}

static void a_request_that_was_there_before_the_backend_is_served(void **state)
{
	struct stub s = stub_start_serving(NULL);
	struct tpm_command c;

	(void)state;
	frontend_say(&s.guest, XENBUS_CLOSED);
	stub_expect(&s, HANDOFF_FRONTEND);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	load_driver(&s);
	stub_expect(&s, HANDOFF_FRONTEND);
	assert_int_equal(stub_response_code(&s), 0);
	frontend_wait(&s.guest, 20);
	stub_close(&s);
}

static void rubbish_in_page_and_states_costs_the_guest_only_its_answers(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		for (int j = 0; j < 12; j++) {
			random = random * 1664525 + 1013904223;
			s.guest.page[j] = (uint8_t)(random >> 24);
		}
		if (i % 3 == 0)
			memset(s.guest.page + 1, 0, 3); /* a small length now and then */
		if (i % 2 == 0)
			s.guest.page[4] = TPMIF_SUBMIT;
		frontend_notify(&s.guest);
		if (i % 7 == 0)
			frontend_say(&s.guest, random);
		if (i % 50 == 0)
			frontend_wait(&s.guest, 1);
	}
	frontend_say(&s.guest, XENBUS_CLOSED);
	load_driver(&s);
	/* the control channel was never starved */
	stub_say(&s, HANDOFF_STATUS, NULL);
	while (stub_hear(&s) != HANDOFF_STATUS_REPLY)
		;
	while (frontend_await(&s.guest, XENBUS_CONNECTED, 500) == 0)
		;
	while (frontend_wait(&s.guest, 100) == 0)
		;
	stub_assert_works(&s);
	stub_close(&s);
}

static void a_ring_that_cant_be_mapped_is_not_connected(void **state)
{
	struct stub s = stub_start_serving(NULL);

	(void)state;
	frontend_say(&s.guest, XENBUS_CLOSED);
	stub_expect(&s, HANDOFF_FRONTEND);
	assert_int_equal(frontend_await(&s.guest, XENBUS_INIT_WAIT, WAIT_MS), 0);
	assert_int_equal(ftruncate(s.guest.page_fd, 100), 0); /* no page */
	load_driver(&s);
	assert_true(stub_is_silent(&s, 100));
	assert_int_equal(ftruncate(s.guest.page_fd, TPMIF_PAGE_SIZE), 0);
	load_driver(&s);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_expect(&s, HANDOFF_FRONTEND);
	stub_assert_works(&s);
	stub_close(&s);
}

static void malformed_requests_are_answered_and_counted(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint8_t response[TPMIF_DATA_MAX];

	(void)state;
	assert_int_equal(frontend_command(&s.guest, "short", 5, response, WAIT_MS), 10);
	assert_int_equal(tpm_u32(response + 6), TPMIF_RC_COMMAND_SIZE);
	stub_say(&s, HANDOFF_STATUS, NULL);
	assert_int_equal(((const struct handoff_status_reply *)stub_expect(&s, HANDOFF_STATUS_REPLY))->malformed, 1);
	stub_close(&s);
}

static void a_cancellation_while_idle_is_confirmed(void **state)
{
	struct stub s = stub_start_serving(NULL);

	(void)state;
	s.guest.page[4] = TPMIF_CANCEL;
	frontend_notify(&s.guest);
	assert_int_equal(frontend_wait(&s.guest, WAIT_MS), 0);
	assert_int_equal(s.guest.page[4], TPMIF_IDLE);
	stub_assert_works(&s);
	stub_close(&s);
}

static void a_guest_that_vanishes_while_its_change_is_stored_hurts_nobody(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint64_t version;

	(void)state;
	stub_submit_define(&s, 0x1500001);
	version = stub_expect_store(&s);
	frontend_say(&s.guest, XENBUS_CLOSED);
	stub_expect_frontend(&s, false);
	load_driver(&s);
	stub_expect_frontend(&s, true);
	stub_submit_define(&s, 0x1500002);
	assert_int_equal(frontend_wait(&s.guest, 100), -1);
	stub_confirm(&s, version, 0); /* the answer is the old ring's; now the new one's turn comes */
	stub_confirm(&s, stub_expect_store(&s), 0);
	assert_int_equal(stub_response_code(&s), 0);
	stub_assert_works(&s);
	stub_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_can_be_unloaded_and_loaded_and_the_tpm_is_not_reset),
		cmocka_unit_test(a_request_that_was_there_before_the_backend_is_served),
		cmocka_unit_test(rubbish_in_page_and_states_costs_the_guest_only_its_answers),
		cmocka_unit_test(a_ring_that_cant_be_mapped_is_not_connected),
		cmocka_unit_test(malformed_requests_are_answered_and_counted),
		cmocka_unit_test(a_cancellation_while_idle_is_confirmed),
		cmocka_unit_test(a_guest_that_vanishes_while_its_change_is_stored_hurts_nobody),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
