/* The service manager hears that the daemon is ready and alive, if it asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/process.h"
#include "common/watchdog.h"
#include "tests/unit/unit.h"

struct manager {
	struct loop *loop;
	struct source *source, *deadline;
	int fd, signs;
	char path[64], last[256];
};

static void on_word(void *arg, unsigned int what)
{
	struct manager *m = arg;
	ssize_t n = recv(m->fd, m->last, sizeof(m->last) - 1, 0);

	(void)what;
	assert_true(n > 0);
	m->last[n] = '\0';
	m->signs += strcmp(m->last, "WATCHDOG=1\n") == 0;
	if (m->signs == 3)
		loop_stop(m->loop);
}

static void on_deadline(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(((struct manager *)arg)->loop);
}

static int start_manager(void **state)
{
	static struct manager m;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	m = (struct manager){.loop = loop_new()};
	snprintf(m.path, sizeof(m.path), "/tmp/test-watchdog-%d", (int)getpid());
	memcpy(addr.sun_path, m.path, strlen(m.path) + 1);
	m.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(m.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	m.source = source_fd(m.loop, m.fd, LOOP_READ, on_word, &m);
	m.deadline = source_timer(m.loop, on_deadline, &m);
	setenv("NOTIFY_SOCKET", m.path, 1);
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	*state = &m;
	return 0;
}

static int stop_manager(void **state)
{
	struct manager *m = *state;

	watchdog_stop();
	source_free(&m->source);
	source_free(&m->deadline);
	loop_free(&m->loop);
	close(m->fd);
	unlink(m->path);
	return 0;
}

static int signs_within(struct manager *m, uint64_t ms)
{
	assert_int_equal(watchdog_start(m->loop), 0);
	source_set_ms(m->deadline, ms);
	assert_int_equal(loop_run(m->loop), 0);
	return m->signs;
}

static void it_says_that_it_lives_twice_in_each_period(void **state)
{
	setenv("WATCHDOG_USEC", "40000", 1);
	assert_int_equal(signs_within(*state, 5000), 3);
}

static void it_says_nothing_that_nobody_asked_for(void **state)
{
	assert_int_equal(signs_within(*state, 50), 0);
}

static void it_says_nothing_when_another_process_is_asked(void **state)
{
	setenv("WATCHDOG_USEC", "10000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(signs_within(*state, 50), 0);
}

static void a_period_that_is_no_number_is_ignored(void **state)
{
	setenv("WATCHDOG_USEC", "10000x", 1);
	assert_int_equal(signs_within(*state, 50), 0);
}

static void readiness_comes_with_its_status(void **state)
{
	struct manager *m = *state;

	process_ready("serving");
	on_word(m, LOOP_READ);
	assert_string_equal(m->last, "READY=1\nSTATUS=serving\n");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start_manager, stop_manager)
	const struct CMUnitTest tests[] = {
		TEST(it_says_that_it_lives_twice_in_each_period),
		TEST(it_says_nothing_that_nobody_asked_for),
		TEST(it_says_nothing_when_another_process_is_asked),
		TEST(a_period_that_is_no_number_is_ignored),
		TEST(readiness_comes_with_its_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
