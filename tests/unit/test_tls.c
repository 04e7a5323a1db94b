/* Both sides show certificates from the one CA; every other meeting ends with its reason. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/privsep.h"
#include "common/tls.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/test-tls-XXXXXX";
static char why[TLS_WHY];

/* Two authorities, and for each what the tests need, made by openssl's own command. */
static const char make_pki[] =
	"set -e; cd %s; exec >log 2>&1\n"
	"for ca in one two; do\n"
	"  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca-$ca -keyout $ca.key -out $ca.crt -days 9\n"
	"  for n in server client; do\n"
	"    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$n-$ca -keyout $n-$ca.key -out $n.csr\n"
	"    printf 'subjectAltName=DNS:kmc.example,IP:127.0.0.1\\n' >ext\n"
	"    openssl x509 -req -in $n.csr -CA $ca.crt -CAkey $ca.key -CAcreateserial -days 9 -extfile ext -out $n-$ca.crt\n"
	"  done\n"
	"done\n"
	"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=late -keyout late.key -out late.csr\n"
	"mkdir db; touch db/index; echo 01 >db/serial\n"
	"printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=db/index\\nserial=db/serial\\nnew_certs_dir=db\\ndefault_md=sha256\\npolicy=p\\nx509_extensions=x\\n[x]\\nsubjectAltName=IP:127.0.0.1\\n[p]\\ncommonName=supplied\\n' >ca.cnf\n"
	"openssl ca -batch -config ca.cnf -cert one.crt -keyfile one.key -in late.csr -out late.crt -startdate 20200101000000Z -enddate 20200102000000Z\n"
	"chmod 600 *.key\n";

static struct tls_context *context(enum tls_role role, const char *ca, const char *name)
{
	char a[99], c[99], k[99];
	struct tls_context *ctx;

	snprintf(a, sizeof(a), "%s/%s.crt", dir, ca);
	snprintf(c, sizeof(c), "%s/%s.crt", dir, name);
	snprintf(k, sizeof(k), "%s/%s.key", dir, name);
	if (tls_context_new(&ctx, role, a, c, k, why) != 0)
		fail_msg("%s", why);
	return ctx;
}

struct meeting {
	struct tls_context *client_ctx, *server_ctx;
	struct tls *client, *server;
	int fd[2];
};

static void meet(struct meeting *m, const char *client_ca, const char *client, const char *server, const char *peer)
{
	assert_int_equal(privsep_pair(m->fd), 0);
	m->client_ctx = context(TLS_CLIENT, client_ca, client);
	m->server_ctx = context(TLS_SERVER, "one", server);
	m->client = tls_new(m->client_ctx, m->fd[0], peer);
	m->server = tls_new(m->server_ctx, m->fd[1], NULL);
	assert_non_null(m->client);
	assert_non_null(m->server);
}

static void part(struct meeting *m)
{
	tls_free(&m->client);
	tls_free(&m->server);
	tls_context_free(&m->client_ctx);
	tls_context_free(&m->server_ctx);
	close(m->fd[0]);
	close(m->fd[1]);
}

static bool is_wait(int r)
{
	return r == E_AGAIN_IN || r == E_AGAIN_OUT;
}

/* Run both handshakes as far as they go. */
static void shake(struct meeting *m, int *client, int *server)
{
	*client = *server = E_AGAIN_IN;
	for (int i = 0; i < 20; i++) {
		if (is_wait(*client))
			*client = tls_handshake(m->client);
		if (is_wait(*server))
			*server = tls_handshake(m->server);
	}
}

static void good_certificates_meet(void **state)
{
	char name[TLS_NAME], text[16];
	struct meeting m;
	uint8_t hash[32];
	size_t n;
	int c, s;

	(void)state;
	meet(&m, "one", "client-one", "server-one", "127.0.0.1");
	shake(&m, &c, &s);
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
	part(&m);
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
		 " -outform der -out again.der 2>>log && openssl x509 -in client-two.crt -outform der -out other.der", dir);
	assert_int_equal(system(command), 0);
	meet(&m, "one", "client-one", "server-one", "127.0.0.1");
	assert_int_equal(tls_context_fingerprint(m.client_ctx, before), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s.der", dir, i ? "again" : "other");
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
	shake(&m, &c, &s); /* begun before: still the old one */
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
	shake(&m, &c, &s);
	assert_int_equal(s, 0);
	assert_int_equal(tls_peer_fingerprint(m.server, own), 0);
	assert_memory_equal(own, after, 32);
	part(&m);
}

static void a_name_may_stand_for_the_address(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet(&m, "one", "client-one", "server-one", "kmc.example");
	shake(&m, &c, &s);
	assert_int_equal(c, 0);
	part(&m);
}

