/*
 * A vTPM's stored states, for administrators.
 *
 * Going back to an earlier state is a roll-back that somebody wants: nobody may hold the vTPM, the newer states are dropped, the record says
 * that the earlier one is the newest, with the epochs of the keys in it, and a new lease epoch shuts out whoever still has a later state.
 * So the stub domain's check lets pass that one and nothing older.
 */
#include "kmc/engine_states.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/admin.h"
#include "kmc/kmcconf.h"

struct restore {
	struct engine *e;
	const struct adm_state_restore *m;
	struct store_vtpm vtpm;
	struct store_state state;
	uint64_t from; /* the version that was the newest */
	bool known;    /* the vTPM is */
	bool leaving;  /* E_STATE: to another KMC, with the state as it is */
};

static void on_list(struct engine *e, uint64_t client, const struct adm_uuid *m)
{
	struct store_state st = {0};
	struct store_vtpm v;
	char u[UUID_TEXT];
	int r = e->store->ops->vtpm_get(e->store, &m->uuid, &v);

	if (r == E_NOTFOUND) {
		admin_fail(e->admin, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", uuid_format(&m->uuid, u));
		return;
	}
	while (r == 0 && (r = e->store->ops->state_next(e->store, &m->uuid, st.version, &st)) == 0) {
		const struct adm_state row = {
			.version = st.version, .size = st.size, .owner_epoch = st.owner_epoch,
			.endorsement_epoch = st.endorsement_epoch, .platform_epoch = st.platform_epoch,
			.stored_at = (uint64_t)st.stored_at, .newest = st.version == v.lease.state_version,
		};

		r = admin_answer(e->admin, client, ADM_STATE, &row);
	}
	if (r == E_NOTFOUND)
		admin_answer(e->admin, client, ADM_END, &(const struct adm_end){.more = 0});
	else
		admin_fail(e->admin, client, r, "%s", r == E_RANGE ? "there are too many states to list" : e->store->why);
}

int states_left(struct store *s, const struct store_vtpm *v, bool *left)
{
	struct store_retirement end;
	int r;

	*left = false;
	if (v->seed_size)
		return 0;
	r = s->ops->retirement_get(s, &v->uuid, &end);
	*left = r == 0 && end.moving;
	return r == E_NOTFOUND ? 0 : r;
}

static int find_state(struct store *s, struct restore *t)
{
	int r = t->m->version ? s->ops->state_next(s, &t->m->uuid, t->m->version - 1, &t->state) : E_NOTFOUND;

	return r == 0 && t->state.version != t->m->version ? E_NOTFOUND : r;
}

static int record(const struct restore *t)
{
	char detail[120];
	const struct audit_act act = {.event = AUDIT_STATE_RESTORED, .vtpm = &t->m->uuid, .pool = t->vtpm.lease.pool,
				      .lease_epoch = t->vtpm.lease.epoch, .detail = detail};

	snprintf(detail, sizeof(detail), "back to version %" PRIu64 " from %" PRIu64, t->m->version, t->from);
	return auditlog_add(&t->e->audit, &act);
}

/* E_NOTFOUND: no such vTPM or state; E_STATE: somebody holds it. */
static int restore_it(struct store *s, void *arg)
{
	struct restore *t = arg;
	struct lease *l = &t->vtpm.lease;
	int r = s->ops->vtpm_get(s, &t->m->uuid, &t->vtpm);

	t->known = r == 0;
	if (r != 0 || (r = find_state(s, t)) != 0)
		return r;
	if ((r = states_left(s, &t->vtpm, &t->leaving)) != 0 || t->leaving)
		return r != 0 ? r : E_STATE;
	if (l->holder[0] || l->reserver[0] || l->epoch >= INT64_MAX)
		return E_STATE;
	t->from = l->state_version;
	lease_wake(l); /* the image of a suspended guest goes with the later state */
	l->state_version = t->state.version;
	l->owner_epoch = t->state.owner_epoch;
	l->endorsement_epoch = t->state.endorsement_epoch;
	l->platform_epoch = t->state.platform_epoch;
	l->last_holder[0] = '\0';
	l->epoch++;
	if ((r = s->ops->image_prune(s, &t->m->uuid, 0, 0)) != 0 || (r = s->ops->state_drop(s, &t->m->uuid, l->state_version)) != 0 ||
	    (r = s->ops->vtpm_put(s, &t->vtpm)) != 0)
		return r;
	return record(t);
}

static void on_restore(struct engine *e, uint64_t client, const struct adm_state_restore *m)
{
	struct restore t = {.e = e, .m = m};
	char u[UUID_TEXT];
	int r = store_transact(e->store, restore_it, &t);

	uuid_format(&m->uuid, u);
	if (r == E_NOTFOUND && !t.known) {
		admin_fail(e->admin, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	} else if (r == E_NOTFOUND) {
		admin_fail(e->admin, client, r, "vTPM %s has no stored state of version %" PRIu64 ": see 'kmcctl vtpm states %s'", u, m->version, u);
	} else if (r == E_STATE && t.leaving) {
		admin_fail(e->admin, client, r, "vTPM %s has left for another KMC, with the state that it had: see 'kmcctl vtpm show %s'", u, u);
	} else if (r == E_STATE) {
		admin_fail(e->admin, client, r, "host '%s' holds vTPM %s: shut its guest down there first, or 'kmcctl vtpm takeover %s' if that host is dead",
		     t.vtpm.lease.holder[0] ? t.vtpm.lease.holder : t.vtpm.lease.reserver, u, u);
	} else if (r != 0) {
		log_error("%s", e->store->why);
		admin_fail(e->admin, client, r, "%s", e->store->why);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &m->uuid), "vTPM %s went back to state version %" PRIu64 " from %" PRIu64, u, m->version, t.from);
		admin_answer(e->admin, client, ADM_DONE, NULL);
	}
}

