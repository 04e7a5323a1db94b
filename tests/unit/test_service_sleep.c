/* The whole service, and a guest that is suspended and resumed, here or elsewhere. */
#include "vtpm-stubdom/service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "tests/unit/stub.h"
#include "tests/unit/tpm.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

static struct handoff_frozen freeze_for(struct stub *s, uint64_t image)
{
	const struct handoff_freeze freeze = {.image = image, .lease_epoch = 9};

	stub_say(s, HANDOFF_FREEZE, &freeze);
	return *(const struct handoff_frozen *)stub_expect(s, HANDOFF_FROZEN);
}

static void thaw(struct stub *s, uint64_t lease_epoch)
{
	const struct handoff_thaw t = {.lease_epoch = lease_epoch};

	stub_say(s, HANDOFF_THAW, &t);
}

static void a_frozen_tpm_serves_nothing_until_it_is_thawed(void **state)
{
	struct stub s = stub_start_serving(NULL);
	struct handoff_frozen frozen = freeze_for(&s, 4);

	(void)state;
	assert_true(frozen.version > 1);
	stub_submit_define(&s, 0x1500001);
	assert_true(stub_is_silent(&s, 50));
	assert_int_equal(s.guest.page[4], TPMIF_SUBMIT);
	thaw(&s, 10);
	assert_int_equal(stub_expect_store(&s), frozen.version + 1);
	stub_confirm(&s, stub_expect_store(&s), 0);
	assert_int_equal(stub_response_code(&s), 0);
	stub_close(&s);
}

static void a_relay_that_asks_again_gets_the_same_frozen_state(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint64_t version = freeze_for(&s, 4).version;

	(void)state;
	assert_int_equal(freeze_for(&s, 4).version, version);
	assert_int_equal(freeze_for(&s, 6).version, version + 1); /* the guest slept again: another image */
	stub_say(&s, HANDOFF_CLOSE, NULL);
	stub_expect(&s, HANDOFF_CLOSED); /* without a last state: what was frozen is the last one */
	stub_finish(&s);
}

/* More is said to it than it has room for, until it reads again. */
static void a_relay_that_did_not_read_for_a_while_gets_what_was_frozen_last(void **state)
{
	enum { IMAGES = 80 };
	struct stub s = stub_start_serving(NULL);
	uint64_t first = freeze_for(&s, 2).version;

	(void)state;
	for (uint64_t i = 1; i < IMAGES; i++) {
		const struct handoff_freeze freeze = {.image = 2 + 2 * i, .lease_epoch = 9};

		stub_say(&s, HANDOFF_FREEZE, &freeze);
	}
	assert_false(stub_is_silent(&s, WAIT_MS));
	usleep(500 * 1000);
	while (((const struct handoff_frozen *)stub_expect(&s, HANDOFF_FROZEN))->version != first + IMAGES - 1)
		;
	stub_say(&s, HANDOFF_CLOSE, NULL);
	stub_expect(&s, HANDOFF_CLOSED);
	stub_finish(&s);
}

static void a_change_that_waits_to_be_stored_is_answered_before_the_freeze(void **state)
{
	const struct handoff_freeze freeze = {.image = 4, .lease_epoch = 9};
	struct stub s = stub_start_serving(NULL);
	uint64_t version;

	(void)state;
	stub_submit_define(&s, 0x1500001);
	version = stub_expect_store(&s);
	stub_say(&s, HANDOFF_FREEZE, &freeze);
	assert_true(stub_is_silent(&s, 50));
	stub_confirm(&s, version, 0);
	assert_int_equal(stub_response_code(&s), 0);
	assert_int_equal(((const struct handoff_frozen *)stub_expect(&s, HANDOFF_FROZEN))->version, version + 1);
	stub_say(&s, HANDOFF_CLOSE, NULL);
	stub_expect(&s, HANDOFF_CLOSED);
	stub_finish(&s);
}

/* With durability = kmc and no KMC: xl does not wait for a guest's command as the guest does. */
static void a_change_that_is_not_stored_does_not_keep_a_guest_from_sleeping(void **state)
{
	const struct handoff_freeze freeze = {.image = 4, .lease_epoch = 9};
	struct stub s = stub_start_serving(NULL);
	uint64_t began = loop_now_ms(), version;

	(void)state;
	stub_submit_define(&s, 0x1500001);
	stub_expect_store(&s);
	stub_say(&s, HANDOFF_FREEZE, &freeze);
	version = stub_expect_store(&s); /* as it was before */
	assert_int_equal(((const struct handoff_frozen *)stub_expect(&s, HANDOFF_FROZEN))->version, version + 1);
	assert_in_range(loop_now_ms() - began, 1000, 3500);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_NV_UNAVAILABLE);
	stub_say(&s, HANDOFF_CLOSE, NULL);
	stub_expect(&s, HANDOFF_CLOSED);
	stub_finish(&s);
}

