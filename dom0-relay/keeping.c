/* Leases and their state on the way to the disk and to the KMC. */
#include "dom0-relay/keeping.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/moves.h"
#include "dom0-relay/opening.h"

#define KEEPING_MAX 512
#define SAVES_MAX 4   /* records on their way to the state process: the link's queue is bounded */
#define RETRY_MS 2000 /* after the KMC or the disk could not take something */

/* What is to be done with an entry, and how far it is: each errand is wanted, then sent, then done. */
struct errand {
	bool wanted, sent;
	bool later; /* was refused for now: not before RETRY_MS have passed */
	uint64_t version; /* that was sent */
};

/* A record with state of its own. */
struct copy {
	struct state_record r; /* its views point into the following */
	struct buf state, transient;
	uint8_t request[KMC_REQUEST_ID_SIZE];
};

struct entry {
	uint64_t ticket; /* 0: free */
	struct copy now;    /* the newest */
	struct copy saving; /* on its way to the disk */
	struct copy safe;   /* as the disk has it: what a failed save goes back to */
	uint64_t pushed;    /* newest version that the KMC confirmed */
	struct errand save, push, park, release, drop;
	struct errand move;	 /* of move_type; the newest counts */
	enum kmc_type move_type;
	unsigned int move_answers; /* to come: all but the last are to moves that were overtaken */
	enum keeping_move tell;	 /* once the record is on the disk, if tells */
	bool tells;
	bool suspended;		 /* the KMC has what is frozen */
	bool leaving;		 /* nobody is served any more: after the move, the end */
	uint64_t base;	    /* version that came with the lease: nobody waits to hear that it is stored */
	bool fresh;   /* the record of the lease itself is not safe yet */
	bool parked;  /* no guest: the lease is kept for a start without the KMC */
	bool closing; /* parked, and its owner was not told yet that it may go */
	bool on_disk; /* there is a record, or may be */
	bool found;  /* by an earlier run, and not claimed */
	bool fenced; /* the lease is another's: nothing more to tell the KMC */
};

struct keeping {
	struct kmclink *kmc;
	struct link *disk;
	enum durability durability;
	const struct keeping_ops *ops;
	void *arg;
	struct source *retry;
	unsigned int saves; /* under way */
	bool parks;	    /* leases of guests that ended stay here, if there is a copy to start them from */
	struct entry table[KEEPING_MAX];
};

static void send_all(struct keeping *k);

static void try_again(struct keeping *k);

static void on_retry(void *arg, unsigned int what)
{
	(void)what;
	try_again(arg);
}

struct keeping *keeping_new(struct loop *loop, struct kmclink *kmc, struct link *disk, enum durability durability,
			    const struct keeping_ops *ops, void *arg)
{
	struct keeping *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->kmc = kmc;
	k->disk = disk;
	k->durability = durability;
	k->ops = ops;
	k->arg = arg;
	k->retry = source_timer(loop, on_retry, k);
	if (!k->retry)
		keeping_free(&k);
	return k;
}

/* --- copies --- */

static void copy_free(struct copy *c)
{
	buf_free(&c->state);
	buf_free(&c->transient);
	memset(c, 0, sizeof(*c));
}

/* Make *@c a copy of @r, state and all: 0, or E_NOMEM with *@c as it was. */
static int copy_set(struct copy *c, const struct state_record *r)
{
	struct buf state = {0}, transient = {0};

	if ((r->state.n + r->grace.n && buf_init(&state, r->state.n + r->grace.n) != 0) || (r->transient.n && buf_init(&transient, r->transient.n) != 0)) {
		buf_free(&state);
		return E_NOMEM;
	}
	if (r->state.n)
		buf_put(&state, r->state.p, r->state.n);
	if (r->grace.n)
		buf_put(&state, r->grace.p, r->grace.n);
	if (r->transient.n)
		buf_put(&transient, r->transient.p, r->transient.n);
	buf_free(&c->state);
	buf_free(&c->transient);
	if (r->request.p)
		memmove(c->request, r->request.p, sizeof(c->request));
	c->state = state;
	c->transient = transient;
	c->r = *r;
	c->r.state = view_of(r->state.n ? buf_ptr(&c->state) : NULL, r->state.n);
	c->r.transient = view_of(r->transient.n ? buf_ptr(&c->transient) : NULL, r->transient.n);
	c->r.request = r->request.p ? view_of(c->request, sizeof(c->request)) : (struct view){0};
	c->r.grace = view_of(r->grace.n ? buf_ptr(&c->state) + r->state.n : NULL, r->grace.n);
	return 0;
}

