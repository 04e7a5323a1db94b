/* What became of the errands of kept leases: the KMC's answers and the disk's. */
#include <stdio.h>

#include "common/error.h"
#include "common/log.h"
#include "common/privsep.h"
#include "dom0-relay/kept.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/moves.h"
#include "dom0-relay/opening.h"

void keeping_up(struct keeping *k)
{
	kept_try_again(k);
	kept_verify_all(k);
	kept_make_room(k); /* what an earlier run had parked, and what came to it meanwhile */
}

void keeping_down(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		errand_ask_again(&k->table[i].push);
		errand_ask_again(&k->table[i].park);
		errand_ask_again(&k->table[i].release);
		errand_ask_again(&k->table[i].move);
		k->table[i].verify = (struct errand){0};
		k->table[i].move_answers = 0;
	}
}

/* Is the refusal about this lease, and so for good? Else the KMC can't or won't just now. */
static bool is_final(uint64_t code)
{
	return code == KMC_REFUSED_EPOCH || code == KMC_REFUSED_MALFORMED;
}

/* What it can't or won't just now is asked for every other second, for as long as that takes: said once, until the KMC says something else. */
static enum log_level level_of(struct kept *e, uint64_t code, enum log_level level)
{
	const bool again = e->refused == code;

	e->refused = code;
	return again ? LOG_LV_DEBUG : level;
}

/* What the KMC has is newer, or another's: nobody is to be started from this. */
static void forget_copy(struct kept *e)
{
	if (!e->now.r.grace.n)
		return;
	e->now.r.grace = (struct view){0};
	e->save.wanted = true;
}

/* The lease is another's. */
static void fence(struct keeping *k, struct kept *e, const char *why)
{
	e->fenced = true;
	if (e->release.wanted || (e->parked && e->now.r.version <= e->pushed)) { /* what is parked and was not sent may be wanted by hand */
		e->release = e->park = (struct errand){0};
		e->closing = false;
		kept_give_up_lease(k, e);
	} else {
		forget_copy(e); /* a start of this host that comes before the KMC is back would find it */
		kept_send(k, e);
		k->ops->fenced(k->arg, e->ticket, why);
	}
}

static void on_push_refused(struct keeping *k, struct kept *e, const struct kmc_refused *refused)
{
	char why[320], uuid[UUID_TEXT];

	snprintf(why, sizeof(why), "the KMC refused its state (%s): %.*s", kmc_refusal_text(refused->code), (int)refused->reason.n,
		 (const char *)refused->reason.p);
	log_about(level_of(e, refused->code, LOG_LV_ERROR), ABOUT(.vtpm = &e->now.r.uuid), "vTPM %s: %s", uuid_format(&e->now.r.uuid, uuid), why);
	if (refused->code == KMC_REFUSED_ROLLBACK) { /* of this very lease the KMC has a newer one: it was stored before a restart */
		uint64_t ticket = e->ticket, version = e->push.version;

		e->push.sent = false;
		e->pushed = version;
		if (e->now.r.version == version)
			forget_copy(e);
		kept_send(k, e);
		if (k->waits_for_kmc)
			k->ops->stored(k->arg, ticket, version, E_STATE, why);
		return;
	}
	if (!is_final(refused->code)) {
		kept_ask_later(k, &e->push);
		return;
	}
	e->push = (struct errand){0};
	fence(k, e, why);
}

/* Where its guest may be started from the record without asking the KMC, a state counts once both have it. */
static void on_push_answer(struct keeping *k, struct kept *e, enum kmc_type type, const void *fields)
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
	e->refused = 0;
	kept_send(k, e);
	if (k->waits_for_kmc && version > e->base && !(e->now.r.grace.n && e->safe.r.version < version))
		k->ops->stored(k->arg, ticket, version, 0, "");
}

