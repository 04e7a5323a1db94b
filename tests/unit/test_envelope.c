/* The envelope around a base seed: what is bound, what is refused, and that openssl's own commands see the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/envelope.h"
#include "common/error.h"
#include "common/secret.h"
#include "tests/unit/unit.h"

#define MODULUS 256 /* bytes */

static char dir[] = "/tmp/test-envelope-XXXXXX";
static const uint8_t hash[ENVELOPE_HASH_SIZE] = "the exchange's thirty-two bytes";

static struct envelope_facts sample(void)
{
	struct envelope_facts f = {
		.key_id = view_text("0123456789abcdef"), .cipher = view_text("cipher"), .tenant = view_text("pool"), .generation = 1,
		.lease_epoch = 2, .owner_epoch = 3, .endorsement_epoch = 4, .platform_epoch = 5, .state_version = 6,
	};

	memset(f.uuid.b, 0x11, sizeof(f.uuid.b));
	memset(f.nonce, 0x22, sizeof(f.nonce));
	return f;
}

static void put(const char *name, const void *p, size_t n)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

static void get(const char *name, void *p, size_t n)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(p, 1, n, f), n);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
}

/* Run a shell command in the test's directory. */
static void run(const char *command)
{
	char line[600];

	snprintf(line, sizeof(line), "cd %s && { %s; } >>log 2>&1", dir, command);
	if (system(line) != 0)
		fail_msg("%s (see %s/log)", command, dir);
}

static void hex(const void *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", ((const uint8_t *)p)[i]);
}

/* --- the exchange --- */

static void the_exchange_is_sha256_of_the_facts_in_order(void **state)
{
	/* as envelope.h describes it, written out by hand */
	static const char bytes[] = ENVELOPE_LABEL "\0"
		"\0\0\0\x10" "0123456789abcdef" "\0\0\0\x06" "cipher" "\0\0\0\x04" "pool"
		"\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
		"\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22"
		"\0\0\0\0\0\0\0\x01" "\0\0\0\0\0\0\0\x02" "\0\0\0\0\0\0\0\x03" "\0\0\0\0\0\0\0\x04" "\0\0\0\0\0\0\0\x05" "\0\0\0\0\0\0\0\x06";
	struct envelope_facts f = sample();
	uint8_t ours[ENVELOPE_HASH_SIZE], theirs[ENVELOPE_HASH_SIZE];

	(void)state;
	assert_int_equal(envelope_exchange(&f, ours), 0);
	put("facts", bytes, sizeof(bytes) - 1);
	run("openssl dgst -sha256 -binary -out digest facts");
	get("digest", theirs, sizeof(theirs));
	assert_memory_equal(ours, theirs, sizeof(ours));
}

static void the_exchange_of_a_reservation_has_its_own_label_and_ends_with_image_and_request(void **state)
{
	static const char bytes[] = ENVELOPE_RESERVE_LABEL "\0"
		"\0\0\0\x10" "0123456789abcdef" "\0\0\0\x06" "cipher" "\0\0\0\x04" "pool"
		"\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
		"\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22"
		"\0\0\0\0\0\0\0\x01" "\0\0\0\0\0\0\0\x02" "\0\0\0\0\0\0\0\x03" "\0\0\0\0\0\0\0\x04" "\0\0\0\0\0\0\0\x05" "\0\0\0\0\0\0\0\x06"
		"\0\0\0\0\0\0\0\x07" "the request's id";
	struct envelope_facts f = sample();
	uint8_t ours[ENVELOPE_HASH_SIZE], theirs[ENVELOPE_HASH_SIZE];

	(void)state;
	f.image = 7;
	f.request = view_text("the request's id");
	assert_int_equal(envelope_exchange(&f, ours), 0);
	put("facts", bytes, sizeof(bytes) - 1);
	run("openssl dgst -sha256 -binary -out digest facts");
	get("digest", theirs, sizeof(theirs));
	assert_memory_equal(ours, theirs, sizeof(ours));
	f.request.n--;
	assert_int_equal(envelope_exchange(&f, ours), E_ARG);
}

