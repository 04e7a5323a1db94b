/* The Unix-socket channel behaves as the vchan does: partial reads and writes, room told by the one descriptor, an end. */
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "tests/unit/unit.h"

struct pair {
	struct channel *a, *b;
};

static struct pair pair(void)
{
	struct pair p;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	p.a = channel_unix(fd[0]);
	p.b = channel_unix(fd[1]);
	assert_non_null(p.a);
	assert_non_null(p.b);
	return p;
}

static bool is_ready(const struct channel *c)
{
	struct pollfd p = {.fd = channel_fd(c), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Write until there is no room: the bytes that went. */
static size_t stuff(struct channel *c)
{
	static const uint8_t zeros[8192];
	size_t all = 0, n;
	int r;

	while ((r = channel_write(c, zeros, sizeof(zeros), &n)) == 0)
		all += n;
	assert_int_equal(r, E_AGAIN_OUT);
	assert_int_equal(n, 0);
	return all;
}

static size_t drain(struct channel *c)
{
	uint8_t bytes[4096];
	size_t all = 0, n;
	int r;

	while ((r = channel_read(c, bytes, sizeof(bytes), &n)) == 0)
		all += n;
	assert_int_equal(r, E_AGAIN_IN);
	assert_int_equal(n, 0);
	return all;
}

static void bytes_go_both_ways(void **state)
{
	struct pair p = pair();
	char got[8] = "";
	size_t n;

	(void)state;
	assert_false(is_ready(p.b));
	assert_int_equal(channel_read(p.b, got, sizeof(got), &n), E_AGAIN_IN);
	assert_int_equal(channel_write(p.a, "hello", 5, &n), 0);
	assert_int_equal(n, 5);
	assert_true(is_ready(p.b));
	assert_int_equal(channel_wait(p.b), 0);
	assert_int_equal(channel_read(p.b, got, 3, &n), 0);
	assert_int_equal(n, 3);
	assert_true(is_ready(p.b));
	assert_int_equal(channel_read(p.b, got + 3, sizeof(got) - 3, &n), 0);
	assert_string_equal(got, "hello");
	assert_false(is_ready(p.b));
	assert_int_equal(channel_write(p.b, "back", 4, &n), 0);
	assert_int_equal(channel_read(p.a, got, 4, &n), 0);
	assert_memory_equal(got, "back", 4);
	channel_close(&p.a);
	channel_close(&p.b);
	assert_null(p.a);
}

static void room_shows_on_the_same_descriptor(void **state)
{
	struct pair p = pair();
	size_t n, put;

	(void)state;
	assert_false(is_ready(p.a)); /* room is no event while nobody wants it */
	put = stuff(p.a);
	assert_false(is_ready(p.a));
	assert_int_equal(drain(p.b), put);
	assert_true(is_ready(p.a));
	assert_int_equal(channel_wait(p.a), 0);
	assert_false(is_ready(p.a)); /* taken note of */
	assert_int_equal(channel_write(p.a, "x", 1, &n), 0);
	channel_close(&p.a);
	channel_close(&p.b);
}

static void what_was_sent_before_the_end_is_read_before_it(void **state)
{
	struct pair p = pair();
	char got[8];
	size_t n;

	(void)state;
	assert_int_equal(channel_write(p.a, "last", 4, &n), 0);
	channel_close(&p.a);
	assert_true(is_ready(p.b));
	assert_int_equal(channel_read(p.b, got, sizeof(got), &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(channel_read(p.b, got, sizeof(got), &n), E_EOF);
	assert_int_equal(channel_write(p.b, "x", 1, &n), E_EOF); /* and no SIGPIPE */
	channel_close(&p.b);
	channel_close(&p.b);
}

static void a_server_is_there_before_its_client(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(sa_family_t); /* the kernel chooses an abstract name */
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct channel *c;
	char bytes[8];
	size_t n;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	size = sizeof(addr);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
	c = channel_unix_server(listener);
	assert_non_null(c);
	assert_false(is_ready(c));
	assert_false(channel_is_met(c));
	assert_int_equal(channel_read(c, bytes, sizeof(bytes), &n), E_AGAIN_IN);
	assert_int_equal(channel_write(c, "early", 5, &n), E_AGAIN_OUT);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, size), 0);
	assert_true(is_ready(c));
	assert_int_equal(channel_wait(c), 0);
	assert_true(channel_is_met(c));
	assert_int_equal(channel_write(c, "hello", 5, &n), 0);
	assert_int_equal(recv(client, bytes, sizeof(bytes), 0), 5);
	assert_int_equal(send(client, "hi", 2, 0), 2);
	assert_true(is_ready(c));
	assert_int_equal(channel_read(c, bytes, sizeof(bytes), &n), 0);
	assert_int_equal(n, 2);
	close(client);
	assert_int_equal(channel_read(c, bytes, sizeof(bytes), &n), E_EOF);
	channel_close(&c);
	/* the listener is the caller's, for the next channel */
	c = channel_unix_server(listener);
	assert_non_null(c);
	channel_close(&c);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(room_shows_on_the_same_descriptor),
		cmocka_unit_test(what_was_sent_before_the_end_is_read_before_it),
		cmocka_unit_test(a_server_is_there_before_its_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
