/* A host's requests. */
#include "kmc/engine_requests.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/secret.h"
#include "kmc/engine_attest.h"
#include "kmc/engine_enrol.h"
#include "kmc/engine_open.h"
#include "kmc/engine_park.h"
#include "kmc/kmcconf.h"

static void on_hello(struct engine *e, const struct asker *a, const struct kmc_hello *m)
{
	const struct kmc_welcome w = {
		.kmc = view_text(e->conf->name), .host = view_text(a->host), .pool = view_text(a->pool),
		.time = (uint64_t)engine_now(), .audit = auditlog_head(&e->audit)};

	log_info("host '%s' of pool '%s' is connected with %.*s", a->host, a->pool, (int)m->software.n,
		 (const char *)m->software.p);
	engine_answer(e, a, KMC_WELCOME, &w);
}

/* Whether the stored state of the same version is the same, byte for byte. */
static int compare_state(struct engine *e, const struct store_vtpm *v, const struct kmc_store *m, bool *same)
{
	int r;

	*same = false;
	if (!v->lease.state_version || m->version != v->lease.state_version)
		return 0;
	buf_reset(&e->state);
	r = e->store->ops->state_get(e->store, &v->uuid, m->version, &e->state);
	*same = r == 0 && buf_left(&e->state) == m->state.n && bytes_equal(buf_ptr(&e->state), m->state.p, m->state.n);
	return r == E_NOTFOUND ? 0 : r;
}

/* A store or a release, decided and recorded in one transaction. */
struct change {
	struct engine *e;
	struct lease_request *q;
	const struct uuid *uuid;
	const struct kmc_store *m; /* the state to store, or NULL */
	struct lease_verdict verdict;
	struct store_vtpm vtpm;
	bool known; /* the vTPM is */
};

static int record_release(const struct change *c)
{
	const struct lease *l = &c->vtpm.lease;
	const struct audit_act act = {.event = AUDIT_LEASE_RETURNED, .actor = c->q->host, .vtpm = c->uuid, .pool = l->pool,
				      .lease_epoch = l->epoch};

	return auditlog_add(&c->e->audit, &act);
}

/* The new state, and no more older ones than there may be. */
static int put_state(struct store *s, const struct change *c)
{
	const struct store_keep keep = {.states = c->e->conf->states_kept, .bytes = c->e->conf->states_quota_kib * 1024};
	const struct store_state st = {.version = c->m->version, .owner_epoch = c->m->owner_epoch,
				       .endorsement_epoch = c->m->endorsement_epoch, .platform_epoch = c->m->platform_epoch,
				       .stored_at = c->vtpm.stored_at};
	int r = s->ops->state_put(s, c->uuid, &st, c->m->state);

	return r != 0 ? r : s->ops->state_prune(s, c->uuid, st.version, &keep);
}

/* Write what the verdict allows: 0 (commit), E_DENIED (refused), E_DB or E_BUSY. */
static int apply(struct store *s, struct change *c)
{
	int r;

	if (c->verdict.result != LEASE_APPLY)
		return c->verdict.result == LEASE_ALREADY ? 0 : E_DENIED;
	lease_apply(&c->vtpm.lease, c->q);
	if (c->m) {
		c->vtpm.stored_at = engine_now();
		r = put_state(s, c);
	} else {
		r = record_release(c);
	}
	return r != 0 ? r : s->ops->vtpm_put(s, &c->vtpm);
}

static int change_it(struct store *s, void *arg)
{
	struct change *c = arg;
	int r = s->ops->vtpm_get(s, c->uuid, &c->vtpm);

	c->known = r == 0;
	if (c->known && c->m)
		r = compare_state(c->e, &c->vtpm, c->m, &c->q->same_state);
	if (r != 0 && r != E_NOTFOUND)
		return r;
	c->verdict = lease_decide(c->known ? &c->vtpm.lease : NULL, c->q);
	return c->known ? apply(s, c) : E_DENIED;
}

