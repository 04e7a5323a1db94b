/* One host's connection in the front. */
#include "kmc/conn.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/tls.h"

#define SMALL 4096	    /* bytes of a buffer that an idle connection keeps */
#define HELLO_MAX 512	    /* bytes of a body before the host is welcome */
#define FRAME_MS 20000	    /* for a frame that has begun, and for taking in an answer */
#define CLOSING_MS 3000	    /* for taking in the last one */
#define ENROL_MS 60000	    /* from ENROL on: a TPM needs seconds for its part */
#define LINGER_MS 1000
#define WHY_MAX 300

enum conn_state {
	CONN_HANDSHAKE, /* TLS */
	CONN_NEW,	/* HELLO is expected, or with the engine */
	CONN_READY,	/* welcome: any request */
	CONN_ENROL,	/* no certificate: ENROL and PROVE only */
	CONN_CLOSING,	/* the last answer is on its way */
	CONN_LINGER,	/* said our last word: what still comes is dropped, so that the peer gets to read it */
};

enum wait { WAIT_NOTHING, WAIT_START, WAIT_ENROL, WAIT_FRAME, WAIT_WRITE, WAIT_CLOSING, WAIT_LINGER };

struct conn {
	struct loop *loop;
	int fd;
	struct tls *tls;
	struct source *source, *timer;
	struct sockaddr_storage peer;
	const struct conn_ops *ops;
	void *arg;
	uint64_t id, start_ms; /* start_ms: for handshake and HELLO */
	enum conn_state state;
	enum wait wait;
	bool enrolling; /* ENROL has come */
	bool asked;	/* a request waits for its answer */
	bool advancing; /* in advance(), which goes on by itself after an answer */
	bool read_wants_write, write_wants_read;
	bool early; /* bytes came while an answer is awaited: they are left alone until then */
	uint64_t request_id;
	char name[KMC_NAME_MAX + 1];
	uint8_t fingerprint[32];
	struct buf in, out;
	char why[WHY_MAX]; /* of a lingering one */
};

static void advance(struct conn *c);

static void close_with(struct conn *c, const char *why)
{
	c->ops->closed(c->arg, c, why);
}

/*
 * Closing a socket with unread bytes in it resets the connection, and the peer loses our last word: a refusal, or the TLS alert that
 * says what is wrong with its certificate.
 */
static void linger(struct conn *c, const char *why)
{
	snprintf(c->why, sizeof(c->why), "%s", why); /* may be the TLS connection's own text */
	tls_free(&c->tls);
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGER;
	c->wait = WAIT_LINGER;
	source_interest(c->source, LOOP_READ);
	source_set_ms(c->timer, LINGER_MS);
}

static void drop_input(struct conn *c)
{
	uint8_t room[SMALL];
	ssize_t n = recv(c->fd, room, sizeof(room), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_with(c, c->why);
}

static void on_ready(void *arg, unsigned int what)
{
	struct conn *c = arg;

	if (c->state == CONN_LINGER)
		drop_input(c);
	else if (c->asked && !buf_left(&c->out) && (what & LOOP_READ)) {
		c->early = true;
		source_interest(c->source, 0);
	} else
		advance(c);
}

static void on_deadline(void *arg, unsigned int what)
{
	static const char *const texts[] = {
		[WAIT_NOTHING] = "?",
		[WAIT_START] = "no TLS handshake and HELLO in time",
		[WAIT_ENROL] = "it did not finish its enrolment in time",
		[WAIT_FRAME] = "a message did not arrive as a whole in time",
		[WAIT_WRITE] = "an answer was not taken in time",
		[WAIT_CLOSING] = "",
		[WAIT_LINGER] = "",
	};
	struct conn *c = arg;

	(void)what;
	close_with(c, c->wait == WAIT_LINGER ? c->why : texts[c->wait]);
}

struct conn *conn_new(struct loop *loop, struct tls_context *tls, int fd, const struct sockaddr_storage *peer, uint64_t deadline_ms,
		      const struct conn_ops *ops, void *arg)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	*c = (struct conn){.loop = loop, .fd = fd, .peer = *peer, .ops = ops, .arg = arg, .start_ms = deadline_ms};
	c->tls = tls_new(tls, fd, NULL);
	c->source = source_fd(loop, fd, LOOP_READ, on_ready, c);
	c->timer = source_timer(loop, on_deadline, c);
	if (!c->tls || !c->source || !c->timer || buf_init(&c->in, SMALL) != 0) {
		conn_free(&c);
		return NULL;
	}
	c->wait = WAIT_START;
	source_set_ms(c->timer, deadline_ms);
	return c;
}

