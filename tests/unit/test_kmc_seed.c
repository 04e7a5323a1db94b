/* HMAC_DRBG against NIST's vectors and against an independent run of the algorithm, and seeds that belong to one owner only. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/drbg.h"
#include "kmc/seed.h"
#include "tests/unit/kmc_drbg_vectors.h"
#include "tests/unit/unit.h"

static struct secret *from_hex(const char *hex)
{
	size_t n = strlen(hex) / 2;
	struct secret *s = secret_new(n ? n : 1);
	unsigned int byte;

	assert_non_null(s);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		s->data[i] = (uint8_t)byte;
	}
	s->size = n;
	return s;
}

static void nist_vectors_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(drbg_vectors) / sizeof(drbg_vectors[0]); i++) {
		struct secret *entropy = from_hex(drbg_vectors[i].entropy), *nonce = from_hex(drbg_vectors[i].nonce);
		struct secret *personal = from_hex(drbg_vectors[i].personal), *bits = from_hex(drbg_vectors[i].returned), *out;

		assert_int_equal(drbg_generate(entropy, view_of(nonce->data, nonce->size), view_of(personal->data, personal->size),
					       bits->size,
					       bits->size, &out), 0);
		assert_true(secret_equal(out, bits));
		secret_free(&entropy);
		secret_free(&nonce);
		secret_free(&personal);
		secret_free(&bits);
		secret_free(&out);
	}
}

/* SP 800-90A 10.1.2 written down again: HMAC_DRBG_Update. */
static void reference_update(uint8_t k[32], uint8_t v[32], const uint8_t *data, size_t n)
{
	uint8_t in[32 + 1 + 256];
	unsigned int size;

	for (int round = 0; round < (n ? 2 : 1); round++) {
		memcpy(in, v, 32);
		in[32] = (uint8_t)round;
		memcpy(in + 33, data, n);
		assert_non_null(HMAC(EVP_sha256(), k, 32, in, 33 + n, k, &size));
		assert_non_null(HMAC(EVP_sha256(), k, 32, v, 32, v, &size));
	}
}

static void the_algorithm_written_down_again_agrees(void **state)
{
	static const uint8_t entropy_bytes[32] = "thirty-two bytes of entropy here", nonce[16] = "sixteen of nonce";
	uint8_t k[32] = {0}, v[32], seed[32 + 16 + 8];
	struct secret *entropy = secret_dup(entropy_bytes, 32), *out;
	unsigned int size;

	(void)state;
	memset(v, 1, sizeof(v));
	/* NOLINTBEGIN(bugprone-not-null-terminated-result): bytes, no text */
	memcpy(seed, entropy_bytes, 32);
	memcpy(seed + 32, nonce, 16);
	memcpy(seed + 48, "personal", 8);
	/* NOLINTEND(bugprone-not-null-terminated-result) */
	reference_update(k, v, seed, sizeof(seed));
	assert_non_null(HMAC(EVP_sha256(), k, 32, v, 32, v, &size));
	assert_int_equal(drbg_generate(entropy, view_of(nonce, 16), view_text("personal"), 0, 32, &out), 0);
	assert_memory_equal(out->data, v, 32);
	secret_free(&entropy);
	secret_free(&out);
}

static void too_little_entropy_is_refused(void **state)
{
	struct secret *entropy = secret_random(31), *out;

	(void)state;
	assert_int_equal(drbg_generate(entropy, view_text("0123456789abcdef"), view_text(""), 0, 32, &out), E_ARG);
	assert_null(out);
	secret_free(&entropy);
	entropy = secret_random(32);
	assert_int_equal(drbg_generate(entropy, view_text("short"), view_text(""), 0, 32, &out), E_ARG);
	secret_free(&entropy);
}

static struct seed_owner owner(const char *tenant, uint8_t last, uint32_t generation)
{
	return (struct seed_owner){.tenant = view_text(tenant), .uuid = {{1, 2, 3, [15] = last}}, .generation = generation};
}

static struct secret *seed_of(const struct seed_owner *o, uint8_t fill)
{
	struct secret *entropy = secret_new(32), *seed;

	memset(entropy->data, fill, 32);
	assert_int_equal(seed_from_entropy(o, entropy, &seed), 0);
	assert_int_equal(seed->size, SEED_SIZE);
	secret_free(&entropy);
	return seed;
}

static void a_seed_is_the_same_for_the_same_and_other_for_any_other(void **state)
{
	const struct seed_owner same = owner("pool", 7, 1);
	const struct seed_owner others[] = {owner("pool", 8, 1), owner("poom", 7, 1), owner("pool", 7, 2), owner("poo", 7, 1)};
	struct secret *first = seed_of(&same, 9), *again = seed_of(&same, 9), *other_key = seed_of(&same, 10);

	(void)state;
	assert_true(secret_equal(first, again));
	assert_false(secret_equal(first, other_key));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct secret *other = seed_of(&others[i], 9);

		assert_false(secret_equal(first, other));
		secret_free(&other);
	}
	secret_free(&first);
	secret_free(&again);
	secret_free(&other_key);
}

static void the_message_is_what_the_page_says(void **state)
{
	static const uint8_t expected[] = "xen-vtpm/base-seed/v1\0\0\0\0\4pool\1\2\3\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\1\2";
	const struct seed_owner o = owner("pool", 7, 0x102);
	uint8_t room[SEED_MESSAGE_MAX];
	struct buf b;

	(void)state;
	buf_over(&b, room, sizeof(room));
	assert_int_equal(seed_message(&o, &b), 0);
	assert_int_equal(b.len, sizeof(expected) - 1);
	assert_memory_equal(room, expected, b.len);
}

static void names_without_length_or_too_long_are_refused(void **state)
{
	char name[KMC_NAME_MAX + 2];
	uint8_t room[SEED_MESSAGE_MAX + 8];
	struct seed_owner o;
	struct buf b;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[KMC_NAME_MAX + 1] = '\0';
	o = owner(name, 1, 1);
	buf_over(&b, room, sizeof(room));
	assert_int_equal(seed_message(&o, &b), E_ARG);
	o = owner("", 1, 1);
	assert_int_equal(seed_message(&o, &b), E_ARG);
	name[KMC_NAME_MAX] = '\0';
	o = owner(name, 1, 1);
	buf_over(&b, room, SEED_MESSAGE_MAX);
	assert_int_equal(seed_message(&o, &b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nist_vectors_hold),
		cmocka_unit_test(the_algorithm_written_down_again_agrees),
		cmocka_unit_test(too_little_entropy_is_refused),
		cmocka_unit_test(a_seed_is_the_same_for_the_same_and_other_for_any_other),
		cmocka_unit_test(the_message_is_what_the_page_says),
		cmocka_unit_test(names_without_length_or_too_long_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
