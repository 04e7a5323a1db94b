/*
 * Changes of leases by their hosts.
 *
 * Theory of operation: each request is decided by lease.c and recorded in one transaction, which also finds that it came over the host's
 * present connection. What a suspended vTPM waits with, its volatile state, is written with the suspension and destroyed with whatever
 * ends it, but for the few that are kept for an administrator's order (engine_states.c).
 */
#include "kmc/engine_lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/secret.h"
#include "kmc/engine_grant.h"
#include "kmc/engine_open.h"
#include "kmc/engine_session.h"
#include "kmc/kmcconf.h"

struct change {
	struct engine *e;
	const struct asker *a;
	const struct uuid *uuid;
	struct lease_request q;
	struct view state;	    /* store, suspend: sealed; absent: none is sent */
	struct view volatile_state; /* suspend */
	struct lease_verdict verdict;
	struct store_vtpm vtpm; /* as it is afterwards, or as it is if refused */
	bool known;		/* the vTPM is */
};

static struct change change_of(struct engine *e, const struct asker *a, const struct uuid *uuid, enum lease_act act)
{
	return (struct change){.e = e, .a = a, .uuid = uuid, .q = {.act = act, .host = a->host, .pool = a->pool}};
}

/* Whether the stored state of the same version is the same, byte for byte. */
static int compare_state(struct change *c)
{
	struct engine *e = c->e;
	uint64_t version = c->vtpm.lease.state_version;
	int r;

	c->q.same_state = false;
	if (!version || c->q.version != version || !c->state.p)
		return 0;
	buf_reset(&e->state);
	r = e->store->ops->state_get(e->store, c->uuid, version, &e->state);
	c->q.same_state = r == 0 && buf_left(&e->state) == c->state.n && bytes_equal(buf_ptr(&e->state), c->state.p, c->state.n);
	return r == E_NOTFOUND ? 0 : r;
}

static int record(const struct change *c)
{
	static const enum audit_event events[] = {
		[LEASE_RELEASE] = AUDIT_LEASE_RETURNED, [LEASE_SUSPEND] = AUDIT_SUSPENDED, [LEASE_RESUME] = AUDIT_RESUMED,
		[LEASE_COMMIT] = AUDIT_COMMITTED, [LEASE_CANCEL] = AUDIT_CANCELLED,
	};
	const struct lease *l = &c->vtpm.lease;
	char image[40];
	const struct audit_act act = {.event = events[c->q.act], .actor = c->a->host, .vtpm = c->uuid, .pool = l->pool,
				      .lease_epoch = l->epoch, .detail = l->suspended ? image : NULL};

	snprintf(image, sizeof(image), "image %" PRIu64, l->image);
	return auditlog_add(&c->e->audit, &act);
}

/* The new state, and no more older ones than there may be. */
static int put_state(struct store *s, struct change *c)
{
	const struct store_keep keep = {.states = c->e->conf->states_kept, .bytes = c->e->conf->states_quota_kib * 1024};
	const struct store_state st = {.version = c->q.version, .owner_epoch = c->q.owner_epoch,
				       .endorsement_epoch = c->q.endorsement_epoch, .platform_epoch = c->q.platform_epoch,
				       .stored_at = engine_now()};
	int r = s->ops->state_put(s, c->uuid, &st, c->state);

	c->vtpm.stored_at = st.stored_at;
	return r != 0 ? r : s->ops->state_prune(s, c->uuid, st.version, &keep);
}

static int put_image(struct store *s, struct change *c)
{
	const struct store_image i = {.image = c->q.image, .version = c->q.version, .suspended_at = engine_now()};

	c->vtpm.suspended_at = i.suspended_at;
	return s->ops->image_put(s, c->uuid, &i, c->volatile_state);
}

/* Write what was decided. */
static int apply(struct store *s, struct change *c)
{
	uint64_t stored = c->vtpm.lease.state_version;
	enum lease_act act = c->q.act;
	int r = 0;

	lease_apply(&c->vtpm.lease, &c->q);
	if ((act == LEASE_STORE || act == LEASE_SUSPEND) && c->q.version > stored)
		r = put_state(s, c);
	if (r == 0 && act == LEASE_SUSPEND)
		r = put_image(s, c);
	if (r == 0 && act != LEASE_STORE)
		r = grant_settle_images(s, c->e, &c->vtpm);
	if (r == 0 && act != LEASE_STORE)
		r = record(c);
	return r != 0 ? r : s->ops->vtpm_put(s, &c->vtpm);
}

/* Return: 0 (commit), E_DENIED (refused), E_DB or E_BUSY. */
static int change_it(struct store *s, void *arg)
{
	struct change *c = arg;
	int r = engine_session_check(s, c->a);

	c->verdict = (struct lease_verdict){.result = LEASE_REFUSED, .code = KMC_REFUSED_SESSION};
	if (r != 0)
		return r == E_STATE ? E_DENIED : r;
	r = s->ops->vtpm_get(s, c->uuid, &c->vtpm);
	c->known = r == 0;
	if (c->known)
		r = compare_state(c);
	if (r != 0 && r != E_NOTFOUND)
		return r;
	c->verdict = lease_decide(c->known ? &c->vtpm.lease : NULL, &c->q);
	if (c->verdict.result == LEASE_APPLY)
		return apply(s, c);
	return c->verdict.result == LEASE_ALREADY ? 0 : E_DENIED;
}

