/* Clones that share keys, in the engine: look, have the vault wrap the seed anew, look again and record. */
#include "kmc/engine_share.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/engine_wrapping.h"

static struct origin keys_of(const struct store_vtpm *v)
{
	return v->origin.generation ? v->origin : (struct origin){.uuid = v->uuid, .generation = v->generation};
}

int share_list(struct store *s, const struct store_vtpm *v, struct sharers *out)
{
	const struct origin keys = keys_of(v);
	struct uuid at = {0};
	int r;

	*out = (struct sharers){.n = 0};
	while ((r = s->ops->vtpm_sharing(s, &keys, &at, &at)) == 0) {
		if (uuid_equal(&at, &v->uuid))
			continue;
		if (out->n < SHARERS_LISTED)
			out->list[out->n++] = at;
		out->all++;
	}
	return r == E_NOTFOUND ? 0 : r;
}

const char *share_text(const struct sharers *o, char text[SHARE_TEXT])
{
	char u[UUID_TEXT];
	size_t n;

	text[0] = '\0';
	if (!o->all)
		return text;
	n = (size_t)snprintf(text, SHARE_TEXT, "; its keys live on in vTPM %s", uuid_format(&o->list[0], u));
	if (o->all > 1)
		snprintf(text + n, SHARE_TEXT - n, " and %" PRIu64 " more", o->all - 1);
	return text;
}

/* One clone on its way. */
struct sharing {
	struct engine *e;
	struct uuid from, to;
	struct store_vtpm vtpm;	   /* the one that is cloned */
	const struct ticket *was;  /* as it was when the vault was asked */
	const struct vault_made *made;
	const char *why; /* E_STATE: what stands against it */
	bool stale;	 /* E_STATE: the wrapping key was replaced meanwhile */
};

static int stop(struct sharing *h, const char *why)
{
	h->why = why;
	return E_STATE;
}

/* Whether it can be done. */
static int look(struct store *s, struct sharing *h)
{
	struct store_retirement end;
	struct store_vtpm to;
	int r = s->ops->vtpm_get(s, &h->from, &h->vtpm);

	if (r != 0)
		return r;
	if (!h->vtpm.seed_size) {
		r = s->ops->retirement_get(s, &h->from, &end);
		if (r != 0 && r != E_NOTFOUND)
			return r;
		return stop(h, r == 0 && end.moving ? "has left for another KMC: its keys are given to nobody" : r == 0 ? "is retired: its keys are given to nobody" : "has no keys yet: start its guest once, and then clone it");
	}
	r = s->ops->vtpm_get(s, &h->to, &to);
	return r == 0 ? E_EXISTS : r == E_NOTFOUND ? 0 : r;
}

static int record(struct store *s, void *arg)
{
	struct sharing *h = arg;
	const struct lease *l = &h->vtpm.lease;
	struct store_vtpm to = {.uuid = h->to, .generation = 1, .created_at = engine_now(), .seed_size = h->made->seed.n};
	char detail[200], u[UUID_TEXT], k[UUID_TEXT];
	const struct audit_act act = {.event = AUDIT_KEYS_SHARED, .vtpm = &h->to, .pool = to.lease.pool, .detail = detail};
	int r = look(s, h);

	h->stale = false;
	if (r != 0)
		return r;
	to.origin = keys_of(&h->vtpm);
	if (h->vtpm.generation != h->was->vtpm.generation || strcmp(l->pool, h->was->vtpm.lease.pool) != 0)
		return stop(h, "got a new seed meanwhile: look at it, and try again");
	if ((r = wrapping_allows(s, h->made->seed)) != 0) {
		h->stale = r == E_STATE;
		return r;
	}
	memcpy(to.seed, h->made->seed.p, h->made->seed.n);
	memcpy(to.lease.pool, l->pool, sizeof(to.lease.pool));
	to.lease.owner_epoch = l->owner_epoch; /* the keys that it has now; from here on each goes its own way */
	to.lease.endorsement_epoch = l->endorsement_epoch;
	to.lease.platform_epoch = l->platform_epoch;
	snprintf(detail, sizeof(detail), "a clone of %s that SHARES ITS KEYS, those of %s generation %" PRIu32, uuid_format(&h->from, u),
		 uuid_format(&to.origin.uuid, k), to.origin.generation);
	r = s->ops->vtpm_put(s, &to);
	return r != 0 ? r : auditlog_add(&h->e->audit, &act);
}

static void fail(const struct sharing *h, uint64_t client, int r)
{
	struct admin *a = h->e->admin;
	char u[UUID_TEXT];

	uuid_format(&h->from, u);
	if (r == E_NOTFOUND)
		admin_fail(a, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	else if (r == E_STATE)
		admin_fail(a, client, r, "vTPM %s %s", u, h->why);
	else if (r == E_EXISTS)
		admin_fail(a, client, r, "vTPM %s is known already: give the clone a new UUID (uuidgen)", uuid_format(&h->to, u));
	else {
		log_error("%s", h->e->store->why);
		admin_fail(a, client, r, "%s", h->e->store->why);
	}
}

/* By the vault, for @t's vTPM. */
static void ask(struct engine *e, struct ticket *t)
{
	const struct store_vtpm *v = &t->vtpm;
	const struct vault_share q = {.tenant = view_text(v->lease.pool), .seed = view_of(v->seed, v->seed_size), .from = v->uuid, .to = t->uuid,
				      .generation = v->generation, .to_generation = 1};

	wrapping_before(e, q.seed);
	link_send(e->vault, VAULT_SHARE, t->id, &q);
}

void share_start(struct engine *e, uint64_t client, const struct uuid *from, const struct uuid *to)
{
	struct sharing h = {.e = e, .from = *from, .to = *to};
	int r = look(e->store, &h);
	struct ticket *t;

	if (r != 0) {
		fail(&h, client, r);
		return;
	}
	t = engine_ticket(e, TICKET_SHARE);
	if (!t) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: try again");
		return;
	}
	t->client = client;
	t->uuid = *to;
	t->vtpm = h.vtpm;
	ask(e, t);
}

void share_made(struct engine *e, struct ticket *t, const struct vault_made *m)
{
	struct sharing h = {.e = e, .from = t->vtpm.uuid, .to = t->uuid, .was = t, .made = m};
	char u[UUID_TEXT], k[UUID_TEXT];
	int r = store_transact(e->store, record, &h);

	if (r == E_STATE && h.stale) { /* it was replaced behind this kmcd's back: once more, under the present one */
		wrapping_look(e);
		t->vtpm = h.vtpm;
		ask(e, t);
		return;
	}
	if (r != 0) {
		fail(&h, t->client, r);
	} else {
		log_about(LOG_LV_WARN, ABOUT(.vtpm = &h.from), "vTPM %s was cloned as %s, which shares its keys", uuid_format(&h.from, u), uuid_format(&h.to, k));
		admin_answer(e->admin, t->client, ADM_DONE, NULL);
	}
	engine_ticket_end(t);
}

void share_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	char u[UUID_TEXT], reason[VAULT_REASON_MAX + 1];

	view_copy_text(m->reason, reason, sizeof(reason));
	log_error("vault: %s", text_make_printable(reason));
	admin_fail(e->admin, t->client, -(int)m->code, "the keys of vTPM %s can't be shared: %s", uuid_format(&t->vtpm.uuid, u), reason);
	engine_ticket_end(t);
}
