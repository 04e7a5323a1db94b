/* Lease decisions. */
#include "kmc/lease.h"

#include <stdio.h>
#include <string.h>

#define ERA_BITS 32 /* no lease changes hands so often between two recoveries */

static struct lease_verdict refuse(enum kmc_refusal code)
{
	return (struct lease_verdict){.result = LEASE_REFUSED, .code = code};
}

static struct lease_verdict say(enum lease_result result)
{
	return (struct lease_verdict){.result = result};
}

static bool holds(const struct lease *l, const struct lease_request *q)
{
	return l->holder[0] && strcmp(l->holder, q->host) == 0;
}

/* What needs a new epoch; the store counts in int64. */
static struct lease_verdict say_next_epoch(const struct lease *l)
{
	return l->epoch >= INT64_MAX ? refuse(KMC_REFUSED_INTERNAL) : say(LEASE_APPLY);
}

static struct lease_verdict decide_open(const struct lease *l, const struct lease_request *q)
{
	if (l->reserver[0] || (l->holder[0] && !holds(l, q)))
		return refuse(KMC_REFUSED_HELD);
	return say_next_epoch(l);
}

/* The hierarchies' epochs count what the guest did to its TPM; like the version, they can't go back. */
static bool goes_back(const struct lease *l, const struct lease_request *q)
{
	return q->owner_epoch < l->owner_epoch || q->endorsement_epoch < l->endorsement_epoch ||
	       q->platform_epoch < l->platform_epoch;
}

static bool same_epochs(const struct lease *l, const struct lease_request *q)
{
	return q->owner_epoch == l->owner_epoch && q->endorsement_epoch == l->endorsement_epoch &&
	       q->platform_epoch == l->platform_epoch;
}

/* Newer than what is stored, or the very same. */
static bool is_good_state(const struct lease *l, const struct lease_request *q)
{
	if (q->version == l->state_version)
		return q->version && (q->same_state || q->no_state) && same_epochs(l, q);
	return q->version > l->state_version && !q->no_state && !goes_back(l, q);
}

static struct lease_verdict decide_store(const struct lease *l, const struct lease_request *q)
{
	if (!holds(l, q) || q->epoch != l->epoch)
		return refuse(KMC_REFUSED_EPOCH);
	if (q->version == l->state_version && q->version && q->same_state && same_epochs(l, q))
		return say(LEASE_ALREADY);
	if (q->version <= l->state_version || goes_back(l, q))
		return refuse(KMC_REFUSED_ROLLBACK);
	return say(LEASE_APPLY);
}

static struct lease_verdict decide_release(const struct lease *l, const struct lease_request *q)
{
	if (q->epoch != l->epoch || !q->epoch)
		return refuse(KMC_REFUSED_EPOCH);
	if (holds(l, q))
		return say(LEASE_APPLY);
	if (!l->holder[0] && !l->suspended && strcmp(l->last_holder, q->host) == 0)
		return say(LEASE_ALREADY);
	return refuse(KMC_REFUSED_EPOCH); /* what is suspended waits for its image */
}

/* Holds it, or suspended it. */
static bool owns(const struct lease *l, const struct lease_request *q)
{
	return l->suspended ? strcmp(l->last_holder, q->host) == 0 : holds(l, q);
}

/* The host may not know yet that a RESUME was executed: then it names the epoch that this one named. */
static bool names_resumed(const struct lease *l, const struct lease_request *q)
{
	return l->resumed_from && q->epoch == l->resumed_from;
}

static struct lease_verdict decide_suspend(const struct lease *l, const struct lease_request *q)
{
	if (!owns(l, q) || (q->epoch != l->epoch && !names_resumed(l, q)))
		return refuse(KMC_REFUSED_EPOCH);
	if (l->suspended && q->image == l->image)
		return say(LEASE_ALREADY);
	return is_good_state(l, q) ? say(LEASE_APPLY) : refuse(KMC_REFUSED_ROLLBACK);
}

static struct lease_verdict decide_resume(const struct lease *l, const struct lease_request *q)
{
	if (!owns(l, q))
		return refuse(KMC_REFUSED_EPOCH);
	if (!l->suspended && names_resumed(l, q))
		return say(LEASE_ALREADY);
	if (q->epoch != l->epoch && !names_resumed(l, q))
		return refuse(KMC_REFUSED_EPOCH);
	return say_next_epoch(l);
}

static bool has_reserved(const struct lease *l, const struct lease_request *q)
{
	return l->reserver[0] && strcmp(l->reserver, q->host) == 0 && memcmp(l->reservation, q->id, sizeof(q->id)) == 0;
}

static bool has_committed(const struct lease *l, const struct lease_request *q)
{
	return holds(l, q) && l->committed && memcmp(l->commit, q->id, sizeof(q->id)) == 0;
}

static struct lease_verdict decide_reserve(const struct lease *l, const struct lease_request *q)
{
	if (l->holder[0])
		return refuse(KMC_REFUSED_HELD);
	if (!l->suspended || q->image != l->image + 1)
		return refuse(KMC_REFUSED_IMAGE);
	if (!l->reserver[0])
		return say(LEASE_APPLY);
	return has_reserved(l, q) ? say(LEASE_ALREADY) : refuse(KMC_REFUSED_HELD);
}

