/* What the store remembers of vTPMs: leases, states, images, certificates, and how they come and go. */
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/kmc_store.h"

static void a_vtpm_comes_back(void **state)
{
	struct store_vtpm v = a_vtpm(1), w;

	(void)state;
	gives(E_NOTFOUND, vtpm_get, &v.uuid, &w);
	does(vtpm_put, &v);
	memset(&w, 0xee, sizeof(w));
	does(vtpm_get, &v.uuid, &w);
	assert_true(uuid_equal(&v.uuid, &w.uuid));
	assert_string_equal(w.lease.holder, "h");
	assert_string_equal(w.lease.last_holder, "");
	assert_int_equal(w.lease.epoch, 4);
	assert_int_equal(w.lease.state_version, 5);
	assert_int_equal(w.lease.owner_epoch, 6);
	assert_int_equal(w.lease.endorsement_epoch, 7);
	assert_int_equal(w.lease.platform_epoch, 8);
	assert_int_equal(w.generation, 3);
	assert_int_equal(w.seed_size, 3);
	assert_memory_equal(w.seed, v.seed, 3);
	assert_int_equal(w.stored_at, 12);
	v.lease.holder[0] = '\0';
	v.seed_size = 0;
	does(vtpm_put, &v);
	does(vtpm_get, &v.uuid, &w);
	assert_string_equal(w.lease.holder, "");
	assert_int_equal(w.seed_size, 0);
}

static void a_suspended_vtpm_comes_back(void **state)
{
	struct store_vtpm v = a_vtpm(1), w;

	(void)state;
	v.lease.holder[0] = '\0';
	strcpy(v.lease.last_holder, "h");
	v.lease.suspended = true;
	v.lease.image = 0xfffffffe;
	v.suspended_at = 13;
	strcpy(v.lease.reserver, "other");
	memcpy(v.lease.reservation, "sixteen bytes..!", KMC_REQUEST_ID_SIZE);
	v.reserved_at = 14;
	v.lease.committed = true;
	memcpy(v.lease.commit, "another sixteen.", KMC_REQUEST_ID_SIZE);
	v.lease.resumed_from = 3;
	does(vtpm_put, &v);
	memset(&w, 0, sizeof(w));
	does(vtpm_get, &v.uuid, &w);
	assert_true(w.lease.suspended);
	assert_true(w.lease.committed);
	assert_int_equal(w.lease.image, 0xfffffffe);
	assert_int_equal(w.suspended_at, 13);
	assert_string_equal(w.lease.reserver, "other");
	assert_memory_equal(w.lease.reservation, v.lease.reservation, KMC_REQUEST_ID_SIZE);
	assert_int_equal(w.reserved_at, 14);
	assert_memory_equal(w.lease.commit, v.lease.commit, KMC_REQUEST_ID_SIZE);
	assert_int_equal(w.lease.resumed_from, 3);
	v.lease = a_vtpm(1).lease;
	does(vtpm_put, &v);
	does(vtpm_get, &v.uuid, &w);
	assert_false(w.lease.suspended || w.lease.committed || w.lease.reserver[0] || w.lease.resumed_from);
}

/* A letter for each vTPM that has these keys and still a seed. */
static const char *sharing(uint8_t uuid, uint32_t generation)
{
	static char out[10];
	const struct origin keys = {.uuid = {{9, [15] = uuid}}, .generation = generation};
	struct uuid at = {{0}};
	size_t n = 0;

	while (n < sizeof(out) - 1 && tested->ops->vtpm_sharing(tested, &keys, &at, &at) == 0)
		out[n++] = (char)('a' + at.b[15] - 1);
	out[n] = '\0';
	return out;
}

static void who_shares_keys_is_found_while_its_seed_is_there(void **state)
{
	struct store_vtpm v[4] = {a_vtpm(1), a_vtpm(2), a_vtpm(3), a_vtpm(4)}, w;
	struct store_retirement end = {.uuid = v[0].uuid, .seed = {1, 2, 3}, .seed_size = 3, .due_at = 9};

	(void)state;
	v[1].origin = v[2].origin = (struct origin){.uuid = v[0].uuid, .generation = 3};
	for (int i = 0; i < 4; i++)
		does(vtpm_put, &v[i]);
	memset(&w, 0xee, sizeof(w));
	does(vtpm_get, &v[0].uuid, &w);
	assert_int_equal(w.origin.generation, 0);
	assert_true(uuid_is_nil(&w.origin.uuid));
	does(vtpm_get, &v[1].uuid, &w);
	assert_int_equal(w.origin.generation, 3);
	assert_true(uuid_equal(&w.origin.uuid, &v[0].uuid));
	assert_string_equal(sharing(1, 3), "abc");
	assert_string_equal(sharing(4, 3), "d");
	assert_string_equal(sharing(1, 2), "");
	assert_string_equal(sharing(2, 3), ""); /* it has others' keys, not its own */
	v[0].generation = 4; /* a new seed */
	v[2].origin.generation = 0;
	does(vtpm_put, &v[0]);
	does(vtpm_put, &v[2]);
	assert_string_equal(sharing(1, 3), "b");
	assert_string_equal(sharing(1, 4), "a");
	assert_string_equal(sharing(3, 3), "c");
	v[0].generation = 3;
	v[0].seed_size = 0; /* retired */
	does(vtpm_put, &v[0]);
	does(retirement_put, &end);
	assert_string_equal(sharing(1, 3), "ab");
	end.seed_size = 0;
	end.destroyed_at = 10;
	does(retirement_put, &end);
	assert_string_equal(sharing(1, 3), "b");
	store_by_hand("UPDATE vtpms SET key_generation = 0 WHERE key_uuid IS NOT NULL"); /* one without the other */
	gives(E_DB, vtpm_get, &v[1].uuid, &w);
}

