/* A relay gone mad: any stream of bytes over the channel, in pieces of any size, to a whole service with a real engine. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/fuzz/fuzz.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/service.h"
#include "xenstore-schema/nodes.h"

/* A channel whose peer says what libFuzzer says and then hangs up. */
struct peer {
	const uint8_t *p;
	size_t n, piece;
	int fd; /* always readable */
	bool offered;
};

static int peer_fd(void *t)
{
	return ((struct peer *)t)->fd;
}

static int peer_wait(void *t)
{
	(void)t;
	return 0;
}

static int peer_read(void *t, void *p, size_t n, size_t *got)
{
	struct peer *peer = t;

	*got = peer->piece < n ? peer->piece : n;
	*got = *got < peer->n ? *got : peer->n;
	if (*got == 0)
		return n ? E_EOF : E_AGAIN_IN;
	memcpy(p, peer->p, *got);
	peer->p += *got;
	peer->n -= *got;
	return 0;
}

static int peer_write(void *t, const void *p, size_t n, size_t *put)
{
	(void)t, (void)p;
	*put = n;
	return 0;
}

static void peer_close(void *t)
{
	(void)t;
}

static struct channel *offer(void *arg)
{
	static const struct channel_ops ops = {.fd = peer_fd, .wait = peer_wait, .read = peer_read, .write = peer_write, .close = peer_close};
	struct peer *peer = arg;

	errno = ENOTSUP;
	if (peer->offered)
		return NULL;
	peer->offered = true;
	return channel_new(&ops, peer);
}

static struct port *open_port(void *arg, const struct node_ids *ids)
{
	(void)arg, (void)ids;
	return NULL; /* the guest's side has its own targets */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct peer peer = {.fd = eventfd(1, EFD_CLOEXEC)};
	const struct service_world world = {.offer = offer, .open_port = open_port, .arg = &peer};
	struct loop *loop = loop_new();
	struct service *s;

	log_open("fuzz", 0);
	if (size) {
		peer.piece = data[0] ? (size_t)data[0] * 16 : 1;
		peer.p = data + 1;
		peer.n = size - 1;
	}
	must(peer.fd >= 0 && loop);
	s = service_new(loop, &world);
	must(s);
	loop_run(loop);
	service_free(&s);
	loop_free(&loop);
	close(peer.fd);
	return 0;
}