static void another_name_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet(&m, "one", "client-one", "server-one", "127.0.0.2");
	shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate is for another name");
	part(&m);
}

static void a_server_of_an_unknown_ca_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet(&m, "two", "client-one", "server-one", "127.0.0.1");
	shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate is from an unknown CA");
	assert_int_equal(s, E_DENIED);
	assert_string_equal(tls_why(m.server), "the peer does not know the CA of our certificate");
	part(&m);
}

static void a_client_of_an_unknown_ca_is_refused_and_told(void **state)
{
	struct meeting m;
	char text[8];
	size_t n;
	int c, s;

	(void)state;
	meet(&m, "one", "client-two", "server-one", "127.0.0.1");
	shake(&m, &c, &s);
	assert_int_equal(s, E_DENIED);
	assert_string_equal(tls_why(m.server), "the client was refused: its certificate is from an unknown CA");
	assert_int_equal(c, 0);
	assert_int_equal(tls_read(m.client, text, sizeof(text), &n), E_DENIED);
	assert_string_equal(tls_why(m.client), "the peer does not know the CA of our certificate");
	part(&m);
}

static void an_expired_client_is_refused_and_told(void **state)
{
	struct meeting m;
	char text[8];
	size_t n;
	int c, s;

	(void)state;
	meet(&m, "one", "late", "server-one", "127.0.0.1");
	shake(&m, &c, &s);
	assert_int_equal(s, E_DENIED);
	assert_string_equal(tls_why(m.server), "the client was refused: its certificate has expired");
	assert_int_equal(tls_read(m.client, text, sizeof(text), &n), E_DENIED);
	assert_string_equal(tls_why(m.client), "the peer says that our certificate has expired");
	part(&m);
}

static void an_expired_server_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet(&m, "one", "client-one", "late", "127.0.0.1");
	shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate has expired");
	part(&m);
}

static void rubbish_is_a_protocol_error(void **state)
{
	struct meeting m;

	(void)state;
	meet(&m, "one", "client-one", "server-one", "127.0.0.1");
	assert_int_equal(write(m.fd[0], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_int_equal(tls_handshake(m.server), E_CRYPTO);
	assert_int_equal(tls_handshake(m.server), E_STATE);
	part(&m);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
	struct tls_context *ctx;
	char a[99], c[99], k[99];

	(void)state;
	snprintf(a, sizeof(a), "%s/one.crt", dir);
	snprintf(c, sizeof(c), "%s/client-one.crt", dir);
	snprintf(k, sizeof(k), "%s/client-one.key", dir);
	chmod(k, 0644);
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, a, c, k, why), E_CRYPTO);
	assert_non_null(strstr(why, "chmod 600"));
	chmod(k, 0600);
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, k, c, k, why), E_CRYPTO);
	assert_non_null(strstr(why, "CA"));
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, a, a, k, why), E_CRYPTO);
	assert_non_null(strstr(why, "client-one.key"));
	unlink(k);
	assert_int_equal(tls_context_new(&ctx, TLS_CLIENT, a, c, k, why), E_NOTFOUND);
	assert_null(ctx);
}

/* SHA-256 of a CA's certificate, by openssl's own command. */
static void pin_of(const char *ca, uint8_t hash[32])
{
	char command[200];
	unsigned int byte;
	FILE *f;

	snprintf(command, sizeof(command), "openssl x509 -in %s/%s.crt -outform DER | sha256sum", dir, ca);
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
	assert_int_equal(tls_context_new_pinned(&m->client_ctx, hash, alpn, why), 0);
	m->server_ctx = context(TLS_SERVER, "one", "server-one");
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
	shake(&m, &c, &s);
	assert_int_equal(c, 0);
	assert_int_equal(s, 0);
	assert_true(tls_is_anonymous(m.server));
	assert_int_equal(tls_peer_name(m.server, name), E_FORMAT);
	assert_int_equal(tls_write(m.client, "x", 1, &n), 0);
	assert_int_equal(tls_read(m.server, text, sizeof(text), &n), 0);
	part(&m);
}

static void a_pin_of_another_ca_is_refused(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet_pinned(&m, "two", "enrol", "127.0.0.1", "enrol");
	shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(m.client), "the server was refused: its certificate is from an unknown CA");
	part(&m);
}

static void a_pinned_ca_is_no_licence_for_another_name(void **state)
{
	struct meeting m;
	int c, s;

	(void)state;
	meet_pinned(&m, "one", "enrol", "127.0.0.2", "enrol");
	shake(&m, &c, &s);
	assert_int_equal(c, E_DENIED);
	part(&m);
}

