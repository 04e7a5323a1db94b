/* The connection to the KMC. */
#include "dom0-relay/kmclink.h"

#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/tls.h"
#include "dom0-relay/relayconf.h"

#define SOFTWARE "vtpm-relayd 0.1"
#define STEP_MS 4000	     /* for TCP, TLS and WELCOME together */
#define BACKOFF_FIRST_MS 250 /* doubled up to the last */
#define BACKOFF_LAST_MS 15000
#define HURRY_MS 200	 /* the least time between two tries, whoever waits */
#define QUEUE_MESSAGES 4 /* of the largest size */

enum link_state { LINK_AWAY, LINK_CONNECTING, LINK_HANDSHAKE, LINK_GREETING, LINK_UP };

struct kmclink {
	struct loop *loop;
	const struct relayconf *conf;
	const struct kmclink_ops *ops;
	void *arg;
	struct tls_context *ctx;
	enum link_state state;
	int fd;
	struct tls *tls;
	struct source *source, *timer; /* timer: deadline of a step, or end of the back-off */
	struct buf in, out;
	unsigned int backoff_ms;
	uint64_t tried_at;
	bool write_wants_read; /* TLS 1.3 key update */
	uint8_t audit[KMC_AUDIT_HEAD_MAX]; /* the last signed head that was logged */
	size_t audit_size;
	char why[KMCLINK_WHY];
};

static void on_ready(void *arg, unsigned int what);

static void disconnect(struct kmclink *k)
{
	source_free(&k->source);
	tls_free(&k->tls);
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
	buf_reset(&k->in);
	buf_reset(&k->out);
}

/* The only way down: close, tell, and try again later. */
static void go_away(struct kmclink *k, const char *why)
{
	bool was_up = k->state == LINK_UP;
	char text[KMCLINK_WHY];

	snprintf(text, sizeof(text), "KMC %s: %s", k->conf->kmc_address, why);
	text_make_printable(text);
	if (was_up || strcmp(text, k->why) != 0)
		log_warn("%s", text);
	memcpy(k->why, text, sizeof(k->why));
	disconnect(k);
	k->state = LINK_AWAY;
	source_set_ms(k->timer, k->backoff_ms);
	k->backoff_ms = k->backoff_ms * 2 < BACKOFF_LAST_MS ? k->backoff_ms * 2 : BACKOFF_LAST_MS;
	k->ops->down(k->arg, k->why); /* last: it may send, which is refused */
}

static void set_interest(struct kmclink *k)
{
	unsigned int what = LOOP_READ;

	if (k->state == LINK_CONNECTING || (buf_left(&k->out) && !k->write_wants_read))
		what |= LOOP_WRITE;
	if (k->source)
		source_interest(k->source, what);
}

/* Send what is queued: false if the link went down. */
static bool flush(struct kmclink *k)
{
	while (buf_left(&k->out)) {
		size_t n;
		int r = tls_write(k->tls, buf_ptr(&k->out), buf_left(&k->out), &n);

		k->write_wants_read = r == E_AGAIN_IN;
		if (r == E_AGAIN_IN || r == E_AGAIN_OUT)
			break;
		if (r != 0) {
			go_away(k, tls_why(k->tls));
			return false;
		}
		k->out.off += n;
	}
	buf_compact(&k->out);
	return true;
}

/* What the KMC signed about its audit trail goes to the log, where the KMC's administrator can't take it back. */
static void keep_audit(struct kmclink *k, struct view head)
{
	char hex[2 * KMC_AUDIT_HEAD_MAX + 1];

	if (!head.p || (head.n == k->audit_size && bytes_equal(k->audit, head.p, head.n)))
		return;
	memcpy(k->audit, head.p, head.n);
	k->audit_size = head.n;
	for (size_t i = 0; i < head.n; i++)
		snprintf(hex + 2 * i, 3, "%02x", head.p[i]);
	log_info("KMC %s: audit head %s", k->conf->kmc_address, hex);
}

