/* Sealed state: comes back as it was, under its own key only, and no bit of it can be changed. */
#include "vtpm-stubdom/sealed.h"

#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/unit.h"

struct fixture {
	struct secret *key;
	struct sealed_head head;
	struct engine_state state;
	struct buf out;
};

static struct fixture make(enum sealed_kind kind)
{
	struct fixture f = {.key = secret_random(32), .head = {.kind = kind, .generation = 2, .lease_epoch = 3, .version = 4}};

	f.head.epochs = (struct epochs){5, 6, 7};
	f.head.incarnation = 8;
	memset(f.head.uuid.b, 0x55, UUID_SIZE);
	f.state.permanent = secret_random(100);
	f.state.transient = secret_random(50);
	assert_int_equal(buf_init(&f.out, SEALED_MAX), 0);
	assert_int_equal(sealed_write(&f.out, f.key, &f.head, &f.state), 0);
	return f;
}

static void destroy(struct fixture *f)
{
	secret_free(&f->key);
	engine_state_free(&f->state);
	buf_free(&f->out);
}

static int open_it(const struct fixture *f, struct sealed_head *head, struct engine_state *state)
{
	return sealed_open(f->out.data, f->out.len, f->key, head, state);
}

static void comes_back(enum sealed_kind kind)
{
	struct fixture f = make(kind);
	struct sealed_head head;
	struct engine_state state;

	assert_int_equal(open_it(&f, &head, &state), 0);
	assert_int_equal(head.kind, kind);
	assert_true(uuid_equal(&head.uuid, &f.head.uuid));
	assert_int_equal(head.generation, 2);
	assert_int_equal(head.lease_epoch, 3);
	assert_int_equal(head.version, 4);
	assert_memory_equal(&head.epochs, &f.head.epochs, sizeof(head.epochs));
	assert_int_equal(head.incarnation, 8);
	if (kind == SEALED_TRANSIENT) {
		assert_true(secret_equal(state.transient, f.state.transient));
		assert_null(state.permanent);
	} else {
		assert_true(secret_equal(state.permanent, f.state.permanent));
		assert_null(state.transient);
	}
	engine_state_free(&state);
	destroy(&f);
}

static void permanent_state_comes_back(void **state)
{
	(void)state;
	comes_back(SEALED_PERMANENT);
}

static void transient_state_comes_back(void **state)
{
	(void)state;
	comes_back(SEALED_TRANSIENT);
}

static void any_flipped_bit_is_refused(void **state)
{
	struct fixture f = make(SEALED_TRANSIENT);
	struct sealed_head head;
	struct engine_state opened;

	(void)state;
	for (size_t bit = 0; bit < f.out.len * 8; bit++) {
		f.out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(open_it(&f, &head, &opened), 0);
		assert_null(opened.permanent);
		assert_null(opened.transient);
		f.out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_it(&f, &head, &opened), 0);
	engine_state_free(&opened);
	destroy(&f);
}

static void any_truncation_and_any_trailing_byte_is_refused(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);
	struct sealed_head head;
	struct engine_state opened;
	size_t whole = f.out.len;

	(void)state;
	for (size_t n = 0; n < whole; n++)
		assert_int_equal(sealed_open(f.out.data, n, f.key, &head, &opened), E_TRUNCATED);
	assert_int_equal(sealed_open(f.out.data, whole + 1, f.key, &head, &opened), E_TRAILING);
	destroy(&f);
}

static void another_key_is_refused(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);
	struct sealed_head head;
	struct engine_state opened;

	(void)state;
	secret_free(&f.key);
	f.key = secret_random(32);
	assert_int_equal(open_it(&f, &head, &opened), E_INTEGRITY);
	destroy(&f);
}

static void two_seals_of_one_state_share_nothing_but_the_header(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);
	size_t n = f.out.len, same = 0;

	(void)state;
	assert_int_equal(sealed_write(&f.out, f.key, &f.head, &f.state), 0);
	assert_int_equal(f.out.len, 2 * n);
	for (size_t i = SEALED_HEADER_SIZE; i < n; i++)
		same += f.out.data[i] == f.out.data[n + i];
	assert_true(same < 16);
	destroy(&f);
}

static void nothing_of_the_state_stands_in_clear(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);

	(void)state;
	for (size_t i = 0; i + 8 <= f.state.permanent->size; i++)
		assert_null(memmem(f.out.data, f.out.len, f.state.permanent->data + i, 8));
	destroy(&f);
}

static void the_header_can_be_read_without_the_key(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);
	struct sealed_head head;

	(void)state;
	assert_int_equal(sealed_head(f.out.data, f.out.len, &head), 0);
	assert_int_equal(head.version, 4);
	destroy(&f);
}

static void no_room_leaves_the_output_alone(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);
	uint8_t small[SEALED_HEADER_SIZE + 20];
	struct buf out;

	(void)state;
	for (size_t n = 0; n <= sizeof(small); n++) {
		buf_over(&out, small, n);
		assert_int_equal(sealed_write(&out, f.key, &f.head, &f.state), E_RANGE);
		assert_int_equal(out.len, 0);
	}
	destroy(&f);
}

static void state_of_the_greatest_size_fits(void **state)
{
	struct fixture f = make(SEALED_PERMANENT);
	struct sealed_head head;
	struct engine_state opened;

	(void)state;
	engine_state_free(&f.state);
	f.state.permanent = secret_new(BLOB_PERMANENT_MAX);
	f.state.transient = secret_new(BLOB_VOLATILE_MAX);
	buf_reset(&f.out);
	assert_int_equal(sealed_write(&f.out, f.key, &f.head, &f.state), 0);
	assert_true(f.out.len <= SEALED_MAX);
	assert_int_equal(open_it(&f, &head, &opened), 0);
	engine_state_free(&opened);
	buf_reset(&f.out);
	f.head.kind = SEALED_TRANSIENT;
	assert_int_equal(sealed_write(&f.out, f.key, &f.head, &f.state), 0);
	assert_true(f.out.len <= SEALED_TRANSIENT_MAX);
	assert_int_equal(open_it(&f, &head, &opened), 0);
	engine_state_free(&opened);
	destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(permanent_state_comes_back),
		cmocka_unit_test(transient_state_comes_back),
		cmocka_unit_test(any_flipped_bit_is_refused),
		cmocka_unit_test(any_truncation_and_any_trailing_byte_is_refused),
		cmocka_unit_test(another_key_is_refused),
		cmocka_unit_test(two_seals_of_one_state_share_nothing_but_the_header),
		cmocka_unit_test(nothing_of_the_state_stands_in_clear),
		cmocka_unit_test(the_header_can_be_read_without_the_key),
		cmocka_unit_test(no_room_leaves_the_output_alone),
		cmocka_unit_test(state_of_the_greatest_size_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
