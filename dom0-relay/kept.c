/* One lease that this host keeps: its record, its errands, and which of them may go. */
#include "dom0-relay/kept.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/moves.h"
#include "dom0-relay/opening.h"

#define SAVES_MAX 4   /* records on their way to the state process: the link's queue is bounded */
#define VERIFY_MS 60000 /* between two questions whether a lease is ours still */
#define RETRY_MS 2000 /* after the KMC or the disk could not take something */
#define PARKED_MAX (KEEPING_MAX / 2) /* the rest of the table is for guests */

/* --- the table --- */

void kept_clear(struct kept *e)
{
	record_copy_free(&e->now);
	record_copy_free(&e->saving);
	record_copy_free(&e->safe);
	memset(e, 0, sizeof(*e));
}

struct kept *kept_find(struct keeping *k, uint64_t ticket)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket == ticket)
			return &k->table[i];
	return NULL;
}

bool kept_is_of(const struct kept *e, const struct uuid *uuid)
{
	return e->ticket && uuid_equal(&e->now.r.uuid, uuid);
}

struct kept *kept_find_parked(struct keeping *k, const struct uuid *uuid)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (kept_is_of(&k->table[i], uuid) && k->table[i].parked && errand_is_idle(&k->table[i].drop))
			return &k->table[i];
	return NULL;
}

void kept_end(struct keeping *k, struct kept *e)
{
	struct uuid uuid = e->now.r.uuid;

	kept_clear(e);
	k->ops->ended(k->arg, &uuid);
}

/* For the next record of @uuid. */
static uint64_t free_place(const struct keeping *k, const struct uuid *uuid)
{
	bool taken[STATE_PLACES] = {false};
	uint64_t place = 0;

	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (kept_is_of(&k->table[i], uuid) && k->table[i].place < STATE_PLACES && (k->table[i].on_disk || k->table[i].save.wanted))
			taken[k->table[i].place] = true;
	while (place < STATE_PLACES && taken[place])
		place++;
	return place;
}

struct kept *kept_add(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	const uint64_t place = free_place(k, &r->uuid);
	struct kept *e = kept_find(k, 0);

	if (!e)
		return NULL;
	if (record_copy_set(&e->now, r) != 0)
		return NULL;
	e->ticket = ticket;
	e->place = place;
	return e;
}

int kept_begin(struct keeping *k, uint64_t ticket, const struct state_record *r, struct kept **out)
{
	struct kept *e = kept_add(k, ticket, r);

	*out = NULL;
	if (!e)
		return E_NOMEM;
	if (e->place == STATE_PLACES) {
		kept_clear(e);
		return E_EXISTS;
	}
	*out = e;
	return 0;
}

/* --- errands --- */

bool errand_is_idle(const struct errand *a)
{
	return !a->wanted && !a->sent;
}

void kept_want_move(struct kept *e, enum kmc_type type)
{
	e->move = (struct errand){.wanted = true};
	e->move_type = type;
}

void errand_ask_again(struct errand *a)
{
	a->wanted = a->wanted || a->sent;
	a->sent = false;
}

void kept_ask_later(struct keeping *k, struct errand *a)
{
	errand_ask_again(a);
	a->later = true;
	kept_later(k);
}

void kept_later(struct keeping *k)
{
	source_set_ms(k->retry, RETRY_MS);
}

static void send_save(struct keeping *k, struct kept *e)
{
	if (k->saves == SAVES_MAX)
		return;
	if (record_copy_set(&e->saving, &e->now.r) != 0) { /* tried again, until the stub domain's patience ends */
		source_set_ms(k->retry, RETRY_MS);
		return;
	}
	link_send(k->disk, STATE_SAVE, e->ticket, &(const struct state_placed){.record = e->saving.r, .place = e->place});
	e->on_disk = true;
	k->saves++;
	k->turn = (size_t)(e - k->table) + 1;
	e->save = (struct errand){.sent = true, .version = e->saving.r.version};
}

