/*
 * One try to reach a KMC.
 *
 * A vchan's one descriptor tells of new bytes and of new room, and only after a read found too little or a write found none: so
 * whenever it may not have been asked, the loop comes back once by itself (now).
 */
#include "dom0-relay/kmcwire.h"

#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/tls.h"
#include "dom0-relay/kmcvchan.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/xenstore.h"

enum wire_state { WIRE_CONNECTING, WIRE_HANDSHAKE, WIRE_OPEN, WIRE_FAILED };

struct kmcwire {
	struct tls_context *ctx;
	const struct kmcwire_ops *ops;
	void *arg;
	enum wire_state state;
	int fd;			 /* TCP, or -1 */
	struct channel *channel; /* vchan, or NULL */
	struct xenstore *xs;
	unsigned int domid; /* at the channel's other end */
	bool wants_room;
	struct source *now; /* of the channel */
	struct tls *tls;
	uint64_t ticket; /* of the signature that was asked for last; 0: none was */
	struct source *source, *timer; /* timer: the deadline until it is open */
	char why[TLS_WHY]; /* of a failure that is still to be told */
	unsigned int ms;
};

static void fail(struct kmcwire *w, bool answered, const char *why)
{
	w->state = WIRE_FAILED;
	source_clear(w->timer);
	w->ops->failed(w->arg, answered, why);
}

/* Before kmcwire_new() has returned: told from the loop. */
static void fail_later(struct kmcwire *w, const char *why)
{
	w->state = WIRE_FAILED;
	snprintf(w->why, sizeof(w->why), "%s", why);
	source_set_ms(w->timer, 0);
}

static void on_timer(void *arg, unsigned int what)
{
	struct kmcwire *w = arg;
	char text[64];

	(void)what;
	if (w->state == WIRE_FAILED) {
		w->ops->failed(w->arg, false, w->why);
		return;
	}
	snprintf(text, sizeof(text), "no answer within %u s", (w->ms + 999) / 1000);
	fail(w, false, text);
}

/* A channel is waited for by reading alone. */
static void set_interest(struct kmcwire *w, unsigned int what)
{
	source_interest(w->source, w->channel && what ? LOOP_READ : what);
}

static void on_handshake(struct kmcwire *w)
{
	int r = tls_handshake(w->tls);

	if (r == E_BUSY) { /* kmcwire_signed() goes on */
		set_interest(w, 0);
	} else if (r == E_AGAIN_IN || r == E_AGAIN_OUT) {
		set_interest(w, r == E_AGAIN_IN ? LOOP_READ : LOOP_READ | LOOP_WRITE);
	} else if (r != 0) {
		fail(w, r == E_DENIED || r == E_CRYPTO, tls_why(w->tls));
	} else {
		w->state = WIRE_OPEN;
		source_clear(w->timer);
		if (w->now)
			source_set_ms(w->now, 0);
		w->ops->open(w->arg);
	}
}

static void go_on(struct kmcwire *w)
{
	if (w->state == WIRE_HANDSHAKE)
		on_handshake(w);
	else if (w->state == WIRE_OPEN)
		w->ops->ready(w->arg);
	else
		set_interest(w, 0);
}

static void on_ready(void *arg, unsigned int what)
{
	struct kmcwire *w = arg;
	socklen_t n = sizeof(int);
	int error = 0;

	(void)what;
	if (w->state == WIRE_CONNECTING) {
		getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n);
		if (error) {
			fail(w, false, strerror(error));
			return;
		}
		w->state = WIRE_HANDSHAKE;
	}
	go_on(w);
}

static void on_channel(void *arg, unsigned int what)
{
	struct kmcwire *w = arg;

	(void)what;
	if (channel_wait(w->channel) != 0)
		fail(w, false, "its channel has failed");
	else
		go_on(w);
}

static void on_now(void *arg, unsigned int what)
{
	(void)what;
	go_on(arg);
}

/* Numeric addresses are resolved at once; for a name the resolver's patience is cut to a second a server. */
static int resolve(const struct kmc_address *a, struct addrinfo **found)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	int e = getaddrinfo(a->host, a->port, &hints, found);

	if (e == 0)
		return 0;
	if (res_init() == 0) {
		_res.retrans = 1;
		_res.retry = 1;
	}
	hints.ai_flags = AI_NUMERICSERV;
	return getaddrinfo(a->host, a->port, &hints, found);
}