static void vtpms_are_listed_in_order(void **state)
{
	struct store_vtpm v;
	uint8_t last = 0;
	int n = 0, r;

	(void)state;
	for (uint8_t i = 5; i >= 1; i--) {
		v = a_vtpm(i);
		does(vtpm_put, &v);
	}
	for (r = tested->ops->vtpm_next(tested, NULL, &v); r == 0; n++) {
		const struct uuid at = v.uuid;

		assert_true(at.b[15] > last);
		last = at.b[15];
		r = tested->ops->vtpm_next(tested, &at, &v);
	}
	assert_int_equal(r, E_NOTFOUND);
	assert_int_equal(n, 5);
}

static void a_vtpm_of_no_pool_is_refused(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	strcpy(v.lease.pool, "nowhere");
	gives(E_DB, vtpm_put, &v);
	assert_non_null(strcasestr(tested->why, "foreign key"));
}

static void parked_leases_come_back_the_first_recalled_first(void **state)
{
	struct store_parked p = {.uuid = {{9, [15] = 1}}, .holder = "h", .epoch = 4}, q = p, found = {.epoch = 0};

	(void)state;
	q.uuid.b[15] = 2;
	gives(E_NOTFOUND, parked_get, &p.uuid, &found);
	does(parked_put, &p);
	gives(E_NOTFOUND, parked_recalled, "h", &found);
	p.recalled_at = 20;
	q.recalled_at = 10;
	does(parked_put, &p);
	does(parked_put, &q);
	does(parked_get, &p.uuid, &found);
	assert_memory_equal(&found, &p, sizeof(p));
	gives(E_NOTFOUND, parked_recalled, "g", &found);
	does(parked_recalled, "h", &found);
	assert_int_equal(found.uuid.b[15], 2);
	q.recalled_at = 0;
	does(parked_put, &q);
	does(parked_recalled, "h", &found);
	assert_int_equal(found.uuid.b[15], 1);
}

static void certificates_come_back_and_new_ones_replace_them(void **state)
{
	struct store_vtpm v = a_vtpm(1);
	struct store_ek k = {.uuid = v.uuid, .generation = 3, .endorsement_epoch = 7, .ca = {5}, .issued_at = 99, .rsa = {1, 2}, .ecc = {3},
			     .rsa_size = 2, .ecc_size = 1}, got;

	(void)state;
	does(vtpm_put, &v);
	gives(E_NOTFOUND, ek_get, &v.uuid, &got);
	does(ek_put, &k);
	k.endorsement_epoch = 8;
	does(ek_put, &k);
	does(ek_get, &v.uuid, &got);
	assert_int_equal(got.endorsement_epoch, 8);
	assert_int_equal(got.generation, 3);
	assert_int_equal(got.issued_at, 99);
	assert_int_equal(got.rsa_size, 2);
	assert_int_equal(got.ecc_size, 1);
	assert_memory_equal(got.rsa, k.rsa, 2);
	does(ek_drop, &v.uuid);
	gives(E_NOTFOUND, ek_get, &v.uuid, &got);
}

/* --- states and images --- */

static void a_state_comes_back_as_it_was(void **state)
{
	const struct store_vtpm v = a_vtpm(1);
	struct store_state st;
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 4096), 0);
	does(vtpm_put, &v);
	gives(E_NOTFOUND, state_get, &v.uuid, 2, &b);
	assert_int_equal(put_state(&v, 2, "two!"), 0);
	assert_int_equal(put_state(&v, 2, "two?"), E_DB);
	does(state_get, &v.uuid, 2, &b);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "two!", 4);
	b.cap = 6;
	gives(E_RANGE, state_get, &v.uuid, 2, &b);
	b.cap = 4096;
	buf_free(&b);
	does(state_next, &v.uuid, 0, &st);
	assert_int_equal(st.version, 2);
	assert_int_equal(st.size, 4);
	assert_int_equal(st.owner_epoch, 12);
	assert_int_equal(st.endorsement_epoch, 2);
	assert_int_equal(st.platform_epoch, 3);
	assert_int_equal(st.stored_at, 99);
	gives(E_NOTFOUND, state_next, &v.uuid, 2, &st);
}