/* What the KMC can't or won't say just now it is asked again in a minute; of a lease that ended meanwhile nobody wants to know. */
static void on_verify_answer(struct keeping *k, struct kept *e, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *refused = fields;
	const bool is_present = e->now.r.phase == PHASE_SERVING && e->now.r.lease_epoch == e->verify.version && !e->fenced;
	char why[320], uuid[UUID_TEXT];

	e->verify = (struct errand){0};
	if (type != KMC_REFUSED && type != KMC_VERIFIED)
		log_warn("the KMC answered a question for a lease with something else");
	if (type != KMC_REFUSED || refused->code != KMC_REFUSED_EPOCH || !is_present)
		return;
	snprintf(why, sizeof(why), "its lease is another's (%s): %.*s", kmc_refusal_text(refused->code), (int)refused->reason.n, (const char *)refused->reason.p);
	log_about(LOG_LV_ERROR, ABOUT(.vtpm = &e->now.r.uuid), "vTPM %s: %s", uuid_format(&e->now.r.uuid, uuid), why);
	fence(k, e, why);
}

/* A refusal for good means that somebody took the lease over: the copy is worthless. */
static void on_park_answer(struct keeping *k, struct kept *e, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *refused = fields;
	struct uuid uuid = e->now.r.uuid;
	char text[UUID_TEXT];

	if (type == KMC_PARKED) {
		e->park = (struct errand){0};
		kept_send(k, e);
		k->ops->ended(k->arg, &uuid); /* who waits for it may open */
		return;
	}
	if (type != KMC_REFUSED) {
		log_warn("the KMC answered a parking with something else");
		return;
	}
	log_about(level_of(e, refused->code, LOG_LV_WARN), ABOUT(.vtpm = &uuid), "vTPM %s: the KMC does not let this host keep its lease (%s): %.*s", uuid_format(&uuid, text), kmc_refusal_text(refused->code),
		 (int)refused->reason.n, (const char *)refused->reason.p);
	if (is_final(refused->code)) {
		e->park = (struct errand){0};
		e->drop.wanted = true;
		kept_send(k, e);
	} else {
		kept_ask_later(k, &e->park);
	}
}

/* A refusal for good is as good: the lease is not ours any more. */
static void on_release_answer(struct keeping *k, struct kept *e, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *refused = fields;
	char uuid[UUID_TEXT];

	if (type == KMC_REFUSED) {
		log_about(level_of(e, refused->code, LOG_LV_WARN), ABOUT(.vtpm = &e->now.r.uuid), "vTPM %s: the KMC did not take the lease back (%s): %.*s",
			 uuid_format(&e->now.r.uuid, uuid), kmc_refusal_text(refused->code), (int)refused->reason.n, (const char *)refused->reason.p);
		if (!is_final(refused->code)) {
			kept_ask_later(k, &e->release);
			return;
		}
	} else if (type != KMC_RELEASED) {
		log_warn("the KMC answered a release with something else");
		return;
	}
	e->release = (struct errand){0};
	kept_give_up_lease(k, e);
}

/* The lease is ours under a new epoch, which has to be on the disk before anybody is served under it. */
static void on_granted(struct keeping *k, struct kept *e, uint64_t lease_epoch)
{
	e->now.r.phase = PHASE_SERVING;
	e->now.r.lease_epoch = lease_epoch;
	e->now.r.transient = e->now.r.request = (struct view){0};
	e->tells = true;
	e->tell = MOVE_SERVES;
	e->save.wanted = true;
	e->push.wanted = e->push.wanted || e->now.r.version > e->pushed; /* the suspension that was to bring it may not have been told */
	kept_send(k, e);
}

static void on_suspended(struct keeping *k, struct kept *e, uint64_t lease_epoch)
{
	e->suspended = true;
	e->pushed = e->now.r.version;
	if (e->now.r.lease_epoch != lease_epoch) { /* of a resume that was not answered */
		e->now.r.lease_epoch = lease_epoch;
		e->save.wanted = true;
	}
	kept_send(k, e);
	k->ops->moved(k->arg, e->ticket, MOVE_SUSPENDED, lease_epoch, "");
}

