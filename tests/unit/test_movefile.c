/* Unit tests for kmc/movefile.c: the files of a move between KMCs are what was signed, or nothing. */
#include "kmc/movefile.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "kmc/ca.h"
#include "tests/unit/schemas.h"
#include "tests/unit/unit.h"

static struct x509_key *keys[2]; /* of two KMCs */
static uint8_t spki[2][CA_SPKI_MAX], name[MOVE_NAME_SIZE] = "name", prints[2][MOVE_HASH_SIZE], id[MOVE_ID_SIZE] = "an id";
static struct move_card cards[2];
static uint8_t package[MOVE_PACKAGE_MAX], receipt[MOVE_RECEIPT_MAX];
static const struct uuid uuid = {{1, 2, 3}};
static const uint8_t state_bytes[] = {5, 6, 7};
static uint8_t state_hash[MOVE_HASH_SIZE];

static struct move_terms the_terms(void)
{
	return (struct move_terms){
		.id = view_of(id, sizeof(id)), .uuid = uuid, .from_name = view_text("a"), .to_name = view_text("b"), .pool = view_text("pool"),
		.from = view_of(prints[0], MOVE_HASH_SIZE), .to = view_of(prints[1], MOVE_HASH_SIZE), .state_hash = view_of(state_hash, sizeof(state_hash)),
		.generation = 1, .lease_epoch = 5, .state_version = 8};
}

static int sign(int by, const char *label, struct view bytes, uint8_t signature[MOVE_SIGNATURE_MAX])
{
	uint8_t room[4096];
	struct buf b;

	buf_over(&b, room, sizeof(room));
	assert_int_equal(move_signed_bytes(&b, label, bytes), 0);
	return ca_key_sign(keys[by], view_of(room, b.len), signature, MOVE_SIGNATURE_MAX);
}

/* By @by, under @label, with the card of @as. */
static size_t make_package(const struct move_terms *terms, int by, int as, const char *label)
{
	uint8_t t[1024], s[2048], signature[MOVE_SIGNATURE_MAX], seed[MOVE_SEED_SIZE] = {1};
	struct move_sealed sealed = {.credential = view_text("credential"), .secret = view_text("secret"), .seed = view_of(seed, sizeof(seed))};
	struct move_package p = {.kmc = cards[as].kmc, .parent = cards[as].parent, .seed_key = cards[as].seed_key, .signer = cards[as].signer};
	struct buf b;

	buf_over(&b, t, sizeof(t));
	assert_int_equal(move_write(&b, MOVE_TERMS, terms), 0);
	sealed.terms = view_of(t, b.len);
	buf_over(&b, s, sizeof(s));
	assert_int_equal(move_write(&b, MOVE_SEALED, &sealed), 0);
	p.sealed = view_of(s, b.len);
	p.signature = view_of(signature, (size_t)sign(by, label, p.sealed, signature));
	buf_over(&b, package, sizeof(package));
	assert_int_equal(move_write(&b, MOVE_PACKAGE, &p), 0);
	return b.len;
}

static size_t make_receipt(int by, const char *label)
{
	const struct move_acceptance a = {.id = view_of(id, sizeof(id)), .uuid = uuid, .from = view_of(prints[0], MOVE_HASH_SIZE),
					  .to = view_of(prints[1], MOVE_HASH_SIZE), .lease_epoch = 5, .imported_at = 6};
	uint8_t t[512], signature[MOVE_SIGNATURE_MAX];
	struct move_receipt p = {.kmc = cards[by].kmc, .parent = cards[by].parent, .seed_key = cards[by].seed_key, .signer = cards[by].signer};
	struct buf b;

	buf_over(&b, t, sizeof(t));
	assert_int_equal(move_write(&b, MOVE_ACCEPTANCE, &a), 0);
	p.acceptance = view_of(t, b.len);
	p.signature = view_of(signature, (size_t)sign(by, label, p.acceptance, signature));
	buf_over(&b, receipt, sizeof(receipt));
	assert_int_equal(move_write(&b, MOVE_RECEIPT, &p), 0);
	return b.len;
}

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int n;

		assert_int_equal(ca_key_make(&keys[i]), 0);
		assert_true((n = ca_key_public(keys[i], spki[i])) > 0);
		cards[i] = (struct move_card){.kmc = view_text(i ? "b" : "a"), .parent = view_text(i ? "parent b" : "parent a"),
					      .seed_key = view_of(name, sizeof(name)), .signer = view_of(spki[i], (size_t)n)};
		assert_int_equal(move_fingerprint(&cards[i], prints[i]), 0);
	}
	assert_int_equal(EVP_Digest(state_bytes, sizeof(state_bytes), state_hash, NULL, EVP_sha256(), NULL), 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ca_key_free(&keys[0]);
	ca_key_free(&keys[1]);
	return 0;
}