void conn_free(struct conn **conn)
{
	struct conn *c = *conn;

	if (!c)
		return;
	source_free(&c->source);
	source_free(&c->timer);
	tls_free(&c->tls);
	buf_free(&c->in);
	buf_free(&c->out);
	close(c->fd);
	free(c);
	*conn = NULL;
}

/* Each state's interest and deadline, set in one place. */
static void settle(struct conn *c)
{
	static const unsigned int ms[] = {[WAIT_ENROL] = ENROL_MS, [WAIT_FRAME] = FRAME_MS, [WAIT_WRITE] = FRAME_MS, [WAIT_CLOSING] = CLOSING_MS};
	bool writing = buf_left(&c->out) != 0;
	unsigned int what = 0;
	enum wait wait;

	if (writing ? !c->write_wants_read : c->read_wants_write)
		what = LOOP_WRITE;
	else if (writing || !c->asked || !c->early) /* while an answer is awaited too: to stop and start would cost a call each */
		what = LOOP_READ;
	source_interest(c->source, what);
	if (c->state == CONN_HANDSHAKE || c->state == CONN_NEW)
		wait = WAIT_START;
	else if (c->state == CONN_ENROL)
		wait = c->enrolling ? WAIT_ENROL : WAIT_START;
	else if (c->state == CONN_CLOSING)
		wait = WAIT_CLOSING;
	else if (writing)
		wait = WAIT_WRITE;
	else
		wait = buf_left(&c->in) && !c->asked ? WAIT_FRAME : WAIT_NOTHING;
	if (wait == c->wait)
		return; /* a deadline is not put off by a trickle of bytes */
	c->wait = wait;
	if (wait == WAIT_NOTHING)
		source_clear(c->timer);
	else
		source_set_ms(c->timer, ms[wait]);
}

/* Return: 0, E_AGAIN_*, or anything else: the connection is dead. */
static int handshake(struct conn *c)
{
	char name[TLS_NAME];
	int r = tls_handshake(c->tls);

	if (r != 0)
		return r;
	if (tls_is_anonymous(c->tls)) {
		c->state = CONN_ENROL;
		return 0;
	}
	if (tls_peer_name(c->tls, name) != 0 || strlen(name) > KMC_NAME_MAX || tls_peer_fingerprint(c->tls, c->fingerprint) != 0)
		return E_FORMAT;
	memcpy(c->name, name, strlen(name) + 1);
	c->state = CONN_NEW;
	return 0;
}

static int flush(struct conn *c)
{
	while (buf_left(&c->out)) {
		size_t n;
		int r = tls_write(c->tls, buf_ptr(&c->out), buf_left(&c->out), &n);

		c->write_wants_read = r == E_AGAIN_IN;
		if (r != 0)
			return r;
		c->out.off += n;
	}
	if (c->out.cap > SMALL)
		buf_free(&c->out);
	else
		buf_reset(&c->out);
	return 0;
}

static size_t body_max(const struct conn *c)
{
	if (c->state == CONN_ENROL)
		return KMC_ENROL_BODY_MAX;
	return c->state == CONN_READY ? KMC_BODY_MAX : HELLO_MAX;
}

/* Make room for the whole frame whose length is known, or give back what a large one took. */
static int fit(struct conn *c)
{
	struct buf peek = c->in, b;
	size_t cap = SMALL;
	uint32_t n;
	int r;

	if (buf_get_u32(&peek, &n) == 0 && n <= body_max(c) && n + sizeof(n) > SMALL)
		cap = n + sizeof(n);
	if (cap == SMALL ? c->in.cap <= SMALL || buf_left(&c->in) > SMALL : cap <= c->in.cap) {
		buf_compact(&c->in);
		return 0;
	}
	r = buf_init(&b, cap);
	if (r != 0)
		return r;
	buf_put(&b, buf_ptr(&c->in), buf_left(&c->in));
	buf_free(&c->in);
	c->in = b;
	return 0;
}

