/* The kernel's TPM 1.2 commands, answered by a real TPM 2.0. */
#include "vtpm-stubdom/tpm12.h"

#include <openssl/sha.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/engine.h"

static struct engine *engine;
static uint8_t response[TPM12_RESPONSE_MAX];

static int process(void *arg, const uint8_t *command, size_t n, const uint8_t **p, size_t *size)
{
	(void)arg;
	return engine_process(engine, 0, command, n, p, size);
}

static int never(void *arg, const uint8_t *command, size_t n, const uint8_t **p, size_t *size)
{
	(void)arg, (void)command, (void)n, (void)p, (void)size;
	return E_TPM;
}

static int power_up(void **state)
{
	static struct roots roots;
	struct tpm_command c;
	const uint8_t *p;
	size_t n;

	(void)state;
	for (int i = 0; i < ROOT_COUNT; i++)
		memset(roots.value[i], i + 1, DERIVE_ROOT_SIZE);
	engine = engine_new();
	if (!engine || engine_manufacture(engine, &roots) != 0)
		return -1;
	tpm_startup_clear(&c);
	return engine_process(engine, 0, c.bytes, c.b.len, &p, &n);
}

static int power_down(void **state)
{
	(void)state;
	engine_free(&engine);
	return 0;
}

static void begin(struct tpm_command *c, uint32_t ordinal)
{
	tpm_begin(c, 0x00c1, ordinal);
}

/* Execute; the answer's code has to be @result. Return: the bytes behind its header. */
static size_t run(struct tpm_command *c, uint32_t result)
{
	size_t n;

	tpm_end(c);
	assert_true(tpm12_is_command(c->bytes, c->b.len));
	n = tpm12_process(c->bytes, c->b.len, process, NULL, response);
	assert_true(n >= 10 && n <= TPM12_RESPONSE_MAX);
	assert_memory_equal(response, "\0\xc4", 2);
	assert_int_equal(tpm_u32(response + 2), n);
	assert_int_equal(tpm_u32(response + 6), result);
	if (result != 0)
		assert_int_equal(n, 10);
	return n - 10;
}

static size_t get_capability(uint32_t cap, uint32_t sub, bool with_sub, uint32_t result)
{
	struct tpm_command c;

	begin(&c, 0x65);
	buf_put_u32(&c.b, cap);
	buf_put_u32(&c.b, with_sub ? 4 : 0);
	if (with_sub)
		buf_put_u32(&c.b, sub);
	return run(&c, result);
}

static void time_outs_and_durations_are_what_linux_takes_without_a_word(void **state)
{
	(void)state;
	assert_int_equal(get_capability(5, 0x115, true, 0), 4 + 16);
	for (int i = 0; i < 4; i++)
		assert_true(tpm_u32(response + 14 + 4 * i) >= 1000); /* 0 is replaced with a log line, less than 1000 taken for ms */
	assert_int_equal(get_capability(5, 0x120, true, 0), 4 + 12);
	for (int i = 0; i < 3; i++)
		assert_true(tpm_u32(response + 14 + 4 * i) >= 1000000);
}

static void sysfs_attributes_have_answers_of_the_right_size(void **state)
{
	(void)state;
	assert_int_equal(get_capability(5, 0x101, true, 0), 8);
	assert_int_equal(tpm_u32(response + 14), 24);
	assert_int_equal(get_capability(5, 0x103, true, 0), 8);
	assert_int_equal(get_capability(5, 0x111, true, 0), 5);
	assert_int_equal(response[14], 0);
	assert_int_equal(get_capability(4, 0x108, true, 0), 4 + 22);
	assert_int_equal(response[16], 0); /* not disabled */
	assert_int_equal(get_capability(4, 0x109, true, 0), 4 + 7);
	assert_int_equal(get_capability(6, 0, false, 0), 8);
	assert_int_equal(get_capability(0x1a, 0, false, 0), 4 + 15);
}

static void unknown_capabilities_are_a_bad_mode(void **state)
{
	(void)state;
	get_capability(5, 0x999, true, 0x2c);
	get_capability(4, 0x101, true, 0x2c);
	get_capability(99, 0, false, 0x2c);
	get_capability(5, 0, false, 0x2c);
}

static void random_bytes_come_in_the_number_asked_for(void **state)
{
	static const uint32_t wanted[] = {0, 1, 20, 32, 64, 65, 127, 128, 129, 4096, UINT32_MAX};
	uint8_t before[128] = {0};
	struct tpm_command c;

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		uint32_t want = wanted[i] > 128 ? 128 : wanted[i];

		begin(&c, 0x46);
		buf_put_u32(&c.b, wanted[i]);
		assert_int_equal(run(&c, 0), 4 + want);
		assert_int_equal(tpm_u32(response + 10), want);
		if (want >= 20)
			assert_memory_not_equal(response + 14, before, want);
		memcpy(before, response + 14, want);
	}
}