/* The versions that are there, as digits. */
static const char *versions(const struct store_vtpm *v)
{
	static char text[16];
	struct store_state st = {0};
	size_t n = 0;

	while (n < sizeof(text) - 1 && tested->ops->state_next(tested, &v->uuid, st.version, &st) == 0)
		text[n++] = (char)('0' + st.version);
	text[n] = '\0';
	return text;
}

static void the_last_states_are_kept_by_number_and_by_size(void **state)
{
	const struct store_vtpm v = a_vtpm(1), other = a_vtpm(2);

	(void)state;
	does(vtpm_put, &v);
	does(vtpm_put, &other);
	assert_int_equal(put_state(&other, 1, "another's"), 0);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(put_state(&v, i, "1234567890"), 0);
	does(state_prune, &v.uuid, 5, &(const struct store_keep){.states = 4, .bytes = 1000});
	assert_string_equal(versions(&v), "2345");
	does(state_prune, &v.uuid, 5, &(const struct store_keep){.states = 4, .bytes = 39});
	assert_string_equal(versions(&v), "345");
	does(state_prune, &v.uuid, 5, &(const struct store_keep){.states = 1, .bytes = 5});
	assert_string_equal(versions(&v), "5");
	assert_string_equal(versions(&other), "1");
	assert_int_equal(put_state(&v, 6, "x"), 0);
	does(state_drop, &v.uuid, 5);
	assert_string_equal(versions(&v), "5");
}

/* The marks that are there, the latest last, as letters. */
static const char *images(const struct store_vtpm *v)
{
	static char text[16];
	struct store_image i = {0};
	size_t n = 0;

	while (n < sizeof(text) - 1 && tested->ops->image_next(tested, &v->uuid, i.number, &i) == 0)
		text[n++] = (char)i.image;
	text[n] = '\0';
	return text;
}

static void put_image(const struct store_vtpm *v, char image, const char *text)
{
	const struct store_image i = {.image = (uint64_t)image, .version = 2, .suspended_at = 77};

	does(image_put, &v->uuid, &i, view_text(text));
}

static void volatile_states_come_back_until_they_are_destroyed(void **state)
{
	const struct store_vtpm v = a_vtpm(1), other = a_vtpm(2);
	struct store_image i;
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 64), 0);
	does(vtpm_put, &v);
	does(vtpm_put, &other);
	put_image(&v, 'c', "first");
	put_image(&v, 'b', "second");
	put_image(&v, 'a', "third");
	put_image(&v, 'c', "once more");
	put_image(&other, 'a', "another's");
	assert_string_equal(images(&v), "bac");
	does(image_get, &v.uuid, 'c', &b);
	assert_memory_equal(b.data, "once more", 9);
	gives(E_NOTFOUND, image_get, &v.uuid, 'd', &b);
	does(image_next, &v.uuid, 0, &i);
	assert_int_equal(i.version, 2);
	assert_int_equal(i.suspended_at, 77);
	does(image_prune, &v.uuid, 'b', 1);
	assert_string_equal(images(&v), "bc");
	does(image_prune, &v.uuid, 'c', 0);
	assert_string_equal(images(&v), "c");
	does(image_prune, &v.uuid, 0, 0);
	assert_string_equal(images(&v), "");
	assert_string_equal(images(&other), "a");
	buf_free(&b);
}

static void the_state_of_a_kept_image_is_kept(void **state)
{
	const struct store_vtpm v = a_vtpm(1);

	(void)state;
	does(vtpm_put, &v);
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(put_state(&v, i, "x"), 0);
	put_image(&v, 'a', "of version 2");
	does(state_prune, &v.uuid, 4, &(const struct store_keep){.states = 1, .bytes = 1});
	assert_string_equal(versions(&v), "24");
}

/* --- the end, and other KMCs --- */

