/* Leases and their state on the way to the disk and to the KMC. */
#include "dom0-relay/keeping.h"

#include <stdlib.h>

#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/kept.h"

static void on_retry(void *arg, unsigned int what)
{
	(void)what;
	kept_try_again(arg);
}

static void on_verify(void *arg, unsigned int what)
{
	(void)what;
	kept_verify_all(arg);
}

struct keeping *keeping_new(struct loop *loop, struct kmclink *kmc, struct link *disk, enum durability durability,
			    const struct keeping_ops *ops, void *arg)
{
	struct keeping *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->kmc = kmc;
	k->disk = disk;
	k->waits_for_kmc = durability == DURABILITY_KMC;
	k->ops = ops;
	k->arg = arg;
	k->retry = source_timer(loop, on_retry, k);
	k->verify = source_timer(loop, on_verify, k);
	if (!k->retry || !k->verify)
		keeping_free(&k);
	return k;
}

void keeping_free(struct keeping **k)
{
	if (!*k)
		return;
	for (size_t i = 0; i < KEEPING_MAX; i++)
		kept_clear(&(*k)->table[i]);
	source_free(&(*k)->retry);
	source_free(&(*k)->verify);
	free(*k);
	*k = NULL;
}

/* Parked, and the KMC knows all that there is to know: it may be opened anew. */
static bool is_ready(const struct kept *e)
{
	return e->parked && e->now.r.phase == PHASE_SERVING && kept_may_unpark(e) && errand_is_idle(&e->push) && errand_is_idle(&e->park);
}

bool keeping_has(const struct keeping *k, const struct uuid *uuid, uint64_t but)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (kept_is_of(&k->table[i], uuid) && k->table[i].ticket != but && !is_ready(&k->table[i]))
			return true;
	return false;
}

void keeping_count(const struct keeping *k, struct keeping_count *c)
{
	*c = (struct keeping_count){.leases = 0};
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		const struct kept *e = &k->table[i];

		c->leases += e->ticket && !e->unreadable;
		c->waiting += e->ticket && !e->fenced && e->now.r.version > e->pushed && e->push.wanted + e->push.sent > 0;
	}
}

/* A guest again; the copy for a start without KMC is good until there is a newer one. */
static int unpark(struct keeping *k, struct kept *e, uint64_t ticket, const struct state_record *r)
{
	struct state_record next = *r;

	if (!next.grace.n)
		next.grace = e->now.r.grace;
	if (record_copy_set(&e->now, &next) != 0)
		return E_NOMEM;
	e->ticket = ticket;
	e->parked = 0;
	e->park = (struct errand){0};
	errand_ask_again(&e->push); /* an answer to what was sent would go by the ticket before */
	e->verify = (struct errand){.wanted = true}; /* likewise */
	e->fenced = false;
	e->fresh = true;
	e->base = r->version;
	e->save.wanted = true;
	kept_send(k, e);
	return 0;
}

int keeping_hold(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	struct kept *e = kept_find_parked(k, &r->uuid);
	int result;

	if (e && (r->phase == PHASE_RESERVED || !kept_may_unpark(e))) /* its guest has run here since it was saved; it is being given back */
		return E_EXISTS;
	if (e)
		return unpark(k, e, ticket, r);
	e = kept_find(k, ticket); /* its intent */
	for (size_t i = 0; i < KEEPING_MAX && r->phase != PHASE_RESERVED; i++)
		if (kept_is_of(&k->table[i], &r->uuid) && k->table[i].on_disk && &k->table[i] != e)
			return E_EXISTS;
	if (e && record_copy_set(&e->now, r) != 0)
		return E_NOMEM;
	if (!e && (result = kept_begin(k, ticket, r, &e)) != 0)
		return result;
	e->fresh = true;
	e->base = e->pushed = r->version;
	e->save.wanted = true;
	kept_send(k, e);
	return 0;
}

void keeping_serves(struct keeping *k, uint64_t ticket, unsigned int stub)
{
	struct kept *e = kept_find(k, ticket);

	if (!e)
		return;
	e->now.r.stub = stub;
	e->save.wanted = true;
	kept_send(k, e);
}

int keeping_store(struct keeping *k, uint64_t ticket, const struct handoff_store *s)
{
	struct kept *e = kept_find(k, ticket);
	struct state_record r;

	if (!e)
		return E_STATE;
	r = e->now.r;
	r.version = s->version;
	r.owner_epoch = s->owner_epoch;
	r.endorsement_epoch = s->endorsement_epoch;
	r.platform_epoch = s->platform_epoch;
	r.state = s->state;
	if (record_copy_set(&e->now, &r) != 0)
		return E_NOMEM;
	e->save.wanted = e->push.wanted = true;
	kept_send(k, e);
	return 0;
}

/* --- guests that sleep and move --- */

int keeping_freeze(struct keeping *k, uint64_t ticket, uint64_t image, const struct handoff_frozen *f)
{
	struct kept *e = kept_find(k, ticket);
	struct state_record r;

	if (!e)
		return E_STATE;
	r = e->now.r;
	r.phase = PHASE_FROZEN;
	r.image = image;
	r.version = f->version;
	r.owner_epoch = f->owner_epoch;
	r.endorsement_epoch = f->endorsement_epoch;
	r.platform_epoch = f->platform_epoch;
	r.state = f->state;
	r.transient = f->transient;
	r.request = (struct view){0};
	if (record_copy_set(&e->now, &r) != 0)
		return E_NOMEM;
	e->push.wanted = e->suspended = false; /* SUSPEND brings that and more */
	e->tells = true;
	e->tell = MOVE_FROZEN;
	e->save.wanted = true;
	kept_want_move(e, KMC_SUSPEND);
	kept_send(k, e);
	return 0;
}

