/* What the engine reads of certificate authorities. */
#include "kmc/authorities.h"

#include <openssl/evp.h>
#include <string.h>

#include "common/certinfo.h"
#include "common/error.h"
#include "tests/unit/unit.h"

static struct x509_key *keys[3];
static struct ca_cert certs[3];
static struct store_authority rows[AUTHORITIES_MAX + 1];
static size_t n_rows;

static int next_row(struct store *s, uint32_t after, struct store_authority *a)
{
	(void)s;
	for (size_t i = 0; i < n_rows; i++)
		if (rows[i].number > after) {
			*a = rows[i];
			return 0;
		}
	return E_NOTFOUND;
}

static const struct store_ops ops = {.authority_next = next_row};
static struct store store = {.ops = &ops};
static struct authorities a;

static void put(uint32_t number, enum authority_state state, const struct ca_cert *cert)
{
	struct store_authority *row = &rows[n_rows++];

	*row = (struct store_authority){.number = number, .state = state, .size = cert->size, .key = {1}, .key_size = state == AUTHORITY_RETIRED ? 0 : 1};
	memcpy(row->certificate, cert->der, cert->size);
}

static int setup(void **state)
{
	char name[16], why[CA_WHY];
	const struct ca_profile profile = {.kind = CA_ROOT, .name = name, .not_before = 1000, .not_after = 2000};

	(void)state;
	n_rows = 0;
	for (int i = 0; i < 3 && !keys[i]; i++) {
		snprintf(name, sizeof(name), "CA %d", i + 1);
		if (ca_key_make(&keys[i]) != 0 || ca_root(keys[i], &profile, &certs[i], why) != 0)
			return -1;
	}
	return 0;
}

static void without_rows_there_is_the_one_of_the_files(void **state)
{
	uint8_t hash[32];

	(void)state;
	assert_int_equal(authorities_read(&a, &store, &certs[0]), 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.list[0].number, 1);
	assert_ptr_equal(authorities_in(&a, AUTHORITY_CURRENT), &a.list[0]);
	assert_int_equal(EVP_Digest(certs[0].der, certs[0].size, hash, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(a.bundle_hash, hash, 32); /* what a host that was just enrolled says it has */
}

static void hosts_trust_all_that_are_not_retired(void **state)
{
	struct certinfo_der list[4];

	(void)state;
	put(1, AUTHORITY_RETIRED, &certs[0]);
	put(2, AUTHORITY_FORMER, &certs[1]);
	put(3, AUTHORITY_CURRENT, &certs[2]);
	assert_int_equal(authorities_read(&a, &store, &certs[0]), 0);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.n_live, 2);
	assert_int_equal(authorities_newest(&a)->number, 3);
	assert_int_equal(certinfo_split(view_of(a.bundle, a.bundle_size), list, 4), 2);
	assert_memory_equal(list[0].bytes, certs[1].der, certs[1].size);
	assert_memory_equal(list[1].bytes, certs[2].der, certs[2].size);
	assert_int_equal(certinfo_split(view_of(a.bundle, a.bundle_size), list, 1), E_RANGE);
	assert_int_equal(certinfo_split(view_of(a.bundle, a.bundle_size - 1), list, 4), E_FORMAT);
}

static void a_certificate_is_of_the_one_that_signed_it(void **state)
{
	const struct ca_profile profile = {.kind = CA_HOST, .name = "h", .not_before = 1000, .not_after = 1500};
	uint8_t spki[CA_SPKI_MAX];
	struct certinfo_der list[1];
	struct ca_cert cert;
	char why[CA_WHY];
	int n;

	(void)state;
	put(1, AUTHORITY_FORMER, &certs[0]);
	put(2, AUTHORITY_CURRENT, &certs[1]);
	assert_int_equal(authorities_read(&a, &store, &certs[0]), 0);
	n = ca_key_public(keys[2], spki);
	assert_true(n > 0);
	assert_int_equal(ca_issue(keys[1], &certs[1], &profile, view_of(spki, (size_t)n), &cert, why), 0);
	assert_int_equal(authorities_issuer(&a, &cert)->number, 2);
	assert_null(authorities_issuer(&a, &certs[2]));
	assert_int_equal(certinfo_split(view_of(cert.der, cert.size), list, 1), E_FORMAT); /* a host is no authority */
	assert_true(ca_is_root_of(&certs[1], keys[1]));
	assert_false(ca_is_root_of(&certs[1], keys[0]));
	assert_false(ca_is_root_of(&cert, keys[2]));
}

static void a_change_is_noticed(void **state)
{
	static struct authorities before;

	(void)state;
	put(1, AUTHORITY_CURRENT, &certs[0]);
	assert_int_equal(authorities_read(&before, &store, &certs[0]), 0);
	assert_int_equal(authorities_read(&a, &store, &certs[0]), 0);
	assert_true(authorities_same(&before, &a));
	rows[0].state = AUTHORITY_FORMER;
	assert_int_equal(authorities_read(&a, &store, &certs[0]), 0);
	assert_false(authorities_same(&before, &a));
	rows[0].state = AUTHORITY_CURRENT;
	put(2, AUTHORITY_NEXT, &certs[1]);
	assert_int_equal(authorities_read(&a, &store, &certs[0]), 0);
	assert_false(authorities_same(&before, &a));
}

static void more_than_there_can_be_is_an_error(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= AUTHORITIES_LIVE_MAX + 1; i++)
		put(i, AUTHORITY_FORMER, &certs[0]);
	assert_int_equal(authorities_read(&a, &store, &certs[0]), E_RANGE);
	n_rows = 0;
	for (uint32_t i = 1; i <= AUTHORITIES_MAX + 1; i++)
		put(i, AUTHORITY_RETIRED, &certs[0]);
	assert_int_equal(authorities_read(&a, &store, &certs[0]), E_RANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_rows_there_is_the_one_of_the_files, setup),
		cmocka_unit_test_setup(hosts_trust_all_that_are_not_retired, setup),
		cmocka_unit_test_setup(a_certificate_is_of_the_one_that_signed_it, setup),
		cmocka_unit_test_setup(a_change_is_noticed, setup),
		cmocka_unit_test_setup(more_than_there_can_be_is_an_error, setup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	for (int i = 0; i < 3; i++)
		ca_key_free(&keys[i]);
	return failed;
}
