/* Links carry typed messages in order, and die of anything strange. */
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "tests/unit/unit.h"

enum { ASK = 1, ANSWER };

struct ask {
	uint64_t number;
	struct view text;
};

struct answer {
	uint64_t number;
};

static const struct msg_field ask_fields[] = {
	MSG_FIELD_UINT(3, struct ask, number, 1000),
	MSG_FIELD_BYTES_OPT(4, struct ask, text, 0, 5000),
};
static const struct msg_field answer_fields[] = {
	MSG_FIELD_UINT(3, struct answer, number, 1000),
};
static const struct msg_schema schemas[] = {
	{.type = ASK, .name = "ask", .fields = ask_fields, .n_fields = 2, .size = sizeof(struct ask)},
	{.type = ANSWER, .name = "answer", .fields = answer_fields, .n_fields = 1, .size = sizeof(struct answer)},
};
static const struct privsep_protocol protocol = {.name = "test", .body_max = 6000, .schemas = schemas, .n_schemas = 2};

struct side {
	struct loop *loop;
	struct link *link;
	unsigned int got, stop_after;
	uint64_t last;
	bool ended, free_at_first;
};

static void on_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct side *s = arg;
	const struct ask *ask = fields;

	assert_int_equal(type, ASK);
	assert_int_equal(id, s->got + 100);
	assert_int_equal(ask->number, s->got);
	if (ask->text.p)
		for (size_t i = 0; i < ask->text.n; i++)
			assert_int_equal(ask->text.p[i], (uint8_t)ask->number);
	if (++s->got == s->stop_after)
		loop_stop(s->loop);
	if (s->free_at_first)
		link_free(&s->link);
}

static void on_end(void *arg)
{
	struct side *s = arg;

	s->ended = true;
	loop_stop(s->loop);
}

static void send_numbers(struct link *l, unsigned int n, size_t text)
{
	uint8_t bytes[5000];

	for (unsigned int i = 0; i < n; i++) {
		struct ask ask = {.number = i};

		memset(bytes, (int)i, sizeof(bytes));
		if (text)
			ask.text = view_of(bytes, text);
		link_send(l, ASK, i + 100, &ask);
	}
}

static void messages_arrive_in_order(void **state)
{
	struct side s = {.loop = loop_new(), .stop_after = 9};
	struct link *sender;
	int fd[2];

	(void)state;
	assert_int_equal(privsep_pair(fd), 0);
	sender = link_new(NULL, fd[0], "test", &protocol, on_message, NULL);
	s.link = link_new(s.loop, fd[1], "test", &protocol, on_message, &s);
	send_numbers(sender, 9, 5000);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.got, 9);
	link_free(&sender);
	link_free(&s.link);
	loop_free(&s.loop);
}

struct gathering {
	struct loop *loop;
	struct link *in, *out;
	int far; /* the descriptor that @out talks to */
	unsigned int got, rounds, early;
};

static bool is_readable(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void before_round(void *arg)
{
	struct gathering *g = arg;

	g->rounds++;
}

static void in_round(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct gathering *g = arg;
	const struct ask *ask = fields;
	struct answer answer = {.number = ask->number};

	(void)type;
	link_send(g->out, ANSWER, id, &answer);
	if (g->got++ == 0)
		g->early += is_readable(g->far);
}

static void after_round(void *arg)
{
	struct gathering *g = arg;

	g->early += g->got < 3;
	link_send(g->out, ANSWER, 0, &(const struct answer){.number = 1000});
	loop_stop(g->loop);
}

/* How many answers are in the buffer of @fd. */
static unsigned int answers_at(int fd)
{
	uint8_t bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	unsigned int count = 0;
	struct msg m;
	struct buf b;

	assert_true(n > 0);
	buf_view(&b, bytes, (size_t)n);
	while (msg_next(&b, 4096, &m) == 0)
		count++;
	return count;
}

static void what_a_round_causes_leaves_at_its_end(void **state)
{
	struct gathering g = {.loop = loop_new()};
	int in[2], out[2];
	struct link *sender;

	(void)state;
	assert_int_equal(privsep_pair(in), 0);
	assert_int_equal(privsep_pair(out), 0);
	sender = link_new(NULL, in[0], "test", &protocol, on_message, NULL);
	g.in = link_new(g.loop, in[1], "test", &protocol, in_round, &g);
	g.out = link_new(g.loop, out[0], "test", &protocol, on_message, NULL);
	g.far = out[1];
	link_gather(g.in, before_round, after_round, &g);
	send_numbers(sender, 3, 10);
	assert_int_equal(loop_run(g.loop), 0);
	assert_int_equal(g.got, 3);
	assert_int_equal(g.rounds, 1);
	assert_int_equal(g.early, 0);
	assert_int_equal(answers_at(out[1]), 4);
	link_send(g.out, ANSWER, 0, &(const struct answer){.number = 1}); /* outside of a round: at once */
	assert_int_equal(answers_at(out[1]), 1);
	link_free(&sender);
	link_free(&g.in);
	link_free(&g.out);
	close(out[1]);
	loop_free(&g.loop);
}

static void a_link_may_be_freed_by_its_own_message(void **state)
{
	struct side s = {.loop = loop_new(), .stop_after = 1, .free_at_first = true};
	struct link *sender;
	int fd[2];

	(void)state;
	assert_int_equal(privsep_pair(fd), 0);
	sender = link_new(NULL, fd[0], "test", &protocol, on_message, NULL);
	s.link = link_new(s.loop, fd[1], "test", &protocol, on_message, &s);
	send_numbers(sender, 3, 10);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.got, 1);
	link_free(&sender);
	loop_free(&s.loop);
}