static void every_message_keeps_its_bounds(void **state)
{
	(void)state;
	for (int type = MOVE_CARD; type <= MOVE_ACCEPTANCE; type++)
		check_schema(move_schema((enum movefile_type)type));
}

static void a_fingerprint_is_of_the_keys_and_not_of_the_name(void **state)
{
	struct move_card c = cards[0];
	uint8_t hash[MOVE_HASH_SIZE];

	(void)state;
	c.kmc = view_text("a replica");
	assert_int_equal(move_fingerprint(&c, hash), 0);
	assert_memory_equal(hash, prints[0], sizeof(hash));
	c.signer = cards[1].signer;
	assert_int_equal(move_fingerprint(&c, hash), 0);
	assert_memory_not_equal(hash, prints[0], sizeof(hash));
	c = cards[0];
	c.parent = cards[1].parent;
	assert_int_equal(move_fingerprint(&c, hash), 0);
	assert_memory_not_equal(hash, prints[0], sizeof(hash));
}

static void a_package_is_what_was_signed(void **state)
{
	const struct move_terms terms = the_terms();
	size_t n = make_package(&terms, 0, 0, MOVE_LABEL);
	struct move_checked c;

	(void)state;
	assert_int_equal(move_check(view_of(package, n), &c), 0);
	assert_true(uuid_equal(&c.terms.uuid, &uuid) && c.terms.state_version == 8 && c.origin.generation == 0);
	for (size_t at = 0; at < n; at++) { /* the giver's name is for people, and the only thing that nobody signed */
		bool is_name = package + at == c.package.kmc.p;

		package[at] ^= 1;
		if (!is_name)
			assert_int_not_equal(move_check(view_of(package, n), &c), 0);
		package[at] ^= 1;
		assert_int_equal(move_check(view_of(package, n), &c), 0);
		assert_int_not_equal(move_check(view_of(package, at), &c), 0);
	}
	package[n] = 0;
	assert_int_equal(move_check(view_of(package, n + 1), &c), E_TRAILING);
}

static void another_signer_is_not_the_one_in_the_terms(void **state)
{
	const struct move_terms terms = the_terms();
	struct move_checked c;

	(void)state;
	assert_int_equal(move_check(view_of(package, make_package(&terms, 1, 1, MOVE_LABEL)), &c), E_INTEGRITY); /* another KMC's package */
	assert_int_equal(move_check(view_of(package, make_package(&terms, 1, 0, MOVE_LABEL)), &c), E_INTEGRITY); /* a forged signature */
	assert_int_equal(move_check(view_of(package, make_package(&terms, 0, 0, MOVE_RECEIPT_LABEL)), &c), E_INTEGRITY); /* signed as something else */
}

