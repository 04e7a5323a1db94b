/*
 * Links between our own processes: frames over a socket pair, strict to the point of death.
 *
 * Theory of operation: where a process gathers (link_gather()), what arrived together is handled together, a round. Messages that it causes
 * are sent at its end, in one write a link, so that the next process has them together too: where many requests are under way, their cost is
 * shared all along the way, and where there is one, nothing waits.
 */
#include "common/privsep.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"

#define LINK_VERSION 1
#define LINK_QUEUE 8 /* messages of the largest size that may wait for a slow peer */
#define LINK_QUEUE_SMALL (256 * 1024) /* and at least these bytes, for many small ones */
#define HOLD_BYTES (64 * 1024) /* a round holds back no more than these bytes, */
#define HOLD_MS 5	       /* and no longer */

struct link {
	int fd;
	struct loop *loop;
	struct source *source;
	const char *peer;
	const struct privsep_protocol *protocol;
	struct buf in, out;
	link_fn *fn;
	void *arg;
	void (*on_end)(void *arg);
	void *on_end_arg;
	bool gathers;
	void (*before)(void *arg), (*after)(void *arg);
	void *round_arg;
	bool dispatching;
	bool dead; /* freed inside its own callback: it goes when that returns */
	bool held;   /* in the list of links with messages that wait for the round's end */
	uint64_t held_since;
	struct link *next_held;
};

/* This process' round: there is one loop in a process, and links don't dispatch inside each other. */
static struct {
	bool under_way;
	struct link *held;
} rounds;

