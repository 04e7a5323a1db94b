/* The shared page from both sides: what the guest's daemon writes, the stub domain's page code reads, and the other way round. */
#include "vtpm-stubdom/guest/ring.h"

#include <string.h>

#include "tests/unit/unit.h"
#include "vtpm-stubdom/tpmif.h"

static _Alignas(4096) uint8_t page[TPMIF_PAGE_SIZE];
static uint8_t out[TPMIF_DATA_MAX];
static struct tpmif_request request;
static const uint8_t command[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 16};
static const uint8_t response[] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 0, 0, 0, 2, 0xab, 0xcd};

static int clear(void **state)
{
	(void)state;
	memset(page, 0, sizeof(page));
	return 0;
}

static void a_command_arrives_with_its_locality(void **state)
{
	(void)state;
	assert_int_equal(ring_state(page), RING_IDLE);
	ring_submit(page, 2, command, sizeof(command));
	assert_int_equal(ring_state(page), RING_BUSY);
	assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
	assert_int_equal(request.locality, 2);
	assert_int_equal(request.n, sizeof(command));
	assert_memory_equal(request.data, command, sizeof(command));
}

static void the_largest_command_fits(void **state)
{
	static uint8_t large[TPMIF_DATA_MAX];

	(void)state;
	memset(large, 'x', sizeof(large));
	ring_submit(page, 0, large, sizeof(large));
	assert_int_equal(tpmif_take(page, &request), TPMIF_REQUEST);
	assert_int_equal(request.n, sizeof(large));
	assert_memory_equal(request.data, large, sizeof(large));
}

static void a_response_comes_back(void **state)
{
	(void)state;
	ring_submit(page, 0, command, sizeof(command));
	tpmif_take(page, &request);
	tpmif_answer(page, &request, response, sizeof(response));
	assert_int_equal(ring_state(page), RING_FINISHED);
	assert_int_equal(ring_response(page, out), sizeof(response));
	assert_memory_equal(out, response, sizeof(response));
}

static void a_cancellation_is_answered_by_an_idle_page(void **state)
{
	(void)state;
	ring_submit(page, 0, command, sizeof(command));
	ring_cancel(page);
	assert_int_equal(ring_state(page), RING_BUSY);
	assert_int_equal(tpmif_take(page, &request), TPMIF_CANCELLED);
	tpmif_idle(page);
	assert_int_equal(ring_state(page), RING_IDLE);
}

static void a_length_that_lies_is_no_response(void **state)
{
	static const uint32_t lengths[] = {0, 9, sizeof(response) - 1, sizeof(response) + 1, TPMIF_DATA_MAX, TPMIF_DATA_MAX + 1, 0x7fffffff, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memcpy(page, &lengths[i], sizeof(lengths[i]));
		page[4] = TPMIF_FINISH;
		memcpy(page + TPMIF_HEADER_SIZE, response, sizeof(response));
		assert_int_equal(ring_response(page, out), 0);
	}
}

static void a_state_that_nobody_knows_is_busy(void **state)
{
	(void)state;
	page[4] = 77;
	assert_int_equal(ring_state(page), RING_BUSY);
}

static void wiping_leaves_the_header(void **state)
{
	(void)state;
	ring_submit(page, 3, command, sizeof(command));
	ring_wipe(page);
	assert_int_equal(page[4], TPMIF_SUBMIT);
	for (size_t i = TPMIF_HEADER_SIZE; i < TPMIF_PAGE_SIZE; i++)
		assert_int_equal(page[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_command_arrives_with_its_locality, clear),
		cmocka_unit_test_setup(the_largest_command_fits, clear),
		cmocka_unit_test_setup(a_response_comes_back, clear),
		cmocka_unit_test_setup(a_cancellation_is_answered_by_an_idle_page, clear),
		cmocka_unit_test_setup(a_length_that_lies_is_no_response, clear),
		cmocka_unit_test_setup(a_state_that_nobody_knows_is_busy, clear),
		cmocka_unit_test_setup(wiping_leaves_the_header, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
