/* The whole service: a vTPM is handed over, serves its guest and ends; what is a change and what is stored; relays that come and go. */
#include "vtpm-stubdom/service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/error.h"
#include "tests/unit/stub.h"
#include "tests/unit/tpm.h"
#include "vtpm-stubdom/endorsement.h"
#include "vtpm-stubdom/engine.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

static void a_vtpm_is_handed_over_served_and_closed(void **state)
{
	struct stub s = stub_start(NULL);
	const struct handoff_hello *hello = stub_expect(&s, HANDOFF_HELLO);
	const struct handoff_handoff h = stub_handoff();

	(void)state;
	assert_int_equal(hello->program.p[0], 0xaa);
	assert_memory_equal(hello->engine.p, "libtpms ", 8);
	assert_null(hello->vtpm.p);
	stub_say(&s, HANDOFF_HANDOFF, &h);
	assert_int_equal(((const struct handoff_ready *)stub_expect(&s, HANDOFF_READY))->state_version, 0);
	assert_int_equal(stub_expect_store(&s), 1);
	stub_close(&s);
}

static void a_guest_is_served_before_the_starts_state_is_confirmed(void **state)
{
	struct stub s = stub_start(NULL);
	const struct handoff_handoff h = stub_handoff();

	(void)state;
	stub_hand_over(&s, &h);
	stub_expect_store(&s);
	stub_say(&s, HANDOFF_SERVE, NULL);
	frontend_open(&s.guest, s.port);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_assert_works(&s);
	stub_close(&s);
}

static void a_guest_that_waits_with_a_request_is_served_at_once(void **state)
{
	struct stub s = stub_start(NULL);
	const struct handoff_handoff h = stub_handoff();
	struct tpm_command c;

	(void)state;
	frontend_open(&s.guest, s.port);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	stub_expect(&s, HANDOFF_HELLO);
	stub_say(&s, HANDOFF_HANDOFF, &h);
	stub_say(&s, HANDOFF_SERVE, NULL);
	assert_int_equal(stub_response_code(&s), 0);
	stub_close(&s);
}

static void what_cant_be_opened_fails_with_the_reason(void **state)
{
	struct stub s = stub_start(NULL);
	struct handoff_handoff h = stub_handoff();
	const struct handoff_failed *failed;

	(void)state;
	h.state_version = 7;
	stub_expect(&s, HANDOFF_HELLO);
	stub_say(&s, HANDOFF_HANDOFF, &h);
	failed = stub_expect(&s, HANDOFF_FAILED);
	assert_int_equal(failed->code, -E_DENIED);
	assert_true(failed->reason.n > 20);
	stub_finish(&s);
}

static void a_device_that_cant_be_reached_fails_with_the_reason(void **state)
{
	const struct handoff_handoff h = stub_handoff();
	const struct handoff_failed *failed;
	struct stub s = stub_start_unreachable();
	uint64_t version;

	(void)state;
	stub_hand_over(&s, &h);
	version = stub_expect_store(&s);
	stub_say(&s, HANDOFF_SERVE, NULL);
	failed = stub_expect(&s, HANDOFF_FAILED);
	assert_non_null(memmem(failed->reason.p, failed->reason.n, "can't reach the guest's device", 30));
	stub_confirm(&s, version, 0); /* it was on its way */
	stub_close(&s);
}

static void a_second_handoff_changes_nothing(void **state)
{
	struct stub s = stub_start_serving(NULL);
	struct handoff_handoff h = stub_handoff();

	(void)state;
	h.uuid.b[0] ^= 1;
	stub_say(&s, HANDOFF_HANDOFF, &h);
	stub_say(&s, HANDOFF_SERVE, NULL);
	stub_assert_works(&s);
	assert_true(stub_is_silent(&s, 50));
	stub_close(&s);
}

static void status_counts_commands(void **state)
{
	struct stub s = stub_start_serving(NULL);
	const struct handoff_status_reply *reply;

	(void)state;
	stub_assert_works(&s);
	stub_assert_works(&s);
	stub_say(&s, HANDOFF_STATUS, NULL);
	reply = stub_expect(&s, HANDOFF_STATUS_REPLY);
	assert_int_equal(reply->commands, 2);
	assert_int_equal(reply->malformed, 0);
	assert_int_equal(reply->connected, 1);
	assert_true(reply->service_ns > 0);
	assert_true(reply->resident_kib > 100);
	stub_close(&s);
}

static void the_end_brings_the_tpm_to_rest_first(void **state)
{
	struct stub s = stub_start_serving(NULL);

	(void)state;
	stub_say(&s, HANDOFF_CLOSE, NULL);
	stub_confirm(&s, stub_expect_store(&s), 0);
	stub_expect(&s, HANDOFF_CLOSED);
	stub_finish(&s);
}

