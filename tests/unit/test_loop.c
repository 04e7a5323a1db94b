/* Sources fire when they should, stop when told, and may end themselves. */
#include <signal.h>
#include <unistd.h>

#include "common/loop.h"
#include "tests/unit/unit.h"

struct seen {
	struct loop *loop;
	struct source *source;
	int calls;
	unsigned int what;
	int fd;
};

static void on_event(void *arg, unsigned int what)
{
	struct seen *s = arg;
	char c;

	s->calls++;
	s->what = what;
	if (s->fd >= 0)
		assert_int_equal(read(s->fd, &c, 1), 1);
	loop_stop(s->loop);
}

static void on_event_free(void *arg, unsigned int what)
{
	struct seen *s = arg;

	(void)what;
	s->calls++;
	source_free(&s->source);
	loop_stop(s->loop);
}

static void a_descriptor_fires_when_readable(void **state)
{
	struct seen s = {.loop = loop_new()};
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	s.fd = fd[0];
	s.source = source_fd(s.loop, fd[0], LOOP_READ, on_event, &s);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.what, LOOP_READ);
	source_free(&s.source);
	loop_free(&s.loop);
	close(fd[0]);
	close(fd[1]);
}

static void no_interest_means_no_call(void **state)
{
	struct seen s = {.loop = loop_new()}, t = {.loop = s.loop, .fd = -1};
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	s.fd = fd[0];
	assert_int_equal(write(fd[1], "x", 1), 1);
	s.source = source_fd(s.loop, fd[0], 0, on_event, &s);
	t.source = source_timer(s.loop, on_event, &t);
	source_set_ms(t.source, 20);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.calls, 0);
	assert_int_equal(t.calls, 1);
	source_interest(s.source, LOOP_READ);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.calls, 1);
	source_free(&s.source);
	source_free(&t.source);
	loop_free(&s.loop);
	close(fd[0]);
	close(fd[1]);
}

static void a_timer_that_was_cleared_stays_quiet(void **state)
{
	struct seen early = {.loop = loop_new(), .fd = -1}, late = {.loop = early.loop, .fd = -1};

	(void)state;
	early.source = source_timer(early.loop, on_event, &early);
	late.source = source_timer(early.loop, on_event, &late);
	source_set_ms(early.source, 1);
	source_set_ms(late.source, 30);
	source_clear(early.source);
	assert_int_equal(loop_run(early.loop), 0);
	assert_int_equal(early.calls, 0);
	assert_int_equal(late.calls, 1);
	source_free(&early.source);
	source_free(&late.source);
	loop_free(&early.loop);
}

static void a_source_may_end_itself(void **state)
{
	struct seen s = {.loop = loop_new(), .fd = -1};

	(void)state;
	s.source = source_timer(s.loop, on_event_free, &s);
	source_set_ms(s.source, 1);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.calls, 1);
	assert_null(s.source);
	loop_free(&s.loop);
}

static void a_signal_is_an_event(void **state)
{
	struct seen s = {.loop = loop_new(), .fd = -1};

	(void)state;
	s.source = source_signal(s.loop, SIGUSR1, on_event, &s);
	raise(SIGUSR1);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.calls, 1);
	source_free(&s.source);
	loop_free(&s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_descriptor_fires_when_readable),
		cmocka_unit_test(no_interest_means_no_call),
		cmocka_unit_test(a_timer_that_was_cleared_stays_quiet),
		cmocka_unit_test(a_source_may_end_itself),
		cmocka_unit_test(a_signal_is_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