static bool is_request(uint64_t type)
{
	return type == KMC_HELLO || type == KMC_PROTECT || type == KMC_OPEN || type == KMC_RELEASE || type == KMC_STORE ||
	       type == KMC_SUSPEND || type == KMC_RESUME || type == KMC_RESERVE || type == KMC_COMMIT || type == KMC_CANCEL ||
	       type == KMC_ATTEST || type == KMC_QUOTE || type == KMC_PARK || type == KMC_RECALLS || type == KMC_CERTIFY || type == KMC_RENEW || type == KMC_TRUST || type == KMC_CHECK ||
	       type == KMC_VERIFY || type == KMC_ENROL || type == KMC_PROVE;
}

/* Whether @type has its place in this state; if not, @why says what has. */
static bool is_in_turn(const struct conn *c, uint64_t type, char why[WHY_MAX])
{
	bool enrols = type == KMC_ENROL || type == KMC_PROVE;

	if (enrols != (c->state == CONN_ENROL))
		snprintf(why, WHY_MAX, enrols ? "a host with a certificate is enrolled already" : "without a certificate a host can be enrolled only");
	else if (enrols && c->enrolling != (type == KMC_PROVE))
		snprintf(why, WHY_MAX, "ENROL belongs at the beginning, once");
	else if (!enrols && (c->state == CONN_NEW) != (type == KMC_HELLO))
		snprintf(why, WHY_MAX, "HELLO belongs at the beginning, once");
	else
		return true;
	return false;
}

/* 0, or the refusal of a message that must not be passed on. */
static enum kmc_refusal check(const struct conn *c, const struct msg *m, char why[WHY_MAX])
{
	_Alignas(max_align_t) uint8_t fields[256];
	const struct msg_schema *schema = kmc_schema(m->head.type);
	uint64_t type = m->head.type;
	int r;

	if (m->head.version != KMC_VERSION) {
		snprintf(why, WHY_MAX, "protocol version %u is spoken here: upgrade the older side", KMC_VERSION);
		return KMC_REFUSED_VERSION;
	}
	if (!schema || !is_request(type)) {
		snprintf(why, WHY_MAX, "this message is no request that is known here");
		return KMC_REFUSED_MALFORMED;
	}
	if (!is_in_turn(c, type, why))
		return KMC_REFUSED_MALFORMED;
	r = schema->size <= sizeof(fields) ? msg_fields(m, schema, fields) : E_RANGE;
	if (r == 0)
		return 0;
	snprintf(why, WHY_MAX, "message '%s': %s", schema->name, error_text(r));
	return KMC_REFUSED_MALFORMED;
}

/* Take the next request, if it is there: 0, E_AGAIN_IN. */
/* NOLINTNEXTLINE(misc-no-recursion): c->advancing ends it */
static int take(struct conn *c)
{
	char why[WHY_MAX];
	enum kmc_refusal code;
	struct msg m;
	int r = msg_next(&c->in, body_max(c), &m);

	if (r == E_AGAIN_IN)
		return r;
	c->asked = true;
	c->early = false;
	c->request_id = r == 0 ? m.head.id : 0;
	if (r != 0) {
		conn_refuse(c, KMC_REFUSED_MALFORMED, r == E_RANGE ? "the message is too long" : "this is not our protocol");
		return 0;
	}
	code = check(c, &m, why);
	if (code) {
		conn_refuse(c, code, why);
		return 0;
	}
	c->enrolling |= m.head.type == KMC_ENROL;
	c->ops->request(c->arg, c, (enum kmc_type)m.head.type, view_of(m.body.p - sizeof(uint32_t), m.body.n + sizeof(uint32_t)));
	return 0;
}

static int receive(struct conn *c)
{
	size_t n;
	int r = fit(c);

	if (r == 0)
		r = tls_read(c->tls, buf_end(&c->in), buf_space(&c->in), &n);
	c->read_wants_write = r == E_AGAIN_OUT;
	if (r == 0)
		c->in.len += n;
	return r;
}