static void an_expected_end_is_told(void **state)
{
	struct side s = {.loop = loop_new()};
	int fd[2];

	(void)state;
	assert_int_equal(privsep_pair(fd), 0);
	s.link = link_new(s.loop, fd[1], "test", &protocol, on_message, &s);
	link_on_end(s.link, on_end, &s);
	close(fd[0]);
	assert_int_equal(loop_run(s.loop), 0);
	assert_true(s.ended);
	link_free(&s.link);
	loop_free(&s.loop);
}

static void a_call_gets_its_answer_or_a_timeout(void **state)
{
	struct ask ask = {.number = 7};
	struct answer answer = {0};
	struct link *a;
	struct buf out;
	int fd[2];

	(void)state;
	assert_int_equal(privsep_pair(fd), 0);
	a = link_new(NULL, fd[0], "test", &protocol, on_message, NULL);
	assert_int_equal(link_call(a, ASK, &ask, ANSWER, &answer, 20), E_TIMEOUT);
	assert_int_equal(buf_init(&out, 100), 0);
	answer.number = 43;
	assert_int_equal(msg_write(&out, &schemas[1], 1, 0, &answer), 0);
	assert_int_equal(write(fd[1], buf_ptr(&out), buf_left(&out)), (ssize_t)buf_left(&out));
	answer.number = 0;
	assert_int_equal(link_call(a, ASK, &ask, ANSWER, &answer, 2000), 0);
	assert_int_equal(answer.number, 43);
	close(fd[1]);
	assert_int_equal(link_call(a, ASK, &ask, ANSWER, &answer, 2000), E_EOF);
	buf_free(&out);
	link_free(&a);
}

/* How a process ends whose peer sent @n bytes at @p. */
static int fate(const void *p, size_t n)
{
	int fd[2], status;
	pid_t pid;

	assert_int_equal(privsep_pair(fd), 0);
	pid = fork();
	if (pid == 0) {
		struct side s = {.loop = loop_new()};

		close(fd[0]);
		close(STDERR_FILENO);
		s.link = link_new(s.loop, fd[1], "test", &protocol, on_message, &s);
		link_on_end(s.link, on_end, &s);
		loop_run(s.loop);
		_exit(0);
	}
	close(fd[1]);
	assert_int_equal(write(fd[0], p, n), (ssize_t)n);
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void what_breaks_the_protocol_is_fatal(void **state)
{
	static const uint8_t overlong[] = {0, 0, 0x20, 0, 1};
	static const uint8_t no_map[] = {0, 0, 0, 1, 0x01};
	static const uint8_t unknown_type[] = {0, 0, 0, 7, 0xa3, 0, 1, 1, 9, 2, 0};
	static const uint8_t wrong_version[] = {0, 0, 0, 9, 0xa4, 0, 2, 1, 2, 2, 0, 3, 1};
	static const uint8_t bad_number[] = {0, 0, 0, 11, 0xa4, 0, 1, 1, 2, 2, 0, 3, 0x19, 0xff, 0xff};
	static const uint8_t unfinished[] = {0, 0, 0, 9, 0xa4, 0};

	(void)state;
	assert_int_equal(fate(overlong, sizeof(overlong)), 1);
	assert_int_equal(fate(no_map, sizeof(no_map)), 1);
	assert_int_equal(fate(unknown_type, sizeof(unknown_type)), 1);
	assert_int_equal(fate(wrong_version, sizeof(wrong_version)), 1);
	assert_int_equal(fate(bad_number, sizeof(bad_number)), 1);
	assert_int_equal(fate(unfinished, sizeof(unfinished)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_arrive_in_order),
		cmocka_unit_test(what_a_round_causes_leaves_at_its_end),
		cmocka_unit_test(a_link_may_be_freed_by_its_own_message),
		cmocka_unit_test(an_expected_end_is_told),
		cmocka_unit_test(a_call_gets_its_answer_or_a_timeout),
		cmocka_unit_test(what_breaks_the_protocol_is_fatal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
