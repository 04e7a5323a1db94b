/* What the store remembers of hosts, their certificates and keys, and of the keys above those. */
#include <stdbool.h>
#include <string.h>

#include "tests/unit/kmc_store.h"

static void hosts_and_pools_come_back(void **state)
{
	struct store_pool p;
	struct store_host h;

	(void)state;
	does(pool_get, "p", &p);
	assert_false(p.registered_only);
	gives(E_NOTFOUND, pool_get, "P", &p);
	does(host_get, "h", &h);
	assert_string_equal(h.pool, "p");
	assert_memory_equal(h.fingerprint, store_a_host.fingerprint, 32);
	assert_int_equal(h.expires_at, 7);
	h.removed = true;
	does(host_put, &h);
	does(host_get, "h", &h);
	assert_true(h.removed);
	gives(E_NOTFOUND, host_get, "nobody", &h);
}

static void sessions_of_a_host_grow(void **state)
{
	uint64_t session;

	(void)state;
	gives(E_NOTFOUND, session_get, "h", &session);
	for (uint64_t i = 1; i <= 3; i++) {
		does(session_next, "h");
		does(session_get, "h", &session);
		assert_int_equal(session, i);
	}
	gives(E_DB, session_next, "nobody");
}

static void certificates_of_hosts_come_back_the_newest_first(void **state)
{
	struct store_hostcert c = {.host = "h", .fingerprint = {1}, .ca = {9}, .certificate = {5, 6}, .size = 2}, got;

	(void)state;
	gives(E_NOTFOUND, hostcert_newest, "h", &got);
	for (int i = 1; i <= 6; i++) {
		c.fingerprint[0] = (uint8_t)i;
		c.issued_at = 100 + i;
		c.expires_at = 200 + i;
		does(hostcert_put, &c);
	}
	does(hostcert_newest, "h", &got);
	assert_int_equal(got.fingerprint[0], 6);
	assert_int_equal(got.expires_at, 206);
	assert_int_equal(got.ca[0], 9);
	assert_int_equal(got.size, 2);
	assert_memory_equal(got.certificate, c.certificate, 2);
	c.used_at = 150;
	does(hostcert_put, &c); /* it is used now */
	does(hostcert_get, "h", c.fingerprint, &got);
	assert_int_equal(got.used_at, 150);
	c.fingerprint[0] = 1;
	does(hostcert_prune, "h", c.fingerprint, 2);
	for (int i = 1; i <= 6; i++) {
		c.fingerprint[0] = (uint8_t)i;
		gives(i == 1 || i >= 5 ? 0 : E_NOTFOUND, hostcert_get, "h", c.fingerprint, &got);
	}
	does(hostcert_drop, "h");
	gives(E_NOTFOUND, hostcert_newest, "h", &got);
	strcpy(c.host, "nobody");
	gives(E_DB, hostcert_put, &c);
}

static void authorities_and_who_relies_on_them_come_back(void **state)
{
	struct store_authority a = {.number = 1, .state = AUTHORITY_CURRENT, .certificate = {5, 6}, .size = 2, .key = {7}, .key_size = 1, .made_at = 8}, got;
	struct store_server v = {.name = "kmc", .authority = 1, .started_at = 9}, w;
	uint64_t trusted = 0;

	(void)state;
	gives(E_NOTFOUND, authority_next, 0, &got);
	does(authority_put, &a);
	a.number = 2;
	a.state = AUTHORITY_NEXT;
	does(authority_put, &a);
	a.number = 1;
	a.state = AUTHORITY_RETIRED;
	a.key_size = 0;
	does(authority_put, &a);
	does(authority_next, 0, &got);
	assert_int_equal(got.state, AUTHORITY_RETIRED);
	assert_int_equal(got.key_size, 0);
	assert_int_equal(got.size, 2);
	assert_int_equal(got.made_at, 8);
	does(authority_next, 1, &got);
	assert_int_equal(got.number, 2);
	assert_int_equal(got.key[0], 7);
	gives(E_NOTFOUND, authority_next, 2, &got);
	does(server_put, &v);
	v.authority = 2;
	does(server_put, &v);
	does(server_next, "", &w);
	assert_int_equal(w.authority, 2);
	gives(E_NOTFOUND, server_next, "kmc", &w);
	gives(E_NOTFOUND, trust_get, "h", &trusted);
	does(trust_put, "h", 1);
	does(trust_put, "h", 2);
	does(trust_get, "h", &trusted);
	assert_int_equal(trusted, 2);
	gives(E_DB, trust_put, "nobody", 2);
}

