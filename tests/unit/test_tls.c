/* Both sides show certificates from the one CA; every other meeting ends with its reason. */
#include "common/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "common/privsep.h"
#include "tests/unit/meeting.h"

static void good_certificates_meet(void **state)
{
	char name[TLS_NAME], text[16];
	struct meeting m;
	uint8_t hash[32];
	size_t n;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "client-one", "server-one", "127.0.0.1");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, 0);
	assert_int_equal(s, 0);
	assert_int_equal(tls_peer_name(m.server, name), 0);
	assert_string_equal(name, "client-one");
	assert_int_equal(tls_peer_fingerprint(m.server, hash), 0);
	assert_int_equal(tls_write(m.client, "hello", 5, &n), 0);
	assert_int_equal(tls_read(m.server, text, sizeof(text), &n), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(tls_read(m.server, text, sizeof(text), &n), E_AGAIN_IN);
	tls_free(&m.client);
	assert_int_equal(tls_read(m.server, text, sizeof(text), &n), E_EOF);
	meeting_end(&m);
}

static void a_name_may_stand_for_the_address(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "client-one", "server-one", "kmc.example");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, 0);
	meeting_end(&m);
}

/* A certificate for the same key takes the place of the one before, from the next connection on; any other changes nothing. */
static void a_context_shows_a_renewed_certificate(void **state)
{
	uint8_t der[2048], before[32], after[32], own[32], signature[TLS_SIGNATURE_MAX];
	char command[600], path[99];
	struct meeting m;
	size_t n;
	FILE *f;
	int c, s;

	(void)state;
	snprintf(command, sizeof(command), "cd %s && openssl req -new -key client-one.key -subj /CN=client-one | openssl x509 -req -CA one.crt -CAkey one.key -CAcreateserial -days 9"
		 " -outform der -out again.der 2>>log && openssl x509 -in client-two.crt -outform der -out other.der", meeting_dir);
	assert_int_equal(system(command), 0);
	meeting_begin(&m, "one", "client-one", "server-one", "127.0.0.1");
	assert_int_equal(tls_context_fingerprint(m.client_ctx, before), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s.der", meeting_dir, i ? "again" : "other");
		f = fopen(path, "r");
		assert_non_null(f);
		n = fread(der, 1, sizeof(der), f);
		fclose(f);
		assert_int_equal(tls_context_renew(m.client_ctx, der, n), i ? 0 : E_CRYPTO);
		assert_int_equal(tls_context_fingerprint(m.client_ctx, after), 0);
		assert_int_equal(memcmp(before, after, 32) != 0, i);
	}
	assert_int_equal(tls_context_renew(m.client_ctx, der, n - 1), E_FORMAT);
	assert_true(tls_context_sign(m.client_ctx, "message", 7, signature) > 60);
	meeting_shake(&m, &c, &s); /* begun before: still the old one */
	assert_int_equal(s, 0);
	assert_int_equal(tls_own_fingerprint(m.client, own), 0);
	assert_memory_equal(own, before, 32);
	assert_int_equal(tls_peer_fingerprint(m.server, own), 0);
	assert_memory_equal(own, before, 32);
	tls_free(&m.client);
	tls_free(&m.server);
	m.client = tls_new(m.client_ctx, m.fd[0], "127.0.0.1");
	m.server = tls_new(m.server_ctx, m.fd[1], NULL);
	while (recv(m.fd[1], der, sizeof(der), MSG_DONTWAIT) > 0 || recv(m.fd[0], der, sizeof(der), MSG_DONTWAIT) > 0)
		;
	meeting_shake(&m, &c, &s);
	assert_int_equal(s, 0);
	assert_int_equal(tls_peer_fingerprint(m.server, own), 0);
	assert_memory_equal(own, after, 32);
	meeting_end(&m);
}

static void another_name_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "client-one", "server-one", "127.0.0.2");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate is for another name");
	meeting_end(&m);
}

static void a_server_of_an_unknown_ca_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meeting_begin(&m, "two", "client-one", "server-one", "127.0.0.1");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate is from an unknown CA");
	assert_int_equal(s, E_DENIED);
	assert_string_equal(tls_why(m.server), "the peer does not know the CA of our certificate");
	meeting_end(&m);
}

static void a_client_of_an_unknown_ca_is_refused_and_told(void **state)
{
	struct meeting m;
	char text[8];
	size_t n;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "client-two", "server-one", "127.0.0.1");
	meeting_shake(&m, &c, &s);
	assert_int_equal(s, E_DENIED);
	assert_string_equal(tls_why(m.server), "the client was refused: its certificate is from an unknown CA");
	assert_int_equal(c, 0);
	assert_int_equal(tls_read(m.client, text, sizeof(text), &n), E_DENIED);
	assert_string_equal(tls_why(m.client), "the peer does not know the CA of our certificate");
	meeting_end(&m);
}

static void an_expired_client_is_refused_and_told(void **state)
{
	struct meeting m;
	char text[8];
	size_t n;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "late", "server-one", "127.0.0.1");
	meeting_shake(&m, &c, &s);
	assert_int_equal(s, E_DENIED);
	assert_string_equal(tls_why(m.server), "the client was refused: its certificate has expired");
	assert_int_equal(tls_read(m.client, text, sizeof(text), &n), E_DENIED);
	assert_string_equal(tls_why(m.client), "the peer says that our certificate has expired");
	meeting_end(&m);
}

static void an_expired_server_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "client-one", "late", "127.0.0.1");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate has expired");
	meeting_end(&m);
}

