/* The KMC's TPM, with a real swtpm: keys that never show, and the way of the parent of all keys to another TPM that the authority has signed. */
#include "kmc/kmctpm.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"
#include "common/secret.h"
#include "kmc/kmctpm_move.h"
#include "tests/unit/tpms.h"

static void the_same_key_gives_the_same_mac_over_restarts(void **state)
{
	struct kmctpm *t = tpms_open(0);
	struct kmctpm_blob parent, blob, other;
	struct secret *a, *b, *c, *d;

	(void)state;
	tpms_make_keys(t, &parent, &blob);
	a = tpms_mac(t, "one");
	assert_int_equal(a->size, 32);
	kmctpm_close(&t);
	tpms_stop(0);
	tpms_start(0);
	t = tpms_open(0);
	works(kmctpm_load_parent(t, &parent, tpms_why));
	works(kmctpm_load_hmac_key(t, &blob, tpms_why));
	b = tpms_mac(t, "one");
	c = tpms_mac(t, "two");
	works(kmctpm_make_hmac_key(t, &other, tpms_why));
	works(kmctpm_load_hmac_key(t, &other, tpms_why));
	d = tpms_mac(t, "one");
	assert_true(secret_equal(a, b));
	assert_false(secret_equal(a, c));
	assert_false(secret_equal(a, d));
	secret_free(&a);
	secret_free(&b);
	secret_free(&c);
	secret_free(&d);
	kmctpm_close(&t);
}

static void what_was_sealed_comes_back_in_its_tpm_only(void **state)
{
	struct kmctpm *t = tpms_open(0), *u = tpms_open(1);
	struct secret *key = secret_random(32), *back;
	struct kmctpm_blob parent, unused, blob;

	(void)state;
	tpms_make_keys(t, &parent, &unused);
	works(kmctpm_make_parent(u, &tpms_authority, &unused, tpms_why));
	works(kmctpm_load_parent(u, &unused, tpms_why));
	works(kmctpm_seal(t, key, &blob, tpms_why));
	for (size_t i = 0; i + 32 <= blob.size; i++)
		assert_memory_not_equal(blob.data + i, key->data, 32);
	works(kmctpm_unseal(t, &blob, &back, tpms_why));
	assert_true(secret_equal(key, back));
	secret_free(&back);
	assert_int_equal(kmctpm_unseal(u, &blob, &back, tpms_why), E_TPM);
	assert_non_null(strstr(tpms_why, "kmcctl init"));
	blob.data[blob.size - 1] ^= 1;
	assert_int_equal(kmctpm_unseal(t, &blob, &back, tpms_why), E_TPM);
	blob.size--;
	assert_int_equal(kmctpm_unseal(t, &blob, &back, tpms_why), E_FORMAT);
	assert_null(back);
	secret_free(&key);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

static void a_killed_users_leftovers_do_not_fill_the_tpm(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct kmctpm *t;
			struct kmctpm_blob parent, blob;

			if (kmctpm_open(&t, tpms[0].tcti, tpms_why) != 0 || kmctpm_make_parent(t, &tpms_authority, &parent, tpms_why) != 0 ||
			    kmctpm_load_parent(t, &parent, tpms_why) != 0 || kmctpm_make_hmac_key(t, &blob, tpms_why) != 0 ||
			    kmctpm_load_hmac_key(t, &blob, tpms_why) != 0)
				_exit(1);
			_exit(0); /* nothing flushed */
		}
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
	}
}

/* --- moving --- */

static int sign(const struct x509_key *key, const struct kmctpm_blob *parent, struct view to, uint8_t out[80])
{
	uint8_t approval[KMCTPM_APPROVAL_SIZE];

	assert_int_equal(kmctpm_approval(parent, to, approval), 0);
	return ca_key_sign(key, view_of(approval, sizeof(approval)), out, 80);
}

/* The MAC of "one" in a TPM that gets @copy. */
static struct secret *mac_there(struct kmctpm *u, const struct kmctpm_copy *copy, const struct secret *inner, const struct kmctpm_blob *key)
{
	struct kmctpm_blob parent;

	works(kmctpm_import(u, copy, inner, &parent, tpms_why));
	works(kmctpm_load_parent(u, &parent, tpms_why));
	works(kmctpm_load_hmac_key(u, key, tpms_why));
	return tpms_mac(u, "one");
}

