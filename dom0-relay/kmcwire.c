/* One try to reach a KMC. */
#include "dom0-relay/kmcwire.h"

#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/error.h"
#include "common/loop.h"
#include "common/tls.h"
#include "dom0-relay/relayconf.h"

enum wire_state { WIRE_CONNECTING, WIRE_HANDSHAKE, WIRE_OPEN, WIRE_FAILED };

struct kmcwire {
	struct tls_context *ctx;
	const struct kmcwire_ops *ops;
	void *arg;
	enum wire_state state;
	int fd;
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

static void on_handshake(struct kmcwire *w)
{
	int r = tls_handshake(w->tls);

	if (r == E_BUSY) { /* kmcwire_signed() goes on */
		source_interest(w->source, 0);
	} else if (r == E_AGAIN_IN || r == E_AGAIN_OUT) {
		source_interest(w->source, r == E_AGAIN_IN ? LOOP_READ : LOOP_READ | LOOP_WRITE);
	} else if (r != 0) {
		fail(w, r == E_DENIED || r == E_CRYPTO, tls_why(w->tls));
	} else {
		w->state = WIRE_OPEN;
		source_clear(w->timer);
		w->ops->open(w->arg);
	}
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
	if (w->state == WIRE_HANDSHAKE)
		on_handshake(w);
	else if (w->state == WIRE_OPEN)
		w->ops->ready(w->arg);
	else
		source_interest(w->source, 0);
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

struct kmcwire *kmcwire_new(struct loop *loop, struct tls_context *ctx, const struct kmc_address *address, const char *name,
			    unsigned int ms, const struct kmcwire_ops *ops, void *arg)
{
	struct kmcwire *w = calloc(1, sizeof(*w));
	const char *why;

	if (!w)
		return NULL;
	*w = (struct kmcwire){.ctx = ctx, .ops = ops, .arg = arg, .fd = -1, .ms = ms};
	w->timer = source_timer(loop, on_timer, w);
	if (!w->timer) {
		kmcwire_free(&w);
		return NULL;
	}
	source_set_ms(w->timer, ms);
	why = dial(w, address);
	if (why) {
		fail_later(w, why);
		return w;
	}
	w->tls = tls_new(ctx, w->fd, name ? name : address->host);
	w->source = w->tls ? source_fd(loop, w->fd, LOOP_READ | LOOP_WRITE, on_ready, w) : NULL;
	if (!w->source)
		kmcwire_free(&w);
	return w;
}

void kmcwire_free(struct kmcwire **w)
{
	if (!*w)
		return;
	source_free(&(*w)->source);
	source_free(&(*w)->timer);
	tls_free(&(*w)->tls);
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
	source_interest(w->source, LOOP_READ | LOOP_WRITE);
	on_handshake(w);
	return true;
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
	source_interest(w->source, wanted ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}