void keeping_resume(struct keeping *k, uint64_t ticket, uint64_t image)
{
	struct kept *e = kept_find(k, ticket);

	if (!e)
		return;
	e->now.r.image = image;
	e->suspended = false; /* with that image there is none */
	e->save.wanted = true;
	kept_want_move(e, KMC_RESUME);
	kept_send(k, e);
}

int keeping_reserved(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	struct kept *e = kept_find(k, ticket);
	struct state_record next;

	if (!e)
		return 0;
	next = e->now.r;
	next.version = r->version;
	next.owner_epoch = r->owner_epoch;
	next.endorsement_epoch = r->endorsement_epoch;
	next.platform_epoch = r->platform_epoch;
	next.state = r->state;
	if (record_copy_set(&e->now, &next) != 0)
		return E_NOMEM;
	e->base = e->pushed = r->version;
	return 0;
}

void keeping_commit(struct keeping *k, uint64_t ticket)
{
	struct kept *e = kept_find(k, ticket);

	if (!e)
		return;
	kept_want_move(e, KMC_COMMIT);
	kept_send(k, e);
}

void keeping_release(struct keeping *k, uint64_t ticket)
{
	struct kept *e = kept_find(k, ticket);

	if (e)
		kept_leave(k, e);
	kept_make_room(k);
}

int keeping_found(struct keeping *k, uint64_t ticket, const struct state_placed *p)
{
	struct kept *e = kept_add(k, ticket, &p->record);

	if (!e)
		return E_NOMEM;
	e->place = p->place;
	e->unreadable = p->unreadable;
	e->found = !e->unreadable;
	e->on_disk = true;
	if (record_copy_set(&e->safe, &p->record) != 0) {
		kept_clear(e);
		return E_NOMEM;
	}
	return 0;
}

bool keeping_is_unreadable(const struct keeping *k, const struct uuid *uuid)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (kept_is_of(&k->table[i], uuid) && k->table[i].unreadable)
			return true;
	return false;
}

const struct state_record *keeping_claim(struct keeping *k, uint64_t guest, uint64_t dev, const struct uuid *uuid, const struct uuid *boot, uint64_t *ticket)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		struct kept *e = &k->table[i];

		if (!e->ticket || !e->found || e->now.r.phase == PHASE_OPENING || e->now.r.guest != guest || e->now.r.dev != dev || !uuid_equal(&e->now.r.boot, boot))
			continue;
		if (!uuid_is_nil(uuid) && !kept_is_of(e, uuid))
			continue;
		e->found = false;
		*ticket = e->ticket;
		e->push.wanted = e->now.r.phase == PHASE_SERVING && e->now.r.version > 0; /* whether it went out before, nobody knows */
		kept_send(k, e);
		return &e->now.r;
	}
	return NULL;
}

/* Whether that is the present lease the KMC says: what is kept is stored once more, as after a restart. */
void keeping_served(struct keeping *k, uint64_t ticket, uint64_t lease_epoch)
{
	struct kept *e = kept_find(k, ticket);

	if (!e)
		return;
	e->now.r.phase = PHASE_SERVING;
	e->now.r.lease_epoch = lease_epoch;
	e->now.r.transient = e->now.r.request = (struct view){0};
	e->push.wanted = e->now.r.version > 0;
	e->save.wanted = true;
	kept_send(k, e);
}

void keeping_settle(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		struct kept *e = &k->table[i];

		if (!e->ticket || !e->found)
			continue;
		e->found = false;
		if (e->now.r.phase == PHASE_OPENING) {
			k->ops->undecided(k->arg, e->ticket, &e->now.r.uuid);
			continue;
		}
		e->push.wanted = e->now.r.phase == PHASE_SERVING && e->now.r.version > 0;
		kept_leave(k, e);
	}
	kept_make_room(k);
}

/* --- starting without the KMC --- */

void keeping_park_leases(struct keeping *k)
{
	k->parks = true;
}

int keeping_grace(struct keeping *k, uint64_t ticket, struct view grace)
{
	struct kept *e = kept_find(k, ticket);

	return e && !e->leaving && !e->fenced ? kept_set_grace(k, e, grace) : E_NOTFOUND; /* what is given back, or another's, must not be started from */
}

const struct state_record *keeping_parked(struct keeping *k, const struct uuid *uuid)
{
	struct kept *e = kept_find_parked(k, uuid);

	return e && !e->fenced && e->now.r.phase == PHASE_SERVING && e->now.r.grace.n && e->now.r.state.n && kept_may_unpark(e) ? &e->now.r : NULL;
}

bool keeping_has_parked(const struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket && k->table[i].parked)
			return true;
	return false;
}

void keeping_recall(struct keeping *k, const struct uuid *uuid)
{
	struct kept *e = kept_find_parked(k, uuid);

	if (!e || e->now.r.phase == PHASE_OPENING)
		return; /* a guest runs again, or is about to */
	kept_recall(k, e); /* if it can't be, it is asked for again when the other host asks again */
}

void keeping_forget_grace(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket && k->table[i].now.r.grace.n)
			kept_set_grace(k, &k->table[i], (struct view){0});
}
