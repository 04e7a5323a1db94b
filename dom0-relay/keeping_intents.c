/*
 * Opens that are on record before they are asked for (docs/models/README.md, rule 3).
 *
 * Theory of operation: an open may give a lease that nobody here hears of, if this relay dies. So its vTPM has a record of PHASE_OPENING before,
 * and the next relay, which finds it, asks for the lease once more, and gives it back. What is parked here has a record already: that one says so,
 * and as long as it does nobody is started from it, for the KMC may have a newer lease of it. It keeps its epoch, state and copy for the case that the open is refused.
 */
#include "common/error.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kept.h"

static struct kept *find_intent(struct keeping *k, const struct uuid *uuid)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (kept_is_of(&k->table[i], uuid) && k->table[i].now.r.phase == PHASE_OPENING && errand_is_idle(&k->table[i].drop))
			return &k->table[i];
	return NULL;
}

int keeping_intend(struct keeping *k, uint64_t ticket, const struct state_record *r)
{
	struct kept *e = kept_find_parked(k, &r->uuid);
	int result;

	if (e && !kept_may_unpark(e))
		return E_EXISTS;
	if (!e && (result = kept_begin(k, ticket, r, &e)) != 0)
		return result;
	e->now.r.phase = PHASE_OPENING;
	e->intends = e->save.wanted = true;
	kept_send(k, e);
	return 0;
}

void keeping_undone(struct keeping *k, const struct uuid *uuid)
{
	struct kept *e = find_intent(k, uuid);

	if (!e)
		return;
	e->intends = false;
	if (e->now.r.lease_epoch) {
		e->now.r.phase = PHASE_SERVING;
		e->save.wanted = true;
		kept_leave(k, e);
		return;
	}
	e->save.wanted = false;
	e->drop.wanted = true;
	kept_send(k, e);
}

int keeping_orphan(struct keeping *k, uint64_t ticket, const struct uuid *uuid, uint64_t lease_epoch, uint64_t state_version)
{
	const struct state_record r = {.uuid = *uuid, .lease_epoch = lease_epoch};
	struct kept *e = find_intent(k, uuid);

	if (!e)
		e = kept_add(k, ticket, &r);
	if (!e)
		return E_NOMEM;
	e->intends = false;
	e->now.r.phase = PHASE_SERVING;
	e->now.r.lease_epoch = lease_epoch;
	if (e->now.r.version != state_version) /* another host had it meanwhile */
		e->now.r.grace = (struct view){0};
	kept_leave(k, e);
	return 0;
}