/* Go on as far as it goes: 0 (an answer is awaited), E_AGAIN_*, E_STATE after the last answer, or what broke. */
/* NOLINTNEXTLINE(misc-no-recursion): c->advancing ends it */
static int step(struct conn *c)
{
	int r = c->state == CONN_HANDSHAKE ? handshake(c) : 0;

	while (r == 0) {
		if ((r = flush(c)) != 0)
			break;
		if (c->state == CONN_CLOSING)
			return E_STATE;
		if (c->asked)
			return 0;
		r = take(c);
		if (r == E_AGAIN_IN)
			r = receive(c);
	}
	return r;
}

/* NOLINTNEXTLINE(misc-no-recursion): c->advancing ends it */
static void advance(struct conn *c)
{
	int r;

	c->advancing = true;
	r = step(c);
	c->advancing = false;
	if (r == 0 || r == E_AGAIN_IN || r == E_AGAIN_OUT)
		settle(c);
	else if (r == E_EOF || r == E_IO)
		close_with(c, c->state != CONN_HANDSHAKE ? "" : tls_why(c->tls));
	else if (r == E_STATE)
		linger(c, "");
	else if (r == E_FORMAT)
		linger(c, "its certificate names no host");
	else
		linger(c, r == E_NOMEM ? "there is no memory for its message" : tls_why(c->tls));
}

static int queue(struct conn *c, struct view frame)
{
	if (c->out.cap < frame.n) {
		buf_free(&c->out);
		if (buf_init(&c->out, frame.n < SMALL ? SMALL : frame.n) != 0)
			return E_NOMEM;
	}
	return buf_put(&c->out, frame.p, frame.n);
}

/* Told that its host has a newer connection: there is nothing left for this one to do. */
static bool is_superseded(const struct msg *m)
{
	struct kmc_refused refused;

	return m->head.type == KMC_REFUSED && msg_fields(m, kmc_schema(KMC_REFUSED), &refused) == 0 && refused.code == KMC_REFUSED_SESSION;
}

void conn_answer(struct conn *c, struct view frame)
{
	struct msg m = {0};
	struct buf b;

	buf_view(&b, frame.p, frame.n);
	if (!c->asked || msg_next(&b, KMC_BODY_MAX, &m) != 0 || queue(c, frame) != 0)
		c->state = CONN_CLOSING;
	else if (c->state == CONN_NEW)
		c->state = m.head.type == KMC_WELCOME ? CONN_READY : CONN_CLOSING;
	else if ((c->state == CONN_ENROL && m.head.type != KMC_CHALLENGE) || is_superseded(&m))
		c->state = CONN_CLOSING;
	c->asked = false;
	buf_compact(&c->in);
	if (!c->advancing)
		advance(c);
}

/* NOLINTNEXTLINE(misc-no-recursion): c->advancing ends it */
void conn_refuse(struct conn *c, enum kmc_refusal code, const char *why)
{
	const struct kmc_refused m = {.code = code, .reason = view_text(why)};
	uint8_t room[SMALL / 4];
	struct buf b;

	buf_over(&b, room, sizeof(room));
	if (kmc_write(&b, KMC_REFUSED, c->request_id, &m) == 0)
		queue(c, view_of(b.data, b.len));
	c->state = CONN_CLOSING;
	c->asked = false;
	if (!c->advancing)
		advance(c);
}

const char *conn_name(const struct conn *c)
{
	return c->name;
}

bool conn_is_anonymous(const struct conn *c)
{
	return c->state != CONN_HANDSHAKE && !c->name[0];
}

bool conn_is_arriving(const struct conn *c)
{
	return !c->asked && (c->state == CONN_HANDSHAKE || c->state == CONN_NEW || (c->state == CONN_ENROL && !c->enrolling) ||
			     c->state == CONN_CLOSING || c->state == CONN_LINGER);
}

bool conn_is_enrolling(const struct conn *c)
{
	return c->enrolling;
}

const uint8_t *conn_fingerprint(const struct conn *c)
{
	return c->fingerprint;
}

const struct sockaddr_storage *conn_peer(const struct conn *c)
{
	return &c->peer;
}

uint64_t conn_id(const struct conn *c)
{
	return c->id;
}

void conn_set_id(struct conn *c, uint64_t id)
{
	c->id = id;
}
