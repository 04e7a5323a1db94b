/* The control socket: root's alone, a whole answer for each question, and no patience with anybody else. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/control.h"
#include "dom0-relay/ctlmsg.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/test-control-XXXXXX";
static char path[64];

static struct world {
	struct loop *loop;
	struct control *control;
	struct source *stop;
	unsigned int entries, asked, ordered;
	enum ctl_type order;
	char name[CTL_NAME_MAX + 1];
} w;

static void fill(void *arg, struct buf *out)
{
	const struct ctl_status status = {.kmc = view_text("connected"), .kmc_up = 1};

	(void)arg;
	w.asked++;
	ctl_write(out, CTL_STATUS, &status);
	for (unsigned int i = 0; i < w.entries; i++) {
		const struct ctl_entry e = {.guest = i, .state = view_text("serving"), .reason = view_text("a reason that takes some room")};

		ctl_write(out, CTL_ENTRY, &e);
	}
}

/* Whatever begins with "no" is refused. */
static int order(void *arg, enum ctl_type type, const void *fields, char why[CTL_REASON_MAX])
{
	const struct view name = type == CTL_PREPARE ? ((const struct ctl_prepare *)fields)->name : ((const struct ctl_unprepare *)fields)->name;

	(void)arg;
	w.ordered++;
	w.order = type;
	assert_int_equal(view_copy_text(name, w.name, sizeof(w.name)), 0);
	if (strncmp(w.name, "no", 2) != 0)
		return 0;
	snprintf(why, CTL_REASON_MAX, "that is refused");
	return E_EXISTS;
}

static void on_stop(void *arg, unsigned int what)
{
	(void)arg, (void)what;
	loop_stop(w.loop);
}

static void run_ms(uint64_t ms)
{
	source_set_ms(w.stop, ms);
	assert_int_equal(loop_run(w.loop), 0);
}

static int setup(void **state)
{
	int fd;

	(void)state;
	w = (struct world){.loop = loop_new()};
	w.stop = source_timer(w.loop, on_stop, NULL);
	fd = control_listen(path);
	w.control = fd >= 0 ? control_new(w.loop, fd, fill, order, NULL) : NULL;
	return w.control ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	control_free(&w.control);
	source_free(&w.stop);
	loop_free(&w.loop);
	return 0;
}

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void say(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
}

static size_t question(uint8_t mem[64])
{
	struct buf b;

	buf_over(&b, mem, 64);
	assert_int_equal(ctl_write(&b, CTL_LIST, NULL), 0);
	return b.len;
}

/* Read until the relay hangs up: the entries, or -1 if there was no END. */
static int hear(int fd)
{
	_Alignas(max_align_t) uint8_t fields[256];
	int entries = 0, ended = 0;
	struct buf in;
	struct msg m;
	ssize_t n;

	assert_int_equal(buf_init(&in, 512 * 1024), 0);
	for (int i = 0; i < 500; i++) {
		run_ms(1);
		n = recv(fd, buf_end(&in), buf_space(&in), MSG_DONTWAIT);
		in.len += n > 0 ? (size_t)n : 0;
		if (n == 0)
			break;
	}
	while (msg_next(&in, CTL_BODY_MAX, &m) == 0) {
		assert_int_equal(msg_fields(&m, ctl_schema(m.head.type), fields), 0);
		entries += m.head.type == CTL_ENTRY;
		ended += m.head.type == CTL_END;
	}
	assert_int_equal(buf_done(&in), 0);
	buf_free(&in);
	return ended == 1 ? entries : -1;
}

static void a_question_gets_its_answer(void **state)
{
	uint8_t mem[64];
	int fd = dial();

	(void)state;
	w.entries = 3;
	say(fd, mem, question(mem));
	assert_int_equal(hear(fd), 3);
	close(fd);
}