static void keys_are_current_until_retired_or_old(void **state)
{
	struct store_key k = {.id = {1}, .host = "h", .modulus_size = 256, .exponent = 65537, .created_at = 1, .expires_at = 100,
		.wrapped_size = 9}, got;

	(void)state;
	does(key_put, &k);
	k.id[0] = 2;
	k.expires_at = 200;
	does(key_put, &k);
	gives(E_DB, key_put, &k); /* an id serves once */
	does(key_current, "h", 50, &got);
	assert_int_equal(got.id[0], 2);
	assert_int_equal(got.modulus_size, 256);
	assert_int_equal(got.wrapped_size, 9);
	gives(E_NOTFOUND, key_current, "h", 200, &got);
	gives(E_NOTFOUND, key_current, "other", 0, &got);
	does(key_retire, "other");
	does(key_current, "h", 50, &got);
	does(key_retire, "");
	gives(E_NOTFOUND, key_current, "h", 50, &got);
	does(key_get, k.id, &got);
	assert_true(got.retired);
	does(key_purge, 150);
	does(key_get, k.id, &got);
	k.id[0] = 1;
	gives(E_NOTFOUND, key_get, k.id, &got);
}

/* --- wrapping keys --- */

/* What is wrapped under the key with this number begins so. */
#define UNDER(number) {1, 0, 0, 0, (number), 7}
#define UNDER_SIZE 6

static struct store_wrapped next_of(enum store_wrapped_kind kind, uint32_t number)
{
	struct store_wrapped w = {.kind = kind};

	does(wrapped_next, number, &w);
	return w;
}

static void what_is_under_an_older_wrapping_key_is_found_and_exchanged(void **state)
{
	struct store_vtpm v[3] = {a_vtpm(1), a_vtpm(2), a_vtpm(3)}, got;
	struct store_key k = {.id = {1}, .host = "h", .modulus = {1}, .modulus_size = 256, .exponent = 3, .wrapped = UNDER(1), .wrapped_size = UNDER_SIZE};
	struct store_retirement r = {.uuid = v[2].uuid, .seed = UNDER(1), .seed_size = UNDER_SIZE, .due_at = 9};
	const uint8_t seed[] = UNDER(1), now[] = UNDER(2), later[] = {1, 0, 0, 0, 2, 8};
	const struct view to = {.p = now, .n = sizeof(now)};
	struct store_wrapped w;
	uint64_t all, left;

	(void)state;
	for (int i = 0; i < 3; i++) {
		memcpy(v[i].seed, seed, sizeof(seed));
		v[i].seed_size = i == 2 ? 0 : sizeof(seed); /* the third is retired */
		does(vtpm_put, &v[i]);
	}
	does(retirement_put, &r);
	does(key_put, &k);
	does(wrapped_count, 1, &all, &left);
	assert_int_equal(all, 4);
	assert_int_equal(left, 0);
	does(wrapped_count, 2, &all, &left);
	assert_int_equal(all, 4);
	assert_int_equal(left, 4);

	w = next_of(STORE_WRAPPED_SEED, 2);
	assert_memory_equal(w.id, v[0].uuid.b, UUID_SIZE);
	assert_string_equal(w.tenant, "p");
	assert_int_equal(w.generation, 3);
	assert_int_equal(w.size, sizeof(seed));
	assert_memory_equal(w.wrapped, seed, sizeof(seed));
	does(wrapped_swap, &w, to);
	does(vtpm_get, &v[0].uuid, &got);
	assert_memory_equal(got.seed, now, sizeof(now));
	does(wrapped_swap, &w, view_of(later, sizeof(later))); /* it is not any more what was read */
	does(vtpm_get, &v[0].uuid, &got);
	assert_memory_equal(got.seed, now, sizeof(now));
	does(wrapped_next, 2, &w); /* behind the first */
	assert_memory_equal(w.id, v[1].uuid.b, UUID_SIZE);
	does(wrapped_swap, &w, to);
	gives(E_NOTFOUND, wrapped_next, 2, &w);

	w = next_of(STORE_WRAPPED_RETIRED, 2);
	assert_memory_equal(w.id, v[2].uuid.b, UUID_SIZE);
	assert_string_equal(w.tenant, "p");
	assert_int_equal(w.generation, 3);
	does(wrapped_swap, &w, to);
	w = next_of(STORE_WRAPPED_KEY, 2);
	assert_memory_equal(w.id, k.id, sizeof(k.id));
	does(wrapped_swap, &w, to);
	does(key_get, k.id, &k);
	assert_memory_equal(k.wrapped, now, sizeof(now));
	does(wrapped_count, 2, &all, &left);
	assert_int_equal(all, 4);
	assert_int_equal(left, 0);
}