/* A state that its host could not send, by hand. */
struct putting {
	struct engine *e;
	const struct statefile *f;
	struct store_vtpm vtpm;
	const char *why; /* E_STATE: what stands against it */
};

/*
 * It must be what came last: stored under the lease that was taken over, or before the KMC was recovered from a backup, and nobody has had the vTPM
 * since. That it is the vTPM's own, its stub domain finds out.
 */
static const char *objection(const struct store_vtpm *v, const struct statefile *f)
{
	const struct lease *l = &v->lease;

	if (l->holder[0] || l->suspended || l->reserver[0])
		return "is held, or suspended with its guest: take it over first, if that host can't give it back ('kmcctl vtpm takeover')";
	if (!v->seed_size)
		return "has no seed here: it was never opened, is retired, or has left for another KMC";
	if (!lease_is_latest(l, f->lease_epoch))
		return "was given out again after the lease that this state is of, or given back: it is not the newest";
	return f->version <= l->state_version ? "has a state of this version or a later one here" : NULL;
}

static int put_it(struct store *s, void *arg)
{
	struct putting *p = arg;
	const struct statefile *f = p->f;
	struct lease *l = &p->vtpm.lease;
	const struct store_keep keep = {.states = p->e->conf->states_kept, .bytes = p->e->conf->states_quota_kib * 1024};
	const struct store_state st = {.version = f->version, .owner_epoch = f->owner_epoch, .endorsement_epoch = f->endorsement_epoch,
				       .platform_epoch = f->platform_epoch, .stored_at = engine_now()};
	char detail[160];
	const struct audit_act act = {.event = AUDIT_STATE_RESTORED, .vtpm = &f->uuid, .pool = l->pool, .detail = detail};
	int r = s->ops->vtpm_get(s, &f->uuid, &p->vtpm);

	if (r != 0)
		return r;
	if ((p->why = objection(&p->vtpm, f)))
		return E_STATE;
	snprintf(detail, sizeof(detail), "forward to version %" PRIu64 " from %" PRIu64 ", by hand from a host's record of lease %" PRIu64, f->version,
		 l->state_version, f->lease_epoch);
	l->state_version = f->version;
	l->owner_epoch = f->owner_epoch;
	l->endorsement_epoch = f->endorsement_epoch;
	l->platform_epoch = f->platform_epoch;
	p->vtpm.stored_at = st.stored_at;
	if ((r = s->ops->state_put(s, &f->uuid, &st, f->state)) != 0 || (r = s->ops->state_prune(s, &f->uuid, st.version, &keep)) != 0 ||
	    (r = s->ops->vtpm_put(s, &p->vtpm)) != 0)
		return r;
	return auditlog_add(&p->e->audit, &act);
}

static void on_put(struct engine *e, uint64_t client, const struct statefile *f)
{
	struct putting p = {.e = e, .f = f};
	char u[UUID_TEXT];
	int r;

	uuid_format(&f->uuid, u);
	if (f->state.n > e->conf->states_quota_kib * 1024) {
		admin_fail(e->admin, client, E_RANGE, "a state of %zu bytes is beyond the quota: raise [states] quota in kmc.conf", f->state.n);
		return;
	}
	r = store_transact(e->store, put_it, &p);
	if (r == E_NOTFOUND) {
		admin_fail(e->admin, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	} else if (r == E_STATE) {
		admin_fail(e->admin, client, r, "vTPM %s %s", u, p.why);
	} else if (r != 0) {
		log_error("%s", e->store->why);
		admin_fail(e->admin, client, r, "%s", e->store->why);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &f->uuid), "vTPM %s went forward to state version %" PRIu64 ", by hand", u, f->version);
		admin_answer(e->admin, client, ADM_DONE, NULL);
	}
}

bool states_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type == ADM_STATE_LIST)
		on_list(e, client, fields);
	else if (type == ADM_STATE_RESTORE)
		on_restore(e, client, fields);
	else if (type == ADM_STATE_PUT)
		on_put(e, client, fields);
	else
		return false;
	return true;
}