static void no_certificate_and_another_protocol_is_refused(void **state)
{
	static const char *const admitted[] = {"enrol", NULL};
	struct meeting m;
	int c, s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		meet_pinned(&m, "one", "enrolx", "127.0.0.1", admitted[i]);
		shake(&m, &c, &s);
		assert_int_equal(s, E_DENIED);
		assert_string_equal(tls_why(m.server), "no client certificate was shown");
		assert_false(tls_is_anonymous(m.server));
		part(&m);
	}
}

static void a_host_with_a_certificate_is_asked_for_it_where_others_are_admitted(void **state)
{
	char name[TLS_NAME];
	struct meeting m;
	int c, s;

	(void)state;
	meet(&m, "one", "client-one", "server-one", "127.0.0.1");
	tls_context_admit(m.server_ctx, "enrol");
	shake(&m, &c, &s);
	assert_int_equal(s, 0);
	assert_false(tls_is_anonymous(m.server));
	assert_int_equal(tls_peer_name(m.server, name), 0);
	part(&m);
}

static int setup(void **state)
{
	char script[sizeof(make_pki) + sizeof(dir)];

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(script, sizeof(script), make_pki, dir);
	return system(script);
}

static int teardown(void **state)
{
	char command[99];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* --- a key that lives elsewhere --- */

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

	meet(m, "one", "client-one", "server-one", "kmc.example");
	tls_free(&m->client);
	tls_context_free(&m->client_ctx);
	snprintf(a, sizeof(a), "%s/one.crt", dir);
	snprintf(c, sizeof(c), "%s/client-one.crt", dir);
	if (tls_context_new_signer(&m->client_ctx, TLS_CLIENT, a, c, &signer, why) != 0)
		fail_msg("%s", why);
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

	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
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
		if (is_wait(server))
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
	shake(&m, &client, &server);
	assert_int_equal(client, 0);
	assert_int_equal(server, 0);
	part(&m);
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
	shake(&m, &client, &server);
	assert_int_not_equal(server, 0);
	assert_int_equal(tls_read(m.client, s, sizeof(s), &got), E_DENIED);
	assert_non_null(strstr(tls_why(m.client), "our key is not the one of our certificate"));
	part(&m);
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
	part(&m);
}

static void a_connection_may_go_while_its_signature_is_on_its_way(void **state)
{
	struct meeting m;

	(void)state;
	meet_with_signer(&m);
	wait_for_signing(&m);
	part(&m);
}

/* --- over a channel --- */

/* A channel that takes and gives a few bytes at a time and often nothing, as a small ring does; it may break. */
struct drip {
	int fd;
	unsigned int turns;
	bool broken;
};

static int drip_fd(void *t)
{
	return ((struct drip *)t)->fd;
}

static int drip_wait(void *t)
{
	(void)t;
	return 0;
}

static int drip_read(void *t, void *p, size_t n, size_t *got)
{
	struct drip *d = t;
	ssize_t r;

	*got = 0;
	if (d->broken)
		return E_IO;
	if (++d->turns % 3 == 0)
		return E_AGAIN_IN;
	r = recv(d->fd, p, n < 7 ? n : 7, MSG_DONTWAIT);
	*got = r > 0 ? (size_t)r : 0;
	if (r == 0)
		return E_EOF;
	return r > 0 ? 0 : E_AGAIN_IN;
}

static int drip_write(void *t, const void *p, size_t n, size_t *put)
{
	struct drip *d = t;
	ssize_t r;

	*put = 0;
	if (d->broken)
		return E_IO;
	if (++d->turns % 3 == 0)
		return E_AGAIN_OUT;
	r = send(d->fd, p, n < 5 ? n : 5, MSG_DONTWAIT | MSG_NOSIGNAL);
	*put = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	return errno == EAGAIN ? E_AGAIN_OUT : E_EOF;
}

static void drip_close(void *t)
{
	close(((struct drip *)t)->fd);
}

struct crossing {
	struct meeting m;
	struct drip drip;
	struct channel *near, *far; /* near: the client's, that drips */
};

static void cross(struct crossing *x, const char *server)
{
	static const struct channel_ops ops = {.fd = drip_fd, .wait = drip_wait, .read = drip_read, .write = drip_write, .close = drip_close};
	int fd[2];

	memset(x, 0, sizeof(*x));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	x->drip.fd = fd[0];
	x->near = channel_new(&ops, &x->drip);
	x->far = channel_unix(fd[1]);
	x->m.client_ctx = context(TLS_CLIENT, "one", "client-one");
	x->m.server_ctx = context(TLS_SERVER, "one", server);
	x->m.client = tls_new_over(x->m.client_ctx, x->near, "kmc.example");
	x->m.server = tls_new_over(x->m.server_ctx, x->far, NULL);
	assert_non_null(x->m.client);
	assert_non_null(x->m.server);
}