static void send_push(struct keeping *k, struct kept *e)
{
	const struct state_record *r = &e->now.r;
	const struct kmc_store m = {
		.uuid = r->uuid, .lease_epoch = r->lease_epoch, .version = r->version, .owner_epoch = r->owner_epoch,
		.endorsement_epoch = r->endorsement_epoch, .platform_epoch = r->platform_epoch, .state = r->state,
	};

	if (kmclink_send(k->kmc, KMC_STORE, KMC_ID(KMC_ID_STORE, e->ticket), &m) == 0)
		e->push = (struct errand){.sent = true, .version = r->version};
}

static void send_release(struct keeping *k, struct kept *e)
{
	const struct kmc_release m = {.uuid = e->now.r.uuid, .lease_epoch = e->now.r.lease_epoch};

	if (kmclink_send(k->kmc, KMC_RELEASE, KMC_ID(KMC_ID_RELEASE, e->ticket), &m) == 0)
		e->release = (struct errand){.sent = true};
}

/* A newer move overtakes the one before; the answers tell which is which by their number. */
static void send_move(struct keeping *k, struct kept *e)
{
	if (moves_send(k->kmc, e->move_type, e->ticket, &e->now.r) != 0)
		return;
	e->move = (struct errand){.sent = true};
	e->move_answers++;
}

static void send_drop(struct keeping *k, struct kept *e)
{
	const struct state_name m = {.uuid = e->now.r.uuid, .place = e->place};

	link_send(k->disk, STATE_DROP, e->ticket, &m);
	e->drop = (struct errand){.sent = true};
}

static void send_park(struct keeping *k, struct kept *e)
{
	const struct kmc_park m = {.uuid = e->now.r.uuid, .lease_epoch = e->now.r.lease_epoch};

	if (kmclink_send(k->kmc, KMC_PARK, KMC_ID(KMC_ID_RELEASE, e->ticket), &m) == 0)
		e->park = (struct errand){.sent = true};
}

static void send_verify(struct keeping *k, struct kept *e)
{
	const struct kmc_verify m = {.uuid = e->now.r.uuid, .lease_epoch = e->now.r.lease_epoch};

	if (kmclink_send(k->kmc, KMC_VERIFY, KMC_ID(KMC_ID_VERIFY, e->ticket), &m) == 0)
		e->verify = (struct errand){.sent = true, .version = e->now.r.lease_epoch};
}

static bool may_go(const struct errand *a)
{
	return a->wanted && !a->sent && !a->later;
}

/* The last errand. What was never saved must not be dropped either: the file may be another lease's of the same vTPM. */
static void finish(struct keeping *k, struct kept *e)
{
	if (e->on_disk)
		send_drop(k, e);
	else
		kept_end(k, e);
}

/* The disk has what a relay that comes after this one could start the guest from without the KMC: nobody else may have it meanwhile. */
static bool is_startable(const struct kept *e)
{
	return e->safe.r.phase == PHASE_SERVING && e->safe.r.grace.n;
}

/* A store that is not put off, or the end of a lease, hears the same. */
static bool may_verify(const struct kept *e)
{
	return e->now.r.phase == PHASE_SERVING && !e->found && !e->unreadable && !e->fenced && (errand_is_idle(&e->push) || e->push.later) &&
	       errand_is_idle(&e->park) && errand_is_idle(&e->release) && errand_is_idle(&e->drop);
}

/* The order holds it together: disk before KMC, state before release, release before drop. */
void kept_send(struct keeping *k, struct kept *e)
{
	bool may_push = e->now.r.phase == PHASE_SERVING && (errand_is_idle(&e->save) || k->waits_for_kmc);

	if (e->save.wanted && !e->save.sent)
		send_save(k, e);
	if (may_go(&e->push) && may_push)
		send_push(k, e);
	if (may_go(&e->park) && errand_is_idle(&e->save) && errand_is_idle(&e->push) && errand_is_idle(&e->release))
		send_park(k, e);
	if (may_go(&e->release) && errand_is_idle(&e->save) && errand_is_idle(&e->push) && !e->park.sent)
		send_release(k, e);
	if (may_go(&e->verify) && may_verify(e))
		send_verify(k, e);
	if (may_go(&e->move) && errand_is_idle(&e->save) && !(e->move_type == KMC_SUSPEND && is_startable(e)))
		send_move(k, e);
	if ((e->push.wanted || e->park.wanted || e->release.wanted || e->move.wanted) && !kmclink_is_up(k->kmc))
		kmclink_hurry(k->kmc);
	if (e->drop.wanted && !e->drop.sent && errand_is_idle(&e->save))
		finish(k, e);
}