static void terms_that_make_no_sense_are_refused(void **state)
{
	struct move_terms terms = the_terms();
	struct move_checked c;

	(void)state;
	terms.state_version = 0; /* but a state */
	assert_int_equal(move_check(view_of(package, make_package(&terms, 0, 0, MOVE_LABEL)), &c), E_FORMAT);
	terms = the_terms();
	terms.state_hash.p = NULL;
	assert_int_equal(move_check(view_of(package, make_package(&terms, 0, 0, MOVE_LABEL)), &c), E_FORMAT);
	terms.state_version = 0;
	assert_int_equal(move_check(view_of(package, make_package(&terms, 0, 0, MOVE_LABEL)), &c), 0);
	terms.generation = 0;
	assert_int_equal(move_check(view_of(package, make_package(&terms, 0, 0, MOVE_LABEL)), &c), E_FORMAT);
	terms.generation = 1;
	terms.uuid = (struct uuid){{0}};
	assert_int_equal(move_check(view_of(package, make_package(&terms, 0, 0, MOVE_LABEL)), &c), E_FORMAT);
}

static void a_state_is_the_one_in_the_terms(void **state)
{
	struct move_terms terms = the_terms();

	(void)state;
	assert_int_equal(move_check_state(&terms, view_of(state_bytes, 3)), 0);
	assert_int_equal(move_check_state(&terms, view_of(state_bytes, 2)), E_INTEGRITY);
	assert_int_equal(move_check_state(&terms, (struct view){0}), E_INTEGRITY);
	terms.state_hash.p = NULL;
	assert_int_equal(move_check_state(&terms, view_of(state_bytes, 3)), E_INTEGRITY);
	assert_int_equal(move_check_state(&terms, (struct view){0}), 0);
}

static void a_receipt_is_by_who_got_it(void **state)
{
	struct move_acceptance a;
	size_t n;

	(void)state;
	assert_int_equal(move_check_receipt(view_of(receipt, make_receipt(0, MOVE_RECEIPT_LABEL)), &a), E_INTEGRITY);
	assert_int_equal(move_check_receipt(view_of(receipt, make_receipt(1, MOVE_LABEL)), &a), E_INTEGRITY);
	n = make_receipt(1, MOVE_RECEIPT_LABEL);
	assert_int_equal(move_check_receipt(view_of(receipt, n), &a), 0);
	assert_true(uuid_equal(&a.uuid, &uuid) && a.lease_epoch == 5 && a.imported_at == 6);
	for (size_t at = 0; at < n; at++)
		assert_int_not_equal(move_check_receipt(view_of(receipt, at), &a), 0);
}

static void a_file_is_read_frame_by_frame(void **state)
{
	const struct move_terms terms = the_terms();
	size_t n = make_package(&terms, 0, 0, MOVE_LABEL);
	uint8_t file[MOVE_PACKAGE_MAX + 100];
	struct move_state st;
	struct view frame;
	struct buf b;

	(void)state;
	buf_over(&b, file, sizeof(file));
	assert_int_equal(buf_put(&b, package, n), 0);
	assert_int_equal(move_write(&b, MOVE_STATE, &(const struct move_state){.state = view_of(state_bytes, 3)}), 0);
	assert_int_equal(move_next(&b, MOVE_PACKAGE, &frame), 0);
	assert_true(frame.p == file && frame.n == n);
	assert_int_equal(move_next(&b, MOVE_STATE, &frame), 0);
	assert_int_equal(move_read(frame, MOVE_STATE, &st), 0);
	assert_true(st.state.n == 3);
	assert_int_equal(move_next(&b, MOVE_STATE, &frame), E_TRUNCATED);
	buf_view(&b, file, n);
	assert_int_equal(move_next(&b, MOVE_STATE, &frame), E_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_keeps_its_bounds),
		cmocka_unit_test(a_fingerprint_is_of_the_keys_and_not_of_the_name),
		cmocka_unit_test(a_package_is_what_was_signed),
		cmocka_unit_test(another_signer_is_not_the_one_in_the_terms),
		cmocka_unit_test(terms_that_make_no_sense_are_refused),
		cmocka_unit_test(a_state_is_the_one_in_the_terms),
		cmocka_unit_test(a_receipt_is_by_who_got_it),
		cmocka_unit_test(a_file_is_read_frame_by_frame),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
