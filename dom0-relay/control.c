/* The control socket: a few clients at a time, each with one request and a deadline. */
#include "dom0-relay/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "dom0-relay/ctlmsg.h"

#define CLIENTS_MAX 8
#define CLIENT_MS 5000
#define REQUEST_MAX 192
#define ANSWER_MAX (256 * 1024)

struct client {
	struct control *control;
	int fd; /* -1: free */
	struct source *source, *timer;
	struct buf in, out;
};

struct control {
	struct loop *loop;
	int fd;
	struct source *source;
	control_fill_fn *fill;
	control_order_fn *order;
	void *arg;
	struct client clients[CLIENTS_MAX];
};

int control_listen(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return E_IO;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return E_IO;
	unlink(path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (r != 0 || listen(fd, CLIENTS_MAX) != 0) {
		close(fd);
		return E_IO;
	}
	return fd;
}

static void hang_up(struct client *c)
{
	source_free(&c->source);
	source_free(&c->timer);
	buf_free(&c->in);
	buf_free(&c->out);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static bool is_request(uint64_t type)
{
	return type == CTL_LIST || type == CTL_RENEW || type == CTL_PREPARE || type == CTL_UNPREPARE;
}

static bool answer(struct client *c, enum ctl_type type, const void *fields)
{
	char why[CTL_REASON_MAX] = "";
	struct ctl_refused no;

	if (type == CTL_LIST || type == CTL_RENEW)
		c->control->fill(c->control->arg, &c->out);
	if (type != CTL_LIST && c->control->order(c->control->arg, type, fields, why) != 0) {
		no.reason = view_text(why);
		ctl_write(&c->out, CTL_REFUSED, &no);
	}
	return ctl_write(&c->out, CTL_END, NULL) == 0;
}

/* False when the client is done for. */
static bool serve(struct client *c)
{
	_Alignas(max_align_t) uint8_t fields[64];
	struct msg m;
	ssize_t n;
	int r;

	n = recv(c->fd, buf_end(&c->in), buf_space(&c->in), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	c->in.len += (size_t)n;
	r = msg_next(&c->in, REQUEST_MAX, &m);
	if (r == E_AGAIN_IN)
		return true;
	if (r != 0 || m.head.version != CTL_VERSION || !is_request(m.head.type) || msg_fields(&m, ctl_schema(m.head.type), fields) != 0) {
		log_warn("control: a client asked what nobody knows");
		return false;
	}
	return answer(c, (enum ctl_type)m.head.type, fields);
}

static void on_client(void *arg, unsigned int what)
{
	struct client *c = arg;

	if ((what & LOOP_READ) && !buf_left(&c->out) && !serve(c)) {
		hang_up(c);
		return;
	}
	while (buf_left(&c->out)) {
		ssize_t n = send(c->fd, buf_ptr(&c->out), buf_left(&c->out), MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			source_interest(c->source, LOOP_WRITE);
			return;
		}
		c->out.off += n > 0 ? (size_t)n : 0;
		if (n < 0 || !buf_left(&c->out)) {
			hang_up(c);
			return;
		}
	}
}

static void on_deadline(void *arg, unsigned int what)
{
	(void)what;
	hang_up(arg);
}

static void welcome(struct control *control, struct client *c, int fd)
{
	c->control = control;
	c->fd = fd;
	c->source = source_fd(control->loop, fd, LOOP_READ, on_client, c);
	c->timer = source_timer(control->loop, on_deadline, c);
	if (!c->source || !c->timer || buf_init(&c->in, CTL_BODY_MAX) != 0 || buf_init(&c->out, ANSWER_MAX) != 0)
		hang_up(c);
	else
		source_set_ms(c->timer, CLIENT_MS);
}

static void on_accept(void *arg, unsigned int what)
{
	struct control *control = arg;
	int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (control->clients[i].fd < 0) {
			welcome(control, &control->clients[i], fd);
			return;
		}
	close(fd); /* the client says that the relay is busy */
}

struct control *control_new(struct loop *loop, int fd, control_fill_fn *fill, control_order_fn *order, void *arg)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct control){.loop = loop, .fd = fd, .fill = fill, .order = order, .arg = arg};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		c->clients[i].fd = -1;
	c->source = source_fd(loop, fd, LOOP_READ, on_accept, c);
	if (!c->source)
		control_free(&c);
	return c;
}

void control_free(struct control **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		hang_up(&(*c)->clients[i]);
	source_free(&(*c)->source);
	close((*c)->fd);
	free(*c);
	*c = NULL;
}