static void on_move_refused(struct keeping *k, struct kept *e, const struct kmc_refused *m)
{
	char why[320], uuid[UUID_TEXT];

	snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(m->code), (int)m->reason.n, (const char *)m->reason.p);
	log_about(level_of(e, m->code, LOG_LV_WARN), ABOUT(.vtpm = &e->now.r.uuid), "vTPM %s: %s", uuid_format(&e->now.r.uuid, uuid), why);
	if (!moves_is_final(e->move_type, m->code)) {
		e->move.wanted = true;
		kept_ask_later(k, &e->move);
		return;
	}
	e->fenced = true;
	if (e->leaving)
		kept_give_up_lease(k, e);
	else
		k->ops->moved(k->arg, e->ticket, MOVE_FENCED, 0, why);
}

static void on_move_answer(struct keeping *k, struct kept *e, enum kmc_type type, const void *fields)
{
	uint64_t lease_epoch;

	if (--e->move_answers > 0 || !e->move.sent)
		return; /* a later one was asked, or waits to be */
	e->move = (struct errand){0};
	if (type != KMC_REFUSED)
		e->refused = 0;
	if (type == KMC_REFUSED)
		on_move_refused(k, e, fields);
	else if (!moves_answer(e->move_type, type, fields, &lease_epoch))
		log_warn("the KMC answered a move with something else");
	else if (e->leaving)
		kept_give_up_lease(k, e);
	else if (e->move_type == KMC_SUSPEND)
		on_suspended(k, e, lease_epoch);
	else
		on_granted(k, e, lease_epoch);
}

void keeping_kmc(struct keeping *k, enum kmc_type type, uint64_t id, const void *fields)
{
	struct kept *e = KMC_ID_TICKET(id) ? kept_find(k, KMC_ID_TICKET(id)) : NULL;

	if (e && KMC_ID_KIND(id) == KMC_ID_STORE && e->push.sent)
		on_push_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_RELEASE && e->park.sent)
		on_park_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_RELEASE && e->release.sent)
		on_release_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_VERIFY && e->verify.sent)
		on_verify_answer(k, e, type, fields);
	else if (e && KMC_ID_KIND(id) == KMC_ID_MOVE && e->move_answers)
		on_move_answer(k, e, type, fields);
	else
		log_warn("the KMC answered what was not asked");
	kept_send_all(k); /* its answer made room in the queue */
}

/*
 * A failed save of the newest: for the guest it has not happened, unless it is the KMC that says so: then the state stays the newest here, too, for whoever
 * is started from it. What the disk holds is due at the KMC as before. A lease that is recalled stays while its copy does, and is recalled again when the
 * other host asks again.
 */
static void go_back(struct keeping *k, struct kept *e)
{
	struct state_record back = e->safe.r;

	if (e->parked && e->safe.r.grace.n)
		e->release = (struct errand){0};
	if (k->waits_for_kmc) {
		back.version = e->now.r.version;
		back.owner_epoch = e->now.r.owner_epoch;
		back.endorsement_epoch = e->now.r.endorsement_epoch;
		back.platform_epoch = e->now.r.platform_epoch;
		back.state = e->now.r.state;
	}
	back.guest = e->now.r.guest; /* who serves whom is no matter of the disk's */
	back.dev = e->now.r.dev;
	back.stub = e->now.r.stub;
	if (record_copy_set(&e->now, &back) != 0)
		log_error("no memory to go back to the state before a failed write");
	if (!k->waits_for_kmc)
		e->push.wanted = e->now.r.version > e->pushed;
}

/* A move of the guest is no change that could be undone: what the disk does not take, the KMC gets all the same. */
static bool is_same_lease(const struct state_record *a, const struct state_record *b)
{
	return a->phase == b->phase && a->image == b->image && a->lease_epoch == b->lease_epoch;
}

/* Would a relay that finds the record go on as this one does? */
static bool is_as_saved(const struct kept *e)
{
	const struct state_record *now = &e->now.r, *safe = &e->safe.r;

	return is_same_lease(now, safe) && now->guest == safe->guest && now->dev == safe->dev && now->stub == safe->stub;
}

