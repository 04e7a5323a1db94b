/* CHECK: what an open would be told, without one. VERIFY: whether somebody else has had it since. */
#include "kmc/engine_check.h"

#include <string.h>

#include "common/error.h"
#include "common/uuid.h"
#include "kmc/engine_open.h"
#include "kmc/lease.h"

struct inquiry {
	const struct asker *a;
	const struct uuid *uuid;
	struct store_host host;
	struct store_pool pool;
	struct store_vtpm vtpm;
	struct store_retirement retired;
	bool known, is_retired;
};

static int read_all(struct store *s, void *arg)
{
	struct inquiry *q = arg;
	int r;

	if ((r = s->ops->host_get(s, q->a->host, &q->host)) != 0 || (r = s->ops->pool_get(s, q->host.pool, &q->pool)) != 0)
		return r;
	r = s->ops->vtpm_get(s, q->uuid, &q->vtpm);
	q->known = r == 0;
	if (r == E_NOTFOUND)
		return 0;
	if (r == 0 && !q->vtpm.seed_size) {
		r = s->ops->retirement_get(s, q->uuid, &q->retired);
		q->is_retired = r == 0;
	}
	return r == E_NOTFOUND ? 0 : r;
}

void check_ask(struct engine *e, const struct asker *a, const struct kmc_check *m)
{
	struct inquiry q = {.a = a, .uuid = &m->uuid};
	struct lease_request open = {.act = LEASE_OPEN, .host = a->host};
	struct lease_verdict verdict;
	char u[UUID_TEXT];

	if (store_transact(e->store, read_all, &q) != 0) {
		engine_refuse_db(e, a);
		return;
	}
	open.pool = q.host.pool;
	open.registered_only = q.pool.registered_only;
	verdict = lease_decide(q.known ? &q.vtpm.lease : NULL, &open);
	if (uuid_is_nil(&m->uuid))
		engine_refuse(e, a, KMC_REFUSED_POLICY, "the nil UUID is nobody's vTPM");
	else if (q.is_retired && q.retired.moving)
		engine_refuse(e, a, KMC_REFUSED_POLICY, "vTPM %s has left for KMC '%s'", uuid_format(&m->uuid, u), q.retired.destination);
	else if (q.is_retired)
		engine_refuse(e, a, KMC_REFUSED_POLICY, "vTPM %s was retired: 'kmcctl vtpm list' says until when it can be brought back", uuid_format(&m->uuid, u));
	else if (verdict.result == LEASE_REFUSED && verdict.code != KMC_REFUSED_HELD)
		open_refuse_lease(e, a, verdict.code, &m->uuid, q.known ? &q.vtpm.lease : NULL);
	else
		engine_answer(e, a, KMC_CHECKED, NULL);
}

/*
 * After a take-over, or the recovery of this KMC from a backup, a lease is over; but as long as nobody else has had the vTPM there are no two of
 * it, and a guest that stores nothing may go on.
 */
static bool is_only_one(const struct lease *l, const struct asker *a, uint64_t epoch)
{
	return (strcmp(l->holder, a->host) == 0 && l->epoch == epoch) || lease_is_latest(l, epoch);
}

void check_verify(struct engine *e, const struct asker *a, const struct kmc_verify *m)
{
	struct store_vtpm v;
	char u[UUID_TEXT];
	int r = e->store->ops->vtpm_get(e->store, &m->uuid, &v);

	if (r != 0 && r != E_NOTFOUND) /* not there: it is younger than the backup */
		engine_refuse_db(e, a);
	else if (r == 0 && !is_only_one(&v.lease, a, m->lease_epoch))
		engine_refuse(e, a, KMC_REFUSED_EPOCH, "host '%s' does not hold vTPM %s under this lease any more", a->host, uuid_format(&m->uuid, u));
	else
		engine_answer(e, a, KMC_VERIFIED, NULL);
}
