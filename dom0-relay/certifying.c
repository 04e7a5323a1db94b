/* Certificates of vTPMs' endorsement keys, the relay's side. */
#include "dom0-relay/certifying.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/loop.h"
#include "dom0-relay/guests.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"

#define RETRY_MS 30000	/* after a failure of the KMC's that may pass */
#define NEVER UINT64_MAX /* not under this lease */

struct wanted {
	uint64_t ticket; /* 0: free */
	struct kmc_certify q;
	uint64_t due_ms;
};

struct certifying {
	struct kmclink *kmc;
	certifying_fn *fn;
	void *arg;
	struct source *timer;
	bool up;
	uint64_t asked; /* the ticket that the KMC was asked for; 0: none */
	uint64_t asked_epoch;
	struct wanted table[GUESTS_MAX];
};

static struct wanted *find(struct certifying *c, uint64_t ticket)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (c->table[i].ticket == ticket)
			return &c->table[i];
	return NULL;
}

/* The one that is due first, or NULL. */
static struct wanted *first(struct certifying *c)
{
	struct wanted *w = NULL;

	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (c->table[i].ticket && (!w || c->table[i].due_ms < w->due_ms))
			w = &c->table[i];
	return w;
}

/* Ask for what is due, or have the timer do it. */
static void go_on(struct certifying *c)
{
	struct wanted *w = c->up && !c->asked ? first(c) : NULL;
	uint64_t now = loop_now_ms();

	if (!w || w->due_ms == NEVER)
		return;
	if (w->due_ms > now) {
		source_set_ms(c->timer, w->due_ms - now);
	} else if (kmclink_send(c->kmc, KMC_CERTIFY, KMC_ID_CERTIFY, &w->q) == 0) {
		c->asked = w->ticket;
		c->asked_epoch = w->q.lease_epoch;
	} else {
		source_set_ms(c->timer, RETRY_MS);
	}
}

static void on_timer(void *arg, unsigned int what)
{
	(void)what;
	go_on(arg);
}

struct certifying *certifying_new(struct loop *loop, struct kmclink *kmc, certifying_fn *fn, void *arg)
{
	struct certifying *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct certifying){.kmc = kmc, .fn = fn, .arg = arg};
	c->timer = source_timer(loop, on_timer, c);
	if (!c->timer)
		certifying_free(&c);
	return c;
}

void certifying_free(struct certifying **c)
{
	if (!*c)
		return;
	source_free(&(*c)->timer);
	free(*c);
	*c = NULL;
}

void certifying_want(struct certifying *c, uint64_t ticket, const struct kmc_certify *q)
{
	struct wanted *w = find(c, ticket);

	if (!w && !(w = find(c, 0)))
		return; /* there is one for each guest */
	*w = (struct wanted){.ticket = ticket, .q = *q, .due_ms = q->lease_epoch ? loop_now_ms() : NEVER};
	go_on(c);
}

void certifying_lease(struct certifying *c, uint64_t ticket, uint64_t lease_epoch)
{
	struct wanted *w = find(c, ticket);

	if (!w)
		return;
	w->q.lease_epoch = lease_epoch;
	w->due_ms = loop_now_ms();
	go_on(c);
}

void certifying_forget(struct certifying *c, uint64_t ticket)
{
	struct wanted *w = find(c, ticket);

	if (w)
		*w = (struct wanted){0};
}

void certifying_up(struct certifying *c)
{
	c->up = true;
	c->asked = 0;
	go_on(c);
}

void certifying_down(struct certifying *c)
{
	c->up = false;
	c->asked = 0;
	source_clear(c->timer);
}

static void on_certified(struct certifying *c, struct wanted *w, const struct kmc_certified *m)
{
	const struct handoff_certificates out = {.endorsement_epoch = w->q.endorsement_epoch, .rsa = m->rsa, .ecc = m->ecc};
	uint64_t ticket = w->ticket;

	if (m->later) {
		w->due_ms = loop_now_ms() + m->later * 1000;
		return;
	}
	*w = (struct wanted){0};
	if (m->rsa.p && m->ecc.p)
		c->fn(c->arg, ticket, &out);
	else
		log_warn("the KMC says that it has certificates, and sends none");
}

static void on_refused(struct certifying *c, struct wanted *w, const struct kmc_refused *m)
{
	char u[UUID_TEXT];

	if (m->code == KMC_REFUSED_EPOCH) { /* its guest sleeps, or is another host's by now: certifying_lease() tells when there is a lease again */
		w->due_ms = w->q.lease_epoch == c->asked_epoch ? NEVER : loop_now_ms();
		return;
	}
	log_about(LOG_LV_WARN, ABOUT(.vtpm = &w->q.uuid), "vTPM %s gets no certificates of its endorsement keys now: the KMC refused (%s): %.*s",
		  uuid_format(&w->q.uuid, u), kmc_refusal_text(m->code), (int)m->reason.n, (const char *)m->reason.p);
	if (m->code == KMC_REFUSED_BUSY || m->code == KMC_REFUSED_INTERNAL || m->code == KMC_REFUSED_ATTESTATION)
		w->due_ms = loop_now_ms() + RETRY_MS;
	else
		*w = (struct wanted){0};
}

void certifying_kmc(struct certifying *c, enum kmc_type type, const void *fields)
{
	struct wanted *w = c->asked ? find(c, c->asked) : NULL;

	c->asked = 0;
	if (w && type == KMC_CERTIFIED)
		on_certified(c, w, fields);
	else if (w && type == KMC_REFUSED)
		on_refused(c, w, fields);
	go_on(c);
}
