/* TLS over a channel that is no socket. */
#include "common/tls.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "tests/unit/meeting.h"

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
	x->m.client_ctx = meeting_context(TLS_CLIENT, "one", "client-one");
	x->m.server_ctx = meeting_context(TLS_SERVER, "one", server);
	x->m.client = tls_new_over(x->m.client_ctx, x->near, "kmc.example");
	x->m.server = tls_new_over(x->m.server_ctx, x->far, NULL);
	assert_non_null(x->m.client);
	assert_non_null(x->m.server);
}

/* Both handshakes, step by step, to their ends. */
static void shake_long(struct crossing *x, int *client, int *server)
{
	*client = *server = E_AGAIN_IN;
	for (int i = 0; i < 10000 && (meeting_waits(*client) || meeting_waits(*server)); i++) {
		if (meeting_waits(*client))
			*client = tls_handshake(x->m.client);
		if (meeting_waits(*server))
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
			assert_true(r == 0 || meeting_waits(r));
			sent += k;
		}
		r = tls_read(to, got + taken, n - taken, &k);
		assert_true(r == 0 || meeting_waits(r));
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
	for (c = E_AGAIN_IN; meeting_waits(c);)
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
	for (int i = 0; i < 1000 && meeting_waits(r); i++)
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
	for (int i = 0; i < 1000 && meeting_waits(r); i++)
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
		cmocka_unit_test(a_channel_of_small_steps_carries_the_same_session),
		cmocka_unit_test(a_certificate_is_refused_over_a_channel_as_well),
		cmocka_unit_test(rubbish_from_a_channel_is_a_protocol_error),
		cmocka_unit_test(a_channel_that_ends_is_told_from_one_that_breaks),
	};

	return cmocka_run_group_tests(tests, meeting_setup, meeting_teardown);
}