static void copy_move(struct copy *to, struct copy *from)
{
	buf_free(&to->state);
	buf_free(&to->transient);
	*to = *from;
	to->r.request = from->r.request.p ? view_of(to->request, sizeof(to->request)) : (struct view){0};
	memset(from, 0, sizeof(*from));
}

static void clear(struct entry *e)
{
	copy_free(&e->now);
	copy_free(&e->saving);
	copy_free(&e->safe);
	memset(e, 0, sizeof(*e));
}

void keeping_free(struct keeping **k)
{
	if (!*k)
		return;
	for (size_t i = 0; i < KEEPING_MAX; i++)
		clear(&(*k)->table[i]);
	source_free(&(*k)->retry);
	free(*k);
	*k = NULL;
}

/* --- entries --- */

static struct entry *find(struct keeping *k, uint64_t ticket)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket == ticket)
			return &k->table[i];
	return NULL;
}

static bool is_of(const struct entry *e, const struct uuid *uuid)
{
	return e->ticket && uuid_equal(&e->now.r.uuid, uuid);
}

static bool is_idle(const struct errand *a)
{
	return !a->wanted && !a->sent;
}

/* Parked, and the KMC knows all that there is to know: it may be opened anew. */
static bool is_ready(const struct entry *e)
{
	return e->parked && is_idle(&e->save) && is_idle(&e->push) && is_idle(&e->park) && is_idle(&e->release) && is_idle(&e->drop);
}

bool keeping_has(const struct keeping *k, const struct uuid *uuid)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (is_of(&k->table[i], uuid) && !is_ready(&k->table[i]))
			return true;
	return false;
}

void keeping_count(const struct keeping *k, struct keeping_count *c)
{
	*c = (struct keeping_count){.leases = 0};
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		const struct entry *e = &k->table[i];

		c->leases += e->ticket != 0;
		c->waiting += e->ticket && !e->fenced && e->now.r.version > e->pushed && e->push.wanted + e->push.sent > 0;
	}
}

static struct entry *find_parked(struct keeping *k, const struct uuid *uuid)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (is_of(&k->table[i], uuid) && k->table[i].parked)
			return &k->table[i];
	return NULL;
}

static void end(struct keeping *k, struct entry *e)
{
	struct uuid uuid = e->now.r.uuid;

	clear(e);
	k->ops->ended(k->arg, &uuid);
}

static struct entry *add(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	struct entry *e = find(k, 0);

	if (!e)
		return NULL;
	if (copy_set(&e->now, r) != 0)
		return NULL;
	e->ticket = ticket;
	return e;
}

/* --- errands --- */

static void want(struct errand *a)
{
	a->wanted = true;
}

static void send_save(struct keeping *k, struct entry *e)
{
	if (k->saves == SAVES_MAX)
		return;
	if (copy_set(&e->saving, &e->now.r) != 0) { /* tried again, until the stub domain's patience ends */
		source_set_ms(k->retry, RETRY_MS);
		return;
	}
	link_send(k->disk, STATE_SAVE, e->ticket, &e->saving.r);
	e->on_disk = true;
	k->saves++;
	e->save = (struct errand){.sent = true, .version = e->saving.r.version};
}

static void send_push(struct keeping *k, struct entry *e)
{
	const struct state_record *r = &e->now.r;
	const struct kmc_store m = {
		.uuid = r->uuid, .lease_epoch = r->lease_epoch, .version = r->version, .owner_epoch = r->owner_epoch,
		.endorsement_epoch = r->endorsement_epoch, .platform_epoch = r->platform_epoch, .state = r->state,
	};

	if (kmclink_send(k->kmc, KMC_STORE, KMC_ID(KMC_ID_STORE, e->ticket), &m) == 0)
		e->push = (struct errand){.sent = true, .version = r->version};
}

