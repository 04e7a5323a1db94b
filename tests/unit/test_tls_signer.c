/* TLS with a key that lives elsewhere: the handshake waits for its signature, and blocks nobody. */
#include "common/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/meeting.h"

static struct elsewhere {
	unsigned int asked;
	bool away;
	uint8_t digest[32];
} elsewhere;

static bool on_sign(void *arg, struct tls *t, const uint8_t digest[32])
{
	(void)arg, (void)t;
	elsewhere.asked++;
	memcpy(elsewhere.digest, digest, sizeof(elsewhere.digest));
	return !elsewhere.away;
}

static void meet_with_signer(struct meeting *m)
{
	static const struct tls_signer signer = {.sign = on_sign};
	char a[99], c[99];

	meeting_begin(m, "one", "client-one", "server-one", "kmc.example");
	tls_free(&m->client);
	tls_context_free(&m->client_ctx);
	snprintf(a, sizeof(a), "%s/one.crt", meeting_dir);
	snprintf(c, sizeof(c), "%s/client-one.crt", meeting_dir);
	if (tls_context_new_signer(&m->client_ctx, TLS_CLIENT, a, c, &signer, meeting_why) != 0)
		fail_msg("%s", meeting_why);
	m->client = tls_new(m->client_ctx, m->fd[0], "kmc.example");
	assert_non_null(m->client);
	elsewhere = (struct elsewhere){.asked = 0};
}

/* By the key's file, as a TPM would. */
static size_t sign(const char *name, uint8_t out[80])
{
	char path[99];
	size_t n = 80;
	FILE *f;
	EVP_PKEY *key;
	EVP_PKEY_CTX *ctx;

	snprintf(path, sizeof(path), "%s/%s.key", meeting_dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	assert_int_equal(EVP_PKEY_sign(ctx, out, &n, elsewhere.digest, 32), 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return n;
}

/* Both go on until the signature is wanted. */
static void wait_for_signing(struct meeting *m)
{
	int client = E_AGAIN_IN, server = E_AGAIN_IN;

	for (int i = 0; i < 50 && client != E_BUSY; i++) {
		client = tls_handshake(m->client);
		if (meeting_waits(server))
			server = tls_handshake(m->server);
	}
	assert_int_equal(client, E_BUSY);
	assert_int_equal(elsewhere.asked, 1);
	assert_int_equal(tls_handshake(m->client), E_BUSY); /* and waits */
	assert_int_equal(elsewhere.asked, 1);
}

static void a_key_elsewhere_signs_without_blocking(void **state)
{
	struct meeting m;
	uint8_t s[80];
	int client, server;

	(void)state;
	meet_with_signer(&m);
	wait_for_signing(&m);
	tls_signed(m.client, s, sign("client-one", s), "");
	meeting_shake(&m, &client, &server);
	assert_int_equal(client, 0);
	assert_int_equal(server, 0);
	meeting_end(&m);
}

static void a_signature_by_another_key_is_refused(void **state)
{
	struct meeting m;
	uint8_t s[80];
	size_t got;
	int client, server;

	(void)state;
	meet_with_signer(&m);
	wait_for_signing(&m);
	tls_signed(m.client, s, sign("server-one", s), "");
	meeting_shake(&m, &client, &server);
	assert_int_not_equal(server, 0);
	assert_int_equal(tls_read(m.client, s, sizeof(s), &got), E_DENIED);
	assert_non_null(strstr(tls_why(m.client), "our key is not the one of our certificate"));
	meeting_end(&m);
}

static void a_signer_that_fails_is_named(void **state)
{
	struct meeting m;

	(void)state;
	meet_with_signer(&m);
	wait_for_signing(&m);
	tls_signed(m.client, NULL, 0, "host TPM: gone");
	assert_int_equal(tls_handshake(m.client), E_CRYPTO);
	assert_string_equal(tls_why(m.client), "host TPM: gone");
	meeting_end(&m);
}

static void a_connection_may_go_while_its_signature_is_on_its_way(void **state)
{
	struct meeting m;

	(void)state;
	meet_with_signer(&m);
	wait_for_signing(&m);
	meeting_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_elsewhere_signs_without_blocking),
		cmocka_unit_test(a_signature_by_another_key_is_refused),
		cmocka_unit_test(a_signer_that_fails_is_named),
		cmocka_unit_test(a_connection_may_go_while_its_signature_is_on_its_way),
	};

	return cmocka_run_group_tests(tests, meeting_setup, meeting_teardown);
}
