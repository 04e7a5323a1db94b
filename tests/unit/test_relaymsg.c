/* The messages between the relay's processes: each survives the round trip, and each rule of its table is enforced. */
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/statemsg.h"
#include "tests/unit/schemas.h"

static void check_protocol(const struct privsep_protocol *p)
{
	for (size_t i = 0; i < p->n_schemas; i++) {
		check_schema(&p->schemas[i]);
		assert_true(p->schemas[i].size <= PRIVSEP_FIELDS_MAX);
		assert_ptr_equal(msg_schema_find(p->schemas, p->n_schemas, p->schemas[i].type), &p->schemas[i]);
	}
}

static void the_builders_protocol_keeps_its_rules(void **state)
{
	(void)state;
	check_protocol(&builder_protocol);
}

static void the_host_tpms_protocol_keeps_its_rules(void **state)
{
	(void)state;
	check_protocol(&tpm_protocol);
}

static void the_state_processs_protocol_keeps_its_rules(void **state)
{
	(void)state;
	check_protocol(&state_protocol);
}

static void the_largest_message_fits_the_bound_of_a_frame(void **state)
{
	const struct privsep_protocol *const all[] = {&builder_protocol, &tpm_protocol, &state_protocol};
	struct filled f = {.text = malloc(SCHEMA_FRAME_MAX)};
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, SCHEMA_FRAME_MAX), 0);
	for (size_t p = 0; p < 3; p++)
		for (size_t i = 0; i < all[p]->n_schemas; i++) {
			buf_reset(&b);
			fill(&f, &all[p]->schemas[i], 1);
			assert_int_equal(msg_write(&b, &all[p]->schemas[i], 1, UINT64_MAX, f.fields), 0);
			assert_true(b.len <= all[p]->body_max + 4);
		}
	buf_free(&b);
	free(f.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_builders_protocol_keeps_its_rules),
		cmocka_unit_test(the_host_tpms_protocol_keeps_its_rules),
		cmocka_unit_test(the_state_processs_protocol_keeps_its_rules),
		cmocka_unit_test(the_largest_message_fits_the_bound_of_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
