/*
 * The connection to the KMC.
 *
 * Theory of operation: the addresses are tried in their order, one after the other without delay; after the last one there is a pause
 * that grows. Each lost connection begins with the first address again. While a later address serves, the earlier ones are tried beside it
 * now and then; one that opens takes over.
 */
#include "dom0-relay/kmclink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/tls.h"
#include "dom0-relay/credentials.h"
#include "dom0-relay/kmcwire.h"
#include "dom0-relay/relayconf.h"

#define SOFTWARE "vtpm-relayd 0.1"
#define STEP_MS 4000	     /* for TCP and TLS, and again for WELCOME */
#define ROUND_MS 6000	     /* for TCP and TLS of all addresses, where there are several: a guest waits 9 s */
#define STEP_LEAST_MS 1000
#define BACKOFF_FIRST_MS 250 /* doubled up to the last */
#define BACKOFF_LAST_MS 15000
#define HURRY_MS 200	 /* the least time between two tries, whoever waits */
#define RETURN_FACTOR 16 /* a return that failed is tried less often, down to this */
#define QUEUE_MESSAGES 4 /* of the largest size */
#define QUEUE_SPARE (128 * 1024) /* that states leave to all else: who sends that does not try again */
#define SILENCE_MS 60000 /* while an answer is awaited, without any: the other end is dead or hangs */

enum link_state { LINK_AWAY, LINK_OPENING, LINK_GREETING, LINK_UP };

/* One address of the configuration, and how its last try went. */
struct place {
	struct kmc_address address;
	bool refused; /* somebody answered there, and we are not wanted or don't want it */
	char why[KMCLINK_WHY];
};

struct kmclink {
	struct loop *loop;
	struct xenstore *xs;
	const struct relayconf *conf;
	const struct kmclink_ops *ops;
	void *arg;
	struct credentials credentials;
	struct tls_signer signer; /* where the key is in the TPM */
	uint64_t last_ticket;	  /* of what it was asked to sign */
	struct place places[RELAYCONF_ADDRESSES];
	unsigned int n_places, at; /* at: the place that is used, or tried next */
	enum link_state state;
	bool lost; /* the last round through all places found nobody at any of them */
	struct kmcwire *wire;
	struct source *timer; /* deadline of the greeting and of an answer, or end of the back-off */
	uint64_t waiting;     /* for so many answers */
	struct buf in, out;
	unsigned int backoff_ms;
	uint64_t tried_at;
	bool write_wants_read; /* TLS 1.3 key update */
	struct kmcwire *probe; /* of an earlier place, while a later one serves */
	unsigned int probe_at, return_factor;
	bool returning; /* this connection was such a probe, and is not welcome yet */
	struct source *return_timer;
	uint8_t audit[KMC_AUDIT_HEAD_MAX]; /* the last signed head that was logged */
	size_t audit_size;
	char why[KMCLINK_WHY];
};

static const struct kmcwire_ops wire_ops;

static void disconnect(struct kmclink *k)
{
	kmcwire_free(&k->wire);
	kmcwire_free(&k->probe);
	source_clear(k->return_timer);
	buf_reset(&k->in);
	buf_reset(&k->out);
	k->waiting = 0;
}

/* One place's wire, for the connection that is used or for a probe. */
static struct kmcwire *dial(struct kmclink *k, unsigned int at, unsigned int ms, const struct kmcwire_ops *ops)
{
	const struct kmc_address *a = &k->places[at].address;

	return kmcwire_new(k->loop, k->credentials.ctx, k->xs, a, relayconf_peer(k->conf, a), ms, ops, k);
}

static unsigned int step_ms(const struct kmclink *k)
{
	unsigned int share = ROUND_MS / k->n_places;

	if (k->n_places == 1)
		return STEP_MS;
	return share > STEP_LEAST_MS ? share : STEP_LEAST_MS;
}

/* What was found at the places, the latest first. */
static void sum_up(struct kmclink *k, const struct place *latest)
{
	size_t n = (size_t)snprintf(k->why, sizeof(k->why), "%s", latest->why);

	for (unsigned int i = 0; i < k->n_places && n < sizeof(k->why); i++)
		if (&k->places[i] != latest && k->places[i].why[0])
			n += (size_t)snprintf(k->why + n, sizeof(k->why) - n, "; %s", k->places[i].why);
}

