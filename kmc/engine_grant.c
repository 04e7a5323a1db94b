/*
 * Grants: whether an open is allowed, and its record.
 *
 * Theory of operation: the opens that wait for a decision at the same moment are decided in one transaction, one after the other, so that each
 * sees what those before it were given. One that is refused has written nothing. A transaction costs a synchronous write: under load that is
 * shared, and no seed leaves before it.
 */
#include "kmc/engine_grant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/privsep.h"
#include "kmc/engine_session.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"
#include "kmc/lease.h"

static int read_facts(struct store *s, const struct ticket *t, struct grant *f)
{
	int r = engine_session_check(s, &t->asker);

	f->code = r == E_STATE ? KMC_REFUSED_SESSION : KMC_REFUSED_INTERNAL;
	if (r != 0)
		return r == E_STATE ? E_DENIED : r;
	if ((r = s->ops->host_get(s, t->asker.host, &f->host)) != 0 || (r = s->ops->pool_get(s, f->host.pool, &f->pool)) != 0)
		return r;
	r = s->ops->vtpm_get(s, &t->uuid, &f->vtpm);
	f->known = r == 0;
	return r == E_NOTFOUND ? 0 : r;
}

/* A vTPM that nobody knew belongs to the pool that opened it first. */
static void create(struct grant *f, const struct uuid *uuid)
{
	f->vtpm = (struct store_vtpm){.uuid = *uuid, .generation = 1, .created_at = engine_now()};
	memcpy(f->vtpm.lease.pool, f->host.pool, sizeof(f->vtpm.lease.pool));
}

static int record(struct engine *e, const struct grant *f)
{
	const struct lease *l = &f->vtpm.lease;
	char image[40];
	const struct audit_act act = {.event = f->t->reserve ? AUDIT_RESERVED : AUDIT_SEED_RELEASED, .actor = f->t->asker.host,
				      .vtpm = &f->vtpm.uuid, .pool = l->pool, .lease_epoch = l->epoch,
				      .detail = f->t->reserve ? image : l->epoch == 1 ? "a new vTPM" : f->woken ? "a cold start: its image fits no more" : NULL};

	snprintf(image, sizeof(image), "image %" PRIu64, l->image);
	return auditlog_add(&e->audit, &act);
}

int grant_settle_images(struct store *s, const struct engine *e, const struct store_vtpm *v)
{
	return s->ops->image_prune(s, &v->uuid, v->lease.suspended ? v->lease.image : 0, e->conf->images_kept);
}

static int write_grant(struct engine *e, struct grant *f, const struct lease_request *q)
{
	struct store *s = e->store;
	int r = 0;

	f->woken = q->act == LEASE_OPEN && f->vtpm.lease.suspended;
	lease_apply(&f->vtpm.lease, q);
	if (q->act == LEASE_OPEN)
		f->vtpm.opened_at = engine_now();
	else
		f->vtpm.reserved_at = engine_now();
	if (f->woken)
		r = grant_settle_images(s, e, &f->vtpm);
	return r != 0 ? r : s->ops->vtpm_put(s, &f->vtpm);
}

/* K gives no seed that another KMC's K has made: a vTPM with such keys gets them from there, or none. */
static int look_abroad(struct store *s, struct grant *f)
{
	const struct store_vtpm *v = &f->vtpm;
	const struct origin keys = v->origin.generation ? v->origin : (struct origin){.uuid = v->uuid, .generation = v->generation};
	struct store_arrival a;
	int r = s->ops->arrival_of(s, &keys, &a);

	f->foreign = r == 0;
	f->code = KMC_REFUSED_INTERNAL;
	return r == 0 ? E_DENIED : r == E_NOTFOUND ? 0 : r;
}

