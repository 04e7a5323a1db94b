/*
 * The Unix twin of xenbus, grant and event channel, for tests without Xen: the other end of vtpm-stubdom/port_unix.c.
 *
 * The backend is there while a socket is connected. Once that breaks, the next look connects anew, to what counts as another domain.
 * The toolstack's request to suspend is a file beside that socket: PATH.suspend.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/error.h"
#include "vtpm-stubdom/guest/bus.h"
#include "vtpm-stubdom/tpmif.h"

enum { FD_PAGE, FD_TO_THEM, FD_TO_US, FD_COUNT }; /* as port_unix.c takes them */

struct unix_bus {
	struct sockaddr_un addr;
	int epoll, socket;   /* the control side: an epoll instance that holds the present socket, if any */
	int fd[FD_COUNT];    /* -1: nothing is shared */
	void *page;
	struct life_seen now;
	uint32_t next_ref;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int control_fd(void *world)
{
	return ((struct unix_bus *)world)->epoll;
}

static void meet(struct unix_bus *u)
{
	struct epoll_event e = {.events = EPOLLIN};
	const unsigned int domain = u->now.offer.backend + 1;

	u->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (u->socket < 0)
		return;
	if (connect(u->socket, (const struct sockaddr *)&u->addr, sizeof(u->addr)) != 0 || epoll_ctl(u->epoll, EPOLL_CTL_ADD, u->socket, &e) != 0) {
		close_fd(&u->socket);
		return;
	}
	/* Whom nobody was connected to could tell nobody that it waits. */
	u->now = (struct life_seen){.there = true, .ours = XENBUS_INITIALISING, .offer = {.backend = domain}, .theirs = XENBUS_INIT_WAIT, .protocol_v2 = true};
}

static void look(void *world, struct life_seen *seen)
{
	struct unix_bus *u = world;
	uint32_t word;
	ssize_t n = 0;

	while (u->socket >= 0 && (n = recv(u->socket, &word, sizeof(word), MSG_DONTWAIT)) == (ssize_t)sizeof(word))
		u->now.theirs = (int)word;
	if (u->socket >= 0 && !(n < 0 && (errno == EAGAIN || errno == EINTR))) {
		close_fd(&u->socket);
		u->now.there = false;
	} else if (u->socket < 0) {
		meet(u);
	}
	*seen = u->now;
}

static void drop(void *world)
{
	struct unix_bus *u = world;

	if (u->page)
		munmap(u->page, TPMIF_PAGE_SIZE);
	u->page = NULL;
	for (int i = 0; i < FD_COUNT; i++)
		close_fd(&u->fd[i]);
}

static int send_word(struct unix_bus *u, enum xenbus state, const int *fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * FD_COUNT)];
	} control = {0};
	struct port_frontend word = {.state = (int)state, .ring_ref = u->now.offer.ring_ref, .event_channel = u->now.offer.event_channel};
	struct iovec v = {.iov_base = &word, .iov_len = sizeof(word)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (fds) {
		struct cmsghdr *c;

		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * FD_COUNT);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * FD_COUNT);
	}
	return u->socket >= 0 && sendmsg(u->socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(word) ? 0 : E_XEN;
}

static int say(void *world, enum xenbus state)
{
	struct unix_bus *u = world;
	int r = send_word(u, state, NULL);

	if (r == 0)
		u->now.ours = (int)state;
	return r;
}

static int offer(void *world, unsigned int backend, struct life_offer *o, void **page, int *event_fd)
{
	struct unix_bus *u = world;
	void *p = MAP_FAILED;

	(void)backend;
	drop(u);
	u->fd[FD_PAGE] = memfd_create("ring", MFD_CLOEXEC);
	u->fd[FD_TO_THEM] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->fd[FD_TO_US] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->fd[FD_PAGE] >= 0 && u->fd[FD_TO_THEM] >= 0 && u->fd[FD_TO_US] >= 0 && ftruncate(u->fd[FD_PAGE], TPMIF_PAGE_SIZE) == 0)
		p = mmap(NULL, TPMIF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, u->fd[FD_PAGE], 0);
	u->page = p == MAP_FAILED ? NULL : p;
	u->now.offer.ring_ref = u->next_ref++;
	u->now.offer.event_channel = 1;
	if (!u->page || send_word(u, XENBUS_INITIALISED, u->fd) != 0) {
		drop(u);
		return E_XEN;
	}
	u->now.ours = XENBUS_INITIALISED;
	*o = u->now.offer;
	*page = u->page;
	*event_fd = u->fd[FD_TO_US];
	return 0;
}

static int take_event(void *world)
{
	uint64_t count;

	return read(((struct unix_bus *)world)->fd[FD_TO_US], &count, sizeof(count)) == (ssize_t)sizeof(count) ? 0 : E_AGAIN_IN;
}

static int notify(void *world)
{
	const uint64_t one = 1;

	return write(((struct unix_bus *)world)->fd[FD_TO_THEM], &one, sizeof(one)) == (ssize_t)sizeof(one) ? 0 : E_XEN;
}

static bool holds(void *world)
{
	const struct unix_bus *u = world;
	uint32_t word;
	ssize_t n = u->socket >= 0 ? recv(u->socket, &word, sizeof(word), MSG_DONTWAIT | MSG_PEEK) : 0;

	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static int ask_suspend(void *world)
{
	const struct unix_bus *u = world;
	char path[sizeof(u->addr.sun_path) + sizeof(".suspend")];
	FILE *f;

	snprintf(path, sizeof(path), "%s.suspend", u->addr.sun_path);
	f = fopen(path, "a");
	if (!f)
		return E_XEN;
	fputs("asked\n", f);
	return fclose(f) == 0 ? 0 : E_XEN;
}

static void close_bus(void *world)
{
	struct unix_bus *u = world;

	drop(u);
	close_fd(&u->socket);
	close_fd(&u->epoll);
	free(u);
}

struct bus *bus_unix(const char *path)
{
	static const struct bus_ops ops = {
		.control_fd = control_fd, .look = look, .offer = offer, .holds = holds, .say = say,
		.drop = drop, .take_event = take_event, .notify = notify,
		.ask_suspend = ask_suspend, .close = close_bus,
	};
	struct unix_bus *u;

	if (strlen(path) >= sizeof(u->addr.sun_path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	*u = (struct unix_bus){.addr = {.sun_family = AF_UNIX}, .socket = -1, .fd = {-1, -1, -1}, .next_ref = 8};
	memcpy(u->addr.sun_path, path, strlen(path));
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (u->epoll < 0) {
		close_bus(u);
		return NULL;
	}
	return bus_new(&ops, u);
}
