/* ECDSA keys: what one signs the other half verifies, in DER and in a TPM's numbers, and nothing else passes. */
#include <string.h>

#include "common/eckey.h"
#include "common/error.h"
#include "common/secret.h"
#include "tests/unit/unit.h"

static struct eckey *key;
static uint8_t spki[ECKEY_SPKI_MAX], signature[ECKEY_SIGNATURE_MAX];
static struct view public, sig;

static void a_signature_verifies(void **state)
{
	(void)state;
	assert_int_equal(eckey_verify(public, view_text("message"), sig), 0);
}

static void another_message_does_not(void **state)
{
	(void)state;
	assert_int_equal(eckey_verify(public, view_text("messagf"), sig), E_INTEGRITY);
	assert_int_equal(eckey_verify(public, view_text(""), sig), E_INTEGRITY);
}

static void no_changed_signature_verifies(void **state)
{
	uint8_t changed[ECKEY_SIGNATURE_MAX];

	(void)state;
	for (size_t i = 0; i < sig.n; i++) {
		memcpy(changed, signature, sig.n);
		changed[i] ^= 1;
		assert_int_equal(eckey_verify(public, view_text("message"), view_of(changed, sig.n)), E_INTEGRITY);
	}
	assert_int_equal(eckey_verify(public, view_text("message"), view_of(signature, 0)), E_INTEGRITY);
}

static void what_is_no_key_is_said_to_be_so(void **state)
{
	(void)state;
	assert_int_equal(eckey_verify(view_of(spki, public.n - 1), view_text("message"), sig), E_FORMAT);
	assert_int_equal(eckey_verify(view_of(spki, public.n + 1), view_text("message"), sig), E_FORMAT);
	assert_int_equal(eckey_verify(view_text("x"), view_text("message"), sig), E_FORMAT);
}

/* The numbers of a DER signature: 30 n 02 nr r 02 ns s, all short. */
static struct eckey_numbers numbers(void)
{
	struct eckey_numbers n = {.x = view_of(spki + public.n - 64, 32), .y = view_of(spki + public.n - 32, 32)};

	n.r = view_of(signature + 4, signature[3]);
	n.s = view_of(signature + 6 + signature[3], signature[5 + signature[3]]);
	for (; n.r.p[0] == 0; n.r.n--)
		n.r.p++;
	for (; n.s.p[0] == 0; n.s.n--)
		n.s.p++;
	return n;
}

static void a_tpms_numbers_verify_too(void **state)
{
	struct eckey_numbers n = numbers(), swapped = n;

	(void)state;
	assert_int_equal(eckey_verify_numbers(&n, view_text("message")), 0);
	assert_int_equal(eckey_verify_numbers(&n, view_text("massage")), E_INTEGRITY);
	swapped.r = n.s;
	swapped.s = n.r;
	assert_int_equal(eckey_verify_numbers(&swapped, view_text("message")), E_INTEGRITY);
}

static void numbers_that_are_too_long_or_no_point_are_refused(void **state)
{
	struct eckey_numbers n = numbers();
	uint8_t zero[33] = {0};

	(void)state;
	n.r = view_of(zero, 33);
	assert_int_equal(eckey_verify_numbers(&n, view_text("message")), E_FORMAT);
	n.r = view_of(zero, 0);
	assert_int_equal(eckey_verify_numbers(&n, view_text("message")), E_FORMAT);
	n.r = view_of(zero, 32);
	assert_int_equal(eckey_verify_numbers(&n, view_text("message")), E_INTEGRITY);
	n = numbers();
	n.x = view_of(zero, 32);
	assert_int_equal(eckey_verify_numbers(&n, view_text("message")), E_FORMAT);
}

static void the_private_half_is_pem(void **state)
{
	struct secret *pem;

	(void)state;
	assert_int_equal(eckey_pem(key, &pem), 0);
	assert_memory_equal(pem->data, "-----BEGIN PRIVATE KEY-----", 27);
	assert_int_equal(pem->data[pem->size - 1], '\n');
	secret_free(&pem);
}

static int setup(void **state)
{
	int n;

	(void)state;
	if (eckey_make(&key) != 0 || (n = eckey_public(key, spki)) < 0)
		return -1;
	public = view_of(spki, (size_t)n);
	n = eckey_sign(key, view_text("message"), signature);
	sig = view_of(signature, n < 0 ? 0 : (size_t)n);
	return n < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	eckey_free(&key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_verifies),
		cmocka_unit_test(another_message_does_not),
		cmocka_unit_test(no_changed_signature_verifies),
		cmocka_unit_test(what_is_no_key_is_said_to_be_so),
		cmocka_unit_test(a_tpms_numbers_verify_too),
		cmocka_unit_test(numbers_that_are_too_long_or_no_point_are_refused),
		cmocka_unit_test(the_private_half_is_pem),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