/* --- changes --- */

static void a_command_that_changes_nothing_waits_for_nobody(void **state)
{
	struct stub s = stub_start_serving(NULL);

	(void)state;
	for (int i = 0; i < 100; i++)
		stub_assert_works(&s);
	assert_true(stub_is_silent(&s, 50));
	stub_close(&s);
}

static void the_response_to_a_change_comes_after_it_is_stored(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint64_t version;

	(void)state;
	stub_submit_define(&s, 0x1500001);
	version = stub_expect_store(&s);
	assert_int_equal(version, 2);
	assert_int_equal(frontend_wait(&s.guest, 100), -1);
	assert_int_equal(s.guest.page[4], TPMIF_SUBMIT);
	stub_confirm(&s, version - 1, 0); /* of another */
	assert_int_equal(frontend_wait(&s.guest, 100), -1);
	stub_confirm(&s, version, 0);
	assert_int_equal(stub_response_code(&s), 0);
	stub_close(&s);
}

static void a_change_that_is_not_stored_has_not_happened(void **state)
{
	struct stub s = stub_start_serving(NULL);

	(void)state;
	stub_submit_define(&s, 0x1500001);
	stub_confirm(&s, stub_expect_store(&s), E_IO);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_NV_UNAVAILABLE);
	stub_assert_works(&s);
	stub_submit_define(&s, 0x1500001); /* not "already defined" */
	stub_confirm(&s, stub_expect_store(&s), 0);
	assert_int_equal(stub_response_code(&s), 0);
	stub_close(&s);
}

/* The guest's driver has shut its TPM down and goes on: the first command that makes another state of it writes that down, whatever else it does. */
static void what_is_done_is_not_said_to_have_failed(void **state)
{
	struct stub s = stub_start_serving(NULL);
	uint8_t response[TPMIF_DATA_MAX], expected[32] = {0};
	struct tpm_command c;

	(void)state;
	tpm_begin(&c, 0x8001, 0x145); /* Shutdown */
	buf_put_u16(&c.b, 0);
	tpm_end(&c);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	stub_confirm(&s, stub_expect_store(&s), E_IO);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_NV_UNAVAILABLE); /* that is what it is for */
	stub_confirm(&s, stub_expect_store(&s), 0);
	tpm_pcr_extend(&c, 1, 0);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	stub_confirm(&s, stub_expect_store(&s), E_IO);
	assert_int_equal(stub_response_code(&s), 0);
	stub_confirm(&s, stub_expect_store(&s), 0);
	tpm_pcr_read(&c, 1);
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	assert_memory_not_equal(response + 30, expected, 32);
	stub_close(&s);
}

static void a_guest_that_stores_in_vain_does_not_fill_the_log(void **state)
{
	FILE *log = tmpfile();
	int stderr_was = dup(STDERR_FILENO);
	unsigned int lines = 0;
	char line[256];
	struct stub s;

	(void)state;
	assert_non_null(log);
	assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
	stub_log_level = LOG_LV_ERROR;
	s = stub_start_serving(NULL);
	stub_log_level = 0;
	assert_int_equal(dup2(stderr_was, STDERR_FILENO), STDERR_FILENO);
	close(stderr_was);
	for (int i = 0; i < 50; i++) {
		stub_submit_define(&s, 0x1500001);
		stub_confirm(&s, stub_expect_store(&s), E_IO);
		assert_int_equal(stub_response_code(&s), TPMIF_RC_NV_UNAVAILABLE);
	}
	stub_close(&s);
	rewind(log);
	while (fgets(line, sizeof(line), log))
		lines += strstr(line, "could not be stored") != NULL;
	fclose(log);
	assert_in_range(lines, 1, 10);
}

static void a_start_that_is_not_stored_is_stored_later(void **state)
{
	const struct handoff_handoff h = stub_handoff();
	struct stub s = stub_start(NULL);

	(void)state;
	stub_hand_over(&s, &h);
	stub_confirm(&s, stub_expect_store(&s), E_IO);
	stub_confirm(&s, stub_expect_store(&s), 0);
	stub_close(&s);
}

/* Its retry falls due while the state of another command is under way, which is undone then. */
static void a_change_that_is_not_undone_is_stored_though_a_later_one_is(void **state)
{
	const struct handoff_handoff h = stub_handoff();
	struct stub s = stub_start(NULL);

	(void)state;
	stub_hand_over(&s, &h);
	stub_confirm(&s, stub_expect_store(&s), E_IO);
	stub_say(&s, HANDOFF_SERVE, NULL);
	frontend_open(&s.guest, s.port);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_submit_define(&s, 0x1500001);
	assert_int_equal(frontend_wait(&s.guest, 2500), -1);
	stub_expect_frontend(&s, true);
	stub_confirm(&s, stub_expect_store(&s), E_IO);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_NV_UNAVAILABLE);
	stub_confirm(&s, stub_expect_store(&s), 0);
	stub_close(&s);
}