/* Where to next, and when. */
static void plan(struct kmclink *k, bool was_up)
{
	if (was_up || ++k->at == k->n_places) {
		k->lost = !was_up;
		for (unsigned int i = 0; i < k->n_places; i++)
			k->lost &= !k->places[i].refused;
		k->at = 0;
		source_set_ms(k->timer, k->backoff_ms);
		k->backoff_ms = k->backoff_ms * 2 < BACKOFF_LAST_MS ? k->backoff_ms * 2 : BACKOFF_LAST_MS;
	} else {
		source_set_ms(k->timer, 0);
	}
}

/* The only way down: close, tell, and try again later. */
static void go_away(struct kmclink *k, bool refused, const char *why)
{
	struct place *p = &k->places[k->at];
	bool was_up = k->state == LINK_UP;
	char text[KMCLINK_WHY];

	snprintf(text, sizeof(text), "KMC %s: %s", p->address.text, why);
	text_make_printable(text);
	if (was_up || strcmp(text, p->why) != 0)
		log_warn("%s", text);
	memcpy(p->why, text, sizeof(p->why));
	p->refused = refused;
	sum_up(k, p);
	disconnect(k);
	k->state = LINK_AWAY;
	if (refused && !was_up)
		credentials_fall_back(&k->credentials);
	if (k->returning && k->return_factor < RETURN_FACTOR)
		k->return_factor *= 2;
	k->returning = false;
	plan(k, was_up);
	k->ops->down(k->arg, k->why); /* last: it may send, which is refused */
	if (k->lost && k->at == 0 && !was_up)
		k->ops->lost(k->arg);
}

static void set_interest(struct kmclink *k)
{
	if (k->wire)
		kmcwire_want_room(k->wire, buf_left(&k->out) && !k->write_wants_read);
}