static void send_release(struct keeping *k, struct entry *e)
{
	const struct kmc_release m = {.uuid = e->now.r.uuid, .lease_epoch = e->now.r.lease_epoch};

	if (kmclink_send(k->kmc, KMC_RELEASE, KMC_ID(KMC_ID_RELEASE, e->ticket), &m) == 0)
		e->release = (struct errand){.sent = true};
}

/* A newer move overtakes the one before; the answers tell which is which by their number. */
static void send_move(struct keeping *k, struct entry *e)
{
	if (moves_send(k->kmc, e->move_type, e->ticket, &e->now.r) != 0)
		return;
	e->move = (struct errand){.sent = true, .version = e->now.r.version};
	e->move_answers++;
}

static void want_move(struct entry *e, enum kmc_type type)
{
	e->move = (struct errand){.wanted = true};
	e->move_type = type;
}

static void send_drop(struct keeping *k, struct entry *e)
{
	const struct state_drop m = {.uuid = e->now.r.uuid};

	link_send(k->disk, STATE_DROP, e->ticket, &m);
	e->drop = (struct errand){.sent = true};
}

static void send_park(struct keeping *k, struct entry *e)
{
	const struct kmc_park m = {.uuid = e->now.r.uuid, .lease_epoch = e->now.r.lease_epoch};

	if (kmclink_send(k->kmc, KMC_PARK, KMC_ID(KMC_ID_RELEASE, e->ticket), &m) == 0)
		e->park = (struct errand){.sent = true};
}

static bool may_go(const struct errand *a)
{
	return a->wanted && !a->sent && !a->later;
}

/* The last errand. What was never saved must not be dropped either: the file may be another lease's of the same vTPM. */
static void finish(struct keeping *k, struct entry *e)
{
	if (e->on_disk)
		send_drop(k, e);
	else
		end(k, e);
}

/* Send what may go now. The order holds it together: disk before KMC, state before release, release before drop. */
static void send_next(struct keeping *k, struct entry *e)
{
	bool may_push = e->now.r.phase == PHASE_SERVING && (is_idle(&e->save) || k->durability == DURABILITY_KMC);

	if (e->save.wanted && !e->save.sent)
		send_save(k, e);
	if (may_go(&e->push) && may_push)
		send_push(k, e);
	if (may_go(&e->park) && is_idle(&e->save) && is_idle(&e->push) && is_idle(&e->release))
		send_park(k, e);
	if (may_go(&e->release) && is_idle(&e->save) && is_idle(&e->push) && !e->park.sent)
		send_release(k, e);
	if (may_go(&e->move) && is_idle(&e->save))
		send_move(k, e);
	if ((e->push.wanted || e->park.wanted || e->release.wanted || e->move.wanted) && !kmclink_is_up(k->kmc))
		kmclink_hurry(k->kmc);
	if (e->drop.wanted && !e->drop.sent && is_idle(&e->save))
		finish(k, e);
}

static void send_all(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket)
			send_next(k, &k->table[i]);
}

/* A guest again; the copy for a start without KMC is good until there is a newer one. */
static int unpark(struct keeping *k, struct entry *e, uint64_t ticket, const struct state_record *r)
{
	struct state_record next = *r;

	if (!next.grace.n)
		next.grace = e->now.r.grace;
	if (copy_set(&e->now, &next) != 0)
		return E_NOMEM;
	e->ticket = ticket;
	e->parked = false;
	e->park = (struct errand){0};
	e->fresh = true;
	e->base = r->version;
	want(&e->save);
	send_next(k, e);
	return 0;
}

int keeping_hold(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	struct entry *e = find_parked(k, &r->uuid);

	if (e && r->phase == PHASE_RESERVED) /* its guest has run here since it was saved */
		return E_EXISTS;
	if (e)
		return unpark(k, e, ticket, r);
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (is_of(&k->table[i], &r->uuid) && k->table[i].on_disk)
			return E_EXISTS;
	e = add(k, ticket, r);
	if (!e)
		return E_NOMEM;
	e->fresh = true;
	e->base = e->pushed = r->version;
	want(&e->save);
	send_next(k, e);
	return 0;
}

/* No guest any more: the record says so, then the KMC is told. */
static void park(struct keeping *k, struct entry *e)
{
	e->parked = true;
	e->now.r.guest = e->now.r.dev = e->now.r.stub = 0;
	want(&e->save);
	want(&e->park);
	send_next(k, e);
}