/*
 * The disk refused it: what the record says of lease and guest is tried again until it is there. What was granted is the lease all the same, and the
 * state that came with it is the one that a store under it goes back to when that fails, too.
 */
static void on_not_saved(struct keeping *k, struct kept *e)
{
	const bool granted = e->tells && e->tell == MOVE_SERVES && is_same_lease(&e->now.r, &e->saving.r);

	if (granted)
		record_copy_move(&e->safe, &e->saving);
	else
		record_copy_free(&e->saving);
	if (!granted && !e->save.wanted && e->safe.r.lease_epoch && is_same_lease(&e->now.r, &e->safe.r))
		go_back(k, e);
	e->unsaved = e->unsaved || granted || !is_as_saved(e);
	kept_later(k);
}

static void tell_move(struct keeping *k, struct kept *e)
{
	if (!e->tells || !errand_is_idle(&e->save))
		return;
	e->tells = false;
	k->ops->moved(k->arg, e->ticket, e->tell, e->now.r.lease_epoch, "");
}

/* The same state goes to the disk once more, with something else that is on record now: whether it is stored, that one tells. */
static bool is_still_due(const struct kept *e, uint64_t version)
{
	return !errand_is_idle(&e->save) && e->now.r.version == version;
}

/* Of an open that is to be asked for, or of what else changed in such a record. */
static void on_intent_saved(struct keeping *k, struct kept *e, const char *why)
{
	const struct uuid uuid = e->now.r.uuid;

	e->save.sent = false;
	if (!why)
		record_copy_move(&e->safe, &e->saving);
	else
		record_copy_free(&e->saving);
	e->unsaved = e->unsaved && why;
	kept_send(k, e);
	if (!e->intends || !errand_is_idle(&e->save))
		return;
	e->intends = false;
	k->ops->intended(k->arg, &uuid, why);
}

static void on_saved(struct keeping *k, struct kept *e, const struct state_failed *failed)
{
	uint64_t ticket = e->ticket, version = e->save.version;
	const bool stands = e->safe.r.version == version; /* it is on the disk already: a stub domain repeats to a new relay what the last one did not answer */
	char why[256] = "";
	bool fresh = e->fresh, closing = e->closing, grace = e->now.r.grace.n > 0;
	uint64_t pushed = e->pushed;

	if (failed)
		snprintf(why, sizeof(why), "%.*s", (int)failed->reason.n, (const char *)failed->reason.p);
	if (e->saving.r.phase == PHASE_OPENING) {
		on_intent_saved(k, e, failed ? why : NULL);
		return;
	}
	e->save.sent = e->fresh = e->closing = false;
	if (!failed) {
		record_copy_move(&e->safe, &e->saving);
		e->unsaved = false;
	} else {
		on_not_saved(k, e);
	}
	kept_send(k, e);
	tell_move(k, e);
	if (closing)
		k->ops->released(k->arg, ticket); /* as far as the guest is concerned */
	else if (fresh || version == 0)
		k->ops->stored(k->arg, ticket, 0, failed ? E_IO : 0, why);
	else if (k->waits_for_kmc && version > e->base && !failed && grace && pushed >= version)
		k->ops->stored(k->arg, ticket, version, 0, "");
	else if (!k->waits_for_kmc && version > e->base && !(failed && is_still_due(e, version)))
		k->ops->stored(k->arg, ticket, version, failed && !stands ? E_IO : 0, why);
}

void keeping_disk(struct keeping *k, uint64_t type, uint64_t id, const void *fields)
{
	struct kept *e = id ? kept_find(k, id) : NULL;
	bool failed = type == STATE_FAILED;

	if (!e || (type != STATE_SAVED && type != STATE_DROPPED && !failed))
		fatal("the state process answered what was not asked");
	if (e->save.sent && type != STATE_DROPPED) {
		on_saved(k, e, failed ? fields : NULL);
		k->saves--; /* whose turn it is, see kept_send_all(): not this one's again at once */
	} else if (e->drop.sent && type != STATE_SAVED) {
		kept_end(k, e); /* a file that can't be removed is found, and given back again, at the next start */
	}
	kept_send_all(k);
}
