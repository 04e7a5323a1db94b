/* The whole service in the place of a stub domain that died: it answers the guest's driver and is no TPM. */
#include "vtpm-stubdom/service.h"

#include <signal.h>
#include <string.h>

#include "tests/unit/stub.h"
#include "tests/unit/tpm.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

enum { TPM2_RESPONSE = 0x8001, TPM12_RESPONSE = 0x00c4 };
enum { TPM2_RC_INITIALIZE = 0x100, TPM12_INVALID_POSTINIT = 0x26 }; /* no Startup yet */

/* A stub domain in the place of one that died, with the guest's driver connected as it was. */
static struct stub start_standing_in(int *again)
{
	struct handoff_stand_in q = {.guest_domid = 3};
	struct stub s = stub_start(again);

	memset(q.uuid.b, 0x31, UUID_SIZE);
	stub_expect(&s, HANDOFF_HELLO);
	frontend_open(&s.guest, s.port);
	stub_say(&s, HANDOFF_STAND_IN, &q);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_expect_frontend(&s, true);
	return s;
}

static uint32_t ask_standin(struct stub *s, const char *command, size_t n, uint16_t tag)
{
	uint8_t response[TPMIF_DATA_MAX];

	assert_int_equal(frontend_command(&s->guest, command, n, response, WAIT_MS), 10);
	assert_int_equal(response[0] << 8 | response[1], tag);
	return tpm_u32(response + 6);
}

static void a_stand_in_starts_no_tpm(void **state)
{
	struct stub s = start_standing_in(NULL);
	static const char startup[] = "\x80\x01\0\0\0\x0c\0\0\x01\x44\0\0", pcr_extend[] = "\x80\x02\0\0\0\x0a\0\0\x01\x82";

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask_standin(&s, startup, 12, TPM2_RESPONSE), TPM2_RC_INITIALIZE);
		assert_int_equal(ask_standin(&s, pcr_extend, 10, TPM2_RESPONSE), TPM2_RC_INITIALIZE);
	}
	assert_int_equal(ask_standin(&s, "\0\xc1\0\0\0\x0e\0\0\0\x46\0\0\0\x08", 14, TPM12_RESPONSE), TPM12_INVALID_POSTINIT); /* by Linux's kernel */
	stub_close(&s);
}

static void a_stand_in_answers_the_command_that_the_dead_one_left(void **state)
{
	struct handoff_stand_in q = {.guest_domid = 3};
	struct stub s = stub_start(NULL);
	struct tpm_command c;

	(void)state;
	frontend_open(&s.guest, s.port);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	stub_expect(&s, HANDOFF_HELLO);
	stub_say(&s, HANDOFF_STAND_IN, &q);
	assert_int_equal(stub_response_code(&s), TPM2_RC_INITIALIZE);
	stub_close(&s);
}

static void a_stand_in_outlives_its_relay_and_says_what_it_is(void **state)
{
	int again;
	struct stub s = start_standing_in(&again);
	const struct handoff_hello *hello;
	const struct handoff_handoff h = stub_handoff();

	(void)state;
	stub_next_relay(&s, again);
	hello = stub_expect(&s, HANDOFF_HELLO);
	assert_memory_equal(hello->vtpm.p, h.uuid.b, UUID_SIZE);
	assert_int_equal(hello->lease_epoch, 0);
	assert_int_equal(hello->connected, 1);
	stub_say(&s, HANDOFF_HANDOFF, &h); /* it will never be a TPM */
	assert_int_equal(ask_standin(&s, "\x80\x01\0\0\0\x0c\0\0\x01\x7b\0\x08", 12, TPM2_RESPONSE), TPM2_RC_INITIALIZE);
	stub_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stand_in_starts_no_tpm),
		cmocka_unit_test(a_stand_in_answers_the_command_that_the_dead_one_left),
		cmocka_unit_test(a_stand_in_outlives_its_relay_and_says_what_it_is),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
