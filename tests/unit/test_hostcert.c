/* Which certificates of a host stand, and when it is given one once more. */
#include "kmc/hostcert.h"

#include <string.h>

#include "common/error.h"
#include "tests/unit/unit.h"

#define LIFE 3000
#define T0 1000000

static const uint8_t ca[32] = {1}, other_ca[32] = {2}, present[32] = {3};

static struct store_hostcert issued(int64_t at)
{
	struct store_hostcert c = {.host = "h", .fingerprint = {4}, .issued_at = at, .expires_at = at + LIFE};

	memcpy(c.ca, ca, sizeof(ca));
	return c;
}

static void one_that_was_not_used_yet_is_given_again(void **state)
{
	struct store_hostcert c = issued(T0);

	(void)state;
	assert_true(hostcert_again(&c, present, ca, T0));
	assert_true(hostcert_again(&c, present, ca, T0 + LIFE / 3 - 1));
	assert_false(hostcert_again(&c, present, ca, T0 + LIFE / 3));
	assert_false(hostcert_again(&c, present, ca, T0 - 1)); /* the clock was put back */
	assert_false(hostcert_again(&c, present, other_ca, T0));
}

static void one_that_is_used_is_given_again_only_just_after_its_issue(void **state)
{
	struct store_hostcert c = issued(T0);

	(void)state;
	memcpy(c.fingerprint, present, sizeof(present));
	assert_true(hostcert_again(&c, present, ca, T0 + LIFE / 1000 - 1));
	assert_false(hostcert_again(&c, present, ca, T0 + LIFE / 1000));
}

static void a_certificate_stands_until_it_expires(void **state)
{
	struct store_hostcert c = issued(T0);

	(void)state;
	assert_true(hostcert_stands(&c, T0 + LIFE - 1));
	assert_false(hostcert_stands(&c, T0 + LIFE));
}

static void a_host_is_overdue_when_less_than_a_quarter_is_left(void **state)
{
	(void)state;
	assert_false(hostcert_overdue(T0, T0 + 400, T0 + 300));
	assert_true(hostcert_overdue(T0, T0 + 400, T0 + 301));
}

static void a_short_life_is_not_backdated_by_more_than_a_tenth(void **state)
{
	(void)state;
	assert_int_equal(hostcert_begins(T0, 825LL * 86400), T0 - 300);
	assert_int_equal(hostcert_begins(T0, 30), T0 - 3);
}

static void a_row_says_what_the_certificate_says(void **state)
{
	const struct ca_profile root = {.kind = CA_ROOT, .name = "CA", .not_before = T0, .not_after = T0 + 9000};
	const struct ca_profile profile = {.kind = CA_HOST, .name = "h", .not_before = T0, .not_after = T0 + LIFE};
	struct x509_key *key = NULL;
	struct ca_cert authority, cert;
	uint8_t spki[CA_SPKI_MAX], again[CA_SPKI_MAX], hash[32];
	struct store_hostcert row;
	char why[CA_WHY];
	int n;

	(void)state;
	assert_int_equal(ca_key_make(&key), 0);
	assert_int_equal(ca_root(key, &root, &authority, why), 0);
	assert_true((n = ca_key_public(key, spki)) > 0);
	assert_int_equal(ca_issue(key, &authority, &profile, view_of(spki, (size_t)n), &cert, why), 0);
	assert_int_equal(ca_cert_public(&cert, again), n);
	assert_memory_equal(spki, again, (size_t)n);
	assert_int_equal(hostcert_row(&row, "h", &cert, &authority, T0 + 1), 0);
	assert_int_equal(row.expires_at, T0 + LIFE);
	assert_int_equal(row.issued_at, T0 + 1);
	assert_int_equal(row.used_at, 0);
	assert_int_equal(ca_cert_fingerprint(&authority, hash), 0);
	assert_memory_equal(row.ca, hash, 32);
	assert_int_equal(row.size, cert.size);
	cert.size--;
	assert_int_equal(hostcert_row(&row, "h", &cert, &authority, T0), E_FORMAT);
	assert_int_equal(ca_cert_public(&cert, again), E_FORMAT);
	ca_key_free(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_was_not_used_yet_is_given_again),
		cmocka_unit_test(one_that_is_used_is_given_again_only_just_after_its_issue),
		cmocka_unit_test(a_certificate_stands_until_it_expires),
		cmocka_unit_test(a_host_is_overdue_when_less_than_a_quarter_is_left),
		cmocka_unit_test(a_short_life_is_not_backdated_by_more_than_a_tenth),
		cmocka_unit_test(a_row_says_what_the_certificate_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