/* Each try to store it is refused. */
static void a_state_that_is_stored_in_vain_does_not_fill_the_log(void **state)
{
	FILE *log = tmpfile();
	int stderr_was = dup(STDERR_FILENO);
	unsigned int lines = 0;
	char line[256];
	struct stub s;

	(void)state;
	assert_non_null(log);
	assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
	stub_log_level = LOG_LV_WARN;
	s = stub_start_serving(NULL);
	stub_log_level = 0;
	assert_int_equal(dup2(stderr_was, STDERR_FILENO), STDERR_FILENO);
	close(stderr_was);
	for (uint64_t i = 0; i < 20; i++) {
		freeze_for(&s, 4 + 2 * i);
		thaw(&s, 9);
		stub_confirm(&s, stub_expect_store(&s), E_IO);
	}
	stub_close(&s);
	rewind(log);
	while (fgets(line, sizeof(line), log))
		lines += strstr(line, "was not stored") != NULL;
	fclose(log);
	assert_in_range(lines, 1, 10);
}

static void a_frozen_stub_domain_says_so_to_the_next_relay(void **state)
{
	int again;
	struct stub s = stub_start_serving(&again);

	(void)state;
	freeze_for(&s, 4);
	stub_next_relay(&s, again);
	assert_non_null(((const struct handoff_hello *)stub_expect(&s, HANDOFF_HELLO))->held.p);
	thaw(&s, 10);
	stub_expect_store(&s);
	stub_assert_works(&s);
	stub_close(&s);
}

/* What was frozen in one stub domain, handed to another, for image 4. */
static void hand_on(struct stub *s, struct buf *state, struct buf *transient, struct handoff_handoff *h)
{
	struct handoff_frozen f = freeze_for(s, 4);

	assert_int_equal(buf_init(state, f.state.n), 0);
	assert_int_equal(buf_init(transient, f.transient.n), 0);
	buf_put(state, f.state.p, f.state.n);
	buf_put(transient, f.transient.p, f.transient.n);
	*h = stub_handoff();
	h->incarnation = 5;
	h->state_version = f.version;
	h->state = view_of(buf_ptr(state), buf_left(state));
	h->transient = view_of(buf_ptr(transient), buf_left(transient));
	stub_say(s, HANDOFF_CLOSE, NULL);
	stub_expect(s, HANDOFF_CLOSED);
	stub_finish(s);
}

static void a_resumed_guest_is_met_at_once_and_served_when_it_is_thawed(void **state)
{
	struct stub s = stub_start_serving(NULL);
	struct buf permanent, transient;
	struct handoff_handoff h;
	struct tpm_command c;

	(void)state;
	hand_on(&s, &permanent, &transient, &h);
	s = stub_start(NULL);
	assert_int_equal(stub_hand_over(&s, &h), h.state_version);
	stub_say(&s, HANDOFF_SERVE, NULL);
	frontend_open(&s.guest, s.port);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_expect(&s, HANDOFF_FRONTEND);
	assert_true(stub_is_silent(&s, 50));
	assert_int_equal(s.guest.page[4], TPMIF_SUBMIT);
	thaw(&s, 10);
	assert_int_equal(stub_response_code(&s), 0);
	stub_close(&s);
	buf_free(&permanent);
	buf_free(&transient);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frozen_tpm_serves_nothing_until_it_is_thawed),
		cmocka_unit_test(a_relay_that_asks_again_gets_the_same_frozen_state),
		cmocka_unit_test(a_relay_that_did_not_read_for_a_while_gets_what_was_frozen_last),
		cmocka_unit_test(a_change_that_waits_to_be_stored_is_answered_before_the_freeze),
		cmocka_unit_test(a_change_that_is_not_stored_does_not_keep_a_guest_from_sleeping),
		cmocka_unit_test(a_state_that_is_stored_in_vain_does_not_fill_the_log),
		cmocka_unit_test(a_frozen_stub_domain_says_so_to_the_next_relay),
		cmocka_unit_test(a_resumed_guest_is_met_at_once_and_served_when_it_is_thawed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