static void a_replica_computes_the_same_and_only_the_named_one_can(void **state)
{
	struct kmctpm *t = tpms_open(0), *u = tpms_open(1);
	struct secret *value = secret_random(32), *back, *inner, *here, *there;
	struct kmctpm_credential credential;
	struct kmctpm_blob parent, key, none;
	struct kmctpm_identity id, own;
	struct kmctpm_copy copy;
	uint8_t name[34], signature[80];
	struct kmctpm_order order;
	int n;

	(void)state;
	tpms_make_keys(t, &parent, &key);
	here = tpms_mac(t, "one");
	works(kmctpm_identify(u, &id, tpms_why));
	assert_true(kmctpm_is_storage(view_of(id.storage, id.storage_size)));
	assert_false(kmctpm_is_storage(view_of(id.storage, id.storage_size - 1)));
	assert_int_equal(kmctpm_area_name(view_of(id.storage, id.storage_size), name), 0);
	works(kmctpm_make_credential(t, view_of(id.ek, id.ek_size), view_of(name, 34), value, &credential, tpms_why));
	inner = secret_dup(value->data, KMCTPM_INNER_SIZE);
	order = (struct kmctpm_order){.parent = &parent, .to = view_of(id.storage, id.storage_size), .authority = tpms_authority, .inner = inner};
	n = sign(tpms_authority_key, &parent, order.to, signature);
	assert_true(n > 0);
	order.signature = view_of(signature, (size_t)n);
	works(kmctpm_duplicate(t, &order, &copy, tpms_why));
	/* the replica opens the credential and imports */
	works(kmctpm_activate(u, view_of(credential.blob, credential.blob_size), view_of(credential.secret, credential.secret_size), &back, tpms_why));
	assert_true(secret_equal(value, back));
	secret_free(&back);
	inner->data[0] ^= 1;
	assert_int_equal(kmctpm_import(u, &copy, inner, &none, tpms_why), E_TPM);
	inner->data[0] ^= 1;
	there = mac_there(u, &copy, inner, &key);
	assert_true(secret_equal(here, there));
	/* neither credential nor copy is any use to the first TPM, nor is a signature for another one */
	kmctpm_close(&t);
	t = tpms_open(0);
	assert_int_equal(kmctpm_activate(t, view_of(credential.blob, credential.blob_size),
					 view_of(credential.secret, credential.secret_size), &back, tpms_why), E_TPM);
	assert_int_equal(kmctpm_import(t, &copy, inner, &none, tpms_why), E_TPM);
	works(kmctpm_identify(t, &own, tpms_why));
	works(kmctpm_load_parent(t, &parent, tpms_why));
	order.to = view_of(own.storage, own.storage_size);
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, tpms_why), E_TPM);
	secret_free(&value);
	secret_free(&inner);
	secret_free(&here);
	secret_free(&there);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

static void another_authoritys_signature_moves_nothing(void **state)
{
	struct kmctpm *t = tpms_open(0), *u = tpms_open(1);
	struct secret *inner = secret_random(KMCTPM_INNER_SIZE);
	struct x509_key *other;
	struct kmctpm_blob parent, key;
	struct kmctpm_identity id;
	struct kmctpm_copy copy;
	uint8_t signature[80];
	struct kmctpm_order order;
	int n;

	(void)state;
	tpms_make_keys(t, &parent, &key);
	works(kmctpm_identify(u, &id, tpms_why));
	assert_int_equal(ca_key_make(&other), 0);
	order = (struct kmctpm_order){.parent = &parent, .to = view_of(id.storage, id.storage_size), .authority = tpms_authority, .inner = inner};
	n = sign(other, &parent, order.to, signature);
	order.signature = view_of(signature, (size_t)n);
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, tpms_why), E_TPM);
	assert_int_equal(ca_key_point(other, order.authority.x, order.authority.y), 0); /* its own key: the policy names another */
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, tpms_why), E_TPM);
	order.signature = view_of(signature, (size_t)n - 1);
	assert_int_equal(kmctpm_duplicate(t, &order, &copy, tpms_why), E_FORMAT);
	ca_key_free(&other);
	secret_free(&inner);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

static void a_recovery_key_brings_the_parent_into_a_new_tpm(void **state)
{
	struct kmctpm *t = tpms_open(0), *u = tpms_open(1);
	struct secret *inner = secret_random(KMCTPM_INNER_SIZE), *seed = secret_random(32), *scalar, *here, *there;
	uint8_t area[KMCTPM_AREA_MAX], signature[80];
	struct kmctpm_recovery recovery = {.seed = seed};
	struct kmctpm_copy copy, rewrapped;
	struct kmctpm_blob parent, key;
	struct kmctpm_order order;
	struct x509_key *software;
	int n;

	(void)state;
	tpms_make_keys(t, &parent, &key);
	here = tpms_mac(t, "one");
	assert_int_equal(ca_key_make(&software), 0);
	assert_int_equal(ca_key_point(software, recovery.x, recovery.y), 0);
	assert_int_equal(ca_key_scalar(software, &scalar), 0);
	recovery.scalar = scalar;
	n = kmctpm_recovery_area(recovery.x, recovery.y, area);
	order = (struct kmctpm_order){.parent = &parent, .to = view_of(area, (size_t)n), .authority = tpms_authority, .inner = inner};
	n = sign(tpms_authority_key, &parent, order.to, signature);
	order.signature = view_of(signature, (size_t)n);
	works(kmctpm_duplicate(t, &order, &copy, tpms_why));
	works(kmctpm_rewrap(u, &recovery, &copy, &rewrapped, tpms_why));
	there = mac_there(u, &rewrapped, inner, &key);
	assert_true(secret_equal(here, there));
	kmctpm_close(&u);
	u = tpms_open(1);
	scalar->data[31] ^= 1;
	assert_int_equal(kmctpm_rewrap(u, &recovery, &copy, &rewrapped, tpms_why), E_TPM);
	ca_key_free(&software);
	secret_free(&inner);
	secret_free(&seed);
	secret_free(&scalar);
	secret_free(&here);
	secret_free(&there);
	kmctpm_close(&t);
	kmctpm_close(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_key_gives_the_same_mac_over_restarts),
		cmocka_unit_test(what_was_sealed_comes_back_in_its_tpm_only),
		cmocka_unit_test(a_killed_users_leftovers_do_not_fill_the_tpm),
		cmocka_unit_test(a_replica_computes_the_same_and_only_the_named_one_can),
		cmocka_unit_test(another_authoritys_signature_moves_nothing),
		cmocka_unit_test(a_recovery_key_brings_the_parent_into_a_new_tpm),
	};

	return cmocka_run_group_tests(tests, tpms_setup, tpms_teardown);
}
