/* Unit tests for kmc/vault_wrapping.c: the authority's key and the replacement of the wrapping key write the same file. */
#include "kmc/vault_wrapping.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "common/secret.h"
#include "kmc/keyring.h"
#include "kmc/procmsg.h"
#include "tests/unit/unit.h"

static struct keyring keyring;
static struct ca_cert old_cert, new_cert;
static uint8_t old_key[KEYRING_WRAPPED_MAX], new_key[KEYRING_WRAPPED_MAX], audit_key[KEYRING_WRAPPED_MAX];
static size_t old_size, new_size, audit_size;

struct keyring *vault_keyring(struct vault *v)
{
	(void)v;
	return &keyring;
}

/* What the keeper was asked, in order, and the file that it keeps. */
static struct {
	struct loop *loop;
	struct source *timer;
	struct link *vault, *keeper;
	uint64_t type[16], id[16];
	char name[16][KEYRING_NAME];
	size_t n, answered;
	uint8_t ca[KEYRING_WRAPPED_MAX];
	size_t ca_size;
} k;

static struct {
	int r[8]; /* by id; 1: not told yet */
	char why[VAULT_REASON_MAX + 1];
} told;

static void on_kept(void *arg, uint64_t id, int r, const char *why)
{
	(void)arg;
	told.r[id] = r;
	snprintf(told.why, sizeof(told.why), "%s", why);
}

/* The disk has what was put once the keeper gets there, which is when the message arrives. */
static void at_keeper(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	const struct keeper_put *p = fields;
	struct view name = type == KEEPER_PUT ? p->name : ((const struct keeper_remove *)fields)->name;

	(void)arg;
	assert_true(k.n < 16);
	view_copy_text(name, k.name[k.n], KEYRING_NAME);
	k.type[k.n] = type;
	k.id[k.n++] = id;
	if (type == KEEPER_PUT && strcmp(k.name[k.n - 1], "ca.key") == 0)
		memcpy(k.ca, p->bytes.p, k.ca_size = p->bytes.n);
}

static void at_vault(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	(void)arg;
	vault_wrapping_answer(type, id, fields);
}

static void stop(void *arg, unsigned int what)
{
	(void)arg, (void)what;
	loop_stop(k.loop);
}

/* All that is ready is dispatched in each round, however late the timer is. */
static void turn(void)
{
	for (int i = 0; i < 4; i++) {
		source_set_ms(k.timer, 0);
		assert_int_equal(loop_run(k.loop), 0);
	}
}

/* The keeper's answer to the next thing that it was asked. */
static void answer(void)
{
	size_t i = k.answered++;
	bool ca = strcmp(k.name[i], "ca.key") == 0;

	assert_true(i < k.n);
	if (k.type[i] == KEEPER_GET)
		link_send(k.keeper, KEEPER_BYTES, k.id[i], &(const struct keeper_put){.name = view_text(k.name[i]),
			.bytes = ca ? view_of(k.ca, k.ca_size) : view_of(audit_key, audit_size)});
	else
		link_send(k.keeper, KEEPER_DONE, k.id[i], NULL);
	turn();
}

static void answer_all(void)
{
	while (k.answered < k.n)
		answer();
}

static size_t wrap_key(struct ca_cert *cert, uint8_t out[KEYRING_WRAPPED_MAX])
{
	const struct ca_profile profile = {.name = "CA", .not_before = 1700000000, .not_after = 1800000000};
	struct x509_key *key = NULL;
	char why[CA_WHY];
	int n;

	assert_int_equal(ca_key_make(&key), 0);
	assert_int_equal(ca_root(key, &profile, cert, why), 0);
	n = keyring_wrap_ca(&keyring, key, out);
	assert_true(n > 0);
	ca_key_free(&key);
	return (size_t)n;
}

