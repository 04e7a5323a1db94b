/*
 * Leases that hosts keep for a grace start.
 *
 * Theory of operation: a host that may start guests without the KMC must not have given their leases back, or another host could have
 * them as well (docs/models/README.md, rule 18). So it parks them: they stay held, and the row says that no guest runs. Another host's open
 * marks the row; the holder, which asks every other second, erases its copy and releases; the other host asks again meanwhile. A holder
 * that is away does not answer, and the lease stays where it is until an administrator takes it over.
 */
#include "kmc/engine_park.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/engine_session.h"

struct parking {
	const struct asker *a;
	const struct kmc_park *m;
};

bool engine_park_stands(const struct store_parked *p, const struct lease *l)
{
	return strcmp(p->holder, l->holder) == 0 && p->epoch == l->epoch;
}

/* In a transaction: 0; E_DENIED: not the holder under this epoch; E_STATE: over an older connection; E_DB. */
static int park_it(struct store *s, void *arg)
{
	struct parking *t = arg;
	struct store_parked p = {.uuid = t->m->uuid, .epoch = t->m->lease_epoch};
	struct store_vtpm v;
	int r = engine_session_check(s, t->a);

	if (r == 0)
		r = s->ops->vtpm_get(s, &t->m->uuid, &v);
	if (r != 0)
		return r == E_NOTFOUND ? E_DENIED : r;
	memcpy(p.holder, t->a->host, sizeof(p.holder));
	return engine_park_stands(&p, &v.lease) ? s->ops->parked_put(s, &p) : E_DENIED;
}

void engine_park(struct engine *e, const struct asker *a, const struct kmc_park *m)
{
	struct parking t = {.a = a, .m = m};
	char u[UUID_TEXT];
	int r = store_transact(e->store, park_it, &t);

	if (r == E_STATE) {
		engine_session_refuse(e, a);
	} else if (r == E_DENIED) {
		engine_refuse(e, a, KMC_REFUSED_EPOCH, "host '%s' does not hold vTPM %s under this lease any more", a->host, uuid_format(&m->uuid, u));
	} else if (r != 0) {
		engine_refuse_db(e, a);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &m->uuid, .host = a->host), "host '%s' parked vTPM %s, lease %" PRIu64, a->host, uuid_format(&m->uuid, u), m->lease_epoch);
		engine_answer(e, a, KMC_PARKED, NULL);
	}
}

/* Take the mark off, so that each asking is delivered once. */
static int take_recall(struct store *s, void *arg)
{
	struct store_parked *p = arg;
	int r = s->ops->parked_recalled(s, p->holder, p);

	if (r != 0)
		return r;
	p->recalled_at = 0;
	return s->ops->parked_put(s, p);
}

void engine_recalls(struct engine *e, const struct asker *a)
{
	struct kmc_recalled m = {0};
	struct store_parked p;
	int r;

	memcpy(p.holder, a->host, sizeof(p.holder));
	r = e->store->ops->parked_recalled(e->store, a->host, &p); /* most often there is none: no write lock for that */
	if (r == 0)
		r = store_transact(e->store, take_recall, &p);
	if (r == 0)
		m.uuid = view_of(p.uuid.b, sizeof(p.uuid.b));
	if (r == 0 || r == E_NOTFOUND)
		engine_answer(e, a, KMC_RECALLED, &m);
	else
		engine_refuse_db(e, a);
}

struct recalling {
	const struct uuid *uuid;
	const struct lease *lease;
};

static int recall_it(struct store *s, void *arg)
{
	const struct recalling *t = arg;
	struct store_parked p;
	int r = s->ops->parked_get(s, t->uuid, &p);

	if (r != 0 || !engine_park_stands(&p, t->lease))
		return r != 0 ? r : E_NOTFOUND;
	p.recalled_at = engine_now();
	return s->ops->parked_put(s, &p);
}

bool engine_recall(struct engine *e, const struct uuid *uuid, const struct lease *lease)
{
	struct recalling t = {.uuid = uuid, .lease = lease};
	int r = store_transact(e->store, recall_it, &t);

	if (r != 0 && r != E_NOTFOUND)
		log_error("%s", e->store->why);
	return r == 0;
}