/* What nobody waits for is under way when a command's state takes its place, and that command is undone. */
static void a_change_whose_state_another_took_the_place_of_is_stored(void **state)
{
	const struct handoff_handoff h = stub_handoff();
	struct stub s = stub_start(NULL);
	uint64_t version;

	(void)state;
	stub_hand_over(&s, &h);
	version = stub_expect_store(&s);
	stub_say(&s, HANDOFF_SERVE, NULL);
	frontend_open(&s.guest, s.port);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_submit_define(&s, 0x1500001);
	stub_expect_frontend(&s, true);
	assert_int_equal(stub_expect_store(&s), version + 1);
	stub_confirm(&s, version, E_IO);
	stub_confirm(&s, version + 1, E_IO);
	assert_int_equal(stub_response_code(&s), TPMIF_RC_NV_UNAVAILABLE);
	assert_int_equal(stub_expect_store(&s), version + 2);
	stub_confirm(&s, version + 2, 0);
	assert_true(stub_is_silent(&s, 2500));
	stub_close(&s);
}

/* --- relays --- */

static void a_relay_that_goes_away_and_comes_back_finds_its_vtpm(void **state)
{
	int again;
	struct stub s = stub_start_serving(&again);
	const struct handoff_hello *hello;
	struct uuid uuid = stub_handoff().uuid;
	uint64_t version;

	(void)state;
	stub_submit_define(&s, 0x1500001);
	version = stub_expect_store(&s);
	stub_next_relay(&s, again); /* before the first answers */
	hello = stub_expect(&s, HANDOFF_HELLO);
	assert_memory_equal(hello->vtpm.p, uuid.b, UUID_SIZE);
	assert_int_equal(hello->lease_epoch, 9);
	assert_int_equal(hello->connected, 1);
	assert_int_equal(stub_expect_store(&s), version);
	stub_confirm(&s, version, 0);
	assert_int_equal(stub_response_code(&s), 0);
	stub_assert_works(&s);
	stub_close(&s);
}

static void a_prepared_stub_domain_waits_for_the_next_relay(void **state)
{
	int again;
	struct stub s = stub_start(&again);
	const struct handoff_handoff h = stub_handoff();

	(void)state;
	stub_expect(&s, HANDOFF_HELLO);
	stub_say(&s, HANDOFF_STAY, NULL);
	stub_next_relay(&s, again);
	assert_null(((const struct handoff_hello *)stub_expect(&s, HANDOFF_HELLO))->vtpm.p);
	stub_say(&s, HANDOFF_HANDOFF, &h);
	stub_expect(&s, HANDOFF_READY);
	stub_close(&s);
}

static void a_relay_that_leaves_before_the_handoff_ends_the_work(void **state)
{
	struct stub s = stub_start(NULL);

	(void)state;
	stub_expect(&s, HANDOFF_HELLO);
	stub_finish(&s);
}

static void a_relay_that_talks_nonsense_is_left(void **state)
{
	struct stub s = stub_start(NULL);

	(void)state;
	stub_expect(&s, HANDOFF_HELLO);
	assert_int_equal(send(s.channel, "\0\0\0\3abc", 7, 0), 7);
	assert_int_equal(stub_hear(&s), 0);
	stub_finish(&s);
}

/* --- certificates --- */

/* Certificates of the keys of the TPM that stub_handoff() describes: as long as real ones, and the right key in them. */
static void make_certificates(struct handoff_certificates *c, uint8_t bytes[1000])
{
	const struct handoff_handoff h = stub_handoff();
	const struct epochs epochs = {0};
	struct endorsement_key key;
	struct engine *e = engine_new();
	struct tpm_command startup;
	struct secret *roots;
	struct derive d;
	const uint8_t *p;
	size_t n;

	assert_int_equal(derive_init(&d, h.seed.p, h.seed.n, &h.uuid, h.generation), 0);
	roots = derive_roots(&d, &epochs);
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), 0);
	tpm_startup_clear(&startup);
	assert_int_equal(engine_process(e, 0, startup.bytes, startup.b.len, &p, &n), 0);
	assert_int_equal(endorsement_key(e, ENDORSEMENT_ECC, &key), 0);
	memset(bytes, 0x30, 1000);
	memcpy(bytes + 500, key.bytes, key.size);
	*c = (struct handoff_certificates){.rsa = view_of(bytes, 1000), .ecc = view_of(bytes, 1000)};
	secret_free(&roots);
	derive_free(&d);
	engine_free(&e);
}

