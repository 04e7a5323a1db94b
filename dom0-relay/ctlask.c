/* The client's end of the control socket: one request, its answers, an end. */
#include "dom0-relay/ctlask.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"

#define ANSWER_MS 5000

int ctlask_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, e;

	if (strlen(path) >= sizeof(addr.sun_path))
		return E_RANGE;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return E_IO;
}

static int take(const struct ctlask_ops *ops, void *arg, const struct msg *m, bool *ended)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct msg_schema *schema = ctl_schema(m->head.type);
	int r;

	if (m->head.version != CTL_VERSION || !schema)
		return E_VERSION;
	r = msg_fields(m, schema, fields);
	if (r != 0)
		return r;
	if (m->head.type == CTL_ENTRY && ops->entry)
		ops->entry(arg, (const void *)fields);
	else if (m->head.type == CTL_STATUS && ops->status)
		ops->status(arg, (const void *)fields);
	else if (m->head.type == CTL_REFUSED && ops->refused)
		ops->refused(arg, (const void *)fields);
	else if (m->head.type == CTL_END)
		*ended = true;
	return 0;
}

static int receive(int fd, struct buf *in)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) == 0)
		return E_TIMEOUT;
	buf_compact(in);
	n = recv(fd, buf_end(in), buf_space(in), 0);
	if (n <= 0)
		return n == 0 ? E_EOF : E_IO;
	in->len += (size_t)n;
	return 0;
}

int ctlask(int fd, enum ctl_type what, const void *fields, const struct ctlask_ops *ops, void *arg)
{
	uint8_t request[256];
	struct buf out, in = {0};
	bool ended = false;
	struct msg m;
	int r;

	buf_over(&out, request, sizeof(request));
	if ((r = ctl_write(&out, what, fields)) != 0 || (r = buf_init(&in, 2 * CTL_BODY_MAX)) != 0)
		return r;
	if (send(fd, buf_ptr(&out), buf_left(&out), MSG_NOSIGNAL) != (ssize_t)buf_left(&out))
		r = E_IO;
	while (r == 0 && !ended) {
		r = msg_next(&in, CTL_BODY_MAX, &m);
		if (r == E_AGAIN_IN)
			r = receive(fd, &in);
		else if (r == 0)
			r = take(ops, arg, &m, &ended);
	}
	buf_free(&in);
	return r;
}

int ctlask_list(const char *path, const struct ctlask_ops *ops, void *arg)
{
	int fd = ctlask_connect(path), r;

	if (fd < 0)
		return fd;
	r = ctlask(fd, CTL_LIST, NULL, ops, arg);
	close(fd);
	return r;
}

int ctlask_run(const char *path, enum ctl_type request, const void *fields, const struct ctlask_ops *ops, void *arg)
{
	int fd = ctlask_connect(path), r;

	if (fd < 0) {
		fprintf(stderr, "vtpmctl: can't reach vtpm-relayd at %s: %s; is the service running, and are you root?\n", path,
			fd == E_IO ? strerror(errno) : "the path is too long");
		return EXIT_NO_RELAY;
	}
	r = ctlask(fd, request, fields, ops, arg);
	close(fd);
	if (r == 0)
		return EXIT_FINE;
	fprintf(stderr, "vtpmctl: asking vtpm-relayd at %s failed: %s; try again, then look at the service's log\n", path, error_text(r));
	return EXIT_ERROR;
}
