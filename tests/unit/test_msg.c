/* Messages: round trip, framing, and each way in which a message can be wrong. */
#include <string.h>

#include "common/buf.h"
#include "common/cbor.h"
#include "common/error.h"
#include "common/handoff.h"
#include "tests/unit/unit.h"

#define SEED "0123456789abcdef0123456789abcdef"

static struct handoff_handoff sample(void)
{
	struct handoff_handoff h = {
		.tenant = view_text("pool"), .seed = view_of(SEED, 32), .generation = 3, .lease_epoch = UINT64_MAX, .guest_domid = 7, .incarnation = 1};

	memset(h.uuid.b, 0xab, UUID_SIZE);
	return h;
}

static void a_message_survives_the_round_trip(void **state)
{
	struct handoff_handoff in = sample(), out;
	struct buf b;
	struct msg m;

	(void)state;
	assert_int_equal(buf_init(&b, 4096), 0);
	assert_int_equal(handoff_write(&b, HANDOFF_HANDOFF, &in), 0);
	assert_int_equal(handoff_write(&b, HANDOFF_CLOSE, NULL), 0);
	assert_int_equal(msg_next(&b, HANDOFF_BODY_MAX, &m), 0);
	assert_int_equal(m.head.version, HANDOFF_VERSION);
	assert_int_equal(m.head.type, HANDOFF_HANDOFF);
	assert_int_equal(msg_fields(&m, handoff_schema(m.head.type), &out), 0);
	assert_true(uuid_equal(&in.uuid, &out.uuid));
	assert_memory_equal(out.seed.p, SEED, 32);
	assert_true(out.lease_epoch == UINT64_MAX && out.generation == 3 && out.guest_domid == 7);
	assert_null(out.state.p);
	assert_int_equal(msg_next(&b, HANDOFF_BODY_MAX, &m), 0);
	assert_int_equal(m.head.type, HANDOFF_CLOSE);
	assert_int_equal(msg_next(&b, HANDOFF_BODY_MAX, &m), E_AGAIN_IN);
	buf_free(&b);
}

static void every_cut_frame_waits_for_more(void **state)
{
	struct handoff_handoff in = sample();
	struct buf b, cut;
	struct msg m;

	(void)state;
	assert_int_equal(buf_init(&b, 4096), 0);
	assert_int_equal(handoff_write(&b, HANDOFF_HANDOFF, &in), 0);
	for (size_t n = 0; n < b.len; n++) {
		buf_view(&cut, b.data, n);
		assert_int_equal(msg_next(&cut, HANDOFF_BODY_MAX, &m), E_AGAIN_IN);
		assert_int_equal(cut.off, 0);
	}
	buf_view(&cut, b.data, b.len);
	assert_int_equal(msg_next(&cut, b.len - 5, &m), E_RANGE);
	buf_free(&b);
}

static void what_the_sender_must_not_send_is_not_written(void **state)
{
	struct handoff_handoff in = sample();
	uint8_t mem[512];
	struct buf b;

	(void)state;
	buf_over(&b, mem, sizeof(mem));
	in.seed.n = 31;
	assert_int_equal(handoff_write(&b, HANDOFF_HANDOFF, &in), E_ARG);
	in.seed = (struct view){0};
	assert_int_equal(handoff_write(&b, HANDOFF_HANDOFF, &in), E_ARG);
	in = sample();
	in.guest_domid = 0x7ff0;
	assert_int_equal(handoff_write(&b, HANDOFF_HANDOFF, &in), E_ARG);
	assert_int_equal(b.len, 0);
	buf_over(&b, mem, 20);
	in = sample();
	assert_int_equal(handoff_write(&b, HANDOFF_HANDOFF, &in), E_RANGE);
	assert_int_equal(b.len, 0);
}

/* A FRONTEND message (one field, key 3) built by hand: @pairs in the map, then @tail. */
static int read_frontend(size_t pairs, const char *tail, size_t n)
{
	struct handoff_frontend f;
	uint8_t mem[64];
	struct buf b, length;
	struct msg m;
	int r;

	buf_over(&b, mem, sizeof(mem));
	assert_int_equal(buf_put_u32(&b, 0) | cb_put_map(&b, pairs) | buf_put(&b, "\x00\x01\x01\x05\x02\x00", 6) | buf_put(&b, tail, n), 0);
	buf_over(&length, mem, 4);
	assert_int_equal(buf_put_u32(&length, (uint32_t)b.len - 4), 0);
	r = msg_next(&b, 64, &m);
	return r != 0 ? r : msg_fields(&m, handoff_schema(HANDOFF_FRONTEND), &f);
}

static void wrong_fields_are_refused_by_kind(void **state)
{
	(void)state;
	assert_int_equal(read_frontend(4, "\x03\x01", 2), 0);
	assert_int_equal(read_frontend(4, "\x03\x02", 2), E_RANGE);	     /* above the greatest value */
	assert_int_equal(read_frontend(4, "\x03\x41x", 3), E_FORMAT);	     /* another kind */
	assert_int_equal(read_frontend(4, "\x04\x01", 2), E_FORMAT);	     /* required field missing */
	assert_int_equal(read_frontend(3, "", 0), E_FORMAT);		     /* the same, no field at all */
	assert_int_equal(read_frontend(5, "\x03\x01\x04\x01", 4), E_UNKNOWN); /* a field that nobody knows */
	assert_int_equal(read_frontend(5, "\x03\x01\x03\x01", 4), E_FORMAT); /* twice */
	assert_int_equal(read_frontend(4, "\x03\x01\x00", 3), E_TRAILING);
	assert_int_equal(read_frontend(5, "\x03\x01", 2), E_TRUNCATED);
	assert_int_equal(read_frontend(2, "", 0), E_FORMAT); /* not even the head */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_survives_the_round_trip),
		cmocka_unit_test(every_cut_frame_waits_for_more),
		cmocka_unit_test(what_the_sender_must_not_send_is_not_written),
		cmocka_unit_test(wrong_fields_are_refused_by_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
