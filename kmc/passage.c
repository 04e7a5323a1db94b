/*
 * One client's way through a forwarder.
 *
 * Theory of operation: two buffers of fixed size, one each way. pump() reads into what has room and writes from what has bytes until
 * nothing moves any more or others have their turn. The one deadline is that of the state: of dialing, of bytes that nobody takes, of
 * the rest after an end. A quiet passage has none: its TCP side is probed by the kernel (keep-alive), and the kernel of a client that
 * dies says so in the channel's page.
 */
#include "kmc/passage.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"

#define ROOM 16384	/* bytes each way: a TLS record */
#define TURNS_AT_ONCE 8 /* then the other passages have theirs */
#define KEEPALIVE_S 30	/* of silence before the KMC is probed */

enum passage_state { PASSAGE_DIALING, PASSAGE_OPEN, PASSAGE_ENDING, PASSAGE_CLOSED };

struct passage {
	enum passage_state state;
	struct passage_limits limits;
	struct channel *channel;
	int fd;
	struct source *channel_source, *fd_source;
	struct source *now;   /* come back from the loop */
	struct source *timer; /* the state's deadline */
	struct buf up, down;  /* to the KMC, to the client */
	bool client_ended, kmc_ended, kmc_deaf, stalled;
	char why[PASSAGE_WHY];
	passage_closed_fn *fn;
	void *arg;
};

/* The only writer of state. */
static void change_state(struct passage *p, enum passage_state state)
{
	p->state = state;
	p->stalled = false;
	source_clear(p->timer);
	if (state == PASSAGE_DIALING)
		source_set_ms(p->timer, p->limits.dial_ms);
	else if (state == PASSAGE_ENDING)
		source_set_ms(p->timer, p->limits.end_ms);
}

/* Told from the loop: @why stays until then. */
static void close_later(struct passage *p, const char *why)
{
	if (p->state == PASSAGE_CLOSED)
		return;
	change_state(p, PASSAGE_CLOSED);
	snprintf(p->why, sizeof(p->why), "%s", why);
	source_free(&p->channel_source);
	source_free(&p->fd_source);
	source_set_ms(p->now, 0);
}

/* --- one step each way: true if bytes moved --- */

static bool from_client(struct passage *p)
{
	size_t n;
	int r;

	buf_compact(&p->up);
	if (p->client_ended || !buf_space(&p->up))
		return false;
	r = channel_read(p->channel, buf_end(&p->up), buf_space(&p->up), &n);
	p->client_ended = r != 0 && r != E_AGAIN_IN;
	p->up.len += n;
	return n > 0;
}

static bool to_client(struct passage *p)
{
	size_t n;
	int r;

	if (!buf_left(&p->down))
		return false;
	r = channel_write(p->channel, buf_ptr(&p->down), buf_left(&p->down), &n);
	if (r != 0 && r != E_AGAIN_OUT) {
		p->client_ended = true;
		buf_reset(&p->down); /* nobody is there to have it */
		return false;
	}
	p->down.off += n;
	return n > 0;
}

static bool from_kmc(struct passage *p)
{
	ssize_t n;

	buf_compact(&p->down);
	if (p->kmc_ended || !buf_space(&p->down))
		return false;
	n = recv(p->fd, buf_end(&p->down), buf_space(&p->down), 0);
	if (n > 0)
		p->down.len += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		p->kmc_ended = true;
	return n > 0;
}

static bool to_kmc(struct passage *p)
{
	ssize_t n;

	if (p->kmc_deaf)
		buf_reset(&p->up);
	if (!buf_left(&p->up))
		return false;
	n = send(p->fd, buf_ptr(&p->up), buf_left(&p->up), MSG_NOSIGNAL);
	if (n > 0) {
		p->up.off += (size_t)n;
	} else if (errno != EAGAIN && errno != EINTR) {
		p->kmc_deaf = true; /* its last words, why it ended, may still be there to be read */
		buf_reset(&p->up);
	}
	return n > 0;
}

/* --- all of it --- */

/* Deadline and interest for what could not move just now. */
static void settle(struct passage *p, bool moved)
{
	bool pending = buf_left(&p->up) || buf_left(&p->down);

	if (p->client_ended || p->kmc_ended) {
		/* What the one that ended had said goes to the other; the other way there is nobody. */
		if ((p->client_ended || !buf_left(&p->down)) && (p->kmc_ended || !buf_left(&p->up))) {
			close_later(p, "");
			return;
		}
		if (p->state == PASSAGE_OPEN)
			change_state(p, PASSAGE_ENDING);
	} else if (!pending) {
		source_clear(p->timer);
		p->stalled = false;
	} else if (moved || !p->stalled) {
		source_set_ms(p->timer, p->limits.stall_ms);
		p->stalled = true;
	}
	source_interest(p->fd_source, (!p->kmc_ended && buf_left(&p->down) < ROOM ? LOOP_READ : 0U) | (buf_left(&p->up) ? LOOP_WRITE : 0U));
}

