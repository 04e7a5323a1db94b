/* The relay's end of the hand-off: whatever a stub domain sends, messages arrive whole or the link breaks with a reason. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/stublink.h"
#include "tests/unit/unit.h"

#define PROGRAM "0123456789abcdef0123456789abcdef"

struct seen {
	struct loop *loop;
	struct stublink *link;
	struct source *stop;
	int peer; /* the stub domain's end */
	unsigned int messages, broken;
	enum handoff_type last;
	uint64_t version;
	size_t state_size;
	char why[128];
	bool free_at_message, free_at_broken, answer;
	unsigned int stop_after;
};

static void on_message(void *arg, enum handoff_type type, const void *fields)
{
	const struct handoff_stored stored = {.version = 1};
	struct seen *s = arg;

	s->messages++;
	s->last = type;
	if (type == HANDOFF_STORE) {
		s->version = ((const struct handoff_store *)fields)->version;
		s->state_size = ((const struct handoff_store *)fields)->state.n;
	}
	if (s->answer)
		assert_int_equal(stublink_send(s->link, HANDOFF_STORED, &stored), 0);
	if (s->free_at_message)
		stublink_free(&s->link);
	if (s->messages == s->stop_after || s->free_at_message)
		loop_stop(s->loop);
}

static void on_broken(void *arg, const char *why)
{
	struct seen *s = arg;

	s->broken++;
	strncpy(s->why, why, sizeof(s->why) - 1);
	if (s->free_at_broken)
		stublink_free(&s->link);
	loop_stop(s->loop);
}

static void on_stop(void *arg, unsigned int what)
{
	struct seen *s = arg;

	(void)what;
	loop_stop(s->loop);
}

static const struct stublink_ops ops = {.message = on_message, .broken = on_broken};