/* Inside the transaction: 0 (changes are written), E_AGAIN_OUT or E_DENIED with a code (nothing is), E_DB or E_BUSY. */
static int decide(struct engine *e, struct grant *f)
{
	struct lease_request q = {.act = f->t->reserve ? LEASE_RESERVE : LEASE_OPEN, .host = f->t->asker.host, .pool = f->host.pool,
				  .registered_only = f->pool.registered_only, .image = f->t->image};
	const struct store_vtpm *made = &f->t->vtpm; /* with the seed that the vault made, if it was asked */
	struct lease_verdict verdict;
	int r;

	memcpy(q.id, f->t->request, sizeof(q.id));
	verdict = lease_decide(f->known ? &f->vtpm.lease : NULL, &q);
	if (f->host.removed || verdict.result == LEASE_REFUSED) {
		f->code = f->host.removed ? KMC_REFUSED_UNKNOWN_HOST : verdict.code;
		return E_DENIED;
	}
	if (verdict.result == LEASE_ALREADY)
		return 0; /* the same reservation once more */
	if (verdict.result == LEASE_CREATE)
		create(f, &f->t->uuid);
	if (!f->vtpm.seed_size && f->known && (r = e->store->ops->retirement_get(e->store, &f->t->uuid, &f->retired)) != E_NOTFOUND) {
		f->code = KMC_REFUSED_POLICY;
		return r == 0 ? E_DENIED : r;
	}
	if (!f->vtpm.seed_size && (r = look_abroad(e->store, f)) != 0)
		return r;
	/* The vault may have made one of a generation that was replaced meanwhile. */
	if (!f->vtpm.seed_size && (!made->seed_size || made->generation != f->vtpm.generation))
		return E_AGAIN_OUT;
	if (!f->vtpm.seed_size) {
		r = wrapping_allows(e->store, view_of(made->seed, made->seed_size));
		f->stale = r == E_STATE;
		if (r != 0)
			return f->stale ? E_AGAIN_OUT : r;
		memcpy(f->vtpm.seed, made->seed, made->seed_size);
		f->vtpm.seed_size = made->seed_size;
	}
	return write_grant(e, f, &q);
}

static int decide_one(struct engine *e, struct grant *f)
{
	int r;

	*f = (struct grant){.t = f->t, .code = KMC_REFUSED_INTERNAL};
	r = read_facts(e->store, f->t, f);
	if (r == 0)
		r = decide(e, f);
	return r != 0 ? r : record(e, f);
}

struct batch {
	struct engine *e;
	struct grant *grants;
	size_t n;
};

static int decide_all(struct store *s, void *arg)
{
	const struct batch *b = arg;

	(void)s;
	for (size_t i = 0; i < b->n; i++) {
		struct grant *f = &b->grants[i];

		f->r = decide_one(b->e, f);
		if (f->r != 0 && f->r != E_AGAIN_OUT && f->r != E_DENIED)
			return f->r;
	}
	return 0;
}

int grant_decide(struct engine *e, struct grant *grants, size_t n)
{
	struct batch b = {.e = e, .grants = grants, .n = n};

	return store_transact(e->store, decide_all, &b);
}

void grant_unsure(struct engine *e, const struct asker *a)
{
	const struct front_cut cut = {.host = view_text(a->host)};

	link_send(e->front, FRONT_CUT, 0, &cut);
}

struct taking {
	struct engine *e;
	const struct ticket *t;
};

static int take_back(struct store *s, void *arg)
{
	const struct taking *g = arg;
	const struct ticket *t = g->t;
	const struct lease_request q = {.act = LEASE_RELEASE, .host = t->asker.host, .pool = t->vtpm.lease.pool, .epoch = t->vtpm.lease.epoch};
	const struct audit_act act = {.event = AUDIT_LEASE_RETURNED, .actor = q.host, .vtpm = &t->uuid, .pool = q.pool, .lease_epoch = q.epoch,
				      .detail = "its seed was not given"};
	struct store_vtpm v;
	int r = engine_session_check(s, &t->asker);

	if (r != 0)
		return r == E_STATE ? E_DENIED : r;
	r = s->ops->vtpm_get(s, &t->uuid, &v);
	if (r != 0)
		return r == E_NOTFOUND ? E_DENIED : r;
	if (lease_decide(&v.lease, &q).result != LEASE_APPLY)
		return E_DENIED;
	lease_apply(&v.lease, &q);
	r = auditlog_add(&g->e->audit, &act);
	return r != 0 ? r : s->ops->vtpm_put(s, &v);
}

void grant_take_back(struct engine *e, const struct ticket *t)
{
	struct taking g = {.e = e, .t = t};
	char u[UUID_TEXT];
	int r;

	if (!t->granted || t->reserve)
		return;
	r = store_transact(e->store, take_back, &g);
	if (r != 0 && r != E_DENIED)
		log_about(LOG_LV_WARN, ABOUT(.vtpm = &t->uuid, .host = t->asker.host),
			  "vTPM %s may stay with host '%s', which got no seed of it and is to ask again: the database failed", uuid_format(&t->uuid, u), t->asker.host);
	if (r != 0 && r != E_DENIED)
		grant_unsure(e, &t->asker);
}
