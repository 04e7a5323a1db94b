/* CHECK: what an open would be told, without one. VERIFY: what a store would be told. */
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

void check_verify(struct engine *e, const struct asker *a, const struct kmc_verify *m)
{
	struct store_vtpm v;
	char u[UUID_TEXT];
	int r = e->store->ops->vtpm_get(e->store, &m->uuid, &v);

	if (r == 0 && strcmp(v.lease.holder, a->host) == 0 && v.lease.epoch == m->lease_epoch)
		engine_answer(e, a, KMC_VERIFIED, NULL);
	else if (r == 0 || r == E_NOTFOUND)
		engine_refuse(e, a, KMC_REFUSED_EPOCH, "host '%s' does not hold vTPM %s under this lease any more", a->host, uuid_format(&m->uuid, u));
	else
		engine_refuse_db(e, a);
}