static void a_vtpm_without_certificates_asks_for_them_and_stores_what_it_gets(void **state)
{
	const struct handoff_handoff h = stub_handoff();
	struct handoff_certificates c;
	uint8_t bytes[1000];
	uint64_t version;
	struct stub s;

	(void)state;
	make_certificates(&c, bytes);
	s = stub_start(NULL);
	stub_hand_over(&s, &h);
	assert_int_equal(stub_hear_any(&s), HANDOFF_CERTIFY);
	stub_say(&s, HANDOFF_CERTIFICATES, &c); /* before the start's own state is confirmed: they have to wait for that */
	version = stub_expect_store(&s);
	assert_true(stub_is_silent(&s, 100));
	stub_confirm(&s, version, 0);
	assert_int_equal(stub_expect_store(&s), version + 1);
	stub_confirm(&s, version + 1, 0);
	stub_say(&s, HANDOFF_CERTIFICATES, &c); /* nobody asked for these */
	assert_true(stub_is_silent(&s, 100));
	stub_close(&s);
}

/* The KMC makes a pair for each time that it is asked. */
static void a_guest_that_changes_its_keys_again_and_again_is_certified_less_often(void **state)
{
	struct stub s = stub_start_serving(NULL);
	enum handoff_type type;
	struct tpm_command c;
	uint64_t epoch = 0;
	unsigned int asked = 0;

	(void)state;
	tpm_simple(&c, 0x124, TPM_PLATFORM); /* ChangeEPS */
	for (int i = 0; i < 5; i++) {
		frontend_submit(&s.guest, c.bytes, c.b.len);
		while ((type = stub_hear_any(&s)) == HANDOFF_CERTIFY)
			asked++;
		assert_int_equal(type, HANDOFF_STORE);
		stub_confirm(&s, ((const struct handoff_store *)(const void *)s.fields)->version, 0);
		assert_int_equal(stub_response_code(&s), 0);
	}
	assert_in_range(asked, 1, 2); /* and of the last change the word is yet to come, if there is one */
	while (epoch != 5) { /* of the last keys, too, in the end */
		assert_int_equal(stub_hear_any(&s), HANDOFF_CERTIFY);
		epoch = ((const struct handoff_certify *)(const void *)s.fields)->endorsement_epoch;
		asked++;
	}
	assert_in_range(asked, 2, 3);
	stub_close(&s);
}

static void certificates_of_another_key_change_nothing(void **state)
{
	uint8_t bytes[700] = {0x30};
	const struct handoff_certificates c = {.rsa = view_of(bytes, 700), .ecc = view_of(bytes, 700)};
	struct stub s = stub_start_serving(NULL);

	(void)state;
	stub_say(&s, HANDOFF_CERTIFICATES, &c);
	assert_true(stub_is_silent(&s, 100));
	stub_assert_works(&s);
	stub_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vtpm_is_handed_over_served_and_closed),
		cmocka_unit_test(a_guest_is_served_before_the_starts_state_is_confirmed),
		cmocka_unit_test(a_guest_that_waits_with_a_request_is_served_at_once),
		cmocka_unit_test(what_cant_be_opened_fails_with_the_reason),
		cmocka_unit_test(a_device_that_cant_be_reached_fails_with_the_reason),
		cmocka_unit_test(a_second_handoff_changes_nothing),
		cmocka_unit_test(status_counts_commands),
		cmocka_unit_test(the_end_brings_the_tpm_to_rest_first),
		cmocka_unit_test(a_command_that_changes_nothing_waits_for_nobody),
		cmocka_unit_test(the_response_to_a_change_comes_after_it_is_stored),
		cmocka_unit_test(a_change_that_is_not_stored_has_not_happened),
		cmocka_unit_test(what_is_done_is_not_said_to_have_failed),
		cmocka_unit_test(a_guest_that_stores_in_vain_does_not_fill_the_log),
		cmocka_unit_test(a_start_that_is_not_stored_is_stored_later),
		cmocka_unit_test(a_change_that_is_not_undone_is_stored_though_a_later_one_is),
		cmocka_unit_test(a_change_whose_state_another_took_the_place_of_is_stored),
		cmocka_unit_test(a_relay_that_goes_away_and_comes_back_finds_its_vtpm),
		cmocka_unit_test(a_prepared_stub_domain_waits_for_the_next_relay),
		cmocka_unit_test(a_relay_that_leaves_before_the_handoff_ends_the_work),
		cmocka_unit_test(a_relay_that_talks_nonsense_is_left),
		cmocka_unit_test(a_vtpm_without_certificates_asks_for_them_and_stores_what_it_gets),
		cmocka_unit_test(a_guest_that_changes_its_keys_again_and_again_is_certified_less_often),
		cmocka_unit_test(certificates_of_another_key_change_nothing),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