static struct lease_verdict decide_commit(const struct lease *l, const struct lease_request *q)
{
	if (has_reserved(l, q))
		return say_next_epoch(l);
	return has_committed(l, q) ? say(LEASE_ALREADY) : refuse(KMC_REFUSED_RESERVATION);
}

static struct lease_verdict decide_cancel(const struct lease *l, const struct lease_request *q)
{
	return say(has_reserved(l, q) || has_committed(l, q) ? LEASE_APPLY : LEASE_ALREADY);
}

static struct lease_verdict decide_takeover(const struct lease *l)
{
	if (!l)
		return refuse(KMC_REFUSED_POLICY);
	return l->holder[0] || l->suspended ? say_next_epoch(l) : say(LEASE_ALREADY);
}

/* Nobody registered or opened it. */
static struct lease_verdict decide_unknown(const struct lease_request *q)
{
	switch (q->act) {
	case LEASE_OPEN:
		return q->registered_only ? refuse(KMC_REFUSED_POLICY) : say(LEASE_CREATE);
	case LEASE_RESERVE:
		return refuse(KMC_REFUSED_IMAGE);
	case LEASE_COMMIT:
		return refuse(KMC_REFUSED_RESERVATION);
	case LEASE_CANCEL:
		return say(LEASE_ALREADY);
	default:
		return refuse(KMC_REFUSED_EPOCH);
	}
}

struct lease_verdict lease_decide(const struct lease *l, const struct lease_request *q)
{
	if (q->act == LEASE_TAKEOVER)
		return decide_takeover(l);
	if (!l)
		return decide_unknown(q);
	if (strcmp(l->pool, q->pool) != 0)
		return refuse(KMC_REFUSED_POLICY);
	switch (q->act) {
	case LEASE_OPEN:
		return decide_open(l, q);
	case LEASE_STORE:
		return decide_store(l, q);
	case LEASE_RELEASE:
		return decide_release(l, q);
	case LEASE_SUSPEND:
		return decide_suspend(l, q);
	case LEASE_RESUME:
		return decide_resume(l, q);
	case LEASE_RESERVE:
		return decide_reserve(l, q);
	case LEASE_COMMIT:
		return decide_commit(l, q);
	case LEASE_CANCEL:
		return decide_cancel(l, q);
	case LEASE_TAKEOVER:
		break;
	}
	return refuse(KMC_REFUSED_INTERNAL);
}

static void forget_grant(struct lease *l)
{
	l->committed = false;
	l->resumed_from = 0;
}

static void drop_reservation(struct lease *l)
{
	l->reserver[0] = '\0';
	memset(l->reservation, 0, sizeof(l->reservation));
}

static void let_go(struct lease *l)
{
	if (l->holder[0])
		memcpy(l->last_holder, l->holder, sizeof(l->last_holder));
	l->holder[0] = '\0';
}

void lease_wake(struct lease *l)
{
	l->suspended = false;
	l->image = 0;
	drop_reservation(l);
	forget_grant(l);
}

static void hold(struct lease *l, const char *host)
{
	lease_wake(l);
	snprintf(l->holder, sizeof(l->holder), "%s", host);
	l->last_holder[0] = '\0';
	l->epoch++;
}

static void take_state(struct lease *l, const struct lease_request *q)
{
	l->state_version = q->version;
	l->owner_epoch = q->owner_epoch;
	l->endorsement_epoch = q->endorsement_epoch;
	l->platform_epoch = q->platform_epoch;
}

static void suspend(struct lease *l, const struct lease_request *q)
{
	uint64_t resumed_from = q->epoch == l->epoch ? 0 : l->resumed_from; /* the host still does not know the present one */

	let_go(l);
	lease_wake(l);
	take_state(l, q);
	l->suspended = true;
	l->image = q->image;
	l->resumed_from = resumed_from;
}

static void release(struct lease *l)
{
	let_go(l);
	forget_grant(l);
}

void lease_apply(struct lease *l, const struct lease_request *q)
{
	switch (q->act) {
	case LEASE_OPEN:
		if (!l->pool[0])
			snprintf(l->pool, sizeof(l->pool), "%s", q->pool);
		hold(l, q->host);
		break;
	case LEASE_STORE:
		take_state(l, q);
		break;
	case LEASE_RELEASE:
		release(l);
		break;
	case LEASE_TAKEOVER: /* of what is suspended: a reservation and the source's right to resume end, its image still fits */
		release(l);
		drop_reservation(l);
		l->epoch++;
		break;
	case LEASE_SUSPEND:
		suspend(l, q);
		break;
	case LEASE_RESUME:
		hold(l, q->host);
		l->resumed_from = q->epoch;
		break;
	case LEASE_RESERVE:
		snprintf(l->reserver, sizeof(l->reserver), "%s", q->host);
		memcpy(l->reservation, q->id, sizeof(l->reservation));
		break;
	case LEASE_COMMIT:
		hold(l, q->host);
		l->committed = true;
		memcpy(l->commit, q->id, sizeof(l->commit));
		break;
	case LEASE_CANCEL:
		if (l->suspended)
			drop_reservation(l);
		else
			release(l);
		break;
	}
}

uint64_t lease_recovered(uint64_t epoch)
{
	return ((epoch >> ERA_BITS) + 1) << ERA_BITS;
}

bool lease_is_latest(const struct lease *l, uint64_t epoch)
{
	return !l->holder[0] && (l->epoch == epoch + 1 || l->epoch == lease_recovered(epoch));
}