/* True: done. @m: the state to store, or NULL. */
static bool change(struct engine *e, const struct asker *a, const struct uuid *uuid, struct lease_request *q,
		   const struct kmc_store *m)
{
	struct change c = {.e = e, .q = q, .uuid = uuid, .m = m};
	int r = store_transact(e->store, change_it, &c);

	if (r == E_DENIED)
		open_refuse_lease(e, a, c.verdict.code, uuid, c.known ? &c.vtpm.lease : NULL);
	else if (r != 0)
		engine_refuse_db(e, a);
	return r == 0;
}

static void on_release(struct engine *e, const struct asker *a, const struct kmc_release *m)
{
	struct lease_request q = {.act = LEASE_RELEASE, .host = a->host, .pool = a->pool, .epoch = m->lease_epoch};
	char u[UUID_TEXT];

	if (!change(e, a, &m->uuid, &q, NULL))
		return;
	log_info("host '%s' released vTPM %s, lease %" PRIu64, a->host, uuid_format(&m->uuid, u), m->lease_epoch);
	engine_answer(e, a, KMC_RELEASED, NULL);
}

static void on_store(struct engine *e, const struct asker *a, const struct kmc_store *m)
{
	struct lease_request q = {
		.act = LEASE_STORE, .host = a->host, .pool = a->pool, .epoch = m->lease_epoch, .version = m->version,
		.owner_epoch = m->owner_epoch, .endorsement_epoch = m->endorsement_epoch, .platform_epoch = m->platform_epoch,
	};
	const struct kmc_stored stored = {.version = m->version};
	char u[UUID_TEXT];

	if (m->version > INT64_MAX)
		engine_refuse(e, a, KMC_REFUSED_MALFORMED, "a state's version must be below 2^63");
	else if (m->state.n > e->conf->states_quota_kib * 1024)
		engine_refuse(e, a, KMC_REFUSED_QUOTA, "vTPM %s: a state of %zu bytes is beyond the quota: raise [states] quota in kmc.conf",
			      uuid_format(&m->uuid, u), m->state.n);
	else if (change(e, a, &m->uuid, &q, m))
		engine_answer(e, a, KMC_STORED, &stored);
}

void requests_ask(struct engine *e, const struct front_ask *ask)
{
	_Alignas(max_align_t) uint8_t fields[PRIVSEP_FIELDS_MAX];
	const struct msg_schema *schema;
	struct asker a = {.conn = ask->conn};
	struct msg m = {0};
	struct buf b;

	buf_view(&b, ask->frame.p, ask->frame.n);
	schema = msg_next(&b, KMC_BODY_MAX, &m) == 0 && buf_done(&b) == 0 ? kmc_schema(m.head.type) : NULL;
	if (!schema || m.head.version != KMC_VERSION || msg_fields(&m, schema, fields) != 0)
		fatal("the front process passed on a message that it had not checked");
	a.id = m.head.id;
	if (!ask->host.p) { /* nobody yet */
		engine_enrol_ask(e, &a, (enum kmc_type)m.head.type, fields);
		return;
	}
	view_copy_text(ask->host, a.host, sizeof(a.host));
	if (!engine_check_host(e, &a, ask->fingerprint))
		return;
	switch (m.head.type) {
	case KMC_HELLO:
		on_hello(e, &a, (const void *)fields);
		break;
	case KMC_PROTECT:
		open_protect(e, &a);
		break;
	case KMC_OPEN:
		if (engine_attest_allows(e, &a))
			open_start(e, &a, (const void *)fields);
		break;
	case KMC_ATTEST:
		engine_attest_ask(e, &a);
		break;
	case KMC_QUOTE:
		engine_attest_quote(e, &a, ask->fingerprint, (const void *)fields);
		break;
	case KMC_PARK:
		engine_park(e, &a, (const void *)fields);
		break;
	case KMC_RECALLS:
		engine_recalls(e, &a);
		break;
	case KMC_RELEASE:
		on_release(e, &a, (const void *)fields);
		break;
	case KMC_STORE:
		on_store(e, &a, (const void *)fields);
		break;
	default:
		fatal("the front process passed on an answer");
	}
}
