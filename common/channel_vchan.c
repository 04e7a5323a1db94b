/*
 * Channels over libxenvchan, the only file that sees it.
 *
 * Traps (all met): `blocking` is not initialised by the library; the client fails at once if the server's nodes are
 * not there yet; after poll() the event has to be consumed with libxenvchan_wait(), or no other comes; a mapping that
 * is not closed keeps a dead domain as a zombie.
 *
 * The ring is memory of both sides, and a seed that was read from it still stands in it. Free room belongs to who
 * writes: once the peer has read everything, what we wrote is wiped.
 */
#include <stdbool.h>
#include <stdlib.h>

#include <libxenvchan.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/secret.h"

#define RING_SIZE 4096 /* bytes each way that a hand-off writes at once; larger messages go in pieces */

struct vchan {
	struct libxenvchan *v;
	bool written; /* since the ring was last wiped */
	bool met;     /* a client was there once */
};

static int vchan_fd(void *transport)
{
	return libxenvchan_fd_for_select(((struct vchan *)transport)->v);
}

static void wipe_ring(struct vchan *c)
{
	size_t size = (size_t)1 << c->v->write.order;

	if (!c->written || libxenvchan_buffer_space(c->v) != (int)size)
		return;
	wipe(c->v->write.buffer, size);
	c->written = false;
}

static int vchan_wait(void *transport)
{
	struct vchan *c = transport;

	if (libxenvchan_wait(c->v) != 0)
		return E_EOF;
	wipe_ring(c);
	return 0;
}

/* The server's side is open, too, while nobody has connected yet. */
static bool is_closed(struct libxenvchan *v)
{
	return libxenvchan_is_open(v) == 0;
}

static int vchan_read(void *transport, void *p, size_t n, size_t *got)
{
	struct libxenvchan *v = ((struct vchan *)transport)->v;
	int r = libxenvchan_read(v, p, n);

	*got = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	return r < 0 || is_closed(v) ? E_EOF : E_AGAIN_IN;
}

static int vchan_write(void *transport, const void *p, size_t n, size_t *put)
{
	struct vchan *c = transport;
	int r = libxenvchan_write(c->v, p, n);

	*put = r > 0 ? (size_t)r : 0;
	c->written = c->written || r > 0;
	if (r > 0)
		return 0;
	return r < 0 || is_closed(c->v) ? E_EOF : E_AGAIN_OUT;
}

/* The page says 2 until the client writes there: a hostile client may write 2 again. */
static bool vchan_is_met(void *transport)
{
	struct vchan *c = transport;

	c->met = c->met || !c->v->is_server || libxenvchan_is_open(c->v) != 2;
	return c->met;
}

static void vchan_close(void *transport)
{
	struct vchan *c = transport;

	wipe_ring(c);
	libxenvchan_close(c->v);
	free(c);
}

static struct channel *wrap(struct libxenvchan *v)
{
	static const struct channel_ops ops = {
		.fd = vchan_fd, .wait = vchan_wait, .read = vchan_read, .write = vchan_write, .is_met = vchan_is_met, .close = vchan_close};
	struct vchan *c = v ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		if (v)
			libxenvchan_close(v);
		return NULL;
	}
	v->blocking = 0;
	c->v = v;
	return channel_new(&ops, c);
}

struct channel *channel_vchan_server(const char *path)
{
	return wrap(libxenvchan_server_init(NULL, 0, path, RING_SIZE, RING_SIZE));
}

struct channel *channel_vchan_client(unsigned int domid, const char *path)
{
	return wrap(libxenvchan_client_init(NULL, (int)domid, path));
}