int keeping_orphan(struct keeping *k, uint64_t ticket, const struct uuid *uuid, uint64_t lease_epoch)
{
	const struct state_record r = {.uuid = *uuid, .lease_epoch = lease_epoch};
	struct entry *e = find_parked(k, uuid);

	if (e) { /* it stays parked, under the newer epoch */
		e->now.r.lease_epoch = lease_epoch;
		park(k, e);
		return 0;
	}
	e = add(k, ticket, &r);
	if (!e)
		return E_NOMEM;
	want(&e->release);
	send_next(k, e);
	return 0;
}

void keeping_serves(struct keeping *k, uint64_t ticket, unsigned int stub)
{
	struct entry *e = find(k, ticket);

	if (!e)
		return;
	e->now.r.stub = stub;
	want(&e->save);
	send_next(k, e);
}

int keeping_store(struct keeping *k, uint64_t ticket, const struct handoff_store *s)
{
	struct entry *e = find(k, ticket);
	struct state_record r;

	if (!e)
		return E_STATE;
	r = e->now.r;
	r.version = s->version;
	r.owner_epoch = s->owner_epoch;
	r.endorsement_epoch = s->endorsement_epoch;
	r.platform_epoch = s->platform_epoch;
	r.state = s->state;
	if (copy_set(&e->now, &r) != 0)
		return E_NOMEM;
	want(&e->save);
	want(&e->push);
	send_next(k, e);
	return 0;
}

/* --- guests that sleep and move --- */

int keeping_freeze(struct keeping *k, uint64_t ticket, uint64_t image, const struct handoff_frozen *f)
{
	struct entry *e = find(k, ticket);
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
	if (copy_set(&e->now, &r) != 0)
		return E_NOMEM;
	e->push.wanted = e->suspended = false; /* SUSPEND brings that and more */
	e->tells = true;
	e->tell = MOVE_FROZEN;
	want(&e->save);
	want_move(e, KMC_SUSPEND);
	send_next(k, e);
	return 0;
}

void keeping_resume(struct keeping *k, uint64_t ticket, uint64_t image)
{
	struct entry *e = find(k, ticket);

	if (!e)
		return;
	e->now.r.image = image;
	e->suspended = false; /* with that image there is none */
	want(&e->save);
	want_move(e, KMC_RESUME);
	send_next(k, e);
}

void keeping_commit(struct keeping *k, uint64_t ticket)
{
	struct entry *e = find(k, ticket);

	if (!e)
		return;
	want_move(e, KMC_COMMIT);
	send_next(k, e);
}

static void end_lease(struct keeping *k, struct entry *e)
{
	k->ops->released(k->arg, e->ticket);
	want(&e->drop);
	send_next(k, e);
}

/* Give back what the record says that there is; a lease that is another's now is nobody's to give. */
static void leave(struct keeping *k, struct entry *e)
{
	if (k->parks && e->now.r.grace.n && e->now.r.phase == PHASE_SERVING && !e->fenced) {
		e->closing = true;
		park(k, e);
		return;
	}
	e->leaving = true;
	e->tells = false;
	if (e->fenced || (e->now.r.phase == PHASE_FROZEN && e->suspended)) {
		end_lease(k, e);
		return;
	}
	if (e->now.r.phase == PHASE_SERVING)
		want(&e->release);
	else if (e->now.r.phase == PHASE_RESERVED || e->move_type != KMC_SUSPEND || is_idle(&e->move))
		want_move(e, e->now.r.phase == PHASE_RESERVED ? KMC_CANCEL : KMC_SUSPEND);
	send_next(k, e);
}

void keeping_release(struct keeping *k, uint64_t ticket)
{
	struct entry *e = find(k, ticket);

	if (e)
		leave(k, e);
}

int keeping_found(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	struct entry *e = add(k, ticket, r);

	if (!e)
		return E_NOMEM;
	e->found = e->on_disk = true;
	if (copy_set(&e->safe, r) != 0) {
		clear(e);
		return E_NOMEM;
	}
	return 0;
}

