/*
 * The Unix-socket twin of the vchan, for tests without Xen.
 *
 * As with vchan one descriptor tells of data and of room alike: an epoll instance, which waits for room only after a
 * write found none. And as with vchan a server's channel is there before anybody has connected.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"

struct unix_channel {
	int fd, epoll;
	int listener; /* -1: not a server, or somebody has connected */
	bool wants_room;
};

static void set_interest(struct unix_channel *u, bool wants_room)
{
	struct epoll_event e = {.events = EPOLLIN | (wants_room ? EPOLLOUT : 0U)};

	if (u->fd >= 0 && u->wants_room != wants_room)
		epoll_ctl(u->epoll, EPOLL_CTL_MOD, u->fd, &e);
	u->wants_room = wants_room;
}

static int unix_fd(void *transport)
{
	return ((struct unix_channel *)transport)->epoll;
}

/* Watch the connection @fd: false leaves it open and unwatched. */
static bool begin(struct unix_channel *u, int fd)
{
	struct epoll_event e = {.events = EPOLLIN};
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || epoll_ctl(u->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		return false;
	u->fd = fd;
	return true;
}

/* A server's first client; the others wait for the next channel over the same listener. */
static int unix_wait(void *transport)
{
	struct unix_channel *u = transport;
	int fd;

	set_interest(u, false);
	if (u->listener < 0)
		return 0;
	fd = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : E_EOF;
	epoll_ctl(u->epoll, EPOLL_CTL_DEL, u->listener, NULL);
	u->listener = -1;
	if (begin(u, fd))
		return 0;
	close(fd);
	return E_EOF;
}

static int unix_read(void *transport, void *p, size_t n, size_t *got)
{
	struct unix_channel *u = transport;
	ssize_t r;

	*got = 0;
	if (u->listener >= 0)
		return E_AGAIN_IN;
	r = recv(u->fd, p, n, 0);
	*got = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	if (r == 0)
		return E_EOF;
	return errno == EAGAIN || errno == EINTR ? E_AGAIN_IN : E_EOF;
}

static int unix_write(void *transport, const void *p, size_t n, size_t *put)
{
	struct unix_channel *u = transport;
	ssize_t r;

	*put = 0;
	if (u->listener >= 0)
		return E_AGAIN_OUT;
	r = send(u->fd, p, n, MSG_NOSIGNAL);
	*put = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	if (errno != EAGAIN && errno != EINTR)
		return E_EOF;
	set_interest(u, true);
	return E_AGAIN_OUT;
}

static bool unix_is_met(void *transport)
{
	return ((struct unix_channel *)transport)->listener < 0;
}

static void unix_close(void *transport)
{
	struct unix_channel *u = transport;

	close(u->epoll);
	if (u->fd >= 0)
		close(u->fd);
	free(u);
}

static const struct channel_ops ops = {.fd = unix_fd, .wait = unix_wait, .read = unix_read, .write = unix_write, .is_met = unix_is_met, .close = unix_close};

static struct unix_channel *unix_new(void)
{
	struct unix_channel *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->fd = u->listener = -1;
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	return u;
}

struct channel *channel_unix(int fd)
{
	struct unix_channel *u = unix_new();

	if (u && begin(u, fd))
		return channel_new(&ops, u);
	close(fd);
	if (u)
		unix_close(u);
	return NULL;
}

struct channel *channel_unix_server(int listener)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct unix_channel *u = unix_new();

	if (!u)
		return NULL;
	if (epoll_ctl(u->epoll, EPOLL_CTL_ADD, listener, &e) != 0) {
		unix_close(u);
		return NULL;
	}
	u->listener = listener;
	return channel_new(&ops, u);
}
