/* Endorsement keys at the KMC: the same that a stub domain's TPM makes, and certificates as the TCG wants them. */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"
#include "kmc/ekissue.h"
#include "kmc/ekmaker.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/engine.h"

#define YEAR (365 * 86400)
static const struct uuid uuid = {{9, 8, 7}};

static struct secret *roots_of(uint8_t seed, uint64_t endorsement)
{
	const struct epochs epochs = {.owner = 3, .endorsement = endorsement, .platform = 5};
	uint8_t bytes[32];
	struct secret *roots;
	struct derive d;

	memset(bytes, seed, sizeof(bytes));
	assert_int_equal(derive_init(&d, bytes, sizeof(bytes), &uuid, 2), 0);
	roots = derive_roots(&d, &epochs);
	assert_non_null(roots);
	derive_free(&d);
	return roots;
}

/* What a stub domain's TPM answers, with all its roots. */
static void in_a_guest(const struct secret *roots, struct endorsement_key keys[ENDORSEMENT_KINDS])
{
	struct engine *e = engine_new();
	struct tpm_command c;
	const uint8_t *p;
	size_t n;

	assert_non_null(e);
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), 0);
	tpm_startup_clear(&c);
	assert_int_equal(engine_process(e, 0, c.bytes, c.b.len, &p, &n), 0);
	for (int kind = 0; kind < ENDORSEMENT_KINDS; kind++)
		assert_int_equal(endorsement_key(e, (enum endorsement_kind)kind, &keys[kind]), 0);
	engine_free(&e);
}

static void the_kmc_makes_the_keys_that_the_guests_tpm_makes(void **state)
{
	struct endorsement_key guest[2][ENDORSEMENT_KINDS], kmc[ENDORSEMENT_KINDS];
	struct secret *roots[2] = {roots_of(1, 0), roots_of(1, 1)};
	struct endorsement_facts facts;
	struct ekmaker m;

	(void)state;
	for (int i = 0; i < 2; i++)
		in_a_guest(roots[i], guest[i]);
	assert_int_equal(ekmaker_open(&m), 0);
	for (int round = 0; round < 3; round++) { /* one after the other, and back */
		const struct roots *r = (const struct roots *)roots[round % 2]->data;

		assert_int_equal(ekmaker_make(&m, r->value[ROOT_EPS], kmc, &facts), 0);
		for (int kind = 0; kind < ENDORSEMENT_KINDS; kind++)
			assert_memory_equal(kmc[kind].bytes, guest[round % 2][kind].bytes, guest[0][kind].size);
		assert_memory_not_equal(kmc[ENDORSEMENT_ECC].bytes, guest[1 - round % 2][ENDORSEMENT_ECC].bytes, 64);
	}
	ekmaker_close(&m);
	secret_free(&roots[0]);
	secret_free(&roots[1]);
}

static void no_seed_stays_in_the_maker(void **state)
{
	struct secret *roots = roots_of(4, 0);
	const struct roots *r = (const struct roots *)roots->data;
	struct endorsement_key keys[ENDORSEMENT_KINDS];
	struct endorsement_facts facts;
	const struct secret *left;
	struct ekmaker m;

	(void)state;
	assert_int_equal(ekmaker_open(&m), 0);
	assert_int_equal(ekmaker_make(&m, r->value[ROOT_EPS], keys, &facts), 0);
	left = engine_permanent(m.engine);
	assert_null(memmem(left->data, left->size, r->value[ROOT_EPS], DERIVE_ROOT_SIZE));
	ekmaker_close(&m);
	secret_free(&roots);
}

struct authority {
	struct x509_key *key;
	struct ca_cert cert;
};

static struct authority make_ca(void)
{
	const struct ca_profile profile = {.kind = CA_ROOT, .name = "kmc CA", .not_before = 1700000000, .not_after = 1700000000 + 20LL * YEAR};
	struct authority a;
	char why[CA_WHY];

