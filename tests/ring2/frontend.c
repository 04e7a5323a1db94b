/* The guest's end of the Unix twin. */
#include "tests/ring2/frontend.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

int frontend_open(struct frontend *f, int fd)
{
	static uint32_t next_ref = 8;
	void *page;

	*f = (struct frontend){.socket = fd, .ring_ref = next_ref++};
	f->to_backend = eventfd(0, EFD_CLOEXEC);
	f->to_us = eventfd(0, EFD_CLOEXEC);
	f->page_fd = memfd_create("ring", MFD_CLOEXEC);
	if (f->to_backend < 0 || f->to_us < 0 || f->page_fd < 0 || ftruncate(f->page_fd, TPMIF_PAGE_SIZE) != 0)
		return -1;
	page = mmap(NULL, TPMIF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, f->page_fd, 0);
	f->page = page == MAP_FAILED ? NULL : page;
	return f->page ? 0 : -1;
}

int frontend_connect(struct frontend *f, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return frontend_open(f, fd);
	close(fd);
	return -1;
}

int frontend_say(struct frontend *f, uint32_t state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control = {0};
	const struct port_frontend said = {.state = (int)state, .ring_ref = f->ring_ref, .event_channel = 1};
	struct iovec v = {.iov_base = (void *)(uintptr_t)&said, .iov_len = sizeof(said)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	const int fds[3] = {f->page_fd, f->to_backend, f->to_us};

	if (state == XENBUS_INITIALISED) {
		struct cmsghdr *c;

		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
	}
	return sendmsg(f->socket, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(said) ? 0 : -1;
}

int frontend_await(struct frontend *f, uint32_t state, int ms)
{
	struct pollfd p = {.fd = f->socket, .events = POLLIN};
	uint32_t said;

	while (poll(&p, 1, ms) == 1)
		if (recv(f->socket, &said, sizeof(said), 0) != (ssize_t)sizeof(said))
			return -1;
		else if (said == state)
			return 0;
	return -1;
}

void frontend_notify(struct frontend *f)
{
	const uint64_t one = 1;

	if (write(f->to_backend, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return; /* the counter is full: it is readable anyway */
}

int frontend_wait(struct frontend *f, int ms)
{
	struct pollfd p = {.fd = f->to_us, .events = POLLIN};
	uint64_t count;

	if (poll(&p, 1, ms) != 1)
		return -1;
	return read(f->to_us, &count, sizeof(count)) == (ssize_t)sizeof(count) ? 0 : -1;
}

void frontend_submit(struct frontend *f, const void *command, size_t n)
{
	const uint32_t length = (uint32_t)n;

	memcpy(f->page + TPMIF_HEADER_SIZE, command, n);
	memcpy(f->page, &length, sizeof(length));
	f->page[5] = f->page[6] = f->page[7] = 0;
	__atomic_store_n(f->page + 4, TPMIF_SUBMIT, __ATOMIC_RELEASE);
	frontend_notify(f);
}

int frontend_command(struct frontend *f, const void *command, size_t n, uint8_t *response, int ms)
{
	uint32_t length;

	frontend_submit(f, command, n);
	do {
		if (frontend_wait(f, ms) != 0)
			return -1;
	} while (__atomic_load_n(f->page + 4, __ATOMIC_ACQUIRE) != TPMIF_FINISH);
	memcpy(&length, f->page, sizeof(length));
	if (length > TPMIF_DATA_MAX)
		return -1;
	memcpy(response, f->page + TPMIF_HEADER_SIZE, length);
	return (int)length;
}

void frontend_close(struct frontend *f)
{
	if (f->page)
		munmap(f->page, TPMIF_PAGE_SIZE);
	close(f->page_fd);
	close(f->to_backend);
	close(f->to_us);
	close(f->socket);
}
