/* The event loop, on libevent: it is there on every Debian, uses epoll, and its timers are a heap. */
#include "common/loop.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/error.h"

struct loop {
	struct event_base *base;
};

struct source {
	struct loop *loop;
	struct event *event;
	int fd; /* -1: a timer or signal */
	unsigned int what;
	source_fn *fn;
	void *arg;
};

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct event_config *config = event_config_new();

	if (loop && config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		loop->base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (loop && !loop->base)
		loop_free(&loop);
	return loop;
}

void loop_free(struct loop **loop)
{
	if (!*loop)
		return;
	if ((*loop)->base)
		event_base_free((*loop)->base);
	free(*loop);
	*loop = NULL;
}

int loop_run(struct loop *loop)
{
	return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? E_IO : 0;
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

uint64_t loop_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void fired(evutil_socket_t fd, short events, void *arg)
{
	struct source *s = arg;
	unsigned int what = 0;

	(void)fd;
	if (s->fd >= 0)
		what = (events & EV_READ ? LOOP_READ : 0U) | (events & EV_WRITE ? LOOP_WRITE : 0U);
	s->fn(s->arg, what); /* may free s */
}

static struct source *source_new(struct loop *loop, evutil_socket_t fd, short events, source_fn *fn, void *arg)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct source){.loop = loop, .fd = -1, .fn = fn, .arg = arg};
	s->event = event_new(loop->base, fd, events, fired, s);
	if (!s->event)
		source_free(&s);
	return s;
}

static short to_events(unsigned int what)
{
	int events = EV_PERSIST | (what & LOOP_READ ? EV_READ : 0) | (what & LOOP_WRITE ? EV_WRITE : 0);

	return (short)events;
}

struct source *source_fd(struct loop *loop, int fd, unsigned int what, source_fn *fn, void *arg)
{
	struct source *s = source_new(loop, fd, to_events(what ? what : LOOP_READ), fn, arg);

	if (!s)
		return NULL;
	s->fd = fd;
	s->what = what;
	if (what && event_add(s->event, NULL) != 0)
		source_free(&s);
	return s;
}

void source_interest(struct source *s, unsigned int what)
{
	if (s->what == what)
		return;
	event_del(s->event);
	s->what = what;
	if (!what)
		return;
	event_assign(s->event, s->loop->base, s->fd, to_events(what), fired, s);
	event_add(s->event, NULL);
}

struct source *source_timer(struct loop *loop, source_fn *fn, void *arg)
{
	return source_new(loop, -1, 0, fn, arg);
}

void source_set_ms(struct source *timer, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	event_add(timer->event, &tv);
}

void source_clear(struct source *timer)
{
	event_del(timer->event);
}

struct source *source_signal(struct loop *loop, int signo, source_fn *fn, void *arg)
{
	struct source *s = source_new(loop, signo, EV_SIGNAL | EV_PERSIST, fn, arg);

	if (s && event_add(s->event, NULL) != 0)
		source_free(&s);
	return s;
}

void source_free(struct source **s)
{
	if (!*s)
		return;
	if ((*s)->event)
		event_free((*s)->event);
	free(*s);
	*s = NULL;
}