static void welcome(struct kmclink *k, const struct kmc_welcome *w)
{
	k->state = LINK_UP;
	k->backoff_ms = BACKOFF_FIRST_MS;
	k->why[0] = '\0';
	source_clear(k->timer);
	log_info("KMC %s: connected to '%.*s' as host '%.*s' of pool '%.*s'", k->conf->kmc_address, (int)w->kmc.n, (const char *)w->kmc.p,
		 (int)w->host.n, (const char *)w->host.p, (int)w->pool.n, (const char *)w->pool.p);
	keep_audit(k, w->audit);
	k->ops->up(k->arg, w);
}

/* One message of the KMC; false if the link went down. */
static bool take(struct kmclink *k, const struct msg *m)
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct msg_schema *schema = kmc_schema(m->head.type);
	const struct kmc_refused *refused = (const void *)fields;
	char text[KMCLINK_WHY];
	int r;

	if (m->head.version != KMC_VERSION || !schema || schema->size > sizeof(fields)) {
		go_away(k, "it speaks another version of the protocol");
		return false;
	}
	r = msg_fields(m, schema, fields);
	if (r != 0) {
		snprintf(text, sizeof(text), "bad '%s' message: %s", schema->name, error_text(r));
		go_away(k, text);
		return false;
	}
	if (k->state == LINK_UP) {
		if (m->head.type == KMC_OPENED)
			keep_audit(k, ((const struct kmc_opened *)(const void *)fields)->audit);
		k->ops->answer(k->arg, (enum kmc_type)m->head.type, m->head.id, fields);
		return k->state == LINK_UP;
	}
	if (m->head.type == KMC_WELCOME) {
		welcome(k, (const void *)fields);
		return k->state == LINK_UP;
	}
	if (m->head.type == KMC_REFUSED)
		snprintf(text, sizeof(text), "%s: %.*s", kmc_refusal_text(refused->code), (int)refused->reason.n,
			 (const char *)refused->reason.p);
	else
		snprintf(text, sizeof(text), "answered HELLO with '%s'", schema->name);
	go_away(k, text);
	return false;
}

/* Read until there is nothing left: false if the link went down. */
static bool drain(struct kmclink *k)
{
	for (;;) {
		struct msg m;
		size_t n;
		int r;

		buf_compact(&k->in);
		r = tls_read(k->tls, buf_end(&k->in), buf_space(&k->in), &n);
		if (r == E_AGAIN_IN || r == E_AGAIN_OUT)
			return true;
		if (r != 0) {
			go_away(k, tls_why(k->tls));
			return false;
		}
		k->in.len += n;
		while ((r = msg_next(&k->in, KMC_BODY_MAX, &m)) == 0)
			if (!take(k, &m))
				return false;
		if (r != E_AGAIN_IN) {
			go_away(k, "it does not speak our protocol");
			return false;
		}
	}
}

static void greet(struct kmclink *k)
{
	const struct kmc_hello hello = {.software = view_text(SOFTWARE)};

	k->state = LINK_GREETING;
	kmc_write(&k->out, KMC_HELLO, 1, &hello);
}

static bool handshake(struct kmclink *k)
{
	int r = tls_handshake(k->tls);

	if (r == 0) {
		greet(k);
		return true;
	}
	if (r == E_AGAIN_IN || r == E_AGAIN_OUT)
		return true;
	go_away(k, tls_why(k->tls));
	return false;
}

static bool connected(struct kmclink *k)
{
	int error = 0;
	socklen_t n = sizeof(error);

	getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &n);
	if (error) {
		go_away(k, strerror(error));
		return false;
	}
	k->state = LINK_HANDSHAKE;
	return true;
}

static void on_ready(void *arg, unsigned int what)
{
	struct kmclink *k = arg;

	(void)what;
	if (k->state == LINK_CONNECTING && !connected(k))
		return;
	if (k->state == LINK_HANDSHAKE && !handshake(k))
		return;
	if (k->state >= LINK_GREETING && (!drain(k) || !flush(k)))
		return;
	set_interest(k);
}

/* Numeric addresses are resolved at once; for a name the resolver's patience is cut to a second a server. */
static int resolve(const char *address, struct addrinfo **found)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	char host[256], port[6];
	int e;

	if (relayconf_split_address(address, host, sizeof(host), port) != 0)
		return EAI_NONAME;
	e = getaddrinfo(host, port, &hints, found);
	if (e == 0)
		return 0;
	if (res_init() == 0) {
		_res.retrans = 1;
		_res.retry = 1;
	}
	hints.ai_flags = AI_NUMERICSERV;
	return getaddrinfo(host, port, &hints, found);
}

