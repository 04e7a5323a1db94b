/* Attestation: what a TPM says is taken apart strictly, and each way in which a host's state can differ has its verdict. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/eckey.h"
#include "common/error.h"
#include "kmc/attest.h"
#include "kmc/ctl_trust.h"
#include "kmc/ekcert.h"
#include "kmc/quote.h"
#include "tests/unit/unit.h"

static uint8_t area[512], attest[512], signature[128];
static struct buf b;

static struct view written(void)
{
	return view_of(buf_ptr(&b), buf_left(&b));
}

static void put_u16s(const uint16_t *n, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_put_u16(&b, n[i]);
}
#define PUT(...) put_u16s((const uint16_t[]){__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}) / 2)

static void put_sized(size_t n, uint8_t byte)
{
	buf_put_u16(&b, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		buf_put_u8(&b, byte);
}

/* An attestation key's public area with these attributes. */
static struct view an_ak(uint32_t attributes)
{
	buf_over(&b, area, sizeof(area));
	PUT(0x0023, 0x000b);
	buf_put_u32(&b, attributes);
	put_sized(0, 0);
	PUT(0x0010, 0x0018, 0x000b, 0x0003, 0x0010);
	put_sized(32, 1);
	put_sized(32, 2);
	return written();
}
#define AK_ATTRIBUTES 0x00050072u /* sign, restricted, userWithAuth, sensitiveDataOrigin, fixedParent, fixedTPM */

static struct view a_quote(uint64_t clock, uint32_t resets, uint8_t safe, uint32_t banks)
{
	buf_over(&b, attest, sizeof(attest));
	buf_put_u32(&b, 0xff544347);
	PUT(0x8018);
	put_sized(34, 3);
	put_sized(32, 4);
	buf_put_u64(&b, clock);
	buf_put_u32(&b, resets);
	buf_put_u32(&b, 9);
	buf_put_u8(&b, safe);
	buf_put_u64(&b, 0x1234);
	buf_put_u32(&b, banks);
	PUT(0x000b);
	buf_put(&b, "\x03\x8f\x00\x80", 4);
	put_sized(32, 5);
	return written();
}

static void an_attestation_key_is_read(void **state)
{
	struct quote_ak ak;

	(void)state;
	assert_int_equal(quote_ak(an_ak(AK_ATTRIBUTES), &ak), 0);
	assert_int_equal(ak.x.n, 32);
	assert_int_equal(ak.x.p[0], 1);
	assert_int_equal(ak.y.p[31], 2);
}

static void a_key_that_could_sign_anything_or_leave_its_tpm_is_none(void **state)
{
	static const uint32_t bits[] = {1u << 1, 1u << 4, 1u << 5, 1u << 16, 1u << 18};
	struct quote_ak ak;

	(void)state;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		assert_int_equal(quote_ak(an_ak(AK_ATTRIBUTES & ~bits[i]), &ak), E_FORMAT);
	assert_int_equal(quote_ak(an_ak(AK_ATTRIBUTES | 1u << 17), &ak), E_FORMAT);
	assert_int_equal(quote_ak(an_ak(AK_ATTRIBUTES | 1u << 11), &ak), E_FORMAT);
}

static void no_cut_key_and_no_longer_one_is_read(void **state)
{
	struct view v = an_ak(AK_ATTRIBUTES);
	struct quote_ak ak;

	(void)state;
	for (size_t n = 0; n < v.n; n++)
		assert_int_not_equal(quote_ak(view_of(v.p, n), &ak), 0);
	assert_int_equal(quote_ak(view_of(v.p, v.n + 1), &ak), E_TRAILING);
}

#define TLS_ATTRIBUTES 0x00040472u /* as an attestation key, but not restricted; and noDA */

static void a_tls_key_is_one_that_may_sign_anything_but_not_leave_its_tpm(void **state)
{
	static const uint32_t bits[] = {1u << 1, 1u << 4, 1u << 5, 1u << 18};
	struct quote_ak key;

	(void)state;
	assert_int_equal(quote_tls_key(an_ak(TLS_ATTRIBUTES), &key), 0);
	assert_int_equal(key.x.p[0], 1);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		assert_int_equal(quote_tls_key(an_ak(TLS_ATTRIBUTES & ~bits[i]), &key), E_FORMAT);
	assert_int_equal(quote_tls_key(an_ak(AK_ATTRIBUTES), &key), E_FORMAT);
	assert_int_equal(quote_tls_key(an_ak(TLS_ATTRIBUTES | 1u << 17), &key), E_FORMAT);
}

