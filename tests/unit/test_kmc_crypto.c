/* Wrapping, RSA against openssl's own command byte by byte, and certificates against openssl's verification. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/envelope.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/ca.h"
#include "kmc/rsakey.h"
#include "kmc/wrap.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/test-kmc-crypto-XXXXXX";

static int sh(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd %s && { %s ; } >>log 2>&1", dir, command);
	return system(line);
}

static void put(const char *name, const void *p, size_t n)
{
	char path[99];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static size_t get(const char *name, void *p, size_t cap)
{
	char path[99];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(p, 1, cap, f);
	fclose(f);
	return n;
}

/* wrapping */

static struct wrap_key new_wrap_key(uint32_t number)
{
	return (struct wrap_key){.number = number, .key = secret_random(WRAP_KEY_SIZE)};
}

static void what_is_wrapped_comes_back_for_its_owner_only(void **state)
{
	struct wrap_key k = new_wrap_key(1), other = new_wrap_key(1), newer = {.number = 2, .key = k.key};
	struct secret *plain = secret_random(32), *back;
	uint8_t wrapped[32 + WRAP_OVERHEAD];
	const struct view w = view_of(wrapped, sizeof(wrapped));

	(void)state;
	assert_int_equal(wrap_seal(&k, WRAP_SEED, view_text("mine"), plain, wrapped), 0);
	assert_int_equal(wrap_open(&k, WRAP_SEED, view_text("mine"), w, &back), 0);
	assert_true(secret_equal(plain, back));
	secret_free(&back);
	assert_int_equal(wrap_open(&k, WRAP_SEED, view_text("yours"), w, &back), E_INTEGRITY);
	assert_int_equal(wrap_open(&k, WRAP_CA_KEY, view_text("mine"), w, &back), E_INTEGRITY);
	assert_int_equal(wrap_open(&other, WRAP_SEED, view_text("mine"), w, &back), E_INTEGRITY);
	assert_int_equal(wrap_open(&newer, WRAP_SEED, view_text("mine"), w, &back), E_VERSION);
	assert_null(back);
	secret_free(&plain);
	secret_free(&k.key);
	secret_free(&other.key);
}

static void any_changed_byte_is_found(void **state)
{
	struct wrap_key k = new_wrap_key(1);
	struct secret *plain = secret_random(32), *back;
	uint8_t wrapped[32 + WRAP_OVERHEAD];

	(void)state;
	assert_int_equal(wrap_seal(&k, WRAP_SEED, view_text("x"), plain, wrapped), 0);
	for (size_t i = 0; i < sizeof(wrapped); i++) {
		wrapped[i] ^= 0x40;
		assert_int_not_equal(wrap_open(&k, WRAP_SEED, view_text("x"), view_of(wrapped, sizeof(wrapped)), &back), 0);
		wrapped[i] ^= 0x40;
	}
	for (size_t n = 0; n < sizeof(wrapped); n++)
		assert_int_not_equal(wrap_open(&k, WRAP_SEED, view_text("x"), view_of(wrapped, n), &back), 0);
	secret_free(&plain);
	secret_free(&k.key);
}