static void rubbish_is_a_protocol_error(void **state)
{
	struct meeting m;

	(void)state;
	meeting_begin(&m, "one", "client-one", "server-one", "127.0.0.1");
	assert_int_equal(write(m.fd[0], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_int_equal(tls_handshake(m.server), E_CRYPTO);
	assert_int_equal(tls_handshake(m.server), E_STATE);
	meeting_end(&m);
}

/* --- a client without certificate --- */

/* SHA-256 of a CA's certificate, by openssl's own command. */
static void pin_of(const char *ca, uint8_t hash[32])
{
	char command[200];
	unsigned int byte;
	FILE *f;

	snprintf(command, sizeof(command), "openssl x509 -in %s/%s.crt -outform DER | sha256sum", meeting_dir, ca);
	f = popen(command, "r");
	assert_non_null(f);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(fscanf(f, "%2x", &byte), 1);
		hash[i] = (uint8_t)byte;
	}
	pclose(f);
}

/* A client without certificate that knows the CA @ca by its hash. */
static void meet_pinned(struct meeting *m, const char *ca, const char *alpn, const char *peer, const char *admitted)
{
	uint8_t hash[32];

	pin_of(ca, hash);
	assert_int_equal(privsep_pair(m->fd), 0);
	assert_int_equal(tls_context_new_pinned(&m->client_ctx, hash, alpn, meeting_why), 0);
	m->server_ctx = meeting_context(TLS_SERVER, "one", "server-one");
	if (admitted)
		tls_context_admit(m->server_ctx, admitted);
	m->client = tls_new(m->client_ctx, m->fd[0], peer);
	m->server = tls_new(m->server_ctx, m->fd[1], NULL);
}

static void a_client_without_certificate_meets_where_its_protocol_is_admitted(void **state)
{
	struct meeting m;
	char name[TLS_NAME], text[8];
	size_t n;
	int c, s;

	(void)state;
	meet_pinned(&m, "one", "enrol", "127.0.0.1", "enrol");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, 0);
	assert_int_equal(s, 0);
	assert_true(tls_is_anonymous(m.server));
	assert_int_equal(tls_peer_name(m.server, name), E_FORMAT);
	assert_int_equal(tls_write(m.client, "x", 1, &n), 0);
	assert_int_equal(tls_read(m.server, text, sizeof(text), &n), 0);
	meeting_end(&m);
}

static void a_pin_of_another_ca_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet_pinned(&m, "two", "enrol", "127.0.0.1", "enrol");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate is from an unknown CA");
	meeting_end(&m);
}

static void a_pinned_ca_is_no_licence_for_another_name(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet_pinned(&m, "one", "enrol", "127.0.0.2", "enrol");
	meeting_shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	meeting_end(&m);
}

static void no_certificate_and_another_protocol_is_refused(void **state)
{
	static const char *const admitted[] = {"enrol", NULL};
	struct meeting m;
	int c, s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		meet_pinned(&m, "one", "enrolx", "127.0.0.1", admitted[i]);
		meeting_shake(&m, &c, &s);
		assert_int_equal(s, E_DENIED);
		assert_string_equal(tls_why(m.server), "no client certificate was shown");
		assert_false(tls_is_anonymous(m.server));
		meeting_end(&m);
	}
}

static void a_host_with_a_certificate_is_asked_for_it_where_others_are_admitted(void **state)
{
	char name[TLS_NAME];
	struct meeting m;
	int c, s;

	(void)state;
	meeting_begin(&m, "one", "client-one", "server-one", "127.0.0.1");
	tls_context_admit(m.server_ctx, "enrol");
	meeting_shake(&m, &c, &s);
	assert_int_equal(s, 0);
	assert_false(tls_is_anonymous(m.server));
	assert_int_equal(tls_peer_name(m.server, name), 0);
	meeting_end(&m);
}

/* --- files --- */

static void a_key_that_others_may_read_is_refused(void **state)
{
	struct tls_context *ctx;
	char a[99], c[99], k[99];

	(void)state;
	snprintf(a, sizeof(a), "%s/one.crt", meeting_dir);
	snprintf(c, sizeof(c), "%s/client-one.crt", meeting_dir);
	snprintf(k, sizeof(k), "%s/client-one.key", meeting_dir);
	chmod(k, 0644);
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, a, c, k, meeting_why), E_CRYPTO);
	assert_non_null(strstr(meeting_why, "chmod 600"));
	chmod(k, 0600);
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, k, c, k, meeting_why), E_CRYPTO);
	assert_non_null(strstr(meeting_why, "CA"));
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, a, a, k, meeting_why), E_CRYPTO);
	assert_non_null(strstr(meeting_why, "client-one.key"));
	unlink(k);
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, a, c, k, meeting_why), E_NOTFOUND);
	assert_null(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_certificates_meet),
		cmocka_unit_test(a_name_may_stand_for_the_address),
		cmocka_unit_test(a_context_shows_a_renewed_certificate),
		cmocka_unit_test(another_name_is_refused),
		cmocka_unit_test(a_server_of_an_unknown_ca_is_refused),
		cmocka_unit_test(a_client_of_an_unknown_ca_is_refused_and_told),
		cmocka_unit_test(an_expired_client_is_refused_and_told),
		cmocka_unit_test(an_expired_server_is_refused),
		cmocka_unit_test(rubbish_is_a_protocol_error),
		cmocka_unit_test(a_client_without_certificate_meets_where_its_protocol_is_admitted),
		cmocka_unit_test(a_pin_of_another_ca_is_refused),
		cmocka_unit_test(a_pinned_ca_is_no_licence_for_another_name),
		cmocka_unit_test(no_certificate_and_another_protocol_is_refused),
		cmocka_unit_test(a_host_with_a_certificate_is_asked_for_it_where_others_are_admitted),
		cmocka_unit_test(a_key_that_others_may_read_is_refused),
	};

	return cmocka_run_group_tests(tests, meeting_setup, meeting_teardown);
}