/* Both handshakes, step by step, to their ends. */
static void shake_long(struct crossing *x, int *client, int *server)
{
	*client = *server = E_AGAIN_IN;
	for (int i = 0; i < 10000 && (is_wait(*client) || is_wait(*server)); i++) {
		if (is_wait(*client))
			*client = tls_handshake(x->m.client);
		if (is_wait(*server))
			*server = tls_handshake(x->m.server);
	}
}

static void uncross(struct crossing *x)
{
	tls_free(&x->m.client);
	tls_free(&x->m.server);
	tls_context_free(&x->m.client_ctx);
	tls_context_free(&x->m.server_ctx);
	channel_close(&x->near);
	channel_close(&x->far);
}

/* All of @n bytes from one side to the other, as far as the channels let them. */
static void carry(struct tls *from, struct tls *to, const uint8_t *p, size_t n)
{
	uint8_t *got = calloc(1, n);
	size_t sent = 0, taken = 0, k;
	int r;

	assert_non_null(got);
	for (int turns = 0; taken < n; turns++) {
		assert_true(turns < 1000000);
		if (sent < n) {
			r = tls_write(from, p + sent, n - sent, &k);
			assert_true(r == 0 || is_wait(r));
			sent += k;
		}
		r = tls_read(to, got + taken, n - taken, &k);
		assert_true(r == 0 || is_wait(r));
		taken += k;
	}
	assert_memory_equal(got, p, n);
	free(got);
}

static void a_channel_of_small_steps_carries_the_same_session(void **state)
{
	static uint8_t bytes[150000];
	char name[TLS_NAME];
	struct crossing x;
	size_t n;
	int c, s;

	(void)state;
	cross(&x, "server-one");
	shake_long(&x, &c, &s);
	assert_int_equal(c, 0);
	assert_int_equal(s, 0);
	assert_int_equal(tls_peer_name(x.m.server, name), 0);
	assert_string_equal(name, "client-one");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31);
	carry(x.m.client, x.m.server, bytes, sizeof(bytes));
	carry(x.m.server, x.m.client, bytes, sizeof(bytes));
	tls_free(&x.m.server);
	for (c = E_AGAIN_IN; is_wait(c);)
		c = tls_read(x.m.client, bytes, sizeof(bytes), &n);
	assert_int_equal(c, E_EOF);
	uncross(&x);
}

static void a_certificate_is_refused_over_a_channel_as_well(void **state)
{
	struct crossing x;
	int c, s;

	(void)state;
	cross(&x, "server-two");
	shake_long(&x, &c, &s);
	assert_int_equal(c, E_DENIED);
	assert_string_equal(tls_why(x.m.client), "the server was refused: its certificate is from an unknown CA");
	uncross(&x);
}

static void rubbish_from_a_channel_is_a_protocol_error(void **state)
{
	uint8_t rubbish[600];
	struct crossing x;
	size_t n;
	int r = E_AGAIN_IN;

	(void)state;
	cross(&x, "server-one");
	memset(rubbish, 'x', sizeof(rubbish));
	assert_int_equal(channel_write(x.far, rubbish, sizeof(rubbish), &n), 0);
	for (int i = 0; i < 1000 && is_wait(r); i++)
		r = tls_handshake(x.m.client);
	assert_int_equal(r, E_CRYPTO);
	uncross(&x);
}

static void a_channel_that_ends_is_told_from_one_that_breaks(void **state)
{
	struct crossing x;
	int r = E_AGAIN_IN;

	(void)state;
	cross(&x, "server-one");
	tls_free(&x.m.server);
	channel_close(&x.far);
	for (int i = 0; i < 1000 && is_wait(r); i++)
		r = tls_handshake(x.m.client);
	assert_true(r == E_EOF || r == E_IO); /* the hello may not have been taken either */
	assert_string_not_equal(tls_why(x.m.client), "no error");
	uncross(&x);
	cross(&x, "server-one");
	x.drip.broken = true;
	assert_int_equal(tls_handshake(x.m.client), E_IO);
	assert_string_equal(tls_why(x.m.client), "Input/output error");
	uncross(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_elsewhere_signs_without_blocking),
		cmocka_unit_test(a_signature_by_another_key_is_refused),
		cmocka_unit_test(a_signer_that_fails_is_named),
		cmocka_unit_test(a_connection_may_go_while_its_signature_is_on_its_way),
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
		cmocka_unit_test(a_channel_of_small_steps_carries_the_same_session),
		cmocka_unit_test(a_certificate_is_refused_over_a_channel_as_well),
		cmocka_unit_test(rubbish_from_a_channel_is_a_protocol_error),
		cmocka_unit_test(a_channel_that_ends_is_told_from_one_that_breaks),
		cmocka_unit_test(a_key_that_others_may_read_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