static void wrapping_keys_and_who_has_them_come_back(void **state)
{
	struct store_wrapping k = {.number = 2, .sealed = {5, 6}, .sealed_size = 2, .made_at = 10}, got;
	struct store_kmc a = {.name = "kmc1", .newest = 2, .oldest = 1, .beat = 3, .trouble = "its TPM is away"}, b = {.name = "kmc2", .newest = 1, .oldest = 1}, kmc;

	(void)state;
	gives(E_NOTFOUND, wrapping_last, &got);
	does(wrapping_put, &k);
	k.used_at = 11;
	k.done_at = 12;
	k.sealed_size = 0;
	does(wrapping_get, 2, &got);
	assert_int_equal(got.sealed_size, 2);
	assert_int_equal(got.sealed[1], 6);
	assert_int_equal(got.made_at, 10);
	assert_int_equal(got.used_at, 0);
	assert_int_equal(got.done_at, 0);
	does(wrapping_put, &k);
	k.number = 3;
	k.done_at = 0;
	does(wrapping_put, &k);
	does(wrapping_last, &got);
	assert_int_equal(got.number, 3);
	assert_int_equal(got.done_at, 0);
	does(wrapping_get, 2, &got);
	assert_int_equal(got.sealed_size, 0);
	assert_int_equal(got.used_at, 11);
	assert_int_equal(got.done_at, 12);

	does(wrapping_kmc_put, &b);
	does(wrapping_kmc_put, &a);
	does(wrapping_kmc_next, "", &kmc);
	assert_string_equal(kmc.name, "kmc1");
	assert_int_equal(kmc.newest, 2);
	assert_int_equal(kmc.oldest, 1);
	assert_int_equal(kmc.beat, 3);
	assert_string_equal(kmc.trouble, "its TPM is away");
	b.newest = 2;
	does(wrapping_kmc_put, &b);
	does(wrapping_kmc_get, "kmc2", &kmc);
	assert_int_equal(kmc.newest, 2);
	assert_string_equal(kmc.trouble, "");
	does(wrapping_kmc_drop, "kmc1");
	gives(E_NOTFOUND, wrapping_kmc_get, "kmc1", &kmc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hosts_and_pools_come_back),
		TEST(sessions_of_a_host_grow),
		TEST(certificates_of_hosts_come_back_the_newest_first),
		TEST(authorities_and_who_relies_on_them_come_back),
		TEST(keys_are_current_until_retired_or_old),
		TEST(what_is_under_an_older_wrapping_key_is_found_and_exchanged),
		TEST(wrapping_keys_and_who_has_them_come_back),
	};
	int failed = cmocka_run_group_tests_name("SQLite", tests, store_on_sqlite, NULL);

	return failed + cmocka_run_group_tests_name("PostgreSQL", tests, store_on_pgsql, store_off_pgsql);
}