void kept_send_all(struct keeping *k)
{
	const size_t first = k->turn;

	for (size_t i = 0; i < KEEPING_MAX; i++) {
		struct kept *e = &k->table[(first + i) % KEEPING_MAX];

		if (e->ticket)
			kept_send(k, e);
	}
}

void kept_try_again(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++) {
		struct kept *e = &k->table[i];

		e->push.later = e->park.later = e->release.later = e->move.later = false;
		if (e->unsaved && errand_is_idle(&e->drop))
			e->save.wanted = true;
	}
	kept_send_all(k);
}

void kept_verify_all(struct keeping *k)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		k->table[i].verify.wanted = k->table[i].ticket && !k->table[i].verify.sent && may_verify(&k->table[i]);
	kept_send_all(k);
	source_set_ms(k->verify, VERIFY_MS);
}

void kept_give_up_lease(struct keeping *k, struct kept *e)
{
	k->ops->released(k->arg, e->ticket);
	e->drop.wanted = true;
	kept_send(k, e);
}

bool kept_may_unpark(const struct kept *e)
{
	return errand_is_idle(&e->save) && errand_is_idle(&e->release) && errand_is_idle(&e->drop);
}

/* No guest any more: the record says so, then the KMC is told. */
static void park(struct keeping *k, struct kept *e)
{
	e->parked = ++k->parkings;
	e->now.r.guest = e->now.r.dev = e->now.r.stub = 0;
	e->save.wanted = e->park.wanted = true;
	kept_send(k, e);
}

/*
 * Give back what the record says that there is, or park it where the guest can be started from it: without its state, which a relay that
 * took over between reservation and commit does not have, that would be an empty TPM. A lease that is another's now is nobody's to give.
 */
void kept_leave(struct keeping *k, struct kept *e)
{
	if (k->parks && e->now.r.grace.n && e->now.r.state.n && e->now.r.phase == PHASE_SERVING && !e->fenced) {
		e->closing = true;
		park(k, e);
		return;
	}
	e->leaving = true;
	e->tells = false;
	if (e->fenced || (e->now.r.phase == PHASE_FROZEN && e->suspended)) {
		kept_give_up_lease(k, e);
		return;
	}
	if (e->now.r.phase == PHASE_SERVING)
		e->release.wanted = true;
	else if (e->now.r.phase == PHASE_RESERVED || e->move_type != KMC_SUSPEND || errand_is_idle(&e->move))
		kept_want_move(e, e->now.r.phase == PHASE_RESERVED ? KMC_CANCEL : KMC_SUSPEND);
	kept_send(k, e);
}

int kept_set_grace(struct keeping *k, struct kept *e, struct view grace)
{
	struct state_record r = e->now.r;

	if (!errand_is_idle(&e->drop))
		return E_NOTFOUND;
	r.grace = grace;
	if (record_copy_set(&e->now, &r) != 0)
		return E_NOMEM;
	e->save.wanted = true;
	kept_send(k, e);
	return 0;
}

bool kept_recall(struct keeping *k, struct kept *e)
{
	e->release.wanted = true;
	if (kept_set_grace(k, e, (struct view){0}) == 0)
		return true;
	e->release = (struct errand){0};
	return false;
}

static bool stays_parked(const struct kept *e)
{
	return e->ticket && e->parked && errand_is_idle(&e->release) && errand_is_idle(&e->drop);
}

/* A host has any number of vTPMs in its life. Without the KMC nothing new is opened, and each that is here may be started. */
void kept_make_room(struct keeping *k)
{
	struct kept *oldest;
	size_t n;

	do {
		oldest = NULL;
		n = 0;
		for (size_t i = 0; i < KEEPING_MAX; i++) {
			struct kept *e = &k->table[i];

			if (!stays_parked(e))
				continue;
			n++;
			if (e->now.r.phase == PHASE_SERVING && (!oldest || e->parked < oldest->parked))
				oldest = e;
		}
	} while (n > PARKED_MAX && oldest && kmclink_is_up(k->kmc) && kept_recall(k, oldest));
}