/* True: done; else it was refused. */
static bool change(struct change *c)
{
	int r = store_transact(c->e->store, change_it, c);

	if (r == E_DENIED)
		open_refuse_lease(c->e, c->a, c->verdict.code, c->uuid, c->known ? &c->vtpm.lease : NULL);
	else if (r != 0)
		engine_refuse_db(c->e, c->a);
	return r == 0;
}

static void log_change(const struct change *c, const char *what)
{
	char u[UUID_TEXT];

	log_about(LOG_LV_INFO, ABOUT(.vtpm = c->uuid, .host = c->a->host), "host '%s' %s vTPM %s, lease %" PRIu64 "%s", c->a->host, what,
		  uuid_format(c->uuid, u), c->vtpm.lease.epoch, c->verdict.result == LEASE_ALREADY ? " (once more)" : "");
}

/* What a table of fields can't say of a state; if it is not good, it was refused. */
static bool may_store(struct engine *e, const struct asker *a, const struct uuid *uuid, uint64_t version, size_t size)
{
	char u[UUID_TEXT];

	if (version > INT64_MAX)
		engine_refuse(e, a, KMC_REFUSED_MALFORMED, "a state's version must be below 2^63");
	else if (size > e->conf->states_quota_kib * 1024)
		engine_refuse(e, a, KMC_REFUSED_QUOTA, "vTPM %s: a state of %zu bytes is beyond the quota: raise [states] quota in kmc.conf",
			      uuid_format(uuid, u), size);
	else
		return true;
	return false;
}

static void on_store(struct engine *e, const struct asker *a, const struct kmc_store *m)
{
	struct change c = change_of(e, a, &m->uuid, LEASE_STORE);
	const struct kmc_stored stored = {.version = m->version};

	c.state = m->state;
	c.q.epoch = m->lease_epoch;
	c.q.version = m->version;
	c.q.owner_epoch = m->owner_epoch;
	c.q.endorsement_epoch = m->endorsement_epoch;
	c.q.platform_epoch = m->platform_epoch;
	if (may_store(e, a, &m->uuid, m->version, m->state.n) && change(&c))
		engine_answer(e, a, KMC_STORED, &stored);
}

static void on_release(struct engine *e, const struct asker *a, const struct kmc_release *m)
{
	struct change c = change_of(e, a, &m->uuid, LEASE_RELEASE);

	c.q.epoch = m->lease_epoch;
	if (!change(&c))
		return;
	log_change(&c, "released");
	engine_answer(e, a, KMC_RELEASED, NULL);
}

static void on_suspend(struct engine *e, const struct asker *a, const struct kmc_suspend *m)
{
	struct change c = change_of(e, a, &m->uuid, LEASE_SUSPEND);

	c.state = m->state;
	c.volatile_state = m->volatile_state;
	c.q.epoch = m->lease_epoch;
	c.q.version = m->version;
	c.q.owner_epoch = m->owner_epoch;
	c.q.endorsement_epoch = m->endorsement_epoch;
	c.q.platform_epoch = m->platform_epoch;
	c.q.no_state = !m->state.p;
	c.q.image = m->image;
	if (m->image == 0 || m->image == UINT32_MAX) {
		engine_refuse(e, a, KMC_REFUSED_MALFORMED, "no domain has the incarnation %" PRIu64, m->image);
		return;
	}
	if (!may_store(e, a, &m->uuid, m->version, m->state.n) || !change(&c))
		return;
	log_change(&c, "suspended");
	engine_answer(e, a, KMC_SUSPENDED, &(const struct kmc_suspended){.lease_epoch = c.vtpm.lease.epoch,
									 .version = c.vtpm.lease.state_version});
}

static void on_resume(struct engine *e, const struct asker *a, const struct kmc_resume *m)
{
	struct change c = change_of(e, a, &m->uuid, LEASE_RESUME);

	c.q.epoch = m->lease_epoch;
	if (!change(&c))
		return;
	log_change(&c, "resumed");
	engine_answer(e, a, KMC_RESUMED, &(const struct kmc_resumed){.lease_epoch = c.vtpm.lease.epoch});
}

static void on_commit(struct engine *e, const struct asker *a, const struct kmc_commit *m)
{
	struct change c = change_of(e, a, &m->uuid, LEASE_COMMIT);

	memcpy(c.q.id, m->request.p, sizeof(c.q.id));
	if (!change(&c))
		return;
	log_change(&c, "committed");
	engine_answer(e, a, KMC_COMMITTED, &(const struct kmc_committed){.lease_epoch = c.vtpm.lease.epoch});
}

static void on_cancel(struct engine *e, const struct asker *a, const struct kmc_cancel *m)
{
	struct change c = change_of(e, a, &m->uuid, LEASE_CANCEL);

	memcpy(c.q.id, m->request.p, sizeof(c.q.id));
	if (!change(&c))
		return;
	log_change(&c, "cancelled its reservation of");
	engine_answer(e, a, KMC_CANCELLED, NULL);
}

bool engine_lease_ask(struct engine *e, const struct asker *a, enum kmc_type type, const void *fields)
{
	switch (type) {
	case KMC_STORE:
		on_store(e, a, fields);
		return true;
	case KMC_RELEASE:
		on_release(e, a, fields);
		return true;
	case KMC_SUSPEND:
		on_suspend(e, a, fields);
		return true;
	case KMC_RESUME:
		on_resume(e, a, fields);
		return true;
	case KMC_COMMIT:
		on_commit(e, a, fields);
		return true;
	case KMC_CANCEL:
		on_cancel(e, a, fields);
		return true;
	default:
		return false;
	}
}