const struct state_record *keeping_claim(struct keeping *k, uint64_t guest, uint64_t dev, const struct uuid *boot, uint64_t *ticket)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		struct entry *e = &k->table[i];

		if (!e->ticket || !e->found || e->now.r.guest != guest || e->now.r.dev != dev || !uuid_equal(&e->now.r.boot, boot))
			continue;
		e->found = false;
		*ticket = e->ticket;
		e->push.wanted = e->now.r.phase == PHASE_SERVING && e->now.r.version > 0; /* whether it went out before, nobody knows */
		send_next(k, e);
		return &e->now.r;
	}
	return NULL;
}

void keeping_settle(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		struct entry *e = &k->table[i];

		if (!e->ticket || !e->found)
			continue;
		e->found = false;
		e->push.wanted = e->now.r.phase == PHASE_SERVING && e->now.r.version > 0;
		leave(k, e);
	}
}

/* --- starting without the KMC --- */

void keeping_park_leases(struct keeping *k)
{
	k->parks = true;
}

static int set_grace(struct keeping *k, struct entry *e, struct view grace)
{
	struct state_record r = e->now.r;

	r.grace = grace;
	if (copy_set(&e->now, &r) != 0)
		return E_NOMEM;
	want(&e->save);
	send_next(k, e);
	return 0;
}

int keeping_grace(struct keeping *k, uint64_t ticket, struct view grace)
{
	struct entry *e = find(k, ticket);

	return e ? set_grace(k, e, grace) : E_NOTFOUND;
}

const struct state_record *keeping_parked(struct keeping *k, const struct uuid *uuid)
{
	struct entry *e = find_parked(k, uuid);

	return e && e->now.r.grace.n && is_idle(&e->save) && is_idle(&e->release) && is_idle(&e->drop) ? &e->now.r : NULL;
}

bool keeping_has_parked(const struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket && k->table[i].parked)
			return true;
	return false;
}

void keeping_verify(struct keeping *k, uint64_t ticket)
{
	struct entry *e = find(k, ticket);

	if (e && e->now.r.version)
		want(&e->push);
}

void keeping_recall(struct keeping *k, const struct uuid *uuid)
{
	struct entry *e = find_parked(k, uuid);

	if (!e)
		return; /* a guest runs again */
	want(&e->release);
	if (set_grace(k, e, (struct view){0}) != 0)
		e->release = (struct errand){0}; /* asked again, when the other host asks again */
}

void keeping_forget_grace(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket && k->table[i].now.r.grace.n)
			set_grace(k, &k->table[i], (struct view){0});
}

/* --- answers --- */

static void try_again(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		k->table[i].push.later = k->table[i].park.later = k->table[i].release.later = k->table[i].move.later = false;
	send_all(k);
}

void keeping_up(struct keeping *k)
{
	try_again(k);
}

static void ask_again(struct errand *a)
{
	a->wanted = a->wanted || a->sent;
	a->sent = false;
}

static void ask_later(struct keeping *k, struct errand *a)
{
	ask_again(a);
	a->later = true;
	source_set_ms(k->retry, RETRY_MS);
}

void keeping_down(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		ask_again(&k->table[i].push);
		ask_again(&k->table[i].park);
		ask_again(&k->table[i].release);
		ask_again(&k->table[i].move);
		k->table[i].move_answers = 0;
	}
}

/* Is the refusal about this lease, and so for good? Else the KMC can't or won't just now. */
static bool is_final(uint64_t code)
{
	return code == KMC_REFUSED_EPOCH || code == KMC_REFUSED_MALFORMED;
}

static void on_push_refused(struct keeping *k, struct entry *e, const struct kmc_refused *refused)
{
	char why[320], uuid[UUID_TEXT];

	snprintf(why, sizeof(why), "the KMC refused its state (%s): %.*s", kmc_refusal_text(refused->code), (int)refused->reason.n,
		 (const char *)refused->reason.p);
	log_error("vTPM %s: %s", uuid_format(&e->now.r.uuid, uuid), why);
	if (refused->code == KMC_REFUSED_ROLLBACK) { /* of this very lease the KMC has a newer one: it was stored before a restart */
		uint64_t ticket = e->ticket, version = e->push.version;

		e->push.sent = false;
		e->pushed = version;
		send_next(k, e);
		if (k->durability == DURABILITY_KMC)
			k->ops->stored(k->arg, ticket, version, E_STATE, why);
		return;
	}
	if (!is_final(refused->code)) {
		ask_later(k, &e->push);
		return;
	}
	e->push = (struct errand){0};
	e->fenced = true;
	if (e->release.wanted) {
		e->release = (struct errand){0};
		k->ops->released(k->arg, e->ticket);
		want(&e->drop);
		send_next(k, e);
	} else {
		k->ops->fenced(k->arg, e->ticket, why);
	}
}