static void a_quote_is_read(void **state)
{
	struct quote q;

	(void)state;
	assert_int_equal(quote_parse(a_quote(77, 5, 1, 1), &q), 0);
	assert_int_equal(q.clock_ms, 77);
	assert_int_equal(q.reset_count, 5);
	assert_int_equal(q.restart_count, 9);
	assert_true(q.clock_safe);
	assert_int_equal(q.firmware, 0x1234);
	assert_int_equal(q.pcrs, 0x80008f);
	assert_int_equal(q.extra.n, 32);
	assert_int_equal(q.digest.p[0], 5);
}

static void what_is_no_quote_is_not_read(void **state)
{
	struct view v = a_quote(77, 5, 1, 1);
	struct quote q;

	(void)state;
	for (size_t n = 0; n < v.n; n++)
		assert_int_not_equal(quote_parse(view_of(v.p, n), &q), 0);
	assert_int_equal(quote_parse(view_of(v.p, v.n + 1), &q), E_TRAILING);
	attest[0] ^= 1; /* the magic: a restricted key signs nobody's message that begins with it */
	assert_int_equal(quote_parse(v, &q), E_FORMAT);
	attest[0] ^= 1;
	attest[5] ^= 1; /* another kind of attestation */
	assert_int_equal(quote_parse(v, &q), E_FORMAT);
	assert_int_equal(quote_parse(a_quote(77, 5, 2, 1), &q), E_FORMAT);
	assert_int_equal(quote_parse(a_quote(77, 5, 1, 2), &q), E_FORMAT);
	assert_int_equal(quote_parse(a_quote(77, 5, 1, 0), &q), E_FORMAT);
}

static void a_signature_is_read(void **state)
{
	struct quote_signature s;

	(void)state;
	buf_over(&b, signature, sizeof(signature));
	PUT(0x0018, 0x000b);
	put_sized(32, 1);
	put_sized(31, 2);
	assert_int_equal(quote_signature(written(), &s), 0);
	assert_int_equal(s.s.n, 31);
	signature[1] = 0x14; /* RSASSA */
	assert_int_equal(quote_signature(written(), &s), E_FORMAT);
}

/* --- the decision --- */

static struct store_policy policy;
static struct store_identity known;
static struct attest_facts facts;

/* A host whose state is what it was. */
static int begin(void **state)
{
	(void)state;
	policy = attest_default_policy("p");
	known = (struct store_identity){.reference = {.mask = 0x8f}, .reference_firmware = 7, .clock_ms = 1000, .reset_count = 5, .restart_count = 2,
					.attested_at = 100};
	for (int i = 0; i < STORE_PCRS; i++)
		known.reference.value[i][0] = (uint8_t)i;
	facts = (struct attest_facts){.pcrs = known.reference, .firmware = 7, .clock_ms = 2000, .reset_count = 5, .restart_count = 2, .clock_safe = true};
	return 0;
}

static void expect(bool good, const char *text)
{
	struct attest_verdict v = attest_decide(&policy, &known, &facts, 1000);

	assert_int_equal(v.good, good);
	if (!strstr(v.text, text))
		fail_msg("'%s' has no '%s'", v.text, text);
	if (!*text)
		assert_string_equal(v.text, "");
}

static void an_unchanged_host_is_good(void **state)
{
	(void)state;
	expect(true, "");
}

static void each_pcr_that_differs_is_named(void **state)
{
	(void)state;
	facts.pcrs.value[7][31] = 1;
	expect(false, "PCR 7 differs");
	facts.pcrs.value[0][31] = 1;
	expect(false, "PCR 0, 7 differ from");
}

static void an_image_is_asked_for_only_by_policy(void **state)
{
	static const uint8_t image[32] = {0xab};

	(void)state;
	facts.image = image;
	expect(true, "");
	policy.n_images = 2;
	expect(false, "image ab00");
	memcpy(policy.images[1], image, sizeof(image));
	expect(true, "");
	facts.image = NULL;
	expect(false, "does not say which image");
	policy.maintenance_until = 2000;
	expect(true, "maintenance");
}