/* NULL, or why not. */
static const char *dial(struct kmcwire *w, const struct kmc_address *a)
{
	struct addrinfo *found = NULL;
	int e = resolve(a, &found);

	if (e != 0)
		return gai_strerror(e);
	w->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	e = w->fd < 0 || (connect(w->fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) ? errno : 0;
	freeaddrinfo(found);
	return e ? strerror(e) : NULL;
}

/* NULL if there is no memory. */
static struct tls *start_tcp(struct kmcwire *w, struct loop *loop, const char *name)
{
	w->source = source_fd(loop, w->fd, LOOP_READ | LOOP_WRITE, on_ready, w);
	return w->source ? tls_new(w->ctx, w->fd, name) : NULL;
}

static struct tls *start_vchan(struct kmcwire *w, struct loop *loop, const char *name)
{
	w->state = WIRE_HANDSHAKE; /* a vchan that is there is connected */
	w->source = source_fd(loop, channel_fd(w->channel), LOOP_READ, on_channel, w);
	w->now = source_timer(loop, on_now, w);
	if (!w->source || !w->now)
		return NULL;
	source_set_ms(w->now, 0);
	return tls_new_over(w->ctx, w->channel, name);
}

struct kmcwire *kmcwire_new(struct loop *loop, struct tls_context *ctx, struct xenstore *xs, const struct kmc_address *address,
			    const char *name, unsigned int ms, const struct kmcwire_ops *ops, void *arg)
{
	struct kmcwire *w = calloc(1, sizeof(*w));
	char reason[KMCVCHAN_WHY];
	const char *why = NULL;

	if (!w)
		return NULL;
	*w = (struct kmcwire){.ctx = ctx, .ops = ops, .arg = arg, .fd = -1, .ms = ms, .xs = xs};
	w->timer = source_timer(loop, on_timer, w);
	if (!w->timer) {
		kmcwire_free(&w);
		return NULL;
	}
	source_set_ms(w->timer, ms);
	if (!address->domain[0])
		why = dial(w, address);
	else if (!(w->channel = kmcvchan_connect(xs, address, &w->domid, reason)))
		why = reason;
	if (why) {
		fail_later(w, why);
		return w;
	}
	w->tls = w->channel ? start_vchan(w, loop, name) : start_tcp(w, loop, name);
	if (!w->tls)
		kmcwire_free(&w);
	return w;
}

void kmcwire_free(struct kmcwire **w)
{
	if (!*w)
		return;
	source_free(&(*w)->source);
	source_free(&(*w)->timer);
	source_free(&(*w)->now);
	tls_free(&(*w)->tls);
	channel_close(&(*w)->channel);
	if ((*w)->fd >= 0)
		close((*w)->fd);
	free(*w);
	*w = NULL;
}

bool kmcwire_asked(struct kmcwire *w, const struct tls *t, uint64_t ticket)
{
	if (w->tls != t)
		return false;
	w->ticket = ticket;
	return true;
}

bool kmcwire_signed(struct kmcwire *w, uint64_t ticket, struct view signature, const char *why)
{
	if (w->state != WIRE_HANDSHAKE || w->ticket != ticket)
		return false;
	tls_signed(w->tls, signature.p, signature.n, why);
	set_interest(w, LOOP_READ | LOOP_WRITE);
	on_handshake(w);
	return true;
}

void kmcwire_look(struct kmcwire *w)
{
	char text[64];

	if (!w->channel || w->state == WIRE_FAILED || xenstore_has_domain(w->xs, w->domid))
		return;
	snprintf(text, sizeof(text), "domain %u has ended", w->domid);
	fail(w, false, text);
}

void kmcwire_give(struct kmcwire *w, const struct kmcwire_ops *ops, void *arg)
{
	w->ops = ops;
	w->arg = arg;
}

int kmcwire_certificate(const struct kmcwire *w, uint8_t hash[32])
{
	return tls_own_fingerprint(w->tls, hash);
}

int kmcwire_root(const struct kmcwire *w, uint8_t hash[32])
{
	return tls_peer_root(w->tls, hash);
}

int kmcwire_read(struct kmcwire *w, void *p, size_t n, size_t *got)
{
	return tls_read(w->tls, p, n, got);
}

int kmcwire_write(struct kmcwire *w, const void *p, size_t n, size_t *put)
{
	return tls_write(w->tls, p, n, put);
}

const char *kmcwire_why(const struct kmcwire *w)
{
	return tls_why(w->tls);
}

void kmcwire_want_room(struct kmcwire *w, bool wanted)
{
	if (!w->channel)
		source_interest(w->source, wanted ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	else if (wanted && !w->wants_room) /* there may be room already, of which nobody tells */
		source_set_ms(w->now, 0);
	w->wants_room = wanted;
}
