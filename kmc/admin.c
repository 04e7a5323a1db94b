/* The control socket for kmcctl. */
#include "kmc/admin.h"

#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
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
#include "common/text.h"

#define CLIENTS_MAX 8
#define CLIENT_MS 15000
#define ANSWER_MAX (256 * 1024) /* a page and some */
#define ANSWER_SPARE 1024	/* kept free for the message that ends an answer */
#define FIELDS_MAX ADM_FIELDS_MAX

struct client {
	struct admin *admin;
	int fd;	     /* -1: free */
	uint64_t id; /* never used twice */
	struct source *source, *timer;
	struct buf in, out;
};

struct admin {
	struct loop *loop;
	int fd;
	struct source *source;
	admin_fn *fn;
	void *arg;
	uint64_t last_id;
	struct client clients[CLIENTS_MAX];
};

static int make_directory(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];

	memcpy(copy, path, strlen(path) + 1);
	return mkdir(dirname(copy), 0755) == 0 || errno == EEXIST ? 0 : E_IO;
}

int admin_listen(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, r;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return E_IO;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = make_directory(path) == 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
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
	c->id = 0;
}

/* Hand a whole request on; false when the client is done for. */
static bool serve(struct client *c)
{
	_Alignas(max_align_t) uint8_t fields[FIELDS_MAX];
	const struct msg_schema *schema;
	struct msg m;
	int r = msg_next(&c->in, ADM_BODY_MAX, &m);

	if (r == E_AGAIN_IN)
		return true;
	schema = r == 0 && m.head.version == ADM_VERSION ? adm_schema(m.head.type) : NULL;
	if (!schema || schema->size > sizeof(fields) || msg_fields(&m, schema, fields) != 0) {
		log_warn("control: a client asked what nobody knows");
		return false;
	}
	c->admin->fn(c->admin->arg, c->id, m.head.type, fields);
	return true;
}

/* False when the client is done for. */
static bool receive(struct client *c)
{
	ssize_t n;

	buf_compact(&c->in);
	n = recv(c->fd, buf_end(&c->in), buf_space(&c->in), 0);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	c->in.len += (size_t)n;
	return serve(c);
}

/* False when the client is done for. */
static bool flush(struct client *c)
{
	while (buf_left(&c->out)) {
		ssize_t n = send(c->fd, buf_ptr(&c->out), buf_left(&c->out), MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out.off += (size_t)n;
	}
	buf_reset(&c->out);
	return true;
}

static void on_client(void *arg, unsigned int what)
{
	struct client *c = arg;

	if (((what & LOOP_READ) && !receive(c)) || !flush(c)) {
		hang_up(c);
		return;
	}
	source_interest(c->source, buf_left(&c->out) ? LOOP_WRITE : LOOP_READ);
	source_set_ms(c->timer, CLIENT_MS);
}

static void on_deadline(void *arg, unsigned int what)
{
	(void)what;
	hang_up(arg);
}

static void welcome(struct admin *a, struct client *c, int fd)
{
	c->admin = a;
	c->fd = fd;
	c->id = ++a->last_id;
	c->source = source_fd(a->loop, fd, LOOP_READ, on_client, c);
	c->timer = source_timer(a->loop, on_deadline, c);
	if (!c->source || !c->timer || buf_init(&c->in, ADM_BODY_MAX + sizeof(uint32_t)) != 0 || buf_init(&c->out, ANSWER_MAX) != 0)
		hang_up(c);
	else
		source_set_ms(c->timer, CLIENT_MS);
}

static void on_accept(void *arg, unsigned int what)
{
	struct admin *a = arg;
	int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (fd < 0)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (a->clients[i].fd < 0) {
			welcome(a, &a->clients[i], fd);
			return;
		}
	close(fd); /* kmcctl says that kmcd is busy */
}

struct admin *admin_new(struct loop *loop, int fd, admin_fn *fn, void *arg)
{
	struct admin *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct admin){.loop = loop, .fd = fd, .fn = fn, .arg = arg};
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		a->clients[i].fd = -1;
	a->source = source_fd(loop, fd, LOOP_READ, on_accept, a);
	if (!a->source)
		admin_free(&a);
	return a;
}

void admin_free(struct admin **a)
{
	if (!*a)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		hang_up(&(*a)->clients[i]);
	source_free(&(*a)->source);
	close((*a)->fd);
	free(*a);
	*a = NULL;
}

int admin_answer(struct admin *a, uint64_t client, enum adm_type type, const void *fields)
{
	bool is_entry = type == ADM_POOL || type == ADM_HOST || type == ADM_VTPM || type == ADM_AUDIT_RECORD || type == ADM_STATE ||
			type == ADM_CA;
	int r;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &a->clients[i];

		if (c->fd < 0 || c->id != client)
			continue;
		if (is_entry && buf_space(&c->out) < 2 * ANSWER_SPARE)
			return E_RANGE;
		r = adm_write(&c->out, type, fields);
		source_interest(c->source, LOOP_READ | LOOP_WRITE);
		return r;
	}
	return 0;
}

void admin_fail(struct admin *a, uint64_t client, int r, const char *fmt, ...)
{
	char text[ADM_REASON_MAX];
	struct adm_failed m = {.code = (uint64_t)-(int64_t)r};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m.reason = view_text(text_make_printable(text));
	admin_answer(a, client, ADM_FAILED, &m);
}