static void the_reason_for_an_image_fits_with_the_longest_pool(void **state)
{
	static const uint8_t image[32] = {0};

	(void)state;
	memset(policy.pool, 'p', sizeof(policy.pool) - 1);
	policy.n_images = 1;
	policy.images[0][0] = 1;
	facts.image = image;
	expect(false, "'kmcctl policy set --stub-image'");
	facts.image = NULL;
	expect(false, "and see its log");
}

static void a_pcr_without_reference_differs(void **state)
{
	(void)state;
	facts.pcrs.mask |= 1u << 9;
	expect(false, "PCR 9 differs");
}

static void what_nobody_asks_about_may_change(void **state)
{
	(void)state;
	known.reference.mask |= 1u << 10;
	known.reference.value[10][0] = 99;
	expect(true, "");
}

static void maintenance_notes_pcrs_and_firmware_only(void **state)
{
	(void)state;
	policy.maintenance_until = 1001;
	facts.pcrs.value[7][31] = 1;
	expect(true, "PCR 7 differs");
	facts.pcrs.value[7][31] = 0;
	facts.firmware = 8;
	expect(true, "firmware version changed");
	facts.clock_ms = 999;
	expect(false, "clock went back");
	policy.maintenance_until = 1000;
	facts.clock_ms = 2000;
	expect(false, "firmware version changed");
}

static void firmware_is_refused_or_noted(void **state)
{
	(void)state;
	facts.firmware = 8;
	expect(false, "accept");
	policy.note_firmware = true;
	expect(true, "firmware version changed from 0000000000000007 to 0000000000000008");
}

static void counters_that_go_back_are_an_older_state(void **state)
{
	(void)state;
	facts.reset_count = 4;
	expect(false, "fewer resets");
	facts.reset_count = 5;
	facts.restart_count = 1;
	expect(false, "fewer restarts");
	facts.restart_count = 2;
	facts.clock_ms = 999;
	expect(false, "clock went back");
	policy.note_clock = true;
	expect(true, "clock went back");
}

static void a_reset_begins_restarts_anew_and_may_cost_some_clock(void **state)
{
	(void)state;
	facts.reset_count = 6;
	facts.restart_count = 0;
	expect(true, "");
	facts.clock_ms = 900;
	facts.clock_safe = false; /* after an unorderly shutdown a TPM's clock may repeat some time, and says so */
	expect(true, "");
	facts.clock_safe = true;
	expect(false, "went back over a reset");
}

static void accepting_takes_what_was_last_seen(void **state)
{
	(void)state;
	facts.pcrs.value[7][31] = 1;
	facts.firmware = 8;
	facts.reset_count = 1;
	facts.clock_ms = 1;
	known.last = facts.pcrs;
	known.last_firmware = facts.firmware;
	expect(false, "fewer resets");
	assert_int_equal(attest_accept(&known), 0);
	expect(true, "");
	known.last.mask = 0;
	assert_int_equal(attest_accept(&known), E_NOTFOUND);
}

static bool opens(const struct store_identity *identity, int64_t until, const char *text)
{
	struct attest_verdict v = attest_may_open(&policy, identity, until, 1000);

	if (!strstr(v.text, text))
		fail_msg("'%s' has no '%s'", v.text, text);
	return v.good;
}

static void who_may_open(void **state)
{
	(void)state;
	assert_true(opens(NULL, 0, ""));
	policy.require = true;
	assert_false(opens(NULL, 0, "added by files"));
	policy.require = false;
	assert_false(opens(&known, 0, "not been attested"));
	assert_false(opens(&known, 1000, "too old"));
	assert_true(opens(&known, 1001, ""));
	known.failed = true;
	strcpy(known.reason, "PCR 7 differs");
	assert_false(opens(&known, 1001, "its last attestation failed: PCR 7 differs"));
	memset(known.reason, 'x', STORE_REASON_MAX);
	assert_false(opens(&known, 1001, "xxx"));
}

static void a_quote_counts_longer_than_the_interval(void **state)
{
	(void)state;
	policy.interval_s = 600;
	assert_int_equal(attest_good_until(&policy, 1000), 1000 + 905);
}