static void try_now(struct kmclink *k)
{
	struct addrinfo *found = NULL;
	int e = resolve(k->conf->kmc_address, &found);

	k->tried_at = loop_now_ms();
	if (e != 0) {
		go_away(k, gai_strerror(e));
		return;
	}
	k->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	e = k->fd < 0 || (connect(k->fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) ? errno : 0;
	freeaddrinfo(found);
	if (e != 0) {
		go_away(k, strerror(e));
		return;
	}
	k->tls = tls_new(k->ctx, k->fd, k->conf->kmc_name);
	k->source = k->tls ? source_fd(k->loop, k->fd, LOOP_READ | LOOP_WRITE, on_ready, k) : NULL;
	if (!k->source) {
		go_away(k, "out of memory");
		return;
	}
	k->state = LINK_CONNECTING;
	source_set_ms(k->timer, STEP_MS);
}

static void on_timer(void *arg, unsigned int what)
{
	struct kmclink *k = arg;

	(void)what;
	if (k->state == LINK_AWAY)
		try_now(k);
	else if (k->state == LINK_CONNECTING)
		go_away(k, "no answer within 4 s");
	else
		go_away(k, "connected, but no welcome within 4 s");
}

int kmclink_new(struct kmclink **link, struct loop *loop, const struct relayconf *conf, const struct kmclink_ops *ops, void *arg,
		char why[KMCLINK_WHY])
{
	struct kmclink *k = calloc(1, sizeof(*k));
	char tls[TLS_WHY] = "out of memory";
	int r = E_NOMEM;

	*link = NULL;
	if (!k)
		goto out;
	*k = (struct kmclink){.loop = loop, .conf = conf, .ops = ops, .arg = arg, .fd = -1, .backoff_ms = BACKOFF_FIRST_MS};
	k->timer = source_timer(loop, on_timer, k);
	if (!k->timer || buf_init(&k->in, KMC_BODY_MAX + sizeof(uint32_t)) != 0 ||
	    buf_init(&k->out, QUEUE_MESSAGES * (KMC_BODY_MAX + sizeof(uint32_t))) != 0)
		goto out;
	r = tls_context_new(&k->ctx, TLS_CLIENT, conf->tls_ca, conf->tls_certificate, conf->tls_key, tls);
	if (r != 0)
		goto out;
	snprintf(k->why, sizeof(k->why), "KMC %s: not tried yet", conf->kmc_address);
	source_set_ms(k->timer, 0);
	*link = k;
	k = NULL;
out:
	if (r != 0)
		snprintf(why, KMCLINK_WHY, "%s", tls);
	kmclink_free(&k);
	return r;
}

void kmclink_free(struct kmclink **k)
{
	if (!*k)
		return;
	disconnect(*k);
	source_free(&(*k)->timer);
	tls_context_free(&(*k)->ctx);
	buf_free(&(*k)->in);
	buf_free(&(*k)->out);
	free(*k);
	*k = NULL;
}

int kmclink_certificate(const struct kmclink *k, uint8_t hash[32])
{
	return tls_context_fingerprint(k->ctx, hash) == 0 ? 0 : E_CRYPTO;
}

bool kmclink_is_up(const struct kmclink *k)
{
	return k->state == LINK_UP;
}

const char *kmclink_why(const struct kmclink *k)
{
	return k->why;
}

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	int r;

	if (k->state != LINK_UP)
		return E_STATE;
	r = kmc_write(&k->out, type, id, fields);
	if (r == 0) /* sent from the loop, so that going down never happens inside the caller */
		set_interest(k);
	return r;
}

void kmclink_hurry(struct kmclink *k)
{
	if (k->state != LINK_AWAY)
		return;
	k->backoff_ms = BACKOFF_FIRST_MS;
	source_set_ms(k->timer, loop_now_ms() - k->tried_at >= HURRY_MS ? 0 : HURRY_MS);
}
