/* Lease decisions. */
#include "kmc/lease.h"

#include <stdio.h>
#include <string.h>

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

static struct lease_verdict decide_open(const struct lease *l, const struct lease_request *q)
{
	if (l->holder[0] && !holds(l, q))
		return refuse(KMC_REFUSED_HELD);
	return l->epoch == INT64_MAX ? refuse(KMC_REFUSED_INTERNAL) : say(LEASE_APPLY); /* the store counts in int64 */
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
	if (!l->holder[0] && strcmp(l->last_holder, q->host) == 0)
		return say(LEASE_ALREADY);
	return refuse(KMC_REFUSED_EPOCH);
}

static struct lease_verdict decide_takeover(const struct lease *l)
{
	if (!l)
		return refuse(KMC_REFUSED_POLICY);
	if (!l->holder[0])
		return say(LEASE_ALREADY);
	return l->epoch == INT64_MAX ? refuse(KMC_REFUSED_INTERNAL) : say(LEASE_APPLY);
}

struct lease_verdict lease_decide(const struct lease *l, const struct lease_request *q)
{
	if (q->act == LEASE_TAKEOVER)
		return decide_takeover(l);
	if (!l) {
		if (q->act == LEASE_OPEN && !q->registered_only)
			return say(LEASE_CREATE);
		return refuse(q->act == LEASE_OPEN ? KMC_REFUSED_POLICY : KMC_REFUSED_EPOCH);
	}
	if (strcmp(l->pool, q->pool) != 0)
		return refuse(KMC_REFUSED_POLICY);
	switch (q->act) {
	case LEASE_OPEN:
		return decide_open(l, q);
	case LEASE_STORE:
		return decide_store(l, q);
	case LEASE_RELEASE:
		return decide_release(l, q);
	case LEASE_TAKEOVER:
		break;
	}
	return refuse(KMC_REFUSED_INTERNAL);
}

static void let_go(struct lease *l)
{
	memcpy(l->last_holder, l->holder, sizeof(l->last_holder));
	l->holder[0] = '\0';
}

void lease_apply(struct lease *l, const struct lease_request *q)
{
	switch (q->act) {
	case LEASE_OPEN:
		if (!l->pool[0])
			snprintf(l->pool, sizeof(l->pool), "%s", q->pool);
		snprintf(l->holder, sizeof(l->holder), "%s", q->host);
		l->last_holder[0] = '\0';
		l->epoch++;
		break;
	case LEASE_STORE:
		l->state_version = q->version;
		l->owner_epoch = q->owner_epoch;
		l->endorsement_epoch = q->endorsement_epoch;
		l->platform_epoch = q->platform_epoch;
		break;
	case LEASE_RELEASE:
		let_go(l);
		break;
	case LEASE_TAKEOVER:
		let_go(l);
		l->epoch++;
		break;
	}
}