static int set_up(void **state)
{
	int fd[2];

	(void)state;
	memset(&k, 0, sizeof(k));
	memset(&told, 0, sizeof(told));
	for (size_t i = 0; i < 8; i++)
		told.r[i] = 1;
	keyring = (struct keyring){.wrapping.use = 1};
	for (uint32_t n = 1; n <= 2; n++) {
		struct secret *key = secret_random(WRAP_KEY_SIZE);

		assert_int_equal(wrap_ring_add(&keyring.wrapping, n, &key), 0);
	}
	old_size = wrap_key(&old_cert, old_key);
	new_size = wrap_key(&new_cert, new_key);
	{
		struct secret *any = secret_random(40);

		assert_int_equal(wrap_ring_seal(&keyring.wrapping, WRAP_AUDIT_KEY, view_text("audit"), any, audit_key), 0);
		audit_size = any->size + WRAP_OVERHEAD;
		secret_free(&any);
	}
	memcpy(k.ca, old_key, k.ca_size = old_size);
	k.loop = loop_new();
	k.timer = source_timer(k.loop, stop, NULL);
	assert_int_equal(privsep_pair(fd), 0);
	k.vault = link_new(k.loop, fd[0], "keeper", &keeper_protocol, at_vault, NULL);
	k.keeper = link_new(k.loop, fd[1], "vault", &keeper_protocol, at_keeper, NULL);
	vault_wrapping_start((struct vault *)&keyring, k.vault, on_kept, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	source_free(&k.timer);
	link_free(&k.vault);
	link_free(&k.keeper);
	loop_free(&k.loop);
	keyring_close(&keyring);
	return 0;
}

static void use(uint64_t id, uint32_t number)
{
	vault_wrapping_ask(VAULT_USE, id, &(const struct vault_number){.number = number});
	turn();
}

static void keep(uint64_t id, const struct ca_cert *cert)
{
	vault_wrapping_ask(VAULT_CA_KEEP, id, &(const struct vault_ca){.certificate = view_of(cert->der, cert->size), .key = view_of(new_key, new_size)});
	turn();
}

/* Whose the file on the disk is, and under which wrapping key. */
static void expect_file(const struct ca_cert *cert, uint32_t number)
{
	struct x509_key *key = NULL;

	assert_int_equal(keyring_unwrap_ca(&keyring, cert, view_of(k.ca, k.ca_size), &key), 0);
	assert_int_equal(wrap_number(view_of(k.ca, k.ca_size)), number);
	ca_key_free(&key);
}

static void an_authoritys_key_is_put(void **state)
{
	(void)state;
	keep(1, &new_cert);
	assert_int_equal(told.r[1], 1); /* not before it is on the disk */
	answer_all();
	assert_int_equal(told.r[1], 0);
	expect_file(&new_cert, 1);
}

static void one_that_is_not_the_certificates_is_not(void **state)
{
	(void)state;
	keep(1, &old_cert);
	assert_int_equal(told.r[1], E_INTEGRITY);
	assert_int_equal(k.n, 0);
}

static void a_replacement_that_comes_after_it_finds_the_new_one(void **state)
{
	(void)state;
	keep(1, &new_cert);
	use(2, 2);
	answer_all();
	assert_int_equal(told.r[1], 0);
	expect_file(&new_cert, 2);
}

static void one_that_has_read_the_old_one_does_not_put_it_back(void **state)
{
	(void)state;
	use(2, 2);
	answer(); /* the old key is on its way to be wrapped anew */
	keep(1, &new_cert);
	assert_int_equal(told.r[1], E_BUSY);
	assert_non_null(strstr(told.why, "wrapping key 2"));
	expect_file(&old_cert, 2);
	answer_all();
	assert_int_equal(told.r[2], 0);
	keep(3, &new_cert);
	answer_all();
	assert_int_equal(told.r[3], 0);
	expect_file(&new_cert, 2);
}

static void what_was_wrapped_before_goes_under_the_key_in_use(void **state)
{
	(void)state;
	use(2, 2);
	answer_all();
	keep(1, &new_cert);
	answer_all();
	assert_int_equal(told.r[1], 0);
	expect_file(&new_cert, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_authoritys_key_is_put),
		TEST(one_that_is_not_the_certificates_is_not),
		TEST(a_replacement_that_comes_after_it_finds_the_new_one),
		TEST(one_that_has_read_the_old_one_does_not_put_it_back),
		TEST(what_was_wrapped_before_goes_under_the_key_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
