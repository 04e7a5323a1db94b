/* The vault over a real swtpm: an open from end to end, seeds shared and moved, and a wrapping key that replaces another. */
#include "kmc/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/rsakey.h"
#include "kmc/vault_move.h"
#include "tests/unit/tpms.h"

static struct vault *new_vault(void)
{
	struct keyring k;
	struct vault *v;

	works(keyring_open(&k, &tpms_conf, tpms_why));
	v = vault_new(&k);
	assert_non_null(v);
	return v;
}

static void make_key(struct vault *v, struct rsakey **key, struct vault_key *wrapped)
{
	struct secret *der;

	assert_int_equal(rsakey_make(key, 2048), 0);
	assert_int_equal(rsakey_save(*key, &der), 0);
	assert_int_equal(vault_wrap_key(v, der, wrapped), 0);
	secret_free(&der);
}

/* A host's request in software. */
static void encrypt(const struct rsakey *key, const struct uuid *uuid, const struct secret *response, const uint8_t nonce[16],
		    uint8_t cipher[256])
{
	struct secret *plain = envelope_plain_pack(uuid, response, nonce), *der;

	assert_int_equal(rsakey_save(key, &der), 0);
	tpms_write("rsa.der", der->data, der->size);
	tpms_write("plain", plain->data, plain->size);
	tpms_must("openssl pkeyutl -encrypt -keyform DER -inkey rsa.der -in plain -out cipher -pkeyopt rsa_padding_mode:oaep"
		  " -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_oaep_label:$(printf 'xen-vtpm/open/v1\\0' | xxd -p)");
	assert_int_equal(tpms_read("cipher", cipher, 256), 256);
	secret_free(&plain);
	secret_free(&der);
}

/* What the host's TPM makes of an answer's inner layer: c^e, by encrypting without padding. */
static struct secret *inner_block(const struct secret *inner)
{
	struct secret *block = secret_new(256);

	tpms_write("inner", inner->data, inner->size);
	tpms_must("openssl pkeyutl -encrypt -keyform DER -inkey rsa.der -in inner -out block -pkeyopt rsa_padding_mode:none");
	assert_int_equal(tpms_read("block", block->data, 256), 256);
	return block;
}

static void an_open_gives_the_stored_seed_and_nothing_else(void **state)
{
	const struct uuid uuid = {{4, 5, 6}};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = uuid, .generation = 1},
	       other = {.tenant = view_text("loop"), .uuid = uuid, .generation = 1};
	uint8_t cipher[256], nonce[16] = "nonce", wrapped[VAULT_SEED_MAX], again[VAULT_SEED_MAX],
	       reply[KMC_RSA_MAX + ENVELOPE_OVERHEAD], hash[32];
	struct secret *response = secret_random(32), *inner, *first, *second, *text;
	struct vault *v = new_vault();
	struct vault_key k;
	struct rsakey *key;
	struct uuid got;
	size_t n;

	(void)state;
	make_key(v, &key, &k);
	encrypt(key, &uuid, response, nonce, cipher);
	const struct vault_decrypt q = {.key_id = view_of(k.id, 16), .wrapped = view_of(k.wrapped, k.wrapped_size),
		.cipher = view_of(cipher, 256)};
	struct vault_seal seal = {.tenant = view_text("pool"), .generation = 1, .lease_epoch = 7};
	struct envelope_facts facts = {.key_id = q.key_id, .cipher = q.cipher, .tenant = seal.tenant, .uuid = uuid, .generation = 1,
		.lease_epoch = 7};

	memcpy(facts.nonce, nonce, 16);
	assert_int_equal(envelope_exchange(&facts, hash), 0);
	for (int i = 0; i < 2; i++) {
		works(vault_decrypt(v, 1, &q, &got, tpms_why));
		assert_true(uuid_equal(&uuid, &got));
		works(vault_make_seed(v, &owner, i ? again : wrapped, &n, tpms_why));
		seal.seed = view_of(i ? again : wrapped, n);
		works(vault_seal(v, 1, &seal, reply, &n, tpms_why));
		assert_int_equal(envelope_open(response, hash, view_of(reply, n), &inner), 0);
		text = inner_block(inner);
		assert_int_equal(envelope_block_check(text, hash, i ? &second : &first), 0);
		secret_free(&text);
		secret_free(&inner);
	}
	assert_true(secret_equal(first, second)); /* the same seed, wrapped to other bytes */
	assert_memory_not_equal(wrapped, again, 32 + WRAP_OVERHEAD);
	/* a ticket serves once; another tenant's seed does not unwrap here */
	assert_int_equal(vault_seal(v, 1, &seal, reply, &n, tpms_why), E_STATE);
	works(vault_make_seed(v, &other, again, &n, tpms_why));
	works(vault_decrypt(v, 2, &q, &got, tpms_why));
	seal.seed = view_of(again, n);
	assert_int_equal(vault_seal(v, 2, &seal, reply, &n, tpms_why), E_INTEGRITY);
	secret_free(&first);
	secret_free(&second);
	secret_free(&response);
	rsakey_free(&key);
	vault_free(&v);
}