static void extend_and_read_use_the_sha1_bank(void **state)
{
	uint8_t both[40] = {0}, want[20];
	struct tpm_command c;

	(void)state;
	begin(&c, 0x15);
	buf_put_u32(&c.b, 10);
	assert_int_equal(run(&c, 0), 20);
	assert_memory_equal(response + 10, both, 20);
	memset(both + 20, 0xab, 20);
	SHA1(both, sizeof(both), want);
	begin(&c, 0x14);
	buf_put_u32(&c.b, 10);
	buf_put(&c.b, both + 20, 20);
	assert_int_equal(run(&c, 0), 20);
	assert_memory_equal(response + 10, want, 20);
	begin(&c, 0x15);
	buf_put_u32(&c.b, 10);
	assert_int_equal(run(&c, 0), 20);
	assert_memory_equal(response + 10, want, 20);
}

static void every_pcr_can_be_read_and_no_other(void **state)
{
	struct tpm_command c;

	(void)state;
	for (uint32_t pcr = 0; pcr < 24; pcr++) {
		begin(&c, 0x15);
		buf_put_u32(&c.b, pcr);
		assert_int_equal(run(&c, 0), 20);
	}
	begin(&c, 0x15);
	buf_put_u32(&c.b, 24);
	run(&c, 0x02);
	begin(&c, 0x14);
	buf_put_u32(&c.b, UINT32_MAX);
	buf_put(&c.b, "01234567890123456789", 20);
	run(&c, 0x02);
}

static void self_test_and_save_state_succeed_startup_is_too_late(void **state)
{
	struct tpm_command c;

	(void)state;
	begin(&c, 0x53);
	run(&c, 0);
	begin(&c, 0x50);
	run(&c, 0);
	begin(&c, 0x98);
	run(&c, 0);
	begin(&c, 0x99);
	buf_put_u16(&c.b, 1);
	run(&c, 0x26);
}

static void what_is_not_known_is_a_bad_ordinal(void **state)
{
	static const uint32_t known[] = {0x14, 0x15, 0x46, 0x50, 0x53, 0x65, 0x98, 0x99};
	struct tpm_command c;

	(void)state;
	for (uint32_t ordinal = 0; ordinal < 0x120; ordinal++) {
		bool skip = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			skip |= known[i] == ordinal;
		if (skip)
			continue;
		begin(&c, ordinal);
		run(&c, 0x0a);
	}
}

static void every_truncation_and_every_trailing_byte_is_a_bad_size(void **state)
{
	struct tpm_command c;

	(void)state;
	for (size_t n = 0; n < 30; n++) { /* Extend has 24 bytes of parameters */
		if (n == 24)
			continue;
		begin(&c, 0x14);
		for (size_t i = 0; i < n; i++)
			buf_put_u8(&c.b, 0);
		run(&c, 0x19);
	}
	begin(&c, 0x46);
	buf_put_u32(&c.b, 8);
	tpm_end(&c);
	for (size_t n = 2; n < c.b.len; n++) {
		assert_int_equal(tpm12_process(c.bytes, n, process, NULL, response), 10);
		assert_int_equal(tpm_u32(response + 6), 0x19);
	}
}

static void commands_with_authorisation_are_refused_by_their_tag(void **state)
{
	struct tpm_command c;

	(void)state;
	for (uint16_t tag = 0xc2; tag <= 0xc3; tag++) {
		tpm_begin(&c, tag, 0x15);
		buf_put_u32(&c.b, 0);
		run(&c, 0x1e);
	}
	assert_false(tpm12_is_command((const uint8_t *)"\x80\x01", 2));
	assert_false(tpm12_is_command((const uint8_t *)"\x00\xc4", 2));
	assert_false(tpm12_is_command((const uint8_t *)"\x00\xc0", 2));
	assert_false(tpm12_is_command((const uint8_t *)"\x00", 1));
}

static void an_engine_that_fails_is_a_tpm_that_fails(void **state)
{
	struct tpm_command c;

	(void)state;
	begin(&c, 0x15);
	buf_put_u32(&c.b, 0);
	tpm_end(&c);
	assert_int_equal(tpm12_process(c.bytes, c.b.len, never, NULL, response), 10);
	assert_int_equal(tpm_u32(response + 6), 0x09);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_outs_and_durations_are_what_linux_takes_without_a_word),
		cmocka_unit_test(sysfs_attributes_have_answers_of_the_right_size),
		cmocka_unit_test(unknown_capabilities_are_a_bad_mode),
		cmocka_unit_test(random_bytes_come_in_the_number_asked_for),
		cmocka_unit_test(extend_and_read_use_the_sha1_bank),
		cmocka_unit_test(every_pcr_can_be_read_and_no_other),
		cmocka_unit_test(self_test_and_save_state_succeed_startup_is_too_late),
		cmocka_unit_test(what_is_not_known_is_a_bad_ordinal),
		cmocka_unit_test(every_truncation_and_every_trailing_byte_is_a_bad_size),
		cmocka_unit_test(commands_with_authorisation_are_refused_by_their_tag),
		cmocka_unit_test(an_engine_that_fails_is_a_tpm_that_fails),
	};

	return cmocka_run_group_tests(tests, power_up, power_down);
}
