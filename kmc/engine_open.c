/*
 * Opens, reservations and protection keys.
 *
 *   open: DECRYPT at the vault -> decide -> (new vTPM: MAKE at the vault -> decide again) -> commit -> SEAL at the vault -> answer
 *
 * The decision is made in the transaction that records it (engine_grant.c), so that it holds whatever happened while the vault worked. The seed is
 * stored, wrapped, and the lease granted in that same transaction, before the vault puts the seed into its envelope. A reservation is an open
 * that takes no lease: the host gets all of a suspended vTPM, to serve it once it has committed.
 */
#include "kmc/engine_open.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "kmc/engine_grant.h"
#include "kmc/engine_park.h"
#include "kmc/engine_session.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"

static void answer_key(struct engine *e, const struct asker *a, const struct store_key *k)
{
	const struct kmc_protected m = {
		.key_id = view_of(k->id, sizeof(k->id)), .modulus = view_of(k->modulus, k->modulus_size), .exponent = k->exponent,
		.expires = (uint64_t)k->expires_at,
	};

	engine_answer(e, a, KMC_PROTECTED, &m);
}

/* One whose host was told to try again, and whose key is still being made. */
static struct ticket *find_late(struct engine *e, const char *host)
{
	for (size_t i = 0; i < TICKETS_MAX; i++) {
		struct ticket *t = &e->tickets[i];

		if (t->kind == TICKET_PROTECT && t->given_up && strcmp(t->asker.host, host) == 0)
			return t;
	}
	return NULL;
}

/*
 * Keys take their time, and many hosts may want one at once. A host that asks again takes its place in the line, it does not make a new one behind
 * all others; and a key that came too late is kept for it.
 */
void open_protect(struct engine *e, const struct asker *a)
{
	int64_t half = (int64_t)e->conf->key_lifetime_s / 2;
	struct store_key key;
	struct ticket *t;
	int r = e->store->ops->key_current(e->store, a->host, engine_now() + half, &key);

	if (r == 0 && key.modulus_size * 8 == e->conf->rsa_bits) { /* young enough to be handed out again */
		answer_key(e, a, &key);
		return;
	}
	if (r == E_DB) {
		engine_refuse_db(e, a);
		return;
	}
	t = find_late(e, a->host);
	if (t) {
		t->asker = *a;
		t->since_ms = loop_now_ms();
		t->given_up = false;
		return;
	}
	t = engine_ticket(e, TICKET_PROTECT);
	if (!t) {
		engine_refuse(e, a, KMC_REFUSED_BUSY, "too many requests are under way: try again");
		return;
	}
	t->asker = *a;
	link_send(e->vault, VAULT_PROTECT, t->id, NULL);
}

static int keep_key(struct store *s, void *arg)
{
	const struct store_key *k = arg;
	int r = wrapping_allows(s, view_of(k->wrapped, k->wrapped_size));

	if (r != 0 || (r = s->ops->key_put(s, k)) != 0)
		return r;
	return s->ops->key_purge(s, engine_now());
}

void open_protected(struct engine *e, struct ticket *t, const struct vault_protected *m)
{
	struct store_key key = {
		.modulus_size = m->modulus.n, .exponent = m->exponent, .created_at = engine_now(),
		.expires_at = engine_now() + (int64_t)e->conf->key_lifetime_s, .wrapped_size = m->wrapped.n,
	};
	struct asker a = t->asker;
	bool late = t->given_up;
	int r;

	memcpy(key.id, m->key_id.p, sizeof(key.id));
	memcpy(key.host, a.host, sizeof(key.host));
	memcpy(key.modulus, m->modulus.p, m->modulus.n);
	memcpy(key.wrapped, m->wrapped.p, m->wrapped.n);
	r = store_transact(e->store, keep_key, &key);
	if (r == E_STATE) { /* the wrapping key was replaced behind this kmcd's back: another one, under the present */
		wrapping_look(e);
		link_send(e->vault, VAULT_PROTECT, t->id, NULL);
		return;
	}
	engine_ticket_end(t);
	if (late)
		return; /* its host asks again */
	if (r != 0)
		engine_refuse_db(e, &a);
	else
		answer_key(e, &a, &key);
}

/* NULL: it was refused. */
static struct ticket *start(struct engine *e, const struct asker *a, struct view key_id, struct view cipher)
{
	struct vault_decrypt q = {.key_id = key_id, .cipher = cipher};
	struct ticket *t = NULL;
	struct store_key key;
	int r = e->store->ops->key_get(e->store, key_id.p, &key);

