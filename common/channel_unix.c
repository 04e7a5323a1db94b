/*
 * The Unix-socket twin of the vchan, for tests without Xen.
 *
 * As with vchan one descriptor tells of data and of room alike: an epoll instance, which waits for room only after a
 * write found none.
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
	bool wants_room;
};

static void set_interest(struct unix_channel *u, bool wants_room)
{
	struct epoll_event e = {.events = EPOLLIN | (wants_room ? EPOLLOUT : 0U)};

	if (u->wants_room != wants_room)
		epoll_ctl(u->epoll, EPOLL_CTL_MOD, u->fd, &e);
	u->wants_room = wants_room;
}

static int unix_fd(void *transport)
{
	return ((struct unix_channel *)transport)->epoll;
}

static int unix_wait(void *transport)
{
	set_interest(transport, false);
	return 0;
}

static int unix_read(void *transport, void *p, size_t n, size_t *got)
{
	struct unix_channel *u = transport;
	ssize_t r = recv(u->fd, p, n, 0);

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
	ssize_t r = send(u->fd, p, n, MSG_NOSIGNAL);

	*put = r > 0 ? (size_t)r : 0;
	if (r > 0)
		return 0;
	if (errno != EAGAIN && errno != EINTR)
		return E_EOF;
	set_interest(u, true);
	return E_AGAIN_OUT;
}

static void unix_close(void *transport)
{
	struct unix_channel *u = transport;

	close(u->epoll);
	close(u->fd);
	free(u);
}

struct channel *channel_unix(int fd)
{
	static const struct channel_ops ops = {.fd = unix_fd, .wait = unix_wait, .read = unix_read, .write = unix_write, .close = unix_close};
	struct unix_channel *u = calloc(1, sizeof(*u));
	struct epoll_event e = {.events = EPOLLIN};
	int flags = fcntl(fd, F_GETFL);

	if (!u) {
		close(fd);
		return NULL;
	}
	u->fd = fd;
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || u->epoll < 0 || epoll_ctl(u->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
		unix_close(u);
		return NULL;
	}
	return channel_new(&ops, u);
}
