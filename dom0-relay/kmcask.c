/* A connection to the KMC for a tool that waits. */
#include "dom0-relay/kmcask.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/text.h"
#include "common/tls.h"
#include "dom0-relay/kmcvchan.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/xenstore.h"

#define CONNECT_MS 5000
#define ANSWER_MS 20000
#define OFFER_AGAIN_MS 100 /* a forwarder makes the next offer once the last one is taken */

struct kmcask {
	int fd;			 /* TCP, or -1 */
	struct channel *channel; /* vchan, or NULL */
	struct tls_context *ctx;
	struct tls *tls;
	struct buf in, out;
	uint64_t last_id;
};

static int wait_for(int fd, short events, uint64_t until)
{
	struct pollfd p = {.fd = fd, .events = events};
	uint64_t now = loop_now_ms();

	return now < until && poll(&p, 1, (int)(until - now)) == 1 ? 0 : E_TIMEOUT;
}

static int dial(const struct addrinfo *a, uint64_t until)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
	socklen_t n = sizeof(error);

	if (fd < 0)
		return E_IO;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	error = errno;
	if (error == EINPROGRESS && (wait_for(fd, POLLOUT, until) != 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0))
		error = ETIMEDOUT;
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return E_IO;
}

/* The first address of the name that answers. */
static int dial_any(const char *host, const char *port, char why[KMCASK_WHY])
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	int e = getaddrinfo(host, port, &hints, &found), fd = E_IO;

	if (e != 0) {
		snprintf(why, KMCASK_WHY, "KMC %s: %s", host, gai_strerror(e));
		return E_NOTFOUND;
	}
	for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = dial(a, loop_now_ms() + CONNECT_MS);
	if (fd < 0)
		snprintf(why, KMCASK_WHY, "KMC %s, port %s: %s", host, port, strerror(errno));
	freeaddrinfo(found);
	return fd;
}

/* After E_AGAIN_*: 0 to try again. */
static int wait_again(struct kmcask *k, int r, uint64_t until, char why[KMCASK_WHY])
{
	if (r != E_AGAIN_IN && r != E_AGAIN_OUT) {
		snprintf(why, KMCASK_WHY, "%s", tls_why(k->tls));
		return r;
	}
	if (k->channel) /* its descriptor is readable for whatever there is to tell */
		r = wait_for(channel_fd(k->channel), POLLIN, until);
	else
		r = wait_for(k->fd, r == E_AGAIN_OUT ? POLLOUT : POLLIN, until);
	if (r == 0 && k->channel)
		r = channel_wait(k->channel);
	if (r != 0)
		snprintf(why, KMCASK_WHY, "the KMC does not answer");
	return r;
}

static int shake(struct kmcask *k, char why[KMCASK_WHY])
{
	uint64_t until = loop_now_ms() + CONNECT_MS;
	int r;

	while ((r = tls_handshake(k->tls)) != 0)
		if ((r = wait_again(k, r, until, why)) != 0)
			return r;
	return 0;
}

/* What the domain offers now or soon. */
static struct channel *take_offer(const struct kmc_address *a, char why[KMCASK_WHY])
{
	struct xenstore *x = xenstore_open(NULL, NULL, NULL);
	uint64_t until = loop_now_ms() + CONNECT_MS;
	char reason[KMCVCHAN_WHY];
	struct channel *c = NULL;
	unsigned int domid;

	if (!x) {
		snprintf(why, KMCASK_WHY, "KMC %.100s: can't open xenstore: is this dom0, booted under Xen?", a->text);
		return NULL;
	}
	while (!(c = kmcvchan_connect(x, a, &domid, reason)) && loop_now_ms() < until)
		poll(NULL, 0, OFFER_AGAIN_MS);
	if (!c)
		snprintf(why, KMCASK_WHY, "KMC %.100s: %s", a->text, reason);
	xenstore_close(&x);
	return c;
}