	if (r == E_DB) {
		engine_refuse_db(e, a);
	} else if (r != 0 || strcmp(key.host, a->host) != 0 || key.expires_at <= engine_now()) {
		engine_refuse(e, a, KMC_REFUSED_KEY, "this protection key is unknown here or has expired: ask for a new one");
	} else if (!replays_fresh(&e->replays, cipher)) {
		engine_refuse(e, a, KMC_REFUSED_ENVELOPE, "this very request was made before: each one is encrypted anew");
	} else if (!(t = engine_ticket(e, TICKET_OPEN))) {
		engine_refuse(e, a, KMC_REFUSED_BUSY, "too many opens are under way: try again");
	} else {
		t->asker = *a;
		q.wrapped = view_of(key.wrapped, key.wrapped_size);
		wrapping_before(e, q.wrapped);
		link_send(e->vault, VAULT_DECRYPT, t->id, &q);
	}
	return t;
}

void open_start(struct engine *e, const struct asker *a, const struct kmc_open *m)
{
	start(e, a, m->key_id, m->cipher);
}

void open_reserve(struct engine *e, const struct asker *a, const struct kmc_reserve *m)
{
	struct ticket *t = start(e, a, m->key_id, m->cipher);

	if (!t)
		return;
	t->reserve = true;
	t->image = m->image;
	memcpy(t->request, m->request.p, sizeof(t->request));
}

void open_refuse_lease(struct engine *e, const struct asker *a, enum kmc_refusal code, const struct uuid *uuid,
		       const struct lease *lease)
{
	char u[UUID_TEXT];

	uuid_format(uuid, u);
	if (code == KMC_REFUSED_SESSION)
		engine_session_refuse(e, a);
	else if (code == KMC_REFUSED_HELD && lease && lease->reserver[0])
		engine_refuse(e, a, code,
			      "vTPM %s is reserved for its guest that comes in at host '%s': wait for that, or 'kmcctl vtpm takeover %s' if that host is dead",
			      u, lease->reserver, u);
	else if (code == KMC_REFUSED_HELD && lease)
		engine_refuse(e, a, code,
			      "vTPM %s is held by host '%s' (lease %" PRIu64 "): close it there, or 'kmcctl vtpm takeover %s' if that host is dead",
			      u, lease->holder, lease->epoch, u);
	else if (code == KMC_REFUSED_PARKED && lease)
		engine_refuse(e, a, code,
			      "vTPM %s is parked at host '%s' (lease %" PRIu64 "), which is asked for it: 'kmcctl vtpm takeover %s' if that host is dead",
			      u, lease->holder, lease->epoch, u);
	else if (code == KMC_REFUSED_POLICY && lease)
		engine_refuse(e, a, code, "vTPM %s belongs to another pool than host '%s'", u, a->host);
	else if (code == KMC_REFUSED_POLICY)
		engine_refuse(e, a, code,
			      "vTPM %s is not registered, and pool '%s' asks for that: run 'kmcctl vtpm register %s --pool %s'", u,
			      a->pool, u, a->pool);
	else if (code == KMC_REFUSED_IMAGE && lease && lease->suspended)
		engine_refuse(e, a, code,
			      "vTPM %s was suspended with another image than this domain comes from: only the guest's latest one may be restored",
			      u);
	else if (code == KMC_REFUSED_IMAGE)
		engine_refuse(e, a, code, "vTPM %s is not suspended: its guest has run on since this image was saved, or its suspension has not arrived yet", u);
	else if (code == KMC_REFUSED_RESERVATION)
		engine_refuse(e, a, code, "vTPM %s is not reserved for host '%s' any more: its guest was resumed elsewhere, or it was taken over", u,
			      a->host);
	else if (code == KMC_REFUSED_EPOCH)
		engine_refuse(e, a, code, "host '%s' does not hold vTPM %s under this lease any more", a->host, u);
	else if (code == KMC_REFUSED_ROLLBACK)
		engine_refuse(e, a, code, "vTPM %s has state version %" PRIu64 " here: this one is not newer", u,
			      lease ? lease->state_version : 0);
	else
		engine_refuse(e, a, code, "vTPM %s: %s", u, kmc_refusal_text(code));
}

/* The vault still has what it decrypted. */
static void give_up(struct engine *e, struct ticket *t)
{
	link_send(e->vault, VAULT_FORGET, t->id, NULL);
	engine_ticket_end(t);
}

static void ask_seed(struct engine *e, struct ticket *t, const struct store_vtpm *v)
{
	uint8_t origin[ORIGIN_SIZE];
	const struct vault_make q = {.tenant = view_text(v->lease.pool), .uuid = v->uuid, .generation = v->generation,
				     .origin = origin_put(&v->origin, origin)};

	link_send(e->vault, VAULT_MAKE, t->id, &q);
}