static void the_same_is_never_wrapped_to_the_same_bytes(void **state)
{
	struct wrap_key k = new_wrap_key(1);
	struct secret *plain = secret_random(32);
	uint8_t a[32 + WRAP_OVERHEAD], b[32 + WRAP_OVERHEAD];

	(void)state;
	assert_int_equal(wrap_seal(&k, WRAP_SEED, view_text("x"), plain, a), 0);
	assert_int_equal(wrap_seal(&k, WRAP_SEED, view_text("x"), plain, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	secret_free(&plain);
	secret_free(&k.key);
}

static void a_ring_opens_what_is_under_any_of_its_keys(void **state)
{
	struct secret *plain = secret_random(32), *back, *key;
	struct wrap_ring ring = {.use = 1};
	uint8_t old[32 + WRAP_OVERHEAD], new[32 + WRAP_OVERHEAD];

	(void)state;
	assert_int_equal(wrap_ring_seal(&ring, WRAP_SEED, view_text("x"), plain, old), E_STATE);
	for (uint32_t i = 1; i <= WRAP_KEYS_MAX; i++) {
		key = secret_random(WRAP_KEY_SIZE);
		assert_int_equal(wrap_ring_add(&ring, i, &key), 0);
		assert_null(key);
	}
	key = secret_random(WRAP_KEY_SIZE);
	assert_int_equal(wrap_ring_add(&ring, 9, &key), E_RANGE);
	secret_free(&key);
	assert_int_equal(wrap_ring_seal(&ring, WRAP_SEED, view_text("x"), plain, old), 0);
	ring.use = 2;
	assert_int_equal(wrap_ring_seal(&ring, WRAP_SEED, view_text("x"), plain, new), 0);
	assert_int_equal(wrap_number(view_of(old, sizeof(old))), 1);
	assert_int_equal(wrap_number(view_of(new, sizeof(new))), 2);
	assert_int_equal(wrap_number(view_of(new, 9)), 0);
	assert_int_equal(wrap_ring_open(&ring, WRAP_SEED, view_text("x"), view_of(old, sizeof(old)), &back), 0);
	assert_true(secret_equal(plain, back));
	secret_free(&back);
	wrap_ring_drop(&ring, 2);
	assert_null(wrap_ring_key(&ring, 1));
	assert_int_equal(wrap_ring_open(&ring, WRAP_SEED, view_text("x"), view_of(old, sizeof(old)), &back), E_VERSION);
	assert_int_equal(wrap_ring_open(&ring, WRAP_SEED, view_text("x"), view_of(new, sizeof(new)), &back), 0);
	assert_true(secret_equal(plain, back));
	new[4] = 3; /* another key's number does not make it that key's */
	secret_free(&back);
	assert_int_equal(wrap_ring_open(&ring, WRAP_SEED, view_text("x"), view_of(new, sizeof(new)), &back), E_INTEGRITY);
	wrap_ring_drop(&ring, 0);
	secret_free(&plain);
}

/* RSA, each test in both sizes */

static struct rsakey *new_key(unsigned int bits)
{
	struct secret *der;
	struct rsakey *key;

	assert_int_equal(rsakey_make(&key, bits), 0);
	assert_int_equal(rsakey_save(key, &der), 0);
	put("key.der", der->data, der->size);
	secret_free(&der);
	assert_int_equal(sh("openssl rsa -inform DER -in key.der -out key.pem && openssl rsa -in key.pem -pubout -out pub.pem"), 0);
	return key;
}

static void a_saved_key_is_the_same_key(void **state)
{
	uint8_t a[KMC_RSA_MAX], b[KMC_RSA_MAX];
	struct rsakey *key = new_key(2048), *again;
	struct secret *der;
	uint64_t e;

	(void)state;
	assert_int_equal(rsakey_save(key, &der), 0);
	assert_int_equal(rsakey_load(&again, der), 0);
	assert_int_equal(rsakey_public(key, a, &e), 0);
	assert_int_equal(e, 65537);
	assert_int_equal(rsakey_public(again, b, &e), 0);
	assert_memory_equal(a, b, 256);
	rsakey_free(&again);
	der->data[0] ^= 1;
	assert_int_equal(rsakey_load(&again, der), E_FORMAT);
	assert_null(again);
	secret_free(&der);
	rsakey_free(&key);
}

static void openssl_encrypts_what_we_decrypt(void **state)
{
	static const unsigned int sizes[] = {2048, 3072};
	uint8_t text[65], cipher[KMC_RSA_MAX];
	struct secret *plain;

	(void)state;
	memset(text, 0x5a, sizeof(text));
	put("plain", text, sizeof(text));
	for (size_t i = 0; i < 2; i++) {
		struct rsakey *key = new_key(sizes[i]);

		/* the label with its NUL, in hex */
		assert_int_equal(sh("openssl pkeyutl -encrypt -pubin -inkey pub.pem -in plain -out cipher -pkeyopt rsa_padding_mode:oaep"
				    " -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_oaep_label:$(printf 'xen-vtpm/open/v1\\0' | xxd -p)"), 0);
		assert_int_equal(get("cipher", cipher, sizeof(cipher)), rsakey_size(key));
		assert_int_equal(rsakey_decrypt(key, view_of(cipher, rsakey_size(key)), ENVELOPE_LABEL, &plain), 0);
		assert_int_equal(plain->size, sizeof(text));
		assert_memory_equal(plain->data, text, sizeof(text));
		secret_free(&plain);
		assert_int_equal(rsakey_decrypt(key, view_of(cipher, rsakey_size(key)), "another label", &plain), E_INTEGRITY);
		rsakey_free(&key);
	}
}

static void all_bad_requests_look_alike(void **state)
{
	static const char *const commands[] = {
		/* no label, another hash, PKCS#1 v1.5 padding, none */
		"openssl pkeyutl -encrypt -pubin -inkey pub.pem -in plain -out cipher -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256",
		"openssl pkeyutl -encrypt -pubin -inkey pub.pem -in plain -out cipher -pkeyopt rsa_padding_mode:oaep",
		"openssl pkeyutl -encrypt -pubin -inkey pub.pem -in plain -out cipher",
		"head -c 255 /dev/urandom >c && { printf '\\0'; cat c; } >cipher",
	};
	struct rsakey *key = new_key(2048);
	uint8_t cipher[256] = {0};
	struct secret *plain;

	(void)state;
	put("plain", "text", 4);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		assert_int_equal(sh(commands[i]), 0);
		assert_int_equal(get("cipher", cipher, sizeof(cipher)), 256);
		assert_int_equal(rsakey_decrypt(key, view_of(cipher, 256), ENVELOPE_LABEL, &plain), E_INTEGRITY);
		assert_null(plain);
	}
	memset(cipher, 0xff, sizeof(cipher)); /* larger than the modulus */
	assert_int_equal(rsakey_decrypt(key, view_of(cipher, 256), ENVELOPE_LABEL, &plain), E_INTEGRITY);
	assert_int_equal(rsakey_decrypt(key, view_of(cipher, 255), ENVELOPE_LABEL, &plain), E_INTEGRITY);
	rsakey_free(&key);
}

static void the_private_key_layer_is_openssls_raw_rsa(void **state)
{
	static const uint8_t hash[ENVELOPE_HASH_SIZE] = "the hash of one exchange";
	static const unsigned int sizes[] = {2048, 3072};
	uint8_t theirs[KMC_RSA_MAX];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rsakey *key = new_key(sizes[i]);
		struct secret *seed = secret_random(32), *block = envelope_block_pack(seed, hash, rsakey_size(key)), *inner;

		assert_int_equal(rsakey_private(key, block, &inner), 0);
		put("block", block->data, block->size);
		put("inner", inner->data, inner->size);
		assert_int_equal(sh("openssl pkeyutl -decrypt -inkey key.pem -in block -out theirs -pkeyopt rsa_padding_mode:none"),
				 0);
		assert_int_equal(get("theirs", theirs, sizeof(theirs)), inner->size);
		assert_memory_equal(theirs, inner->data, inner->size);
		assert_int_equal(sh("openssl pkeyutl -encrypt -pubin -inkey pub.pem -in inner -out theirs -pkeyopt rsa_padding_mode:none"), 0);
		assert_int_equal(get("theirs", theirs, sizeof(theirs)), block->size);
		assert_memory_equal(theirs, block->data, block->size);
		secret_free(&inner);
		inner = secret_new(rsakey_size(key) - 1);
		secret_free(&block);
		assert_int_equal(rsakey_private(key, inner, &block), E_ARG);
		secret_free(&inner);
		secret_free(&seed);
		rsakey_free(&key);
	}
}