/* TCP or vchan, and TLS over it, not yet shaken: 0 or an error with @why filled in. */
static int reach(struct kmcask *k, const char *address, char why[KMCASK_WHY])
{
	struct kmc_address a;

	if (relayconf_parse_address(address, &a) != 0) {
		snprintf(why, KMCASK_WHY, "'%s' is not host:port, vchan:DOMAIN or vchan:DOMAIN:NAME", address);
		return E_FORMAT;
	}
	if (a.domain[0] ? !(k->channel = take_offer(&a, why)) : (k->fd = dial_any(a.host, a.port, why)) < 0)
		return E_IO;
	k->tls = k->channel ? tls_new_over(k->ctx, k->channel, a.host) : tls_new(k->ctx, k->fd, a.host);
	if (k->tls)
		return 0;
	snprintf(why, KMCASK_WHY, "out of memory");
	return E_NOMEM;
}

int kmcask_enrol(struct kmcask **ask, const char *address, const uint8_t ca[32], char why[KMCASK_WHY])
{
	struct kmcask *k = calloc(1, sizeof(*k));
	char text[TLS_WHY] = "out of memory";
	int r = E_NOMEM;

	*ask = NULL;
	if (k)
		k->fd = -1;
	if (!k || buf_init(&k->in, KMC_ENROL_BODY_MAX * 2) != 0 || buf_init(&k->out, KMC_ENROL_BODY_MAX + 4) != 0 ||
	    (r = tls_context_new_pinned(&k->ctx, ca, KMC_ENROL_ALPN, text)) != 0) {
		snprintf(why, KMCASK_WHY, "%s", text);
	} else if ((r = reach(k, address, why)) == 0) {
		r = shake(k, why);
	}
	if (r != 0)
		kmcask_free(&k);
	*ask = k;
	return r;
}

void kmcask_free(struct kmcask **k)
{
	if (!*k)
		return;
	tls_free(&(*k)->tls);
	channel_close(&(*k)->channel);
	tls_context_free(&(*k)->ctx);
	buf_free(&(*k)->in);
	buf_free(&(*k)->out);
	if ((*k)->fd >= 0)
		close((*k)->fd);
	free(*k);
	*k = NULL;
}

static int send_all(struct kmcask *k, uint64_t until, char why[KMCASK_WHY])
{
	while (buf_left(&k->out)) {
		size_t n;
		int r = tls_write(k->tls, buf_ptr(&k->out), buf_left(&k->out), &n);

		if (r == 0)
			k->out.off += n;
		else if ((r = wait_again(k, r, until, why)) != 0)
			return r;
	}
	return 0;
}

static int receive(struct kmcask *k, struct msg *m, uint64_t until, char why[KMCASK_WHY])
{
	size_t n;
	int r;

	buf_compact(&k->in);
	while ((r = msg_next(&k->in, KMC_ENROL_BODY_MAX * 2 - 4, m)) == E_AGAIN_IN) {
		r = tls_read(k->tls, buf_end(&k->in), buf_space(&k->in), &n);
		if (r == 0)
			k->in.len += n;
		else if ((r = wait_again(k, r, until, why)) != 0)
			return r;
	}
	if (r != 0)
		snprintf(why, KMCASK_WHY, "the KMC does not speak our protocol");
	return r;
}

int kmcask(struct kmcask *k, enum kmc_type type, const void *request, enum kmc_type wanted, void *answer, char why[KMCASK_WHY])
{
	uint64_t until = loop_now_ms() + ANSWER_MS;
	struct kmc_refused no;
	struct msg m;
	int r;

	buf_reset(&k->out);
	if ((r = kmc_write(&k->out, type, ++k->last_id, request)) != 0) {
		snprintf(why, KMCASK_WHY, "can't write the request: %s", error_text(r));
		return r;
	}
	if ((r = send_all(k, until, why)) != 0 || (r = receive(k, &m, until, why)) != 0)
		return r;
	if (m.head.version == KMC_VERSION && m.head.type == KMC_REFUSED && msg_fields(&m, kmc_schema(KMC_REFUSED), &no) == 0) {
		snprintf(why, KMCASK_WHY, "the KMC refused (%s): %.*s", kmc_refusal_text(no.code), (int)no.reason.n, (const char *)no.reason.p);
		text_make_printable(why);
		return E_DENIED;
	}
	if (m.head.version == KMC_VERSION && m.head.type == wanted && msg_fields(&m, kmc_schema(wanted), answer) == 0)
		return 0;
	snprintf(why, KMCASK_WHY, "the KMC speaks another version of the protocol");
	return E_VERSION;
}