static void tickets_are_bounded_and_forgotten(void **state)
{
	const struct uuid uuid = {{4, 5, 6}};
	struct secret *response = secret_random(32);
	uint8_t cipher[256], nonce[16] = "nonce";
	struct vault *v = new_vault();
	struct vault_key k;
	struct rsakey *key;
	struct uuid got;
	uint64_t ticket = 1;
	int r;

	(void)state;
	make_key(v, &key, &k);
	encrypt(key, &uuid, response, nonce, cipher);
	const struct vault_decrypt q = {.key_id = view_of(k.id, 16), .wrapped = view_of(k.wrapped, k.wrapped_size),
		.cipher = view_of(cipher, 256)};

	while ((r = vault_decrypt(v, ticket, &q, &got, tpms_why)) == 0 && ticket < 1000)
		ticket++;
	assert_int_equal(r, E_NOMEM);
	vault_forget(v, 1);
	vault_forget(v, 5555);
	works(vault_decrypt(v, ticket, &q, &got, tpms_why));
	cipher[5] ^= 1;
	vault_forget(v, 2);
	assert_int_equal(vault_decrypt(v, ticket + 1, &q, &got, tpms_why), E_INTEGRITY);
	cipher[5] ^= 1;
	works(vault_decrypt(v, ticket + 1, &q, &got, tpms_why)); /* a failed one holds no ticket */
	secret_free(&response);
	rsakey_free(&key);
	vault_free(&v);
}

/* The same seed, wrapped for another vTPM; its endorsement seed is the first one's if it says so, and is bound to that. */
static void a_shared_seed_is_the_same_and_bound_to_its_new_owner(void **state)
{
	const struct uuid one = {{4, 5, 6}}, two = {{7, 8}};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = one, .generation = 3};
	struct vault_share q = {.tenant = view_text("pool"), .from = one, .to = two, .generation = 3, .to_generation = 1};
	struct vault_endorse e = {.tenant = view_text("pool"), .uuid = one, .generation = 3}, f = {.tenant = view_text("pool"), .uuid = two, .generation = 1};
	const struct origin origin = {.uuid = one, .generation = 3};
	uint8_t wrapped[VAULT_SEED_MAX], shared[VAULT_SEED_MAX], room[ORIGIN_SIZE];
	struct secret *first, *second, *own;
	struct vault *v = new_vault();
	size_t n, m;

	(void)state;
	works(vault_make_seed(v, &owner, wrapped, &n, tpms_why));
	q.seed = view_of(wrapped, n);
	works(vault_share_seed(v, &q, shared, &m, tpms_why));
	assert_int_equal(n, m);
	e.seed = q.seed;
	f.seed = view_of(shared, m);
	works(vault_endorsement_seed(v, &e, &first, tpms_why));
	works(vault_endorsement_seed(v, &f, &own, tpms_why));
	f.origin = origin_put(&origin, room);
	works(vault_endorsement_seed(v, &f, &second, tpms_why));
	assert_true(secret_equal(first, second));
	assert_false(secret_equal(first, own));
	secret_free(&second);
	f.seed = q.seed; /* neither is taken for the other */
	assert_int_equal(vault_endorsement_seed(v, &f, &second, tpms_why), E_INTEGRITY);
	e.seed = view_of(shared, m);
	assert_int_equal(vault_endorsement_seed(v, &e, &second, tpms_why), E_INTEGRITY);
	q.generation = 2;
	assert_int_equal(vault_share_seed(v, &q, shared, &m, tpms_why), E_INTEGRITY);
	q.generation = 3;
	q.tenant = view_text("loop"); /* nor does a seed leave its pool */
	assert_int_equal(vault_share_seed(v, &q, shared, &m, tpms_why), E_INTEGRITY);
	secret_free(&first);
	secret_free(&own);
	vault_free(&v);
}