static void pump(struct passage *p)
{
	bool moved = false, any = true;

	for (int turn = 0; any && turn < TURNS_AT_ONCE; turn++) {
		any = from_client(p);
		any |= to_kmc(p);
		any |= from_kmc(p);
		any |= to_client(p);
		moved |= any;
	}
	settle(p, moved);
	if (any && p->state != PASSAGE_CLOSED) /* the channel tells of what is new only */
		source_set_ms(p->now, 0);
}

static void on_channel(void *arg, unsigned int what)
{
	struct passage *p = arg;

	(void)what;
	if (channel_wait(p->channel) != 0)
		close_later(p, "the client's channel has failed");
	else if (p->state != PASSAGE_DIALING) /* its first bytes wait in the channel */
		pump(p);
}

static void on_fd(void *arg, unsigned int what)
{
	struct passage *p = arg;
	socklen_t n = sizeof(int);
	int error = 0;

	(void)what;
	if (p->state == PASSAGE_DIALING) {
		if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
			error = errno;
		if (error) {
			close_later(p, strerror(error));
			return;
		}
		change_state(p, PASSAGE_OPEN);
	}
	pump(p);
}

static void on_now(void *arg, unsigned int what)
{
	struct passage *p = arg;

	(void)what;
	if (p->state == PASSAGE_CLOSED)
		p->fn(p->arg, p, p->why);
	else
		pump(p);
}

static void on_timer(void *arg, unsigned int what)
{
	struct passage *p = arg;

	(void)what;
	if (p->state == PASSAGE_DIALING)
		close_later(p, "the KMC does not answer");
	else if (p->state == PASSAGE_OPEN)
		close_later(p, buf_left(&p->down) ? "the client takes no bytes any more" : "the KMC takes no bytes any more");
	else
		close_later(p, "");
}

/* --- begin and end --- */

static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S},
		{IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S / 3},
		{IPPROTO_TCP, TCP_KEEPCNT, 3},
		{IPPROTO_TCP, TCP_NODELAY, 1},
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(options[i].value));
}

static void dial(struct passage *p, struct loop *loop, const struct sockaddr_storage *to, socklen_t size)
{
	p->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd >= 0)
		set_options(p->fd);
	if (p->fd < 0 || (connect(p->fd, (const struct sockaddr *)to, size) != 0 && errno != EINPROGRESS)) {
		close_later(p, strerror(errno));
		return;
	}
	p->fd_source = source_fd(loop, p->fd, LOOP_READ | LOOP_WRITE, on_fd, p);
	if (!p->fd_source)
		close_later(p, "out of memory");
}

struct passage *passage_new(struct loop *loop, struct channel *channel, const struct sockaddr_storage *to, socklen_t size,
			    const struct passage_limits *limits, passage_closed_fn *fn, void *arg)
{
	struct passage *p = calloc(1, sizeof(*p));

	if (!p) {
		channel_close(&channel);
		return NULL;
	}
	*p = (struct passage){.limits = *limits, .channel = channel, .fd = -1, .fn = fn, .arg = arg};
	p->now = source_timer(loop, on_now, p);
	p->timer = source_timer(loop, on_timer, p);
	p->channel_source = source_fd(loop, channel_fd(channel), LOOP_READ, on_channel, p);
	if (!p->now || !p->timer || !p->channel_source || buf_init(&p->up, ROOM) != 0 || buf_init(&p->down, ROOM) != 0) {
		passage_free(&p);
		return NULL;
	}
	change_state(p, PASSAGE_DIALING);
	dial(p, loop, to, size);
	return p;
}

void passage_free(struct passage **p)
{
	if (!*p)
		return;
	source_free(&(*p)->channel_source);
	source_free(&(*p)->fd_source);
	source_free(&(*p)->now);
	source_free(&(*p)->timer);
	channel_close(&(*p)->channel);
	if ((*p)->fd >= 0)
		close((*p)->fd);
	buf_free(&(*p)->up);
	buf_free(&(*p)->down);
	free(*p);
	*p = NULL;
}