/* "20 bytes of an origin": as it is, behind all the rest of an open or a reservation. */
static void an_origin_comes_last(void **state)
{
	static const char head[] = "\0"
		"\0\0\0\x10" "0123456789abcdef" "\0\0\0\x06" "cipher" "\0\0\0\x04" "pool"
		"\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
		"\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22"
		"\0\0\0\0\0\0\0\x01" "\0\0\0\0\0\0\0\x02" "\0\0\0\0\0\0\0\x03" "\0\0\0\0\0\0\0\x04" "\0\0\0\0\0\0\0\x05" "\0\0\0\0\0\0\0\x06";
	static const char image[] = "\0\0\0\0\0\0\0\x07" "the request's id", origin[] = "uuid of the origin\0\1";
	struct envelope_facts f = sample();
	uint8_t bytes[512], ours[ENVELOPE_HASH_SIZE], theirs[ENVELOPE_HASH_SIZE];

	(void)state;
	f.origin = view_of((const uint8_t *)origin, ORIGIN_SIZE);
	for (int reserve = 0; reserve < 2; reserve++) {
		struct buf b;

		buf_over(&b, bytes, sizeof(bytes));
		buf_put(&b, reserve ? ENVELOPE_RESERVE_LABEL : ENVELOPE_LABEL, strlen(reserve ? ENVELOPE_RESERVE_LABEL : ENVELOPE_LABEL));
		buf_put(&b, head, sizeof(head) - 1);
		if (reserve)
			buf_put(&b, image, sizeof(image) - 1);
		buf_put(&b, origin, ORIGIN_SIZE);
		f.image = reserve ? 7 : 0;
		f.request = reserve ? view_text("the request's id") : (struct view){0};
		assert_int_equal(envelope_exchange(&f, ours), 0);
		put("facts", bytes, b.len);
		run("openssl dgst -sha256 -binary -out digest facts");
		get("digest", theirs, sizeof(theirs));
		assert_memory_equal(ours, theirs, sizeof(ours));
	}
	f.origin.n--;
	assert_int_equal(envelope_exchange(&f, ours), E_ARG);
}

static void change(struct envelope_facts *f, unsigned int which)
{
	uint64_t *const numbers[] = {&f->generation, &f->lease_epoch, &f->owner_epoch, &f->endorsement_epoch, &f->platform_epoch, &f->state_version};

	if (which < 6)
		*numbers[which] ^= 1ULL << 40;
	else if (which == 6)
		f->key_id = view_text("0123456789abcdeF");
	else if (which == 7)
		f->cipher = view_text("Cipher");
	else if (which == 8)
		f->tenant = view_text("loop");
	else if (which == 9)
		f->uuid.b[15] ^= 1;
	else if (which == 10)
		f->nonce[0] ^= 1;
	else if (which == 11) /* the same bytes, cut elsewhere */
		f->cipher = view_text("ciphe"), f->tenant = view_text("rpool");
	else if (which >= 12 && which < 15)
		f->request = view_text(which == 12 ? "the request's id" : "The request's id");
	if (which == 14)
		f->image = 7;
	if (which == 16 || which == 17)
		f->origin = view_text(which == 16 ? "twenty bytes, a UUID" : "twenty Bytes, a UUID");
}

static void every_fact_changes_the_exchange(void **state)
{
	uint8_t seen[18][ENVELOPE_HASH_SIZE];

	(void)state;
	for (unsigned int i = 0; i < 18; i++) {
		struct envelope_facts f = sample();

		change(&f, 17 - i);
		assert_int_equal(envelope_exchange(&f, seen[i]), 0);
		for (unsigned int j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], ENVELOPE_HASH_SIZE);
	}
}

/* --- the request --- */

static void a_request_survives_the_round_trip(void **state)
{
	struct secret *key = secret_random(ENVELOPE_KEY_SIZE), *back, *plain;
	uint8_t nonce[ENVELOPE_NONCE_SIZE] = "nonce", nonce_back[ENVELOPE_NONCE_SIZE];
	struct uuid uuid = {.b = "uuid"}, uuid_back;

	(void)state;
	plain = envelope_plain_pack(&uuid, key, nonce);
	assert_int_equal(plain->size, 65);
	assert_int_equal(plain->data[0], 1);
	assert_int_equal(envelope_plain_unpack(plain, &uuid_back, &back, nonce_back), 0);
	assert_true(secret_equal(key, back) && uuid_equal(&uuid, &uuid_back));
	assert_memory_equal(nonce, nonce_back, sizeof(nonce));
	secret_free(&key);
	secret_free(&back);
	secret_free(&plain);
}