	assert_int_equal(ca_key_make(&a.key), 0);
	assert_int_equal(ca_root(a.key, &profile, &a.cert, why), 0);
	return a;
}

static X509 *parse(const struct ca_cert *c)
{
	const unsigned char *p = c->der;
	X509 *x = d2i_X509(NULL, &p, (long)c->size);

	assert_non_null(x);
	return x;
}

static void assert_profile(const struct ca_cert *cert, X509 *ca, uint32_t usage)
{
	X509 *x = parse(cert);
	int critical = 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
	EXTENDED_KEY_USAGE *extended = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	char oid[32];

	assert_int_equal(X509_verify(x, X509_get0_pubkey(ca)), 1);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
	assert_non_null(names);
	assert_int_equal(critical, 1);
	assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_DIRNAME);
	assert_int_equal(X509_NAME_entry_count(sk_GENERAL_NAME_value(names, 0)->d.directoryName), 3);
	assert_non_null(extended);
	OBJ_obj2txt(oid, sizeof(oid), sk_ASN1_OBJECT_value(extended, 0), 1);
	assert_string_equal(oid, "2.23.133.8.1");
	assert_int_equal(X509_get_key_usage(x), usage);
	assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(x), X509_get0_notAfter(ca)), 0);
	assert_true(X509_get_ext_by_NID(x, NID_subject_directory_attributes, -1) >= 0);
	GENERAL_NAMES_free(names);
	EXTENDED_KEY_USAGE_free(extended);
	X509_free(x);
}

static struct ekmaker_made made(const struct endorsement_key keys[ENDORSEMENT_KINDS])
{
	return (struct ekmaker_made){
		.rsa = view_of(keys[ENDORSEMENT_RSA].bytes, keys[ENDORSEMENT_RSA].size),
		.ecc = view_of(keys[ENDORSEMENT_ECC].bytes, keys[ENDORSEMENT_ECC].size),
		.manufacturer = 0x49424d00, .firmware = 0x20191023, .level = 0, .revision = 164};
}

static void certificates_follow_the_profile(void **state)
{
	struct endorsement_key keys[ENDORSEMENT_KINDS];
	struct secret *roots = roots_of(1, 0);
	struct authority a = make_ca();
	const struct ekissue_authority by = {.key = a.key, .ca = &a.cert, .not_before = 1800000000};
	X509 *ca = parse(&a.cert);
	struct ca_cert rsa, ecc;
	struct ekmaker_made m;
	char why[CA_WHY];

	(void)state;
	in_a_guest(roots, keys);
	m = made(keys);
	assert_int_equal(ekissue(&by, &m, &rsa, &ecc, why), 0);
	assert_profile(&rsa, ca, KU_KEY_ENCIPHERMENT);
	assert_profile(&ecc, ca, KU_KEY_AGREEMENT);
	X509_free(ca);
	ca_key_free(&a.key);
	secret_free(&roots);
}

static void what_is_no_key_is_not_certified(void **state)
{
	struct endorsement_key keys[ENDORSEMENT_KINDS] = {{.size = 256}, {.size = 64}};
	struct authority a = make_ca();
	const struct ekissue_authority by = {.key = a.key, .ca = &a.cert, .not_before = 1800000000};
	struct ekmaker_made m = made(keys);
	struct ca_cert rsa, ecc;
	char why[CA_WHY];

	(void)state;
	assert_int_not_equal(ekissue(&by, &m, &rsa, &ecc, why), 0); /* modulus 0 */
	memset(keys[ENDORSEMENT_RSA].bytes, 0xff, 256);
	assert_int_not_equal(ekissue(&by, &m, &rsa, &ecc, why), 0); /* a point that is not on the curve */
	ERR_clear_error();
	ca_key_free(&a.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kmc_makes_the_keys_that_the_guests_tpm_makes),
		cmocka_unit_test(no_seed_stays_in_the_maker),
		cmocka_unit_test(certificates_follow_the_profile),
		cmocka_unit_test(what_is_no_key_is_not_certified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
