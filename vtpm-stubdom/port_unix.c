/*
 * The Unix twin of xenbus, grant and event channel, for tests without Xen.
 *
 * One epoll instance stands for the control side: it holds the listening socket, if any, and the present connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

enum { FD_PAGE, FD_TO_US, FD_TO_THEM, FD_COUNT };

struct unix_port {
	int listener, socket, epoll; /* -1: none */
	struct port_frontend said;   /* the frontend's last word */
	int fd[FD_COUNT];	     /* of said.ring_ref */
	uint32_t fd_ref;
	void *page;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int control_fd(void *world)
{
	return ((struct unix_port *)world)->epoll;
}

static bool watch(struct unix_port *u, int fd)
{
	struct epoll_event e = {.events = EPOLLIN};

	return epoll_ctl(u->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static void forget_fds(struct unix_port *u)
{
	for (int i = 0; i < FD_COUNT; i++)
		close_fd(&u->fd[i]);
}

static void take_fds(struct unix_port *u, struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fds[FD_COUNT];

	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fds)))
		return;
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	forget_fds(u);
	memcpy(u->fd, fds, sizeof(fds));
	u->fd_ref = u->said.ring_ref;
	fcntl(u->fd[FD_TO_US], F_SETFL, O_NONBLOCK);
}

static int receive(struct unix_port *u)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FD_COUNT)];
	} control;
	struct port_frontend said;
	struct iovec v = {.iov_base = &said, .iov_len = sizeof(said)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(u->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return E_AGAIN_IN;
	if (n != sizeof(said)) { /* it hung up, or talks nonsense: as good as a guest that is gone */
		close_fd(&u->socket);
		u->said = (struct port_frontend){.state = XENBUS_GONE};
		return 0;
	}
	u->said = said;
	take_fds(u, &m);
	return 0;
}

static int frontend(void *world, struct port_frontend *f)
{
	struct unix_port *u = world;
	int r = E_AGAIN_IN, fd;

	if (u->socket >= 0)
		r = receive(u);
	if (u->socket < 0 && u->listener >= 0) {
		fd = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && watch(u, fd))
			u->socket = fd;
		else
			close_fd(&fd);
	}
	*f = u->said;
	return r;
}

static int set_state(void *world, enum xenbus state)
{
	struct unix_port *u = world;
	uint32_t word = state;

	if (u->socket < 0)
		return 0;
	return send(u->socket, &word, sizeof(word), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(word) ? 0 : E_XEN;
}

static void disconnect(void *world)
{
	struct unix_port *u = world;

	if (u->page)
		munmap(u->page, TPMIF_PAGE_SIZE);
	u->page = NULL;
}

static int connect_page(void *world, const struct port_frontend *f, void **page, int *event_fd)
{
	struct unix_port *u = world;
	struct stat st;

	disconnect(u);
	if (f->ring_ref != u->fd_ref || u->fd[FD_PAGE] < 0 || fstat(u->fd[FD_PAGE], &st) != 0 || st.st_size < TPMIF_PAGE_SIZE)
		return E_XEN;
	u->page = mmap(NULL, TPMIF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd[FD_PAGE], 0);
	if (u->page == MAP_FAILED)
		u->page = NULL;
	*page = u->page;
	*event_fd = u->fd[FD_TO_US];
	return u->page ? 0 : E_XEN;
}

static int take_event(void *world)
{
	uint64_t count;

	return read(((struct unix_port *)world)->fd[FD_TO_US], &count, sizeof(count)) == (ssize_t)sizeof(count) ? 0 : E_AGAIN_IN;
}

static int notify(void *world)
{
	const uint64_t one = 1;

	return write(((struct unix_port *)world)->fd[FD_TO_THEM], &one, sizeof(one)) == (ssize_t)sizeof(one) ? 0 : E_XEN;
}

static void close_port(void *world)
{
	struct unix_port *u = world;

	disconnect(u);
	forget_fds(u);
	close_fd(&u->socket);
	close_fd(&u->listener);
	close_fd(&u->epoll);
	free(u);
}

struct port *port_unix(int fd, bool listening)
{
	static const struct port_ops ops = {
		.control_fd = control_fd, .frontend = frontend, .set_state = set_state, .connect = connect_page,
		.disconnect = disconnect, .take_event = take_event, .notify = notify, .close = close_port,
	};
	struct unix_port *u = calloc(1, sizeof(*u));

	if (!u) {
		close(fd);
		return NULL;
	}
	*u = (struct unix_port){.listener = listening ? fd : -1, .socket = listening ? -1 : fd, .fd = {-1, -1, -1}};
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (u->epoll < 0 || !watch(u, fd)) {
		close_port(u);
		return NULL;
	}
	return port_new(&ops, u);
}