static void on_push_answer(struct keeping *k, struct entry *e, enum kmc_type type, const void *fields)
{
	uint64_t ticket = e->ticket, version = e->push.version;

	if (type == KMC_REFUSED) {
		on_push_refused(k, e, fields);
		return;
	}
	if (type != KMC_STORED || ((const struct kmc_stored *)fields)->version != version) {
		log_warn("the KMC answered a store with something else");
		return;
	}
	e->push.sent = false;
	e->pushed = version;
	send_next(k, e);
	if (k->durability == DURABILITY_KMC && version > e->base)
		k->ops->stored(k->arg, ticket, version, 0, "");
}

/* A refusal for good means that somebody took the lease over: the copy is worthless. */
static void on_park_answer(struct keeping *k, struct entry *e, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *refused = fields;
	struct uuid uuid = e->now.r.uuid;
	char text[UUID_TEXT];

	if (type == KMC_PARKED) {
		e->park = (struct errand){0};
		send_next(k, e);
		k->ops->ended(k->arg, &uuid); /* who waits for it may open */
		return;
	}
	if (type != KMC_REFUSED) {
		log_warn("the KMC answered a parking with something else");
		return;
	}
	log_warn("vTPM %s: the KMC does not let this host keep its lease (%s): %.*s", uuid_format(&uuid, text), kmc_refusal_text(refused->code),
		 (int)refused->reason.n, (const char *)refused->reason.p);
	if (is_final(refused->code)) {
		e->park = (struct errand){0};
		want(&e->drop);
		send_next(k, e);
	} else {
		ask_later(k, &e->park);
	}
}

/* A refusal for good is as good: the lease is not ours any more. */
static void on_release_answer(struct keeping *k, struct entry *e, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *refused = fields;
	char uuid[UUID_TEXT];

	if (type == KMC_REFUSED) {
		log_warn("vTPM %s: the KMC did not take the lease back (%s): %.*s", uuid_format(&e->now.r.uuid, uuid),
			 kmc_refusal_text(refused->code), (int)refused->reason.n, (const char *)refused->reason.p);
		if (!is_final(refused->code)) {
			ask_later(k, &e->release);
			return;
		}
	} else if (type != KMC_RELEASED) {
		log_warn("the KMC answered a release with something else");
		return;
	}
	e->release = (struct errand){0};
	k->ops->released(k->arg, e->ticket);
	want(&e->drop);
	send_next(k, e);
}

/* The lease is ours under a new epoch, which has to be on the disk before anybody is served under it. */
static void on_granted(struct keeping *k, struct entry *e, uint64_t lease_epoch)
{
	e->now.r.phase = PHASE_SERVING;
	e->now.r.lease_epoch = lease_epoch;
	e->now.r.transient = e->now.r.request = (struct view){0};
	e->tells = true;
	e->tell = MOVE_SERVES;
	want(&e->save);
	send_next(k, e);
}

static void on_suspended(struct keeping *k, struct entry *e, uint64_t lease_epoch)
{
	e->suspended = true;
	if (e->now.r.lease_epoch != lease_epoch) { /* of a resume that was not answered */
		e->now.r.lease_epoch = lease_epoch;
		want(&e->save);
	}
	send_next(k, e);
	k->ops->moved(k->arg, e->ticket, MOVE_SUSPENDED, lease_epoch, "");
}

static void on_move_refused(struct keeping *k, struct entry *e, const struct kmc_refused *m)
{
	char why[320], uuid[UUID_TEXT];

	snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(m->code), (int)m->reason.n, (const char *)m->reason.p);
	log_warn("vTPM %s: %s", uuid_format(&e->now.r.uuid, uuid), why);
	if (!moves_is_final(m->code)) {
		e->move.wanted = true;
		ask_later(k, &e->move);
		return;
	}
	e->fenced = true;
	if (e->leaving)
		end_lease(k, e);
	else
		k->ops->moved(k->arg, e->ticket, MOVE_FENCED, 0, why);
}