static void a_request_of_another_version_or_length_is_refused(void **state)
{
	uint8_t nonce[ENVELOPE_NONCE_SIZE];
	struct secret *plain = secret_new(ENVELOPE_PLAIN_SIZE), *shorter = secret_new(ENVELOPE_PLAIN_SIZE - 1), *key;
	struct uuid uuid;

	(void)state;
	plain->data[0] = 2;
	assert_int_equal(envelope_plain_unpack(plain, &uuid, &key, nonce), E_VERSION);
	assert_null(key);
	shorter->data[0] = 1;
	assert_int_equal(envelope_plain_unpack(shorter, &uuid, &key, nonce), E_RANGE);
	assert_null(key);
	assert_null(envelope_plain_pack(&uuid, shorter, nonce)); /* no response key of that size */
	secret_free(&plain);
	secret_free(&shorter);
}

/* --- the block --- */

static void every_changed_bit_of_a_block_but_the_seeds_is_refused(void **state)
{
	struct secret *seed = secret_random(ENVELOPE_SEED_SIZE), *block = envelope_block_pack(seed, hash, MODULUS), *back;

	(void)state;
	for (size_t bit = 0; bit < MODULUS * 8; bit++) {
		size_t at = bit / 8;
		int in_seed = at >= MODULUS - 64 && at < MODULUS - 32;

		block->data[at] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(envelope_block_check(block, hash, &back), in_seed ? 0 : E_INTEGRITY);
		assert_true((back != NULL) == in_seed);
		secret_free(&back);
		block->data[at] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(envelope_block_check(block, hash, &back), 0);
	assert_true(secret_equal(seed, back));
	secret_free(&seed);
	secret_free(&block);
	secret_free(&back);
}

static void a_block_without_its_eight_bytes_of_padding_is_neither_made_nor_taken(void **state)
{
	struct secret *seed = secret_random(ENVELOPE_SEED_SIZE), *block, *back;

	(void)state;
	assert_null(envelope_block_pack(seed, hash, 64 + 10));
	block = envelope_block_pack(seed, hash, 64 + 11);
	assert_int_equal(envelope_block_check(block, hash, &back), 0);
	secret_free(&back);
	secret_free(&block);
	block = secret_new(64 + 10);
	assert_int_equal(envelope_block_check(block, hash, &back), E_RANGE);
	assert_null(back);
	secret_free(&block);
	seed->size = 31;
	assert_null(envelope_block_pack(seed, hash, MODULUS));
	secret_free(&seed);
}

/* RFC 8017's padding, taken off by openssl after its own raw private operation. */
static void openssl_recovers_seed_and_hash_from_a_block(void **state)
{
	struct secret *seed = secret_random(ENVELOPE_SEED_SIZE), *block = envelope_block_pack(seed, hash, MODULUS);
	uint8_t payload[64];

	(void)state;
	put("block", block->data, block->size);
	run("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
	run("openssl pkeyutl -decrypt -inkey rsa.key -pkeyopt rsa_padding_mode:none -in block -out inner");
	run("openssl pkeyutl -verifyrecover -inkey rsa.key -pkeyopt rsa_padding_mode:pkcs1 -in inner -out payload");
	get("payload", payload, sizeof(payload));
	assert_memory_equal(payload, seed->data, 32);
	assert_memory_equal(payload + 32, hash, 32);
	secret_free(&seed);
	secret_free(&block);
}

/* --- the reply --- */

struct reply {
	struct secret *key, *inner;
	uint8_t bytes[MODULUS + ENVELOPE_OVERHEAD];
};

static void seal(struct reply *r)
{
	r->key = secret_random(ENVELOPE_KEY_SIZE);
	r->inner = secret_random(MODULUS);
	assert_int_equal(envelope_seal(r->key, hash, r->inner, r->bytes), 0);
}

static void drop(struct reply *r)
{
	secret_free(&r->key);
	secret_free(&r->inner);
}

static int open_reply(const struct reply *r, size_t n, struct secret **inner)
{
	return envelope_open(r->key, hash, view_of(r->bytes, n), inner);
}

static void every_flipped_bit_of_a_reply_is_refused(void **state)
{
	struct secret *inner;
	struct reply r;

	(void)state;
	seal(&r);
	for (size_t bit = 0; bit < sizeof(r.bytes) * 8; bit++) {
		r.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(open_reply(&r, sizeof(r.bytes), &inner), E_INTEGRITY);
		assert_null(inner);
		r.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_reply(&r, sizeof(r.bytes), &inner), 0);
	assert_true(secret_equal(inner, r.inner));
	secret_free(&inner);
	drop(&r);
}

static void a_reply_is_bound_to_its_exchange_and_key(void **state)
{
	uint8_t other[ENVELOPE_HASH_SIZE];
	struct secret *inner;
	struct reply r;

	(void)state;
	seal(&r);
	for (size_t bit = 0; bit < sizeof(other) * 8; bit++) {
		memcpy(other, hash, sizeof(other));
		other[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(envelope_open(r.key, other, view_of(r.bytes, sizeof(r.bytes)), &inner), E_INTEGRITY);
	}
	r.key->data[31] ^= 1;
	assert_int_equal(open_reply(&r, sizeof(r.bytes), &inner), E_INTEGRITY);
	drop(&r);
}

static void a_reply_of_any_other_length_is_refused(void **state)
{
	uint8_t big[ENVELOPE_OVERHEAD + 1025] = {0};
	struct secret *inner;
	struct reply r;

	(void)state;
	seal(&r);
	for (size_t n = 0; n < sizeof(r.bytes); n++) {
		assert_int_equal(open_reply(&r, n, &inner), n <= ENVELOPE_OVERHEAD ? E_RANGE : E_INTEGRITY);
		assert_null(inner);
	}
	assert_int_equal(envelope_open(r.key, hash, view_of(big, sizeof(big)), &inner), E_RANGE);
	drop(&r);
}

static void two_replies_never_share_an_iv(void **state)
{
	struct reply r;
	uint8_t again[sizeof(r.bytes)];

	(void)state;
	seal(&r);
	assert_int_equal(envelope_seal(r.key, hash, r.inner, again), 0);
	assert_memory_not_equal(r.bytes, again, 12);
	drop(&r);
}

/* GCM's text is counter mode from block 2 (SP 800-38D 7.1), which openssl's command can do. */
static void openssl_reads_a_reply_in_counter_mode(void **state)
{
	uint8_t back[MODULUS];
	char key[65], iv[25], line[300];
	struct reply r;

	(void)state;
	seal(&r);
	hex(r.key->data, 32, key);
	hex(r.bytes, 12, iv);
	put("text", r.bytes + 12, MODULUS);
	snprintf(line, sizeof(line), "openssl enc -d -aes-256-ctr -K %s -iv %s00000002 -in text -out clear", key, iv);
	run(line);
	get("clear", back, sizeof(back));
	assert_memory_equal(back, r.inner->data, MODULUS);
	drop(&r);
}

static int begin(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int clean_up(void **state)
{
	char line[64];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf %s", dir);
	return system(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exchange_is_sha256_of_the_facts_in_order),
		cmocka_unit_test(the_exchange_of_a_reservation_has_its_own_label_and_ends_with_image_and_request),
		cmocka_unit_test(an_origin_comes_last),
		cmocka_unit_test(every_fact_changes_the_exchange),
		cmocka_unit_test(a_request_survives_the_round_trip),
		cmocka_unit_test(a_request_of_another_version_or_length_is_refused),
		cmocka_unit_test(every_changed_bit_of_a_block_but_the_seeds_is_refused),
		cmocka_unit_test(a_block_without_its_eight_bytes_of_padding_is_neither_made_nor_taken),
		cmocka_unit_test(openssl_recovers_seed_and_hash_from_a_block),
		cmocka_unit_test(every_flipped_bit_of_a_reply_is_refused),
		cmocka_unit_test(a_reply_is_bound_to_its_exchange_and_key),
		cmocka_unit_test(a_reply_of_any_other_length_is_refused),
		cmocka_unit_test(two_replies_never_share_an_iv),
		cmocka_unit_test(openssl_reads_a_reply_in_counter_mode),
	};

	return cmocka_run_group_tests(tests, begin, clean_up);
}