static void endorsement_keys_by_policy(void **state)
{
	(void)state;
	assert_null(ek_decide(EK_FIRST, EK_NO_CERTIFICATE, false, false));
	assert_null(ek_decide(EK_FIRST, EK_UNKNOWN_CA, true, true));
	assert_non_null(ek_decide(EK_FIRST, EK_CERTIFIED, true, false));
	assert_non_null(ek_decide(EK_LISTED, EK_CERTIFIED, false, false));
	assert_null(ek_decide(EK_LISTED, EK_NO_CERTIFICATE, true, true));
	assert_non_null(ek_decide(EK_REQUIRE, EK_NO_CERTIFICATE, true, true));
	assert_non_null(ek_decide(EK_REQUIRE, EK_UNKNOWN_CA, false, false));
	assert_null(ek_decide(EK_REQUIRE, EK_CERTIFIED, false, false));
	assert_non_null(ek_decide(EK_REQUIRE, EK_CERTIFIED, true, false));
}

static void lists_of_pcrs(void **state)
{
	static const char *const bad[] = {"", ",", "24", "0,", ",0", "3-1", "a", "0 1", "-1", "1-", "0,,1", "99999999999999999999"};
	uint64_t mask;

	(void)state;
	assert_true(ctl_parse_pcrs("0,1,2,3,7", &mask));
	assert_int_equal(mask, ATTEST_DEFAULT_PCRS);
	assert_true(ctl_parse_pcrs("0-3,7,23", &mask));
	assert_int_equal(mask, 0x80008f);
	assert_true(ctl_parse_pcrs("none", &mask));
	assert_int_equal(mask, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ctl_parse_pcrs(bad[i], &mask))
			fail_msg("'%s' was taken", bad[i]);
}

static void durations(void **state)
{
	uint64_t s;

	(void)state;
	assert_true(ctl_parse_duration("90", &s) && s == 90);
	assert_true(ctl_parse_duration("2h", &s) && s == 7200);
	assert_true(ctl_parse_duration("30d", &s) && s == 30 * 86400);
	assert_false(ctl_parse_duration("", &s));
	assert_false(ctl_parse_duration("h", &s));
	assert_false(ctl_parse_duration("1w", &s));
	assert_false(ctl_parse_duration("1hh", &s));
	assert_false(ctl_parse_duration("-1", &s));
}

/* --- a TLS key that its TPM certifies --- */

static struct certified {
	uint8_t ak[128], tls[128], attest[256], signature[128], over[32];
	size_t ak_size, tls_size, attest_size, signature_size;
} c;

static size_t keep(struct view v, uint8_t *out)
{
	memcpy(out, v.p, v.n);
	return v.n;
}

/* The attestation key's public area, with the point of @key. */
static void keep_ak(const struct eckey *key)
{
	uint8_t spki[ECKEY_SPKI_MAX];
	int n = eckey_public(key, spki);

	c.ak_size = keep(an_ak(AK_ATTRIBUTES), c.ak);
	memcpy(c.ak + c.ak_size - 66, spki + n - 64, 32);
	memcpy(c.ak + c.ak_size - 32, spki + n - 32, 32);
}

static struct view a_certification(const uint8_t name[32])
{
	buf_over(&b, attest, sizeof(attest));
	buf_put_u32(&b, 0xff544347);
	PUT(0x8017);
	put_sized(34, 3);
	put_sized(32, 4);
	buf_put_u64(&b, 77);
	buf_put_u32(&b, 5);
	buf_put_u32(&b, 9);
	buf_put_u8(&b, 1);
	buf_put_u64(&b, 0x1234);
	PUT(34, 0x000b);
	buf_put(&b, name, 32);
	put_sized(34, 6);
	return written();
}

/* A number of DER, at *@p, as the TPM writes it. */
static void put_number(const uint8_t **p)
{
	size_t n = (*p)[1], zero = (*p)[2] == 0;

	buf_put_u16(&b, (uint16_t)(n - zero));
	buf_put(&b, *p + 2 + zero, n - zero);
	*p += 2 + n;
}

static void sign_certification(const struct eckey *key)
{
	uint8_t der[ECKEY_SIGNATURE_MAX];
	const uint8_t *p = der + 2;

	assert_true(eckey_sign(key, view_of(c.attest, c.attest_size), der) > 0);
	buf_over(&b, signature, sizeof(signature));
	PUT(0x0018, 0x000b);
	put_number(&p);
	put_number(&p);
	c.signature_size = keep(written(), c.signature);
}