static void begin(struct seen *s)
{
	int fd[2];

	s->loop = loop_new();
	s->stop = source_timer(s->loop, on_stop, s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	s->peer = fd[1];
	s->link = stublink_new(s->loop, channel_unix(fd[0]), &ops, s);
	assert_non_null(s->link);
}

static void run_ms(struct seen *s, uint64_t ms)
{
	source_set_ms(s->stop, ms);
	assert_int_equal(loop_run(s->loop), 0);
}

static void finish(struct seen *s)
{
	stublink_free(&s->link);
	source_free(&s->stop);
	loop_free(&s->loop);
	if (s->peer >= 0)
		close(s->peer);
}

static void say(struct seen *s, const void *p, size_t n)
{
	assert_int_equal(send(s->peer, p, n, MSG_NOSIGNAL), n);
}

static size_t hello(uint8_t *mem, size_t cap)
{
	const struct handoff_hello h = {.program = view_text(PROGRAM), .engine = view_text("libtpms")};
	struct buf b;

	buf_over(&b, mem, cap);
	assert_int_equal(handoff_write(&b, HANDOFF_HELLO, &h), 0);
	return b.len;
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	struct seen s = {.stop_after = 1};
	uint8_t mem[256];
	size_t n = hello(mem, sizeof(mem));

	(void)state;
	begin(&s);
	for (size_t i = 0; i + 1 < n; i++) {
		say(&s, mem + i, 1);
		run_ms(&s, 1);
		assert_int_equal(s.messages, 0);
	}
	say(&s, mem + n - 1, 1);
	run_ms(&s, 1000);
	assert_int_equal(s.messages, 1);
	assert_int_equal(s.last, HANDOFF_HELLO);
	finish(&s);
}

static void many_frames_may_come_at_once(void **state)
{
	struct seen s = {.stop_after = 20};
	uint8_t mem[256];
	size_t n = hello(mem, sizeof(mem));

	(void)state;
	begin(&s);
	for (int i = 0; i < 20; i++)
		say(&s, mem, n);
	run_ms(&s, 1000);
	assert_int_equal(s.messages, 20);
	assert_int_equal(s.broken, 0);
	finish(&s);
}

/* A child plays the stub domain, for what does not fit into the socket at once. */
static pid_t child_says(struct seen *s, const uint8_t *p, size_t n)
{
	pid_t pid = fork();

	if (pid == 0) {
		while (n) {
			ssize_t r = send(s->peer, p, n, MSG_NOSIGNAL);

			if (r <= 0)
				_exit(1);
			p += r;
			n -= (size_t)r;
		}
		_exit(0);
	}
	close(s->peer);
	s->peer = -1;
	return pid;
}

static void the_largest_state_arrives_whole(void **state)
{
	struct seen s = {.stop_after = 1};
	struct handoff_store store = {.version = 9};
	uint8_t *text = calloc(1, HANDOFF_STATE_MAX);
	struct buf b;

	(void)state;
	store.state = view_of(text, HANDOFF_STATE_MAX);
	assert_int_equal(buf_init(&b, HANDOFF_BODY_MAX + 4), 0);
	assert_int_equal(handoff_write(&b, HANDOFF_STORE, &store), 0);
	begin(&s);
	assert_true(child_says(&s, b.data, b.len) > 0);
	run_ms(&s, 5000);
	assert_int_equal(s.messages, 1);
	assert_true(s.version == 9 && s.state_size == HANDOFF_STATE_MAX);
	buf_free(&b);
	free(text);
	finish(&s);
}

static void says_and_breaks(const void *p, size_t n, const char *why)
{
	struct seen s = {0};

	begin(&s);
	say(&s, p, n);
	run_ms(&s, 1000);
	assert_int_equal(s.messages, 0);
	assert_int_equal(s.broken, 1);
	assert_string_equal(s.why, why);
	assert_int_equal(stublink_send(s.link, HANDOFF_CLOSE, NULL), E_STATE);
	run_ms(&s, 5);
	assert_int_equal(s.broken, 1); /* it says nothing more */
	finish(&s);
}

static void rubbish_breaks_the_link_with_its_reason(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\n\r\n", empty_map[] = "\0\0\0\x01\xa0";
	static const char other_version[] = "\0\0\0\x07\xa3\x00\x02\x01\x09\x02\x00", other_type[] = "\0\0\0\x08\xa3\x00\x01\x01\x18\x63\x02\x00";
	static const char bad_field[] = "\0\0\0\x09\xa4\x00\x01\x01\x05\x02\x00\x03\x07", too_long[] = "\x00\x10\x00\x00";

	(void)state;
	says_and_breaks(http, sizeof(http) - 1, error_text(E_RANGE));
	says_and_breaks(too_long, sizeof(too_long) - 1, error_text(E_RANGE));
	says_and_breaks(empty_map, sizeof(empty_map) - 1, error_text(E_FORMAT));
	says_and_breaks(other_version, sizeof(other_version) - 1, error_text(E_VERSION));
	says_and_breaks(other_type, sizeof(other_type) - 1, error_text(E_UNKNOWN));
	says_and_breaks(bad_field, sizeof(bad_field) - 1, error_text(E_RANGE));
}

static void a_stub_domain_that_goes_is_told_once(void **state)
{
	struct seen s = {0};
	uint8_t mem[256];
	size_t n = hello(mem, sizeof(mem));

	(void)state;
	begin(&s);
	say(&s, mem, n);
	say(&s, mem, n - 1); /* cut off in a frame */
	close(s.peer);
	s.peer = -1;
	run_ms(&s, 1000);
	assert_int_equal(s.messages, 1);
	assert_int_equal(s.broken, 1);
	assert_string_equal(s.why, "it closed the channel");
	finish(&s);
}

static void the_link_may_be_freed_by_its_own_message(void **state)
{
	struct seen s = {.free_at_message = true};
	uint8_t mem[256];
	size_t n = hello(mem, sizeof(mem));

	(void)state;
	begin(&s);
	say(&s, mem, n);
	say(&s, mem, n);
	run_ms(&s, 1000);
	run_ms(&s, 5);
	assert_int_equal(s.messages, 1);
	assert_null(s.link);
	finish(&s);
}

static void the_link_may_be_freed_when_it_breaks(void **state)
{
	struct seen s = {.free_at_broken = true};

	(void)state;
	begin(&s);
	say(&s, "\xff\xff\xff\xff", 4);
	run_ms(&s, 1000);
	run_ms(&s, 5);
	assert_int_equal(s.broken, 1);
	assert_null(s.link);
	finish(&s);
}

static void what_is_sent_arrives_though_the_stub_domain_reads_late(void **state)
{
	struct handoff_handoff h = {.tenant = view_text("pool"), .seed = view_text(PROGRAM), .incarnation = 1};
	struct seen s = {0};
	struct msg m;
	struct buf in;
	uint8_t *text = calloc(1, HANDOFF_STATE_MAX);

	(void)state;
	begin(&s);
	h.state = view_of(text, HANDOFF_STATE_MAX);
	assert_int_equal(stublink_send(s.link, HANDOFF_HANDOFF, &h), 0);
	assert_int_equal(stublink_send(s.link, HANDOFF_HANDOFF, &h), 0);
	assert_int_equal(buf_init(&in, 2 * (HANDOFF_BODY_MAX + 4)), 0);
	for (int i = 0; i < 200 && in.len < in.cap; i++) {
		ssize_t n;

		run_ms(&s, 1);
		n = recv(s.peer, buf_end(&in), buf_space(&in), MSG_DONTWAIT);
		in.len += n > 0 ? (size_t)n : 0;
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(msg_next(&in, HANDOFF_BODY_MAX, &m), 0);
		assert_int_equal(m.head.type, HANDOFF_HANDOFF);
	}
	assert_int_equal(buf_done(&in), 0);
	buf_free(&in);
	free(text);
	finish(&s);
}

static void a_stub_domain_that_never_reads_fills_the_queue_and_no_more(void **state)
{
	struct handoff_handoff h = {.tenant = view_text("pool"), .seed = view_text(PROGRAM), .incarnation = 1};
	uint8_t *text = calloc(1, HANDOFF_STATE_MAX);
	struct seen s = {0};
	int n = 0;

	(void)state;
	begin(&s);
	h.state = view_of(text, HANDOFF_STATE_MAX);
	while (n < 100 && stublink_send(s.link, HANDOFF_HANDOFF, &h) == 0) {
		run_ms(&s, 1);
		n++;
	}
	assert_in_range(n, 2, 50);
	assert_int_equal(s.broken, 0);
	free(text);
	finish(&s);
}

/* --- a stub domain that never stops talking --- */

struct talker {
	uint8_t frame[64];
	size_t n;
	int fd[2]; /* always readable */
};

static int talker_fd(void *t)
{
	return ((struct talker *)t)->fd[0];
}

static int talker_wait(void *t)
{
	(void)t;
	return 0;
}

static int talker_read(void *t, void *p, size_t n, size_t *got)
{
	struct talker *talker = t;

	*got = n < talker->n ? n : talker->n;
	memcpy(p, talker->frame, *got);
	return 0;
}

static int talker_write(void *t, const void *p, size_t n, size_t *put)
{
	(void)t, (void)p;
	*put = n;
	return 0;
}

static void talker_close(void *t)
{
	struct talker *talker = t;

	close(talker->fd[0]);
	close(talker->fd[1]);
}

static void a_stub_domain_that_never_stops_talking_does_not_stop_the_loop(void **state)
{
	static const struct channel_ops talk = {
		.fd = talker_fd, .wait = talker_wait, .read = talker_read, .write = talker_write, .close = talker_close};
	const struct handoff_frontend f = {.connected = 1};
	struct talker talker;
	struct seen s = {.peer = -1};
	struct buf b;

	(void)state;
	buf_over(&b, talker.frame, sizeof(talker.frame));
	assert_int_equal(handoff_write(&b, HANDOFF_FRONTEND, &f), 0);
	talker.n = b.len;
	assert_int_equal(pipe(talker.fd), 0);
	assert_int_equal(write(talker.fd[1], "x", 1), 1);
	s.loop = loop_new();
	s.stop = source_timer(s.loop, on_stop, &s);
	s.link = stublink_new(s.loop, channel_new(&talk, &talker), &ops, &s);
	alarm(20); /* a loop that hangs ends the test */
	run_ms(&s, 50);
	alarm(0);
	assert_true(s.messages > 100);
	assert_int_equal(s.broken, 0);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_may_come_byte_by_byte),
		cmocka_unit_test(many_frames_may_come_at_once),
		cmocka_unit_test(the_largest_state_arrives_whole),
		cmocka_unit_test(rubbish_breaks_the_link_with_its_reason),
		cmocka_unit_test(a_stub_domain_that_goes_is_told_once),
		cmocka_unit_test(the_link_may_be_freed_by_its_own_message),
		cmocka_unit_test(the_link_may_be_freed_when_it_breaks),
		cmocka_unit_test(what_is_sent_arrives_though_the_stub_domain_reads_late),
		cmocka_unit_test(a_stub_domain_that_never_reads_fills_the_queue_and_no_more),
		cmocka_unit_test(a_stub_domain_that_never_stops_talking_does_not_stop_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