static void ask_seal(struct engine *e, struct ticket *t)
{
	const struct store_vtpm *v = &t->vtpm;
	uint8_t origin[ORIGIN_SIZE];
	const struct vault_seal q = {
		.tenant = view_text(v->lease.pool), .seed = view_of(v->seed, v->seed_size), .generation = v->generation,
		.lease_epoch = v->lease.epoch, .owner_epoch = v->lease.owner_epoch, .endorsement_epoch = v->lease.endorsement_epoch,
		.platform_epoch = v->lease.platform_epoch, .state_version = v->lease.state_version, .image = t->image,
		.request = t->reserve ? view_of(t->request, sizeof(t->request)) : (struct view){0}, .origin = origin_put(&v->origin, origin),
	};

	wrapping_before(e, q.seed);
	link_send(e->vault, VAULT_SEAL, t->id, &q);
}

static void refuse_retired(struct engine *e, const struct ticket *t, const struct store_retirement *r)
{
	char u[UUID_TEXT];

	uuid_format(&t->uuid, u);
	if (r->moving && r->destroyed_at)
		engine_refuse(e, &t->asker, KMC_REFUSED_POLICY, "vTPM %s was moved to KMC '%s': its guest must run on a host of that one", u, r->destination);
	else if (r->moving)
		engine_refuse(e, &t->asker, KMC_REFUSED_POLICY, "vTPM %s is on its way to KMC '%s', and nobody's until it is there: see 'kmcctl vtpm show %s'", u,
			      r->destination, u);
	else if (r->destroyed_at)
		engine_refuse(e, &t->asker, KMC_REFUSED_POLICY, "vTPM %s was retired and its seed is destroyed: give the guest another UUID", u);
	else
		engine_refuse(e, &t->asker, KMC_REFUSED_POLICY, "vTPM %s was retired: 'kmcctl vtpm retire %s --cancel' brings it back while its seed is there",
			      u, u);
}

static void settle(struct engine *e, struct ticket *t, const struct grant *g)
{
	char u[UUID_TEXT];

	if (g->r == 0) {
		t->vtpm = g->vtpm;
		t->granted = true;
		ask_seal(e, t);
	} else if (g->r == E_AGAIN_OUT) {
		t->vtpm = g->vtpm;
		if (g->stale) /* the wrapping key was replaced behind this kmcd's back */
			wrapping_look(e);
		ask_seed(e, t, &g->vtpm);
	} else if (g->foreign) {
		engine_refuse(e, &t->asker, KMC_REFUSED_INTERNAL,
			      "the seed of vTPM %s came from another KMC and is not in the database any more: restore that from a backup", uuid_format(&t->uuid, u));
		give_up(e, t);
	} else if (g->retired.due_at) {
		refuse_retired(e, t, &g->retired);
		give_up(e, t);
	} else {
		enum kmc_refusal code = g->code;

		if (code == KMC_REFUSED_HELD && engine_recall(e, &t->uuid, &g->vtpm.lease))
			code = KMC_REFUSED_PARKED;
		open_refuse_lease(e, &t->asker, code, &t->uuid, g->known ? &g->vtpm.lease : NULL);
		give_up(e, t);
	}
}

void open_decide(struct engine *e)
{
	static struct grant grants[OPENS_TOGETHER];
	size_t n = e->n_undecided;
	int r;

	if (!n)
		return;
	e->n_undecided = 0;
	for (size_t i = 0; i < n; i++)
		grants[i].t = e->undecided[i];
	r = grant_decide(e, grants, n);
	for (size_t i = 0; i < n; i++) {
		if (r == 0) {
			settle(e, e->undecided[i], &grants[i]);
		} else {
			if (r == E_EOF)
				grant_unsure(e, &e->undecided[i]->asker);
			engine_refuse_db(e, &e->undecided[i]->asker);
			give_up(e, e->undecided[i]);
		}
	}
}

/* It is decided with the others of this round. */
static void enqueue(struct engine *e, struct ticket *t)
{
	e->undecided[e->n_undecided++] = t;
	if (e->n_undecided == OPENS_TOGETHER)
		open_decide(e);
}

void open_decrypted(struct engine *e, struct ticket *t, const struct vault_decrypted *m)
{
	t->uuid = m->uuid;
	if (uuid_is_nil(&t->uuid)) {
		engine_refuse(e, &t->asker, KMC_REFUSED_POLICY, "the nil UUID is nobody's vTPM");
		give_up(e, t);
		return;
	}
	enqueue(e, t);
}