static struct eckey *certify(void)
{
	struct eckey *key = NULL;
	uint8_t name[32];

	assert_int_equal(eckey_make(&key), 0);
	keep_ak(key);
	c.tls_size = keep(an_ak(TLS_ATTRIBUTES), c.tls);
	assert_int_equal(EVP_Digest(c.tls, c.tls_size, name, NULL, EVP_sha256(), NULL), 1);
	c.attest_size = keep(a_certification(name), c.attest);
	memset(c.over, 4, sizeof(c.over));
	sign_certification(key);
	return key;
}

static int verdict_of_certification(void)
{
	return attest_certified(view_of(c.ak, c.ak_size), view_of(c.tls, c.tls_size), view_of(c.attest, c.attest_size),
				view_of(c.signature, c.signature_size), c.over);
}

static void a_tls_key_that_its_tpm_certifies_is_believed(void **state)
{
	struct eckey *key = certify();

	(void)state;
	assert_int_equal(verdict_of_certification(), 0);
	eckey_free(&key);
}

static void a_certification_of_another_key_or_for_another_proof_is_not(void **state)
{
	struct eckey *key = certify();

	(void)state;
	c.tls[c.tls_size - 1] ^= 1;
	assert_int_equal(verdict_of_certification(), E_INTEGRITY);
	c.tls[c.tls_size - 1] ^= 1;
	c.over[31] ^= 1;
	assert_int_equal(verdict_of_certification(), E_INTEGRITY);
	eckey_free(&key);
}

static void a_certification_by_another_tpm_is_not(void **state)
{
	struct eckey *key = certify(), *other = NULL;

	(void)state;
	assert_int_equal(eckey_make(&other), 0);
	sign_certification(other);
	assert_int_equal(verdict_of_certification(), E_INTEGRITY);
	eckey_free(&other);
	eckey_free(&key);
}

static void a_quote_is_no_certification(void **state)
{
	struct eckey *key = certify();

	(void)state;
	c.attest_size = keep(a_quote(77, 5, 1, 1), c.attest);
	sign_certification(key);
	assert_int_equal(verdict_of_certification(), E_FORMAT);
	eckey_free(&key);
}

static void no_cut_certification_and_no_longer_one_is_read(void **state)
{
	struct eckey *key = certify();
	struct quote_certified q;

	(void)state;
	for (size_t n = 0; n < c.attest_size; n++)
		assert_int_not_equal(quote_certified(view_of(c.attest, n), &q), 0);
	assert_int_equal(quote_certified(view_of(c.attest, c.attest_size + 1), &q), E_TRAILING);
	eckey_free(&key);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(an_attestation_key_is_read),
		TEST(a_key_that_could_sign_anything_or_leave_its_tpm_is_none),
		TEST(no_cut_key_and_no_longer_one_is_read),
		TEST(a_tls_key_is_one_that_may_sign_anything_but_not_leave_its_tpm),
		TEST(a_tls_key_that_its_tpm_certifies_is_believed),
		TEST(a_certification_of_another_key_or_for_another_proof_is_not),
		TEST(a_certification_by_another_tpm_is_not),
		TEST(a_quote_is_no_certification),
		TEST(no_cut_certification_and_no_longer_one_is_read),
		TEST(a_quote_is_read),
		TEST(what_is_no_quote_is_not_read),
		TEST(a_signature_is_read),
		TEST(an_unchanged_host_is_good),
		TEST(each_pcr_that_differs_is_named),
		TEST(a_pcr_without_reference_differs),
		TEST(an_image_is_asked_for_only_by_policy),
		TEST(the_reason_for_an_image_fits_with_the_longest_pool),
		TEST(what_nobody_asks_about_may_change),
		TEST(maintenance_notes_pcrs_and_firmware_only),
		TEST(firmware_is_refused_or_noted),
		TEST(counters_that_go_back_are_an_older_state),
		TEST(a_reset_begins_restarts_anew_and_may_cost_some_clock),
		TEST(accepting_takes_what_was_last_seen),
		TEST(who_may_open),
		TEST(a_quote_counts_longer_than_the_interval),
		TEST(endorsement_keys_by_policy),
		TEST(lists_of_pcrs),
		TEST(durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
