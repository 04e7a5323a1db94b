/* kmcctl's side of the control socket. */
#include "kmc/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"

#define ANSWER_MS 15000
#define FIELDS_MAX ADM_FIELDS_MAX

struct ctl_client {
	int fd;
	const char *path;
	struct buf in;
};

void ctl_say(const char *fmt, ...)
{
	va_list ap;

	fputs("kmcctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

struct ctl_client *ctl_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ctl_client *c = NULL;
	int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		ctl_say("the control socket's path %s is too long", path);
		return NULL;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		ctl_say("can't reach kmcd at %s: %s; kmcd must run for this command (and you must be root)", path, strerror(errno));
		goto fail;
	}
	c = calloc(1, sizeof(*c));
	if (!c || buf_init(&c->in, ADM_BODY_MAX * 2) != 0) {
		ctl_say("out of memory");
		goto fail;
	}
	c->fd = fd;
	c->path = path;
	return c;
fail:
	free(c);
	if (fd >= 0)
		close(fd);
	return NULL;
}

void ctl_close(struct ctl_client **c)
{
	if (!*c)
		return;
	close((*c)->fd);
	buf_free(&(*c)->in);
	free(*c);
	*c = NULL;
}

static int send_request(struct ctl_client *c, enum adm_type type, const void *request)
{
	struct buf out;
	int r = buf_init(&out, ADM_BODY_MAX + sizeof(uint32_t));

	if (r == 0)
		r = adm_write(&out, type, request);
	if (r == 0 && send(c->fd, buf_ptr(&out), buf_left(&out), MSG_NOSIGNAL) != (ssize_t)buf_left(&out))
		r = E_EOF;
	buf_free(&out);
	return r;
}

static int receive(struct ctl_client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	ssize_t n;

	if (poll(&p, 1, ANSWER_MS) == 0)
		return E_TIMEOUT;
	buf_compact(&c->in);
	n = recv(c->fd, buf_end(&c->in), buf_space(&c->in), 0);
	if (n <= 0)
		return n == 0 ? E_EOF : E_IO;
	c->in.len += (size_t)n;
	return 0;
}

/* The next message of the answer into @fields. */
static int next(struct ctl_client *c, uint64_t *type, void *fields)
{
	const struct msg_schema *schema;
	struct msg m = {0};
	int r;

	while ((r = msg_next(&c->in, ADM_BODY_MAX, &m)) == E_AGAIN_IN)
		if ((r = receive(c)) != 0)
			return r;
	if (r != 0)
		return r;
	schema = adm_schema(m.head.type);
	if (m.head.version != ADM_VERSION || !schema || schema->size > FIELDS_MAX)
		return E_VERSION;
	*type = m.head.type;
	return msg_fields(&m, schema, fields);
}

static int exit_code(uint64_t code)
{
	if (code == -E_NOTFOUND)
		return EXIT_NOTFOUND;
	return code == -E_EXISTS ? EXIT_EXISTS : EXIT_ERROR;
}

int ctl_ask(struct ctl_client *c, enum adm_type type, const void *request, ctl_fn *fn, void *arg)
{
	_Alignas(max_align_t) uint8_t fields[FIELDS_MAX];
	const struct adm_failed *failed = (const void *)fields;
	uint64_t got = 0;
	bool more = true;
	int r = send_request(c, type, request);

	while (r == 0 && more) {
		r = next(c, &got, fields);
		if (r == 0 && got == ADM_FAILED) {
			ctl_say("%.*s", (int)failed->reason.n, (const char *)failed->reason.p);
			return exit_code(failed->code);
		}
		if (r == 0)
			more = fn(arg, got, fields);
	}
	if (r != 0)
		ctl_say("asking kmcd at %s failed: %s; try again, then look at its log", c->path, error_text(r));
	return r == 0 ? EXIT_FINE : EXIT_ERROR;
}

static bool is_done(void *arg, uint64_t type, const void *fields)
{
	(void)arg, (void)type, (void)fields;
	return false;
}

int ctl_order(struct ctl_client *c, enum adm_type type, const void *request)
{
	return ctl_ask(c, type, request, is_done, NULL);
}