/* certificates */

static struct x509_key *ca_key;
static struct ca_cert ca;
static char why[CA_WHY];

static int issue(enum ca_kind kind, const char *names, int64_t until, struct view spki, struct ca_cert *cert)
{
	const struct ca_profile p = {.kind = kind, .name = "somebody", .alt_names = names, .not_before = time(NULL) - 60,
		.not_after = until};

	return ca_issue(ca_key, &ca, &p, spki, cert, why);
}

static struct view new_spki(uint8_t room[CA_SPKI_MAX])
{
	struct x509_key *key;
	int n;

	assert_int_equal(ca_key_make(&key), 0);
	n = ca_key_public(key, room);
	assert_true(n > 0);
	ca_key_free(&key);
	return view_of(room, (size_t)n);
}

static void write_cert(const struct ca_cert *cert, const char *name)
{
	char path[99];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	assert_int_equal(ca_cert_write(cert, path), 0);
	assert_int_equal(ca_cert_write(cert, path), E_EXISTS);
}

static void certificates_pass_openssls_strict_verification(void **state)
{
	uint8_t room[CA_SPKI_MAX];
	const struct view spki = new_spki(room);
	struct ca_cert cert;

	(void)state;
	assert_int_equal(issue(CA_SERVER, "kmc.example 192.0.2.1 2001:db8::1", time(NULL) + 1000, spki, &cert), 0);
	write_cert(&cert, "server.crt");
	assert_int_equal(sh("openssl verify -x509_strict -purpose sslserver -verify_hostname kmc.example -CAfile ca.crt server.crt"), 0);
	assert_int_equal(sh("openssl verify -x509_strict -purpose sslserver -verify_ip 2001:db8::1 -CAfile ca.crt server.crt"), 0);
	assert_int_not_equal(sh("openssl verify -x509_strict -purpose sslserver -verify_ip 192.0.2.2 -CAfile ca.crt server.crt"),
			     0);
	assert_int_not_equal(sh("openssl verify -purpose sslclient -CAfile ca.crt server.crt"), 0);
	assert_int_equal(issue(CA_HOST, NULL, time(NULL) + 1000, spki, &cert), 0);
	write_cert(&cert, "host.crt");
	assert_int_equal(sh("openssl verify -x509_strict -purpose sslclient -CAfile ca.crt host.crt"), 0);
	assert_int_not_equal(sh("openssl verify -partial_chain -CAfile host.crt server.crt"), 0);
	assert_int_equal(issue(CA_HOST, NULL, time(NULL) - 1, spki, &cert), 0);
	write_cert(&cert, "late.crt");
	assert_int_not_equal(sh("openssl verify -CAfile ca.crt late.crt"), 0);
}