static void retirements_are_due_the_longest_first_until_destroyed(void **state)
{
	struct store_vtpm v[2] = {a_vtpm(1), a_vtpm(2)};
	struct store_retirement r = {.seed = {7, 7}, .seed_size = 2}, got;

	(void)state;
	for (int i = 0; i < 2; i++) {
		does(vtpm_put, &v[i]);
		r.uuid = v[i].uuid;
		r.due_at = 100 - i;
		does(retirement_put, &r);
	}
	gives(E_NOTFOUND, retirement_due, 98, &got);
	does(retirement_due, 100, &got);
	assert_memory_equal(got.uuid.b, v[1].uuid.b, UUID_SIZE);
	assert_int_equal(got.seed_size, 2);
	got.seed_size = 0;
	got.destroyed_at = 101;
	does(retirement_put, &got);
	gives(E_NOTFOUND, retirement_due, 99, &got);
	does(retirement_get, &v[1].uuid, &got);
	assert_int_equal(got.seed_size, 0);
	assert_int_equal(got.destroyed_at, 101);
	does(retirement_drop, &v[0].uuid);
	gives(E_NOTFOUND, retirement_get, &v[0].uuid, &got);
}

static void what_moves_to_another_kmc_is_never_due(void **state)
{
	const struct store_vtpm v = a_vtpm(1);
	struct store_retirement r = {.uuid = v.uuid, .seed = {7, 7}, .seed_size = 2, .due_at = 100, .moving = true, .move = "0123456789abcde",
				     .recipient = "another KMC", .destination = "there", .epoch = INT64_MAX}, got;

	(void)state;
	does(vtpm_put, &v);
	does(retirement_put, &r);
	gives(E_NOTFOUND, retirement_due, 1000, &got);
	memset(&got, 0xee, sizeof(got));
	does(retirement_get, &v.uuid, &got);
	assert_true(got.moving);
	assert_int_equal(got.seed_size, 2);
	assert_int_equal(got.due_at, 100);
	assert_int_equal(got.destroyed_at, 0);
	assert_int_equal(got.epoch, INT64_MAX);
	assert_memory_equal(got.move, r.move, sizeof(r.move));
	assert_memory_equal(got.recipient, r.recipient, sizeof(r.recipient));
	assert_string_equal(got.destination, "there");
	r.moving = false;
	does(retirement_put, &r);
	does(retirement_get, &v.uuid, &got);
	assert_false(got.moving);
	does(retirement_due, 1000, &got);
}

static void arrivals_come_back_and_are_found_by_their_keys(void **state)
{
	const struct store_vtpm v = a_vtpm(1), w = a_vtpm(2);
	struct store_arrival a = {.uuid = v.uuid, .move = "0123456789abcde", .sender = "another KMC", .from = "there", .keys = {.uuid = w.uuid, .generation = 3},
				  .epoch = 7, .arrived_at = 9}, got;
	struct origin keys = a.keys;

	(void)state;
	gives(E_DB, arrival_put, &a); /* of no vTPM */
	does(vtpm_put, &v);
	gives(E_NOTFOUND, arrival_get, &v.uuid, &got);
	does(arrival_put, &a);
	memset(&got, 0xee, sizeof(got));
	does(arrival_get, &v.uuid, &got);
	assert_true(uuid_equal(&got.uuid, &v.uuid));
	assert_int_equal(got.epoch, 7);
	assert_int_equal(got.arrived_at, 9);
	assert_memory_equal(got.move, a.move, sizeof(a.move));
	assert_memory_equal(got.sender, a.sender, sizeof(a.sender));
	assert_string_equal(got.from, "there");
	does(arrival_of, &keys, &got);
	assert_true(uuid_equal(&got.uuid, &v.uuid));
	assert_true(uuid_equal(&got.keys.uuid, &w.uuid));
	assert_int_equal(got.keys.generation, 3);
	keys.generation = 4;
	gives(E_NOTFOUND, arrival_of, &keys, &got);
	keys = (struct origin){.uuid = v.uuid, .generation = 3};
	gives(E_NOTFOUND, arrival_of, &keys, &got);
	a.epoch = 8;
	does(arrival_put, &a);
	does(arrival_get, &v.uuid, &got);
	assert_int_equal(got.epoch, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_vtpm_comes_back),
		TEST(a_suspended_vtpm_comes_back),
		TEST(who_shares_keys_is_found_while_its_seed_is_there),
		TEST(vtpms_are_listed_in_order),
		TEST(a_vtpm_of_no_pool_is_refused),
		TEST(parked_leases_come_back_the_first_recalled_first),
		TEST(certificates_come_back_and_new_ones_replace_them),
		TEST(a_state_comes_back_as_it_was),
		TEST(the_last_states_are_kept_by_number_and_by_size),
		TEST(volatile_states_come_back_until_they_are_destroyed),
		TEST(the_state_of_a_kept_image_is_kept),
		TEST(retirements_are_due_the_longest_first_until_destroyed),
		TEST(what_moves_to_another_kmc_is_never_due),
		TEST(arrivals_come_back_and_are_found_by_their_keys),
	};
	int failed = cmocka_run_group_tests_name("SQLite", tests, store_on_sqlite, NULL);

	return failed + cmocka_run_group_tests_name("PostgreSQL", tests, store_on_pgsql, store_off_pgsql);
}