/* Send what is queued: false if the link went down. */
static bool flush(struct kmclink *k)
{
	while (buf_left(&k->out)) {
		size_t n;
		int r = kmcwire_write(k->wire, buf_ptr(&k->out), buf_left(&k->out), &n);

		k->write_wants_read = r == E_AGAIN_IN;
		if (r == E_AGAIN_IN || r == E_AGAIN_OUT)
			break;
		if (r != 0) {
			go_away(k, r == E_DENIED || r == E_CRYPTO, kmcwire_why(k->wire));
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
	log_info("KMC %s: audit head %s", k->places[k->at].address.text, hex);
}

static void welcome(struct kmclink *k, const struct kmc_welcome *w)
{
	k->state = LINK_UP;
	k->backoff_ms = BACKOFF_FIRST_MS;
	k->why[0] = '\0';
	k->lost = k->returning = false;
	for (unsigned int i = 0; i < k->n_places; i++)
		k->places[i].why[0] = '\0';
	source_clear(k->timer);
	if (k->at == 0)
		k->return_factor = 1;
	else
		source_set_ms(k->return_timer, k->conf->kmc_return_s * 1000 * k->return_factor);
	log_info("KMC %s: connected to '%.*s' as host '%.*s' of pool '%.*s'", k->places[k->at].address.text, (int)w->kmc.n, (const char *)w->kmc.p,
		 (int)w->host.n, (const char *)w->host.p, (int)w->pool.n, (const char *)w->pool.p);
	keep_audit(k, w->audit);
	k->ops->up(k->arg, w);
}

/* The others have their time from now on: the KMC answers one after the other. */
static void answered(struct kmclink *k)
{
	if (k->waiting)
		k->waiting--;
	if (k->waiting)
		source_set_ms(k->timer, SILENCE_MS);
	else
		source_clear(k->timer);
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
		go_away(k, true, "it speaks another version of the protocol");
		return false;
	}
	r = msg_fields(m, schema, fields);
	if (r != 0) {
		snprintf(text, sizeof(text), "bad '%s' message: %s", schema->name, error_text(r));
		go_away(k, true, text);
		return false;
	}
	if (k->state == LINK_UP) {
		answered(k);
		if (m->head.type == KMC_OPENED)
			keep_audit(k, ((const struct kmc_opened *)(const void *)fields)->audit);
		k->ops->answer(k->arg, (enum kmc_type)m->head.type, m->head.id, fields);
		return k->state == LINK_UP;
	}
	if (m->head.type == KMC_WELCOME) {
		welcome(k, (const void *)fields);
		return k->state == LINK_UP;
	}
	if (m->head.type == KMC_REFUSED && refused->code == KMC_REFUSED_UNKNOWN_HOST && credentials_are_all_tried(&k->credentials))
		k->ops->unwelcome(k->arg);
	if (m->head.type == KMC_REFUSED)
		snprintf(text, sizeof(text), "%s: %.*s", kmc_refusal_text(refused->code), (int)refused->reason.n,
			 (const char *)refused->reason.p);
	else
		snprintf(text, sizeof(text), "answered HELLO with '%s'", schema->name);
	go_away(k, true, text);
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
		r = kmcwire_read(k->wire, buf_end(&k->in), buf_space(&k->in), &n);
		if (r == E_AGAIN_IN || r == E_AGAIN_OUT)
			return true;
		if (r != 0) {
			go_away(k, r == E_DENIED || r == E_CRYPTO, kmcwire_why(k->wire));
			return false;
		}
		k->in.len += n;
		while ((r = msg_next(&k->in, KMC_BODY_MAX, &m)) == 0)
			if (!take(k, &m))
				return false;
		if (r != E_AGAIN_IN) {
			go_away(k, true, "it does not speak our protocol");
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

static void on_open(void *arg)
{
	struct kmclink *k = arg;

	source_set_ms(k->timer, STEP_MS);
	greet(k);
	if (flush(k))
		set_interest(k);
}

static void on_ready(void *arg)
{
	struct kmclink *k = arg;

	if (drain(k) && flush(k))
		set_interest(k);
}

static void on_failed(void *arg, bool answered, const char *why)
{
	char text[TLS_WHY];

	snprintf(text, sizeof(text), "%s", why); /* it goes with the wire */
	go_away(arg, answered, text);
}

static const struct kmcwire_ops wire_ops = {.open = on_open, .ready = on_ready, .failed = on_failed};

static void try_now(struct kmclink *k)
{
	k->tried_at = loop_now_ms();
	k->wire = dial(k, k->at, step_ms(k), &wire_ops);
	if (k->wire)
		k->state = LINK_OPENING;
	else
		go_away(k, false, "out of memory");
}

static void on_timer(void *arg, unsigned int what)
{
	struct kmclink *k = arg;

	(void)what;
	if (k->state == LINK_AWAY)
		try_now(k);
	else if (k->state == LINK_UP)
		go_away(k, false, "a request had no answer within 60 s");
	else
		go_away(k, false, "connected, but no welcome within 4 s");
}

/* --- back to an earlier place --- */

static void probe_next(struct kmclink *k, unsigned int at);

/* It answers: the connection that serves is given up for it. */
static void on_probe_open(void *arg)
{
	struct kmclink *k = arg;
	struct kmcwire *wire = k->probe;

	k->probe = NULL;
	log_info("KMC %s: answers again, and is used instead of %s", k->places[k->probe_at].address.text, k->places[k->at].address.text);
	disconnect(k);
	k->state = LINK_AWAY;
	k->at = k->probe_at;
	k->ops->down(k->arg, "changing to an earlier KMC");
	k->wire = wire;
	k->returning = true;
	kmcwire_give(wire, &wire_ops, k);
	on_open(k);
}

static void on_probe_failed(void *arg, bool answered, const char *why)
{
	struct kmclink *k = arg;

	(void)answered;
	log_debug("KMC %s: %s", k->places[k->probe_at].address.text, why);
	kmcwire_free(&k->probe);
	probe_next(k, k->probe_at + 1);
}

static void probe_next(struct kmclink *k, unsigned int at)
{
	static const struct kmcwire_ops ops = {.open = on_probe_open, .failed = on_probe_failed};

	k->probe_at = at;
	k->probe = at < k->at ? dial(k, at, step_ms(k), &ops) : NULL;
	if (!k->probe)
		source_set_ms(k->return_timer, k->conf->kmc_return_s * 1000 * k->return_factor);
}

static void on_return(void *arg, unsigned int what)
{
	struct kmclink *k = arg;

	(void)what;
	if (k->state == LINK_UP && !k->probe)
		probe_next(k, 0);
}

/* --- the key in the TPM --- */

static bool on_sign(void *arg, struct tls *t, const uint8_t digest[32])
{
	struct kmclink *k = arg;
	uint64_t ticket = ++k->last_ticket;

	if (!(k->wire && kmcwire_asked(k->wire, t, ticket)) && !(k->probe && kmcwire_asked(k->probe, t, ticket)))
		return false;
	k->ops->sign(k->arg, ticket, digest);
	return true;
}

void kmclink_signed(struct kmclink *k, uint64_t ticket, struct view signature, const char *why)
{
	/* If neither waits for it, that connection was given up meanwhile. */
	if (!(k->wire && kmcwire_signed(k->wire, ticket, signature, why)) && k->probe)
		kmcwire_signed(k->probe, ticket, signature, why);
}

/* --- its life --- */

int kmclink_new(struct kmclink **link, struct loop *loop, struct xenstore *xs, const struct relayconf *conf, const struct identity *id,
		const struct kmclink_ops *ops, void *arg, char why[KMCLINK_WHY])
{
	struct kmclink *k = calloc(1, sizeof(*k));
	char tls[TLS_WHY] = "out of memory";
	int r = E_NOMEM;

	*link = NULL;
	if (!k)
		goto out;
	*k = (struct kmclink){.loop = loop, .xs = xs, .conf = conf, .ops = ops, .arg = arg, .backoff_ms = BACKOFF_FIRST_MS, .return_factor = 1};
	while (k->n_places < RELAYCONF_ADDRESSES &&
	       relayconf_address(conf->kmc_address, k->n_places, &k->places[k->n_places].address) == 0)
		k->n_places++;
	k->timer = source_timer(loop, on_timer, k);
	k->return_timer = source_timer(loop, on_return, k);
	if (!k->timer || !k->return_timer || buf_init(&k->in, KMC_BODY_MAX + sizeof(uint32_t)) != 0 ||
	    buf_init(&k->out, QUEUE_MESSAGES * (KMC_BODY_MAX + sizeof(uint32_t)) + QUEUE_SPARE) != 0)
		goto out;
	k->signer = (struct tls_signer){.sign = on_sign, .arg = k};
	r = credentials_load(&k->credentials, conf, id, &k->signer, tls);
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
	source_free(&(*k)->return_timer);
	credentials_free(&(*k)->credentials);
	buf_free(&(*k)->in);
	buf_free(&(*k)->out);
	free(*k);
	*k = NULL;
}

int kmclink_certificate(const struct kmclink *k, uint8_t hash[32])
{
	return k->wire ? kmcwire_certificate(k->wire, hash) : E_STATE;
}

int kmclink_root(const struct kmclink *k, uint8_t hash[32])
{
	return k->wire ? kmcwire_root(k->wire, hash) : E_STATE;
}

int kmclink_renew(struct kmclink *k, struct view der)
{
	return credentials_renew(&k->credentials, der);
}

int kmclink_trust(struct kmclink *k, const struct identity *id)
{
	return credentials_trust(&k->credentials, id);
}

struct view kmclink_shown(const struct kmclink *k)
{
	return view_of(k->credentials.certificate.bytes, k->credentials.certificate.size);
}

void kmclink_reconnect(struct kmclink *k, const char *why)
{
	if (k->state != LINK_UP)
		return;
	log_info("KMC %s: connecting anew: %s", k->places[k->at].address.text, why);
	disconnect(k);
	k->state = LINK_AWAY;
	source_set_ms(k->timer, 0);
	k->ops->down(k->arg, why);
}

int kmclink_sign(const struct kmclink *k, struct view message, uint8_t signature[KMCLINK_SIGNATURE])
{
	_Static_assert(KMCLINK_SIGNATURE == TLS_SIGNATURE_MAX, "one size of signatures");

	return tls_context_sign(k->credentials.ctx, message.p, message.n, signature);
}

bool kmclink_is_up(const struct kmclink *k)
{
	return k->state == LINK_UP;
}

const char *kmclink_why(const struct kmclink *k)
{
	return k->why;
}

/* When a connection comes up, the states of all guests may wait for it. */
static bool has_room(const struct kmclink *k, enum kmc_type type)
{
	return (type != KMC_STORE && type != KMC_SUSPEND) || buf_space(&k->out) >= KMC_BODY_MAX + sizeof(uint32_t) + QUEUE_SPARE;
}

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	int r;

	if (k->state != LINK_UP)
		return E_STATE;
	if (!has_room(k, type))
		return E_RANGE;
	r = kmc_write(&k->out, type, id, fields);
	if (r != 0)
		return r;
	if (!k->waiting++)
		source_set_ms(k->timer, SILENCE_MS);
	set_interest(k); /* sent from the loop, so that going down never happens inside the caller */
	return 0;
}

void kmclink_look(struct kmclink *k)
{
	if (k->probe)
		kmcwire_look(k->probe);
	if (k->wire)
		kmcwire_look(k->wire);
}

void kmclink_hurry(struct kmclink *k)
{
	if (k->state != LINK_AWAY)
		return;
	k->backoff_ms = BACKOFF_FIRST_MS;
	source_set_ms(k->timer, loop_now_ms() - k->tried_at >= HURRY_MS ? 0 : HURRY_MS);
}