static void a_tpm_that_was_restarted_is_opened_again(void **state)
{
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = {{1}}, .generation = 1};
	struct vault *v = new_vault();
	uint8_t wrapped[VAULT_SEED_MAX];
	size_t n;

	(void)state;
	tpms_stop(0);
	assert_int_equal(vault_make_seed(v, &owner, wrapped, &n, tpms_why), E_TPM);
	tpms_start(0);
	works(vault_make_seed(v, &owner, wrapped, &n, tpms_why));
	vault_free(&v);
}

/* --- between two KMCs --- */

/* Of a KMC of its own, in the second TPM. */
static struct vault *other_vault(void)
{
	static struct kmcconf other;
	static char state[150];
	struct keyring k = {.tcti = tpms[1].tcti};
	struct vault *v;

	snprintf(state, sizeof(state), "%s/other", tpms_dir);
	other.state = state;
	other.name = tpms_conf.name;
	tpms_make_kmc(&k, &other);
	v = vault_new(&k);
	assert_non_null(v);
	return v;
}

static void card_of(struct vault *v, uint8_t bytes[MOVE_CARD_MAX], size_t *n, uint8_t fingerprint[MOVE_HASH_SIZE])
{
	struct move_card card;

	works(vault_card(v, "a name", bytes, n, tpms_why));
	assert_int_equal(move_read(view_of(bytes, *n), MOVE_CARD, &card), 0);
	assert_int_equal(move_fingerprint(&card, fingerprint), 0);
}