static void on_move_answer(struct keeping *k, struct entry *e, enum kmc_type type, const void *fields)
{
	uint64_t lease_epoch;

	if (--e->move_answers > 0 || !e->move.sent)
		return; /* a later one was asked, or waits to be */
	e->move = (struct errand){0};
	if (type == KMC_REFUSED)
		on_move_refused(k, e, fields);
	else if (!moves_answer(e->move_type, type, fields, &lease_epoch))
		log_warn("the KMC answered a move with something else");
	else if (e->leaving)
		end_lease(k, e);
	else if (e->move_type == KMC_SUSPEND)
		on_suspended(k, e, lease_epoch);
	else
		on_granted(k, e, lease_epoch);
}

void keeping_kmc(struct keeping *k, enum kmc_type type, uint64_t id, const void *fields)
{
	struct entry *e = KMC_ID_TICKET(id) ? find(k, KMC_ID_TICKET(id)) : NULL;

	if (e && KMC_ID_KIND(id) == KMC_ID_STORE && e->push.sent)
		on_push_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_RELEASE && e->park.sent)
		on_park_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_RELEASE && e->release.sent)
		on_release_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_MOVE && e->move_answers)
		on_move_answer(k, e, type, fields);
	else
		log_warn("the KMC answered what was not asked");
	send_all(k); /* its answer made room in the queue */
}

/* A failed save of the newest: for the guest it has not happened. What the disk holds is due at the KMC as before. */
static void go_back(struct keeping *k, struct entry *e)
{
	if (copy_set(&e->now, &e->safe.r) != 0)
		log_error("no memory to go back to the state before a failed write");
	if (k->durability == DURABILITY_HOST)
		e->push.wanted = e->now.r.version > e->pushed;
}

/* A move of the guest is no change that could be undone: what the disk does not take, the KMC gets all the same. */
static bool is_same_lease(const struct state_record *a, const struct state_record *b)
{
	return a->phase == b->phase && a->image == b->image && a->lease_epoch == b->lease_epoch;
}

static void tell_move(struct keeping *k, struct entry *e)
{
	if (!e->tells || !is_idle(&e->save))
		return;
	e->tells = false;
	k->ops->moved(k->arg, e->ticket, e->tell, e->now.r.lease_epoch, "");
}

static void on_saved(struct keeping *k, struct entry *e, const struct state_failed *failed)
{
	uint64_t ticket = e->ticket, version = e->save.version;
	char why[256] = "";
	bool fresh = e->fresh, closing = e->closing;

	e->save.sent = e->fresh = e->closing = false;
	if (!failed) {
		copy_move(&e->safe, &e->saving);
	} else {
		snprintf(why, sizeof(why), "%.*s", (int)failed->reason.n, (const char *)failed->reason.p);
		copy_free(&e->saving);
		if (!e->save.wanted && e->safe.r.lease_epoch && is_same_lease(&e->now.r, &e->safe.r))
			go_back(k, e);
	}
	send_next(k, e);
	tell_move(k, e);
	if (closing)
		k->ops->released(k->arg, ticket); /* as far as the guest is concerned */
	else if (fresh || version == 0)
		k->ops->stored(k->arg, ticket, 0, failed ? E_IO : 0, why);
	else if (k->durability == DURABILITY_HOST && version > e->base)
		k->ops->stored(k->arg, ticket, version, failed ? E_IO : 0, why);
}

void keeping_disk(struct keeping *k, uint64_t type, uint64_t id, const void *fields)
{
	struct entry *e = id ? find(k, id) : NULL;
	bool failed = type == STATE_FAILED;

	if (!e || (type != STATE_SAVED && type != STATE_DROPPED && !failed))
		fatal("the state process answered what was not asked");
	if (e->save.sent && type != STATE_DROPPED) {
		k->saves--;
		on_saved(k, e, failed ? fields : NULL);
	} else if (e->drop.sent && type != STATE_SAVED) {
		end(k, e); /* a file that can't be removed is found, and given back again, at the next start */
	}
	send_all(k);
}