static void the_socket_is_roots_alone(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_question_may_come_byte_by_byte(void **state)
{
	uint8_t mem[64];
	size_t n = question(mem);
	int fd = dial();

	(void)state;
	for (size_t i = 0; i < n; i++) {
		say(fd, mem + i, 1);
		run_ms(1);
	}
	assert_int_equal(hear(fd), 0);
	assert_int_equal(w.asked, 1);
	close(fd);
}

static void an_answer_larger_than_the_socket_arrives_whole(void **state)
{
	uint8_t mem[64];
	int fd = dial(), small = 4096;

	(void)state;
	w.entries = 256;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	say(fd, mem, question(mem));
	assert_int_equal(hear(fd), 256);
	close(fd);
}

static void rubbish_gets_no_answer(void **state)
{
	static const char *const rubbish[] = {"GET / HTTP/1.1\r\n\r\n", "\xff\xff\xff\xff", "\x01\x02\x03\x04 and so on"};
	static const char other[] = "\0\0\0\x07\xa3\x00\x01\x01\x04\x02\x00"; /* END is not for clients */

	(void)state;
	for (size_t i = 0; i <= 3; i++) {
		int fd = dial();

		say(fd, i < 3 ? rubbish[i] : other, i < 3 ? strlen(rubbish[i]) : sizeof(other) - 1);
		assert_int_equal(hear(fd), -1);
		close(fd);
	}
	assert_int_equal(w.asked, 0);
}

/* Order @type with @fields: the reason of the refusal, "" for none. */
static const char *give(enum ctl_type type, const void *fields)
{
	static char why[CTL_REASON_MAX + 1];
	_Alignas(max_align_t) struct ctl_refused refused;
	uint8_t mem[256], got[1024];
	struct buf b, in;
	struct msg m;
	int fd = dial(), ended = 0;

	buf_over(&b, mem, sizeof(mem));
	assert_int_equal(ctl_write(&b, type, fields), 0);
	say(fd, mem, b.len);
	buf_over(&in, got, sizeof(got));
	for (int i = 0; i < 100; i++) {
		ssize_t n;

		run_ms(1);
		n = recv(fd, buf_end(&in), buf_space(&in), MSG_DONTWAIT);
		in.len += n > 0 ? (size_t)n : 0;
		if (n == 0)
			break;
	}
	close(fd);
	why[0] = '\0';
	while (msg_next(&in, CTL_BODY_MAX, &m) == 0) {
		ended += m.head.type == CTL_END;
		if (m.head.type != CTL_REFUSED)
			continue;
		assert_int_equal(msg_fields(&m, ctl_schema(CTL_REFUSED), &refused), 0);
		assert_int_equal(view_copy_text(refused.reason, why, sizeof(why)), 0);
	}
	assert_int_equal(ended, 1);
	return why;
}

static void an_order_is_carried_out_or_refused_with_the_reason(void **state)
{
	char longest[CTL_NAME_MAX + 1];
	struct ctl_prepare prepare = {.uuid = {{1}}, .name = view_text("alpha")};
	struct ctl_unprepare unprepare = {.name = view_text("beta")};

	(void)state;
	assert_string_equal(give(CTL_PREPARE, &prepare), "");
	assert_int_equal(w.order, CTL_PREPARE);
	assert_string_equal(w.name, "alpha");
	assert_string_equal(give(CTL_UNPREPARE, &unprepare), "");
	assert_int_equal(w.order, CTL_UNPREPARE);
	assert_string_equal(w.name, "beta");
	prepare.name = view_text("nobody");
	assert_string_equal(give(CTL_PREPARE, &prepare), "that is refused");
	memset(longest, 'x', CTL_NAME_MAX);
	longest[CTL_NAME_MAX] = '\0';
	prepare.name = view_text(longest);
	assert_string_equal(give(CTL_PREPARE, &prepare), "");
	assert_string_equal(w.name, longest);
	assert_int_equal(w.ordered, 4);
	assert_int_equal(w.asked, 0); /* no listing is asked for */
}

static void a_crowd_is_turned_away_and_the_next_is_served(void **state)
{
	uint8_t mem[64];
	int crowd[12], fd;

	(void)state;
	for (int i = 0; i < 12; i++) {
		crowd[i] = dial();
		run_ms(1);
	}
	say(crowd[0], mem, question(mem));
	assert_int_equal(hear(crowd[0]), 0);
	assert_int_equal(recv(crowd[11], mem, 1, MSG_DONTWAIT), 0); /* hung up on */
	for (int i = 0; i < 12; i++)
		close(crowd[i]);
	run_ms(5);
	fd = dial();
	say(fd, mem, question(mem));
	assert_int_equal(hear(fd), 0);
	close(fd);
}

static void a_client_that_goes_away_early_harms_nobody(void **state)
{
	uint8_t mem[64];

	(void)state;
	w.entries = 256;
	for (unsigned int i = 0; i < 20; i++) {
		int fd = dial();

		say(fd, mem, question(mem));
		close(fd);
		for (int n = 0; n < 500 && w.asked <= i; n++)
			run_ms(1);
	}
	assert_int_equal(w.asked, 20);
}

static void a_dead_socket_is_replaced_and_a_long_path_is_refused(void **state)
{
	char longer[200];
	int fd;

	(void)state;
	control_free(&w.control);
	fd = control_listen(path); /* the old file is still there */
	assert_true(fd >= 0);
	close(fd);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_listen(longer), E_IO);
	assert_int_equal(control_listen("/nonexistent/control.sock"), E_IO);
}

static int begin(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_question_gets_its_answer),
		TEST(the_socket_is_roots_alone),
		TEST(a_question_may_come_byte_by_byte),
		TEST(an_answer_larger_than_the_socket_arrives_whole),
		TEST(rubbish_gets_no_answer),
		TEST(an_order_is_carried_out_or_refused_with_the_reason),
		TEST(a_crowd_is_turned_away_and_the_next_is_served),
		TEST(a_client_that_goes_away_early_harms_nobody),
		TEST(a_dead_socket_is_replaced_and_a_long_path_is_refused),
	};

	return cmocka_run_group_tests(tests, begin, finish);
}