/* Between two KMCs: the same seed, for the one that it was made for, from the one that is trusted. */
static void a_moved_seed_is_the_same_and_for_one_kmc_only(void **state)
{
	const struct uuid uuid = {{4, 5, 6}}, first = {{7}};
	const struct origin origin = {.uuid = first, .generation = 2};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = uuid, .generation = 3};
	uint8_t card_a[MOVE_CARD_MAX], card_b[MOVE_CARD_MAX], print_a[MOVE_HASH_SIZE], print_b[MOVE_HASH_SIZE], package[MOVE_PACKAGE_MAX],
		again[MOVE_PACKAGE_MAX], wrapped[VAULT_SEED_MAX], moved[VAULT_SEED_MAX], receipt[MOVE_RECEIPT_MAX], room[ORIGIN_SIZE], id[MOVE_ID_SIZE] = "an id";
	struct vault *a = new_vault(), *b = other_vault();
	struct vault_export q = {.tenant = view_text("pool"), .id = view_of(id, sizeof(id)), .uuid = uuid, .origin = origin_put(&origin, room),
				 .generation = 3, .lease_epoch = 9, .owner_epoch = 1, .endorsement_epoch = 2, .platform_epoch = 3, .exported_at = 4};
	struct vault_endorse e = {.tenant = view_text("pool"), .uuid = uuid, .generation = 3, .endorsement_epoch = 2, .origin = q.origin};
	struct vault_receipt rq = {.id = q.id, .uuid = uuid, .lease_epoch = 9, .imported_at = 5};
	struct vault_import i = {.tenant = view_text("other pool")};
	struct secret *here, *there;
	struct move_acceptance accepted;
	struct move_checked checked;
	size_t na, nb, n, m;

	(void)state;
	card_of(a, card_a, &na, print_a);
	card_of(b, card_b, &nb, print_b);
	assert_memory_not_equal(print_a, print_b, sizeof(print_a));
	works(vault_make_seed(a, &owner, wrapped, &n, tpms_why));
	q.seed = view_of(wrapped, n);
	q.card = view_of(card_a, na);
	assert_int_equal(vault_export(a, "a", &q, package, &n, tpms_why), E_DENIED); /* to itself */
	q.card = view_of(card_b, nb - 1);
	assert_int_not_equal(vault_export(a, "a", &q, package, &n, tpms_why), 0);
	q.card = view_of(card_b, nb);
	q.generation = 4; /* it is no such seed */
	assert_int_equal(vault_export(a, "a", &q, package, &n, tpms_why), E_INTEGRITY);
	q.generation = 3;
	works(vault_export(a, "a", &q, package, &n, tpms_why));
	assert_int_equal(move_check(view_of(package, n), &checked), 0);
	assert_int_equal(checked.terms.lease_epoch, 9);
	assert_int_equal(checked.terms.platform_epoch, 3);
	assert_int_equal(checked.origin.generation, 2);
	assert_memory_equal(checked.terms.to.p, print_b, sizeof(print_b));

	i.package = view_of(package, n);
	i.from = view_of(print_b, sizeof(print_b)); /* another is trusted */
	assert_int_equal(vault_import(b, &i, moved, &m, tpms_why), E_DENIED);
	i.from = view_of(print_a, sizeof(print_a));
	assert_int_equal(vault_import(a, &i, moved, &m, tpms_why), E_DENIED); /* for another */
	works(vault_import(b, &i, moved, &m, tpms_why));
	e.seed = q.seed;
	works(vault_endorsement_seed(a, &e, &here, tpms_why));
	e.seed = view_of(moved, m);
	assert_int_equal(vault_endorsement_seed(b, &e, &there, tpms_why), E_INTEGRITY); /* it is another pool's now */
	e.tenant = i.tenant;
	works(vault_endorsement_seed(b, &e, &there, tpms_why));
	assert_true(secret_equal(here, there));
	secret_free(&there);

	/* once more: other bytes, the same seed; parts of one do not fit the other */
	works(vault_export(a, "a", &q, again, &m, tpms_why));
	assert_memory_not_equal(again, package, n);
	i.package = view_of(again, m);
	works(vault_import(b, &i, moved, &m, tpms_why));
	for (size_t at = 0; at < n; at += 37) {
		package[at] ^= 4;
		i.package = view_of(package, n);
		assert_int_not_equal(vault_import(b, &i, moved, &m, tpms_why), 0);
		package[at] ^= 4;
	}

	rq.from = view_of(print_a, sizeof(print_a));
	works(vault_receipt(b, "b", &rq, receipt, &m, tpms_why));
	assert_int_equal(move_check_receipt(view_of(receipt, m), &accepted), 0);
	assert_true(uuid_equal(&accepted.uuid, &uuid));
	assert_int_equal(accepted.lease_epoch, 9);
	assert_memory_equal(accepted.to.p, print_b, sizeof(print_b));
	assert_memory_equal(accepted.id.p, id, sizeof(id));
	secret_free(&here);
	vault_free(&a);
	vault_free(&b);
}

/* --- wrapping keys --- */

/* A file of the vault. */
static const char *vault_file(const char *name)
{
	static char file[99];

	snprintf(file, sizeof(file), "vault/%s", name);
	return file;
}

