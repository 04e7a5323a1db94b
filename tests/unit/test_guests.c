/* The table of devices: tickets that are never used twice, look-ups, and the refusals that are remembered. */
#include <stdio.h>
#include <string.h>

#include "common/secret.h"
#include "dom0-relay/guests.h"
#include "tests/unit/unit.h"

static struct guests table;

static int setup(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	return 0;
}

static struct guest *add(unsigned int guest, unsigned int dev)
{
	return guests_add(&table, (struct node_ids){.guest = guest, .dev = dev});
}

static void a_ticket_is_never_used_twice(void **state)
{
	struct guest *a = add(5, 0);
	uint64_t first = a->ticket;

	(void)state;
	assert_true(first > 0);
	guests_drop(a);
	assert_null(guests_by_ticket(&table, first));
	assert_true(add(5, 0)->ticket > first);
}

static void devices_are_found_by_what_names_them(void **state)
{
	struct guest *a = add(5, 0), *b = add(5, 1), *c = add(6, 0);

	(void)state;
	b->ids.stub = 99;
	assert_ptr_equal(guests_find(&table, (struct node_ids){.guest = 5}), a);
	assert_ptr_equal(guests_find(&table, (struct node_ids){.guest = 5, .dev = 1}), b);
	assert_ptr_equal(guests_by_ticket(&table, c->ticket), c);
	assert_ptr_equal(guests_by_stub(&table, 99), b);
	assert_null(guests_by_stub(&table, 0)); /* a and c have none */
	assert_null(guests_find(&table, (struct node_ids){.guest = 7}));
}

static void the_table_has_an_end(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < GUESTS_MAX; i++)
		assert_non_null(add(i, 0));
	assert_null(add(GUESTS_MAX, 0));
	guests_drop(guests_find(&table, (struct node_ids){.guest = 17}));
	assert_non_null(add(GUESTS_MAX, 0));
}

static void a_vtpm_has_one_holder_unless_it_failed(void **state)
{
	const struct uuid uuid = {{1}};
	struct guest *a = add(5, 0), *b = add(6, 0);

	(void)state;
	a->uuid = b->uuid = uuid;
	assert_ptr_equal(guests_holder(&table, b, &uuid), a);
	a->machine.state = GUEST_FAILED;
	assert_null(guests_holder(&table, b, &uuid));
	assert_ptr_equal(guests_holder(&table, a, &uuid), b);
}

static void who_was_resumed_from_it_stands_beside_its_source(void **state)
{
	const struct uuid uuid = {{1}};
	struct guest *source = add(5, 0), *g = add(6, 0), *third = add(7, 0);

	(void)state;
	source->uuid = g->uuid = uuid;
	source->image = 0x40000002;
	g->incarnation = 1;
	assert_null(guests_source(&table, g));
	g->incarnation = 0x40000001; /* of another image */
	assert_null(guests_source(&table, g));
	assert_ptr_equal(guests_holder(&table, g, &uuid), source);
	g->incarnation = 0x40000003;
	assert_ptr_equal(guests_source(&table, g), source);
	assert_null(guests_holder(&table, g, &uuid));
	third->uuid = uuid;
	third->incarnation = 0x40000003; /* of the same image */
	assert_ptr_equal(guests_holder(&table, third, &uuid), g);
	source->machine.state = GUEST_FAILED;
	assert_null(guests_source(&table, g));
	source->image = g->incarnation = 0; /* whoever has no mark yet is nobody's source */
	assert_null(guests_source(&table, g));
}

static void the_last_refusals_are_remembered_until_forgiven(void **state)
{
	unsigned int n = 0;

	(void)state;
	for (unsigned int i = 0; i < REFUSALS_MAX + 3; i++) {
		struct guest *g = add(i, 0);

		g->uuid.b[0] = (uint8_t)i;
		snprintf(g->reason, sizeof(g->reason), "reason %u", i);
		guests_remember(&table, g);
	}
	for (unsigned int i = 0; i < REFUSALS_MAX; i++) {
		assert_true(table.refusals[i].when != 0);
		assert_in_range(table.refusals[i].uuid.b[0], 3, REFUSALS_MAX + 2);
	}
	guests_forgive(&table, &(struct uuid){{5}});
	for (unsigned int i = 0; i < REFUSALS_MAX; i++)
		n += table.refusals[i].when != 0;
	assert_int_equal(n, REFUSALS_MAX - 1);
}

static void a_dropped_device_leaves_no_seed(void **state)
{
	struct guest *g = add(5, 0);

	(void)state;
	g->lease.seed = secret_dup("0123456789abcdef0123456789abcdef", 32);
	assert_int_equal(buf_init(&g->lease.state, 100), 0);
	guest_lease_clear(&g->lease);
	assert_null(g->lease.seed);
	assert_null(g->lease.state.data);
	guests_drop(g);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ticket_is_never_used_twice),
		TEST(devices_are_found_by_what_names_them),
		TEST(the_table_has_an_end),
		TEST(a_vtpm_has_one_holder_unless_it_failed),
		TEST(who_was_resumed_from_it_stands_beside_its_source),
		TEST(the_last_refusals_are_remembered_until_forgiven),
		TEST(a_dropped_device_leaves_no_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