static void serial_numbers_differ(void **state)
{
	uint8_t room[CA_SPKI_MAX];
	const struct view spki = new_spki(room);
	struct ca_cert a, b;
	uint8_t ha[32], hb[32];

	(void)state;
	assert_int_equal(issue(CA_HOST, NULL, time(NULL) + 9, spki, &a), 0);
	assert_int_equal(issue(CA_HOST, NULL, time(NULL) + 9, spki, &b), 0);
	assert_int_equal(ca_cert_fingerprint(&a, ha), 0);
	assert_int_equal(ca_cert_fingerprint(&b, hb), 0);
	assert_memory_not_equal(ha, hb, 32);
}

static void weak_and_broken_keys_get_no_certificate(void **state)
{
	static const char *const keys[] = {
		"openssl genrsa 1024 | openssl rsa -pubout -outform DER -out spki",
		"openssl ecparam -name secp256k1 -genkey -noout | openssl ec -pubout -outform DER -out spki",
		"openssl genpkey -algorithm ed25519 | openssl pkey -pubout -outform DER -out spki",
		"head -c 91 /dev/urandom >spki",
	};
	uint8_t spki[CA_SPKI_MAX];
	struct ca_cert cert;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(sh(keys[i]), 0);
		assert_int_equal(issue(CA_HOST, NULL, time(NULL) + 9, view_of(spki, get("spki", spki, sizeof(spki))), &cert),
				 E_FORMAT);
	}
	assert_int_equal(sh("openssl genrsa 2048 | openssl rsa -pubout -outform DER -out spki"), 0);
	assert_int_equal(issue(CA_HOST, NULL, time(NULL) + 9, view_of(spki, get("spki", spki, sizeof(spki))), &cert), 0);
}

static void a_certificate_tells_its_names_as_they_were_given(void **state)
{
	uint8_t room[CA_SPKI_MAX];
	struct view spki = new_spki(room);
	char names[CA_NAMES];
	struct ca_cert cert;

	(void)state;
	assert_int_equal(issue(CA_SERVER, "kmc.example.org 192.0.2.1 2001:db8::1", time(NULL) + 60, spki, &cert), 0);
	assert_int_equal(ca_cert_names(&cert, names), 0);
	assert_string_equal(names, "kmc.example.org 192.0.2.1 2001:db8::1");
	assert_int_equal(issue(CA_HOST, NULL, time(NULL) + 60, spki, &cert), 0);
	assert_int_equal(ca_cert_names(&cert, names), E_NOTFOUND);
	cert.size /= 2;
	assert_int_equal(ca_cert_names(&cert, names), E_FORMAT);
}

static void names_that_are_none_are_refused(void **state)
{
	uint8_t room[CA_SPKI_MAX];
	const struct view spki = new_spki(room);
	struct ca_cert cert;

	(void)state;
	assert_int_equal(issue(CA_SERVER, "kmc,DNS:evil", time(NULL) + 9, spki, &cert), E_ARG);
	assert_int_equal(issue(CA_SERVER, "*.example", time(NULL) + 9, spki, &cert), E_ARG);
	assert_int_equal(issue(CA_SERVER, "", time(NULL) + 9, spki, &cert), E_ARG);
}

static int setup(void **state)
{
	const struct ca_profile p = {.kind = CA_ROOT, .name = "test CA", .not_before = time(NULL) - 60,
		.not_after = time(NULL) + 9000};

	(void)state;
	if (!mkdtemp(dir) || ca_key_make(&ca_key) != 0 || ca_root(ca_key, &p, &ca, why) != 0)
		return -1;
	write_cert(&ca, "ca.crt");
	return 0;
}

static int teardown(void **state)
{
	char command[99];

	(void)state;
	ca_key_free(&ca_key);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrapped_comes_back_for_its_owner_only),
		cmocka_unit_test(any_changed_byte_is_found),
		cmocka_unit_test(the_same_is_never_wrapped_to_the_same_bytes),
		cmocka_unit_test(a_ring_opens_what_is_under_any_of_its_keys),
		cmocka_unit_test(a_saved_key_is_the_same_key),
		cmocka_unit_test(openssl_encrypts_what_we_decrypt),
		cmocka_unit_test(all_bad_requests_look_alike),
		cmocka_unit_test(the_private_key_layer_is_openssls_raw_rsa),
		cmocka_unit_test(certificates_pass_openssls_strict_verification),
		cmocka_unit_test(serial_numbers_differ),
		cmocka_unit_test(weak_and_broken_keys_get_no_certificate),
		cmocka_unit_test(a_certificate_tells_its_names_as_they_were_given),
		cmocka_unit_test(names_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
