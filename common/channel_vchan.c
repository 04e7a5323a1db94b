/*
 * Channels over libxenvchan, the only file that sees it.
 *
 * Traps (all met): `blocking` is not initialised by the library; the client fails at once if the server's nodes are
 * not there yet; after poll() the event has to be consumed with libxenvchan_wait(), or no other comes; a mapping that
 * is not closed keeps a dead domain as a zombie.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <libxenvchan.h>

#include "common/channel.h"
#include "common/error.h"

#define RING_SIZE 4096 /* bytes each way that a hand-off writes at once; larger messages go in pieces */

static int vchan_fd(void *transport)
{
	return libxenvchan_fd_for_select(transport);
}

static int vchan_wait(void *transport)
{
	return libxenvchan_wait(transport) == 0 ? 0 : E_EOF;
}

/* The server's side is open, too, while nobody has connected yet. */
static bool is_closed(struct libxenvchan *v)
{
	return libxenvchan_is_open(v) == 0;
}

static int vchan_read(void *transport, void *p, size_t n, size_t *got)
{
	struct libxenvchan *v = transport;
	int r = libxenvchan_read(v, p, n);

	*got = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	return r < 0 || is_closed(v) ? E_EOF : E_AGAIN_IN;
}

static int vchan_write(void *transport, const void *p, size_t n, size_t *put)
{
	struct libxenvchan *v = transport;
	int r = libxenvchan_write(v, p, n);

	*put = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	return r < 0 || is_closed(v) ? E_EOF : E_AGAIN_OUT;
}

static void vchan_close(void *transport)
{
	libxenvchan_close(transport);
}

static struct channel *wrap(struct libxenvchan *v)
{
	static const struct channel_ops ops = {
		.fd = vchan_fd, .wait = vchan_wait, .read = vchan_read, .write = vchan_write, .close = vchan_close};

	if (!v)
		return NULL;
	v->blocking = 0;
	return channel_new(&ops, v);
}

struct channel *channel_vchan_server(const char *path)
{
	return wrap(libxenvchan_server_init(NULL, 0, path, RING_SIZE, RING_SIZE));
}

struct channel *channel_vchan_client(unsigned int domid, const char *path)
{
	return wrap(libxenvchan_client_init(NULL, (int)domid, path));
}
