/* The shared page: what is taken from it, and what rubbish in it does. */
#include "vtpm-stubdom/tpmif.h"

#include <string.h>

#include "tests/unit/unit.h"

static _Alignas(4096) uint8_t page[TPMIF_PAGE_SIZE + 64]; /* and a guard behind it */
static struct tpmif_request request;

static void set(uint32_t length, uint8_t state, uint8_t locality, uint8_t extra)
{
	memset(page + TPMIF_PAGE_SIZE, 0xee, 64);
	memcpy(page, &length, sizeof(length));
	page[4] = state;
	page[5] = locality;
	page[7] = extra;
}

static void assert_guard(void)
{
	for (int i = 0; i < 64; i++)
		assert_int_equal(page[TPMIF_PAGE_SIZE + i], 0xee);
}

static uint32_t length_now(void)
{
	uint32_t n;

	memcpy(&n, page, sizeof(n));
	return n;
}

static void a_submitted_command_is_copied(void **state)
{
	(void)state;
	set(12, TPMIF_SUBMIT, 3, 0);
	/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes, no text */
	memcpy(page + 8, "abcdefghijkl", 12);
	assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
	assert_int_equal(request.n, 12);
	assert_int_equal(request.locality, 3);
	assert_memory_equal(request.data, "abcdefghijkl", 12);
	memset(page + 8, 'x', 12); /* too late */
	assert_memory_equal(request.data, "abcdefghijkl", 12);
}

static void extra_pages_move_the_data_and_nothing_more(void **state)
{
	(void)state;
	for (unsigned int extra = 0; extra < 256; extra++) {
		size_t at = 8 + 4 * extra;

		set((uint32_t)(TPMIF_PAGE_SIZE - at), TPMIF_SUBMIT, 0, (uint8_t)extra);
		page[at] = (uint8_t)(extra + 1);
		assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
		assert_int_equal(request.data_at, at);
		assert_int_equal(request.data[0], (uint8_t)(extra + 1));
		set((uint32_t)(TPMIF_PAGE_SIZE - at + 1), TPMIF_SUBMIT, 0, (uint8_t)extra);
		assert_int_equal(tpmif_take(page, &request), TPMIF_MALFORMED);
	}
}

static void lengths_beyond_the_page_or_below_a_header_are_malformed(void **state)
{
	static const uint32_t lengths[] = {0, 1, 9, 4089, 4096, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		set(lengths[i], TPMIF_SUBMIT, 0, 0);
		assert_int_equal(tpmif_take(page, &request), TPMIF_MALFORMED);
		assert_int_equal(request.n, 0);
	}
	set(10, TPMIF_SUBMIT, 0, 0);
	assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
	set(4088, TPMIF_SUBMIT, 0, 0);
	assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
}

static void only_submit_is_a_request_and_only_cancel_a_cancellation(void **state)
{
	(void)state;
	for (unsigned int s = 0; s < 256; s++) {
		enum tpmif_event e;

		set(12, (uint8_t)s, 0, 0);
		e = tpmif_take(page, &request);
		assert_int_equal(e, s == TPMIF_SUBMIT ? TPMIF_REQUEST : s == TPMIF_CANCEL ? TPMIF_CANCELLED : TPMIF_NOTHING);
	}
}

static void an_answer_says_its_length_then_finish(void **state)
{
	(void)state;
	set(12, TPMIF_SUBMIT, 0, 2);
	assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
	tpmif_answer(page, &request, (const uint8_t *)"response", 8);
	assert_int_equal(length_now(), 8);
	assert_int_equal(page[4], TPMIF_FINISH);
	assert_memory_equal(page + 16, "response", 8);
}

static void an_answer_that_does_not_fit_becomes_an_error(void **state)
{
	static uint8_t long_response[5000];

	(void)state;
	for (unsigned int extra = 0; extra < 256; extra += 51) {
		size_t at = 8 + 4 * extra;

		set(12, TPMIF_SUBMIT, 0, (uint8_t)extra);
		assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
		page[7] = 255; /* the guest changes its mind: the answer goes where the request was */
		tpmif_answer(page, &request, long_response, TPMIF_PAGE_SIZE - at);
		assert_int_equal(length_now(), TPMIF_PAGE_SIZE - at);
		tpmif_answer(page, &request, long_response, TPMIF_PAGE_SIZE - at + 1);
		assert_int_equal(length_now(), TPMIF_ERROR_SIZE);
		assert_memory_equal(page + at, "\x80\x01\0\0\0\x0a\0\0\x01\x42", 10);
		assert_guard();
	}
}

static void a_cancellation_is_confirmed_by_idle(void **state)
{
	(void)state;
	set(12, TPMIF_CANCEL, 0, 0);
	tpmif_idle(page);
	assert_int_equal(page[4], TPMIF_IDLE);
	assert_int_equal(length_now(), 12);
}

static void an_error_is_a_whole_tpm_response(void **state)
{
	uint8_t error[TPMIF_ERROR_SIZE];

	(void)state;
	assert_memory_equal(tpmif_error(error, TPMIF_RC_NV_UNAVAILABLE), "\x80\x01\0\0\0\x0a\0\0\x09\x23", 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_submitted_command_is_copied),
		cmocka_unit_test(extra_pages_move_the_data_and_nothing_more),
		cmocka_unit_test(lengths_beyond_the_page_or_below_a_header_are_malformed),
		cmocka_unit_test(only_submit_is_a_request_and_only_cancel_a_cancellation),
		cmocka_unit_test(an_answer_says_its_length_then_finish),
		cmocka_unit_test(an_answer_that_does_not_fit_becomes_an_error),
		cmocka_unit_test(a_cancellation_is_confirmed_by_idle),
		cmocka_unit_test(an_error_is_a_whole_tpm_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