static void a_wrapping_key_replaces_another(void **state)
{
	const struct uuid uuid = {{9, 9}};
	const struct seed_owner owner = {.tenant = view_text("pool"), .uuid = uuid, .generation = 1};
	uint8_t message[SEED_MESSAGE_MAX], wrapped[VAULT_SEED_MAX], again[VAULT_WRAPPED_MAX], old[KEYRING_WRAPPED_MAX], file[KEYRING_FILES][KEYRING_WRAPPED_MAX];
	struct vault_rewrap q = {.kind = 1};
	struct secret *before = NULL, *after = NULL;
	struct kmctpm_blob sealed;
	char name[KEYRING_NAME], path[KMCCONF_PATH], command[KMCCONF_PATH + 20];
	struct vault *v = new_vault();
	struct keyring *k = vault_keyring(v), none;
	size_t n, m, size[KEYRING_FILES];
	struct buf b;

	(void)state;
	buf_over(&b, message, sizeof(message));
	assert_int_equal(seed_message(&owner, &b), 0);
	q.context = view_of(message, b.len);
	works(vault_make_seed(v, &owner, wrapped, &n, tpms_why));
	q.wrapped = view_of(wrapped, n);
	assert_int_equal(wrap_ring_open(&k->wrapping, WRAP_SEED, q.context, q.wrapped, &before), 0);

	works(keyring_new_wrapping(k, 2, &sealed, tpms_why));
	assert_null(wrap_ring_key(&k->wrapping, 2)); /* made, not learnt */
	assert_int_equal(keyring_learn(k, 3, view_of(sealed.data, sealed.size), tpms_why), E_FORMAT); /* passed off as another */
	works(keyring_learn(k, 2, view_of(sealed.data, sealed.size), tpms_why));
	k->wrapping.use = 2;
	works(vault_rewrap(v, &q, again, &m, tpms_why));
	assert_int_equal(m, n);
	assert_int_equal(wrap_number(view_of(wrapped, n)), 1);
	assert_int_equal(wrap_number(view_of(again, m)), 2);
	q.context = view_text("another's");
	assert_int_equal(vault_rewrap(v, &q, again, &n, tpms_why), E_INTEGRITY);
	q.context = view_of(message, b.len);
	q.kind = 0; /* nor is a seed a key */
	assert_int_equal(vault_rewrap(v, &q, again, &n, tpms_why), E_INTEGRITY);
	q.kind = 1;
	works(vault_rewrap(v, &q, again, &m, tpms_why));
	for (enum keyring_file f = 0; f < KEYRING_FILES; f++)
		works(keyring_rewrap_file(k, f, view_of(old, tpms_read(vault_file(keyring_file_name[f]), old, sizeof(old))), file[f], &size[f], tpms_why));
	vault_free(&v);

	/* the machine dies with one file of the two under the new key, and again without the old key */
	tpms_write(vault_file(keyring_wrapping_name(2, name)), sealed.data, sealed.size);
	tpms_write(vault_file(keyring_file_name[KEYRING_CA]), file[KEYRING_CA], size[KEYRING_CA]);
	v = new_vault();
	assert_int_equal(keyring_oldest(vault_keyring(v)), 1);
	assert_int_equal(vault_keyring(v)->wrapping.use, 1); /* some file still is under it */
	vault_free(&v);
	snprintf(command, sizeof(command), "mv %s %s.old", kmcconf_path(&tpms_conf, "vault/wrapping.tpm", path), path);
	assert_int_equal(system(command), 0);
	assert_int_equal(keyring_open(&none, &tpms_conf, tpms_why), E_VERSION);
	assert_non_null(strstr(tpms_why, "under wrapping key 1"));
	tpms_write(vault_file(keyring_file_name[KEYRING_AUDIT]), file[KEYRING_AUDIT], size[KEYRING_AUDIT]);
	v = new_vault();
	assert_int_equal(keyring_oldest(vault_keyring(v)), 2);
	assert_int_equal(wrap_ring_open(&vault_keyring(v)->wrapping, WRAP_SEED, q.context, view_of(again, m), &after), 0);
	assert_true(secret_equal(before, after));
	secret_free(&after);
	assert_int_equal(wrap_ring_open(&vault_keyring(v)->wrapping, WRAP_SEED, q.context, q.wrapped, &after), E_VERSION);
	secret_free(&before);
	vault_free(&v);
}

static void only_files_of_wrapping_keys_have_a_number(void **state)
{
	static const char *const others[] = {"wrapping-1.tpm", "wrapping-02.tpm", "wrapping-2.tpm.new", ".wrapping-2.tpm.new", "wrapping-0.tpm",
					     "wrapping--2.tpm", "wrapping-.tpm", "parent.tpm", "", "wrapping-99999999999.tpm"};

	(void)state;
	assert_int_equal(keyring_wrapping_number("wrapping.tpm"), 1);
	assert_int_equal(keyring_wrapping_number("wrapping-2.tpm"), 2);
	assert_int_equal(keyring_wrapping_number("wrapping-4711.tpm"), 4711);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(keyring_wrapping_number(others[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_gives_the_stored_seed_and_nothing_else),
		cmocka_unit_test(tickets_are_bounded_and_forgotten),
		cmocka_unit_test(a_shared_seed_is_the_same_and_bound_to_its_new_owner),
		cmocka_unit_test(a_tpm_that_was_restarted_is_opened_again),
		cmocka_unit_test(a_moved_seed_is_the_same_and_for_one_kmc_only),
		cmocka_unit_test(only_files_of_wrapping_keys_have_a_number),
		cmocka_unit_test(a_wrapping_key_replaces_another),
	};

	return cmocka_run_group_tests(tests, tpms_setup, tpms_teardown);
}