int privsep_pair(int fd[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0 ? 0 : E_IO;
}

static size_t frame_max(const struct link *l)
{
	return l->protocol->body_max + sizeof(uint32_t);
}

/* Take in what is there: 0, E_AGAIN_IN or E_EOF. */
static int receive(struct link *l)
{
	ssize_t n;

	buf_compact(&l->in);
	n = recv(l->fd, buf_end(&l->in), buf_space(&l->in), 0);
	if (n > 0) {
		l->in.len += (size_t)n;
		return 0;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return E_AGAIN_IN;
	return E_EOF;
}

/* Send what is queued: 0, E_AGAIN_OUT or E_EOF. */
static int flush(struct link *l)
{
	while (buf_left(&l->out)) {
		ssize_t n = send(l->fd, buf_ptr(&l->out), buf_left(&l->out), MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? E_AGAIN_OUT : E_EOF;
		l->out.off += (size_t)n;
	}
	buf_compact(&l->out);
	return 0;
}

static void set_interest(struct link *l)
{
	if (l->source)
		source_interest(l->source, LOOP_READ | (buf_left(&l->out) ? LOOP_WRITE : 0U));
}

/* Whether what @l has to send may wait for the end of this round. */
static bool hold(struct link *l)
{
	if (!rounds.under_way || buf_left(&l->out) > HOLD_BYTES)
		return false;
	if (l->held)
		return loop_now_ms() - l->held_since < HOLD_MS;
	l->held = true;
	l->held_since = loop_now_ms();
	l->next_held = rounds.held;
	rounds.held = l;
	return true;
}

static void unhold(struct link *l)
{
	struct link **p = &rounds.held;

	while (*p && *p != l)
		p = &(*p)->next_held;
	if (*p)
		*p = l->next_held;
	l->held = false;
}

static void end_round(void)
{
	struct link *l;

	rounds.under_way = false;
	while ((l = rounds.held)) {
		unhold(l);
		flush(l); /* an end shows when the descriptor becomes readable */
		set_interest(l);
	}
}

static void ended(struct link *l)
{
	if (!l->on_end)
		fatal("the %s process has ended", l->peer);
	source_free(&l->source);
	l->on_end(l->on_end_arg);
}

/* The fields of the next message, or an error of msg_next(); what breaks the protocol is fatal. */
static int take(struct link *l, struct msg *m, void *fields)
{
	const struct msg_schema *schema;
	int r = msg_next(&l->in, l->protocol->body_max, m);

	if (r == E_AGAIN_IN)
		return r;
	if (r != 0 || m->head.version != LINK_VERSION)
		fatal("the %s process broke the %s protocol: %s", l->peer, l->protocol->name, error_text(r ? r : E_VERSION));
	schema = msg_schema_find(l->protocol->schemas, l->protocol->n_schemas, m->head.type);
	if (!schema)
		fatal("the %s process sent %s message %u, which nobody knows", l->peer, l->protocol->name, (unsigned int)m->head.type);
	r = msg_fields(m, schema, fields);
	if (r != 0)
		fatal("the %s process sent a bad %s message '%s': %s", l->peer, l->protocol->name, schema->name, error_text(r));
	return 0;
}

static void destroy(struct link *l)
{
	unhold(l);
	source_free(&l->source);
	buf_free(&l->in);
	buf_free(&l->out);
	close(l->fd);
	free(l);
}

/* Hand over every whole message that is in the buffer; false when the link is gone. */
static bool dispatch(struct link *l)
{
	_Alignas(max_align_t) uint8_t fields[PRIVSEP_FIELDS_MAX];
	struct msg m;

	l->dispatching = true;
	rounds.under_way = l->gathers;
	if (l->before)
		l->before(l->round_arg);
	while (!l->dead && take(l, &m, fields) == 0)
		l->fn(l->arg, m.head.type, m.head.id, fields);
	if (!l->dead && l->after)
		l->after(l->round_arg);
	end_round();
	l->dispatching = false;
	if (l->dead) {
		destroy(l);
		return false;
	}
	buf_compact(&l->in); /* wipes what was read: it may have been a seed, and the next message may be long in coming */
	return true;
}

static void on_ready(void *arg, unsigned int what)
{
	struct link *l = arg;

	if ((what & LOOP_WRITE) && flush(l) == E_EOF) {
		ended(l);
		return;
	}
	if (what & LOOP_READ) {
		int r = receive(l);

		if (r == E_EOF) {
			ended(l);
			return;
		}
		if (r == 0 && !dispatch(l))
			return;
	}
	set_interest(l);
}

static void check_protocol(const struct privsep_protocol *p)
{
	for (size_t i = 0; i < p->n_schemas; i++)
		if (p->schemas[i].size > PRIVSEP_FIELDS_MAX)
			fatal("%s message '%s' exceeds PRIVSEP_FIELDS_MAX", p->name, p->schemas[i].name);
}

struct link *link_new(struct loop *loop, int fd, const char *peer, const struct privsep_protocol *protocol, link_fn *fn, void *arg)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	check_protocol(protocol);
	*l = (struct link){.fd = fd, .loop = loop, .peer = peer, .protocol = protocol, .fn = fn, .arg = arg};
	if (buf_init(&l->in, 2 * frame_max(l)) != 0 || buf_init(&l->out, LINK_QUEUE * frame_max(l) + LINK_QUEUE_SMALL) != 0)
		goto fail;
	if (loop && !(l->source = source_fd(loop, fd, LOOP_READ, on_ready, l)))
		goto fail;
	return l;
fail:
	link_free(&l);
	return NULL;
}

void link_on_end(struct link *l, void (*fn)(void *arg), void *arg)
{
	l->on_end = fn;
	l->on_end_arg = arg;
}

void link_gather(struct link *l, void (*before)(void *arg), void (*after)(void *arg), void *arg)
{
	l->gathers = true;
	l->before = before;
	l->after = after;
	l->round_arg = arg;
}

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	static const uint8_t none[PRIVSEP_FIELDS_MAX];
	const struct msg_schema *schema = msg_schema_find(l->protocol->schemas, l->protocol->n_schemas, type);
	int r = schema ? msg_write(&l->out, schema, LINK_VERSION, id, fields ? fields : none) : E_ARG;

	if (r != 0)
		fatal("can't send %s message '%s' to the %s process: %s", l->protocol->name, schema ? schema->name : "?", l->peer,
		      error_text(r));
	if (hold(l))
		return;
	unhold(l);
	flush(l);
	set_interest(l);
}

static int wait_fd(int fd, short events, uint64_t deadline)
{
	uint64_t now = loop_now_ms();
	struct pollfd p = {.fd = fd, .events = events};

	if (now >= deadline || poll(&p, 1, (int)(deadline - now)) == 0)
		return E_TIMEOUT;
	return 0;
}

int link_call(struct link *l, uint64_t type, const void *fields, uint64_t answer_type, void *answer, int timeout_ms)
{
	uint64_t deadline = loop_now_ms() + (uint64_t)timeout_ms;
	_Alignas(max_align_t) uint8_t got[PRIVSEP_FIELDS_MAX];
	const struct msg_schema *schema;
	struct msg m;
	int r;

	link_send(l, type, 0, fields);
	while ((r = flush(l)) == E_AGAIN_OUT)
		if ((r = wait_fd(l->fd, POLLOUT, deadline)) != 0)
			return r;
	if (r != 0)
		return r;
	while ((r = take(l, &m, got)) == E_AGAIN_IN) {
		r = receive(l);
		if (r == E_AGAIN_IN)
			r = wait_fd(l->fd, POLLIN, deadline);
		if (r != 0)
			return r;
	}
	if (r != 0)
		return r;
	if (m.head.type != answer_type)
		return E_UNKNOWN;
	schema = msg_schema_find(l->protocol->schemas, l->protocol->n_schemas, answer_type);
	memcpy(answer, got, schema->size);
	return 0;
}

void link_free(struct link **l)
{
	if (!*l)
		return;
	if ((*l)->dispatching)
		(*l)->dead = true;
	else
		destroy(*l);
	*l = NULL;
}
