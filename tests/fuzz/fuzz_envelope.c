/* What a KMC, or who stands in its place, sends as a reply: opened and checked, it is a seed or nothing. */
#include "common/envelope.h"
#include "common/error.h"
#include "common/secret.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t hash[ENVELOPE_HASH_SIZE] = "the hash of the exchange";

static void open_reply(const uint8_t *data, size_t size)
{
	struct secret *key = secret_new(ENVELOPE_KEY_SIZE), *inner;
	int r;

	must(key);
	r = envelope_open(key, hash, view_of(data, size), &inner);
	must((r == 0) == (inner != NULL));
	must(r != 0 || inner->size == size - ENVELOPE_OVERHEAD);
	secret_free(&inner);
	secret_free(&key);
}

/* A block that passes is the one block that its seed and hash can give. */
static void check_block(const uint8_t *data, size_t size)
{
	struct secret *block = secret_dup(data, size), *seed, *again;
	int r;

	must(block);
	r = envelope_block_check(block, hash, &seed);
	must((r == 0) == (seed != NULL));
	if (r == 0) {
		again = envelope_block_pack(seed, hash, size);
		must(again && secret_equal(again, block));
		secret_free(&again);
	}
	secret_free(&seed);
	secret_free(&block);
}

static void unpack(const uint8_t *data, size_t size)
{
	struct secret *plain = secret_dup(data, size), *key, *again;
	uint8_t nonce[ENVELOPE_NONCE_SIZE];
	struct uuid uuid;

	must(plain);
	if (envelope_plain_unpack(plain, &uuid, &key, nonce) == 0) {
		again = envelope_plain_pack(&uuid, key, nonce);
		must(again && secret_equal(again, plain));
		secret_free(&again);
	}
	secret_free(&key);
	secret_free(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	open_reply(data, size);
	if (size) {
		check_block(data, size);
		unpack(data, size);
	}
	return 0;
}
