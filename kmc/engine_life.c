/* The life of vTPMs, in the engine. */
#include "kmc/engine_life.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "kmc/admin.h"
#include "kmc/engine_share.h"

#define LOOK_MS 5000 /* between two looks for seeds that are due */

/* One act upon a vTPM, in one transaction. */
struct act {
	struct engine *e;
	struct uuid uuid, to;	 /* to: clone */
	uint64_t grace;		 /* retire, seconds */
	struct store_vtpm vtpm;	 /* as it was */
	struct store_retirement retirement;
	struct sharers sharers;	 /* who has the same keys */
	const char *why;	 /* E_STATE: what stands against it; NULL: somebody holds it */
};

static void fail_act(const struct act *a, uint64_t client, int r)
{
	char u[UUID_TEXT];

	uuid_format(&a->uuid, u);
	if (r == E_NOTFOUND)
		admin_fail(a->e->admin, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	else if (r == E_STATE && a->why)
		admin_fail(a->e->admin, client, r, "vTPM %s %s", u, a->why);
	else if (r == E_STATE)
		admin_fail(a->e->admin, client, r, "host '%s' holds vTPM %s: shut its guest down there first, or 'kmcctl vtpm takeover %s' if that host is dead",
		     a->vtpm.lease.holder, u, u);
	else if (r == E_EXISTS)
		admin_fail(a->e->admin, client, r, "vTPM %s is known already: give the clone a new UUID (uuidgen)", uuid_format(&a->to, u));
	else {
		log_error("%s", a->e->store->why);
		admin_fail(a->e->admin, client, r, "%s", a->e->store->why);
	}
}

static int stop(struct act *a, const char *why)
{
	a->why = why;
	return E_STATE;
}

/* The vTPM, if nobody has it in use. */
static int take(struct store *s, struct act *a)
{
	int r = s->ops->vtpm_get(s, &a->uuid, &a->vtpm);

	if (r != 0)
		return r;
	if (a->vtpm.lease.holder[0])
		return E_STATE;
	return a->vtpm.lease.suspended ? stop(a, "is suspended with its guest: resume and shut that down first, or 'kmcctl vtpm takeover' it") : 0;
}

#define DESCRIPTION 240

/* What a record says of a wrapped seed that goes. */
static const char *describe(char text[DESCRIPTION], const struct act *a, const uint8_t *seed, size_t n)
{
	char shared[SHARE_TEXT];
	uint8_t hash[32] = {0};
	bool known = EVP_Digest(seed, n, hash, NULL, EVP_sha256(), NULL) == 1;
	size_t at;

	at = (size_t)snprintf(text, DESCRIPTION, "generation %" PRIu32 "; SHA-256 of the wrapped seed %s", a->vtpm.generation,
			      known ? "" : "unknown");
	for (size_t i = 0; known && i < sizeof(hash); i++)
		at += (size_t)snprintf(text + at, DESCRIPTION - at, "%02x", hash[i]);
	snprintf(text + at, DESCRIPTION - at, "%s", share_text(&a->sharers, shared));
	return text;
}

int life_drop_contents(struct store *s, const struct uuid *uuid)
{
	int r;

	if ((r = s->ops->state_drop(s, uuid, 0)) != 0 || (r = s->ops->image_prune(s, uuid, 0, 0)) != 0)
		return r;
	return s->ops->ek_drop(s, uuid);
}

static int clone_it(struct store *s, void *arg)
{
	struct act *a = arg;
	struct store_vtpm to = {.uuid = a->to, .generation = 1, .created_at = engine_now()}, old;
	char detail[80], u[UUID_TEXT];
	const struct audit_act act = {.event = AUDIT_VTPM_CLONED, .vtpm = &a->to, .pool = to.lease.pool, .detail = detail};
	int r = s->ops->vtpm_get(s, &a->uuid, &a->vtpm);

	if (r != 0)
		return r;
	r = s->ops->vtpm_get(s, &a->to, &old);
	if (r != E_NOTFOUND)
		return r == 0 ? E_EXISTS : r;
	memcpy(to.lease.pool, a->vtpm.lease.pool, sizeof(to.lease.pool));
	snprintf(detail, sizeof(detail), "of %s, with keys of its own", uuid_format(&a->uuid, u));
	r = s->ops->vtpm_put(s, &to);
	return r != 0 ? r : auditlog_add(&a->e->audit, &act);
}

static int rekey_it(struct store *s, void *arg)
{
	struct act *a = arg;
	struct lease *l;
	char detail[DESCRIPTION];
	struct audit_act act = {.event = AUDIT_VTPM_REKEYED, .vtpm = &a->uuid, .detail = detail};
	struct store_vtpm v;
	int r = take(s, a);

	if (r != 0)
		return r;
	v = a->vtpm;
	l = &v.lease;
	if (!v.seed_size)
		return stop(a, "has no seed: it was never opened, is retired, or has left for another KMC");
	if (v.generation == UINT32_MAX || l->epoch >= INT64_MAX)
		return stop(a, "has had all generations that there are");
	if ((r = share_list(s, &v, &a->sharers)) != 0)
		return r;
	describe(detail, a, v.seed, v.seed_size);
	v.generation++;
	v.origin = (struct origin){.generation = 0}; /* it shares no keys any more */
	v.seed_size = 0;
	l->epoch++;
	l->last_holder[0] = '\0';
	l->state_version = l->owner_epoch = l->endorsement_epoch = l->platform_epoch = 0;
	act.pool = l->pool;
	act.lease_epoch = l->epoch;
	if ((r = life_drop_contents(s, &a->uuid)) != 0 || (r = s->ops->vtpm_put(s, &v)) != 0)
		return r;
	return auditlog_add(&a->e->audit, &act);
}

static int retire_it(struct store *s, void *arg)
{
	struct act *a = arg;
	struct store_retirement *t = &a->retirement;
	char detail[DESCRIPTION], shared[SHARE_TEXT];
	const struct audit_act act = {.event = AUDIT_VTPM_RETIRED, .vtpm = &a->uuid, .pool = a->vtpm.lease.pool, .detail = detail};
	struct store_vtpm v;
	int r = take(s, a);

	if (r != 0)
		return r;
	r = s->ops->retirement_get(s, &a->uuid, t);
	if (r != E_NOTFOUND)
		return r != 0 ? r : stop(a, t->moving ? "is on its way to another KMC, or there" : t->destroyed_at ? "is retired, and its seed destroyed" : "is retired already");
	v = a->vtpm;
	if (v.lease.epoch >= INT64_MAX)
		return stop(a, "has had all leases that there are");
	if (v.seed_size && (r = share_list(s, &v, &a->sharers)) != 0)
		return r;
	*t = (struct store_retirement){.uuid = a->uuid, .seed_size = v.seed_size, .due_at = engine_now() + (int64_t)a->grace};
	memcpy(t->seed, v.seed, v.seed_size);
	v.seed_size = 0;
	v.lease.epoch++; /* a parked lease is void, and so is what an old relay still sends */
	v.lease.last_holder[0] = '\0';
	snprintf(detail, sizeof(detail), "its seed is destroyed in %" PRIu64 " s%s", a->grace, share_text(&a->sharers, shared));
	if ((r = s->ops->vtpm_put(s, &v)) != 0 || (r = s->ops->retirement_put(s, t)) != 0)
		return r;
	return auditlog_add(&a->e->audit, &act);
}

static int cancel_it(struct store *s, void *arg)
{
	struct act *a = arg;
	const struct audit_act act = {.event = AUDIT_RETIREMENT_CANCELLED, .vtpm = &a->uuid, .pool = a->vtpm.lease.pool};
	int r = s->ops->vtpm_get(s, &a->uuid, &a->vtpm);

	if (r != 0)
		return r;
	r = s->ops->retirement_get(s, &a->uuid, &a->retirement);
	if (r == 0 && a->retirement.moving)
		return stop(a, "is not retired: it is on its way to another KMC, or there; see 'kmcctl vtpm export --cancel'");
	if (r != 0 || a->retirement.destroyed_at)
		return r == 0 || r == E_NOTFOUND ? stop(a, r == 0 ? "can't come back: its seed is destroyed" : "is not retired") : r;
	a->vtpm.seed_size = a->retirement.seed_size;
	memcpy(a->vtpm.seed, a->retirement.seed, a->retirement.seed_size);
	if ((r = s->ops->vtpm_put(s, &a->vtpm)) != 0 || (r = s->ops->retirement_drop(s, &a->uuid)) != 0)
		return r;
	return auditlog_add(&a->e->audit, &act);
}

/* E_NOTFOUND: none is due. */
static int destroy_one(struct store *s, void *arg)
{
	struct act *a = arg;
	struct store_retirement *t = &a->retirement;
	char detail[DESCRIPTION];
	const struct audit_act act = {.event = AUDIT_SEED_DESTROYED, .vtpm = &a->uuid, .pool = a->vtpm.lease.pool, .detail = detail};
	int r = s->ops->retirement_due(s, engine_now(), t);

	if (r != 0)
		return r;
	a->uuid = t->uuid;
	if ((r = s->ops->vtpm_get(s, &a->uuid, &a->vtpm)) != 0)
		return r == E_NOTFOUND ? E_DB : r;
	if (t->seed_size && (r = share_list(s, &a->vtpm, &a->sharers)) != 0)
		return r;
	describe(detail, a, t->seed, t->seed_size);
	t->seed_size = 0;
	t->destroyed_at = engine_now();
	a->vtpm.lease.state_version = 0;
	if ((r = life_drop_contents(s, &a->uuid)) != 0 || (r = s->ops->vtpm_put(s, &a->vtpm)) != 0 || (r = s->ops->retirement_put(s, t)) != 0)
		return r;
	return auditlog_add(&a->e->audit, &act);
}

static struct source *timer;

static void on_time(void *arg, unsigned int what)
{
	struct engine *e = arg;
	struct act a = {.e = e};
	char u[UUID_TEXT];
	int r = store_transact(e->store, destroy_one, &a);

	(void)what;
	if (r == 0)
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &a.uuid), "vTPM %s is retired for good: its seed is destroyed", uuid_format(&a.uuid, u));
	else if (r != E_NOTFOUND)
		log_error("a retired seed can't be destroyed: %s", e->store->why);
	source_set_ms(timer, r == 0 ? 0 : LOOK_MS); /* there may be more */
}

