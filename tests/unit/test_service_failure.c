/* The whole service with a TPM in libtpms' failure mode: who hears of it, what is stored, and that it can be moved. */
#include "vtpm-stubdom/service.h"

#include <signal.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/stub.h"
#include "tests/unit/tpm.h"
#include "vtpm-stubdom/tpmif.h"

/* Its guest is served, and its start stored if @stored. */
static struct stub start(int *again, bool stored)
{
	struct stub s = stub_start_failing(again);
	const struct handoff_handoff h = stub_handoff();

	stub_hand_over(&s, &h);
	stub_confirm(&s, stub_expect_store(&s), stored ? 0 : E_IO);
	stub_connect(&s);
	return s;
}

static void assert_failure_is_told(struct stub *s)
{
	const struct handoff_status_reply *r = stub_expect(s, HANDOFF_STATUS_REPLY);

	assert_non_null(r->failure.p);
	assert_non_null(memmem(r->failure.p, r->failure.n, "failure mode", 12));
}

/* Nothing is stored for what the guest wants to change now. */
static void fail_tpm(struct stub *s)
{
	stub_submit_define(s, 0x1500001);
	assert_int_equal(stub_response_code(s), TPMIF_RC_FAILURE);
	assert_failure_is_told(s);
	assert_true(stub_is_silent(s, 50));
}

static void close_without_a_state(struct stub *s)
{
	stub_say(s, HANDOFF_CLOSE, NULL);
	stub_expect(s, HANDOFF_CLOSED);
	stub_finish(s);
}

static void the_relay_hears_of_a_tpm_that_failed_once_and_when_it_asks(void **state)
{
	struct stub s = start(NULL, true);

	(void)state;
	stub_say(&s, HANDOFF_STATUS, NULL);
	assert_null(((const struct handoff_status_reply *)stub_expect(&s, HANDOFF_STATUS_REPLY))->failure.p);
	fail_tpm(&s);
	stub_submit_define(&s, 0x1500001);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_FAILURE);
	assert_true(stub_is_silent(&s, 50));
	stub_say(&s, HANDOFF_STATUS, NULL);
	assert_failure_is_told(&s);
	close_without_a_state(&s); /* there is no newer one than is stored */
}

static void so_does_the_next_relay(void **state)
{
	int again;
	struct stub s = start(&again, true);

	(void)state;
	fail_tpm(&s);
	stub_next_relay(&s, again);
	stub_expect(&s, HANDOFF_HELLO);
	assert_failure_is_told(&s);
	close_without_a_state(&s);
}

static void what_was_not_stored_before_it_failed_is_stored_at_the_end(void **state)
{
	struct stub s = start(NULL, false);

	(void)state;
	fail_tpm(&s);
	stub_say(&s, HANDOFF_CLOSE, NULL);
	stub_confirm(&s, stub_expect_store(&s), 0);
	stub_expect(&s, HANDOFF_CLOSED);
	stub_finish(&s);
}

static void a_tpm_that_failed_is_frozen_and_goes_on_as_one(void **state)
{
	const struct handoff_freeze freeze = {.image = 4, .lease_epoch = 9};
	const struct handoff_thaw thaw = {.lease_epoch = 10};
	struct stub s = start(NULL, true);
	struct handoff_handoff h = stub_handoff();
	struct buf permanent, transient;
	struct handoff_frozen f;

	(void)state;
	fail_tpm(&s);
	stub_say(&s, HANDOFF_FREEZE, &freeze);
	f = *(const struct handoff_frozen *)stub_expect(&s, HANDOFF_FROZEN);
	assert_int_equal(buf_init(&permanent, f.state.n), 0);
	assert_int_equal(buf_init(&transient, f.transient.n), 0);
	buf_put(&permanent, f.state.p, f.state.n);
	buf_put(&transient, f.transient.p, f.transient.n);
	close_without_a_state(&s);

	h.incarnation = 5;
	h.state_version = f.version;
	h.state = view_of(buf_ptr(&permanent), buf_left(&permanent));
	h.transient = view_of(buf_ptr(&transient), buf_left(&transient));
	s = stub_start(NULL);
	assert_int_equal(stub_hand_over(&s, &h), f.version);
	assert_failure_is_told(&s);
	stub_connect(&s);
	stub_say(&s, HANDOFF_THAW, &thaw);
	stub_submit_define(&s, 0x1500001);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_FAILURE);
	close_without_a_state(&s);

	h.incarnation = 1; /* a new boot */
	s = stub_start(NULL);
	stub_hand_over(&s, &h);
	stub_confirm(&s, stub_expect_store(&s), 0);
	stub_connect(&s);
	stub_assert_works(&s);
	stub_close(&s);
	buf_free(&permanent);
	buf_free(&transient);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_relay_hears_of_a_tpm_that_failed_once_and_when_it_asks),
		cmocka_unit_test(so_does_the_next_relay),
		cmocka_unit_test(what_was_not_stored_before_it_failed_is_stored_at_the_end),
		cmocka_unit_test(a_tpm_that_failed_is_frozen_and_goes_on_as_one),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