void open_made(struct engine *e, struct ticket *t, const struct vault_made *m)
{
	memcpy(t->vtpm.seed, m->seed.p, m->seed.n);
	t->vtpm.seed_size = m->seed.n;
	enqueue(e, t);
}

static void answer_opened(struct engine *e, const struct ticket *t, struct view reply)
{
	const struct lease *l = &t->vtpm.lease;
	uint8_t origin[ORIGIN_SIZE];
	struct kmc_opened m = {
		.tenant = view_text(l->pool), .generation = t->vtpm.generation, .lease_epoch = l->epoch, .owner_epoch = l->owner_epoch,
		.endorsement_epoch = l->endorsement_epoch, .platform_epoch = l->platform_epoch, .state_version = l->state_version,
		.reply = reply, .audit = auditlog_head(&e->audit), .origin = origin_put(&t->vtpm.origin, origin),
	};

	if (l->state_version)
		m.state = view_of(buf_ptr(&e->state), buf_left(&e->state));
	engine_answer(e, &t->asker, KMC_OPENED, &m);
}

static void answer_reserved(struct engine *e, const struct ticket *t, struct view reply)
{
	const struct lease *l = &t->vtpm.lease;
	uint8_t origin[ORIGIN_SIZE];
	const struct kmc_reserved m = {
		.tenant = view_text(l->pool), .generation = t->vtpm.generation, .lease_epoch = l->epoch, .owner_epoch = l->owner_epoch,
		.endorsement_epoch = l->endorsement_epoch, .platform_epoch = l->platform_epoch, .state_version = l->state_version,
		.reply = reply, .state = view_of(buf_ptr(&e->state), buf_left(&e->state)),
		.volatile_state = view_of(buf_ptr(&e->volatile_state), buf_left(&e->volatile_state)), .audit = auditlog_head(&e->audit),
		.origin = origin_put(&t->vtpm.origin, origin),
	};

	engine_answer(e, &t->asker, KMC_RESERVED, &m);
}

/* What goes with the seed. E_NOTFOUND: somebody changed the vTPM while the vault worked. */
static int read_states(struct engine *e, const struct ticket *t)
{
	const struct lease *l = &t->vtpm.lease;
	int r = 0;

	buf_reset(&e->state);
	buf_reset(&e->volatile_state);
	if (l->state_version)
		r = e->store->ops->state_get(e->store, &t->uuid, l->state_version, &e->state);
	if (r == 0 && t->reserve)
		r = e->store->ops->image_get(e->store, &t->uuid, l->image, &e->volatile_state);
	return r;
}

void open_sealed(struct engine *e, struct ticket *t, const struct vault_sealed *m)
{
	const struct lease *l = &t->vtpm.lease;
	char u[UUID_TEXT];
	int r = read_states(e, t);

	if (r != 0)
		grant_take_back(e, t);
	if (r == E_DB) {
		engine_refuse_db(e, &t->asker);
	} else if (r != 0) { /* the same host opened again and stored, on another connection; or the source resumed */
		engine_refuse(e, &t->asker, KMC_REFUSED_BUSY, "vTPM %s changed hands while it was opened: try again",
			      uuid_format(&t->uuid, u));
	} else {
		e->opens++;
		histogram_add(&e->tally.open, loop_now_ms() - t->since_ms);
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &t->uuid, .host = t->asker.host), "host '%s' %s vTPM %s of pool '%s', lease %" PRIu64 "%s",
			  t->asker.host, t->reserve ? "reserved" : "opened", uuid_format(&t->uuid, u), l->pool, l->epoch, l->epoch == 1 && !t->reserve ? " (new)" : "");
		if (t->reserve)
			answer_reserved(e, t, m->reply);
		else
			answer_opened(e, t, m->reply);
	}
	engine_ticket_end(t);
}

void open_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	grant_take_back(e, t);
	if (m->code == -E_INTEGRITY && uuid_is_nil(&t->uuid)) {
		engine_refuse(e, &t->asker, KMC_REFUSED_ENVELOPE, "the request does not decrypt");
	} else if (m->code == -E_NOMEM || m->code == -E_BUSY) {
		engine_refuse(e, &t->asker, KMC_REFUSED_BUSY, "too many opens are under way: try again");
	} else {
		log_error("vault: %.*s", (int)m->reason.n, (const char *)m->reason.p);
		engine_refuse(e, &t->asker, KMC_REFUSED_INTERNAL, "the KMC's vault failed: its log says more");
	}
	give_up(e, t);
}