void life_start(struct engine *e, struct loop *loop)
{
	timer = source_timer(loop, on_time, e);
	if (!timer)
		fatal("can't start: out of memory");
	source_set_ms(timer, LOOK_MS);
}

static void perform(struct act *a, uint64_t client, store_fn *fn, const char *what)
{
	char u[UUID_TEXT];
	int r = store_transact(a->e->store, fn, a);

	if (r != 0) {
		fail_act(a, client, r);
		return;
	}
	log_about(LOG_LV_INFO, ABOUT(.vtpm = &a->uuid), "vTPM %s %s", uuid_format(&a->uuid, u), what);
	if (fn == retire_it) {
		const struct adm_retirement m = {.due_at = (uint64_t)a->retirement.due_at, .sharers = a->sharers.all};

		admin_answer(a->e->admin, client, ADM_RETIREMENT, &m);
	} else {
		admin_answer(a->e->admin, client, ADM_DONE, NULL);
	}
}

bool life_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	const struct adm_clone *clone = fields;
	const struct adm_retire *retire = fields;
	struct act a = {.e = e};

	if (type == ADM_VTPM_CLONE) {
		a.uuid = clone->from;
		a.to = clone->to;
		if (uuid_is_nil(&a.to))
			admin_fail(e->admin, client, E_ARG, "the nil UUID is nobody's vTPM");
		else if (clone->share)
			share_start(e, client, &a.uuid, &a.to);
		else
			perform(&a, client, clone_it, "was cloned");
	} else if (type == ADM_VTPM_REKEY) {
		a.uuid = ((const struct adm_uuid *)fields)->uuid;
		perform(&a, client, rekey_it, "gets a new generation of its seed at the next open");
	} else if (type == ADM_VTPM_RETIRE) {
		a.uuid = retire->uuid;
		a.grace = retire->grace;
		perform(&a, client, retire->cancel ? cancel_it : retire_it, retire->cancel ? "is not retired after all" : "is retired");
	} else {
		return false;
	}
	return true;
}
