/* What kmcctl asks of the engine. */
#include "kmc/engine_admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/engine_audit.h"
#include "kmc/engine_ca.h"
#include "kmc/engine_ca_admin.h"
#include "kmc/engine_images.h"
#include "kmc/engine_keys.h"
#include "kmc/engine_life.h"
#include "kmc/engine_park.h"
#include "kmc/engine_policy.h"
#include "kmc/engine_replica.h"
#include "kmc/engine_server.h"
#include "kmc/engine_export.h"
#include "kmc/engine_import.h"
#include "kmc/engine_share.h"
#include "kmc/engine_states.h"
#include "kmc/hostcert.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"

struct request {
	struct engine *e;
	struct store *s;
	uint64_t client;
};

static void reply(const struct request *q, enum adm_type type, const void *fields)
{
	if (admin_answer(q->e->admin, q->client, type, fields) != 0)
		log_error("control: can't write an answer");
}

static void fail_db(const struct request *q)
{
	log_error("%s", q->s->why);
	admin_fail(q->e->admin, q->client, E_DB, "%s", q->s->why);
}

/*
 * The end of a change: @r is how it went. Recorded and committed with it, or rolled back. Return: 0 or what failed.
 */
static int finish(const struct request *q, int r, const struct audit_act *act)
{
	if (r == 0)
		r = auditlog_add(&q->e->audit, act);
	if (r == 0)
		return q->s->ops->commit(q->s);
	q->s->ops->rollback(q->s);
	return r == E_BUSY ? E_DB : r;
}

static bool take_name(const struct request *q, struct view v, const char *what, char name[STORE_NAME])
{
	if (v.p && view_copy_text(v, name, STORE_NAME) == 0 && engine_is_name(name))
		return true;
	admin_fail(q->e->admin, q->client, E_ARG, "that is no name for a %s: use up to %d letters, digits, '-', '.' and '_', beginning with a letter or digit",
	     what, KMC_NAME_MAX);
	return false;
}

static void on_status(const struct request *q)
{
	struct engine *e = q->e;
	struct store_counts c;
	uint64_t wrapping, left;

	if (q->s->ops->count(q->s, &c) != 0 || wrapping_progress(e, &wrapping, &left) != 0) {
		fail_db(q);
		return;
	}
	reply(q, ADM_STATUS_REPLY, &(const struct adm_status_reply){
		.kmc = view_text(e->conf->name), .address = view_text(e->conf->address), .store = view_text(q->s->name),
		.started_at = (uint64_t)e->started_at, .hosts = c.hosts, .vtpms = c.vtpms, .held = c.held, .states = c.states,
		.state_bytes = c.state_bytes, .opens = e->opens, .refusals = e->refusals, .wrapping = wrapping, .rewrap_left = left});
}

static int send_pool(const struct request *q, const struct store_pool *p)
{
	const struct adm_pool m = {.name = view_text(p->name), .registered_only = p->registered_only};

	return admin_answer(q->e->admin, q->client, ADM_POOL, &m);
}

/* How its renewal stands. 0 or E_DB. */
static int describe_renewal(const struct request *q, const struct store_host *h, struct adm_host *m)
{
	struct store_hostcert present, newest;
	int r = q->s->ops->hostcert_get(q->s, h->name, h->fingerprint, &present);
	int64_t issued = r == 0 ? present.issued_at : h->added_at;

	if (r == 0 || r == E_NOTFOUND)
		r = q->s->ops->hostcert_newest(q->s, h->name, &newest);
	m->issued_at = (uint64_t)issued;
	m->overdue = !h->removed && hostcert_overdue(issued, h->expires_at, engine_now());
	if (r == 0 && memcmp(newest.fingerprint, h->fingerprint, sizeof(h->fingerprint)) != 0 && newest.issued_at >= issued)
		m->renewed_at = (uint64_t)newest.issued_at;
	return r == E_NOTFOUND ? 0 : r;
}

static int send_host(const struct request *q, const struct store_host *h)
{
	struct store_identity identity;
	struct adm_host m = {.name = view_text(h->name), .pool = view_text(h->pool), .removed = h->removed,
			     .added_at = (uint64_t)h->added_at, .expires_at = (uint64_t)h->expires_at};
	int r = engine_policy_host(q->e, h->name, &identity, &m);

	if (r == 0)
		r = describe_renewal(q, h, &m);
	return r != 0 ? r : admin_answer(q->e->admin, q->client, ADM_HOST, &m);
}

static struct view text_or_absent(const char *s)
{
	return *s ? view_text(s) : (struct view){0};
}

static int send_vtpm(const struct request *q, const struct store_vtpm *v)
{
	const struct lease *l = &v->lease;
	struct store_retirement end = {.due_at = 0};
	struct store_arrival arrival = {.from = ""};
	struct sharers sharers = {.n = 0};
	struct store_parked p;
	struct adm_vtpm m = {
		.uuid = v->uuid, .pool = view_text(l->pool), .holder = text_or_absent(l->holder),
		.last_holder = text_or_absent(l->last_holder),
		.generation = v->generation, .lease_epoch = l->epoch, .owner_epoch = l->owner_epoch,
		.endorsement_epoch = l->endorsement_epoch,
		.platform_epoch = l->platform_epoch, .state_version = l->state_version, .has_seed = v->seed_size != 0,
		.created_at = (uint64_t)v->created_at, .opened_at = (uint64_t)v->opened_at, .stored_at = (uint64_t)v->stored_at,
		.suspended = l->suspended, .image = l->image, .suspended_at = l->suspended ? (uint64_t)v->suspended_at : 0,
		.reserver = text_or_absent(l->reserver), .reserved_at = l->reserver[0] ? (uint64_t)v->reserved_at : 0,
	};
	int r = l->holder[0] ? q->s->ops->parked_get(q->s, &v->uuid, &p) : q->s->ops->retirement_get(q->s, &v->uuid, &end);

	if (r != 0 && r != E_NOTFOUND)
		return r;
	m.parked = r == 0 && l->holder[0] && engine_park_stands(&p, l);
	m.due_at = (uint64_t)end.due_at;
	m.destroyed_at = (uint64_t)end.destroyed_at;
	if (end.due_at && end.moving)
		m.moving = view_text(end.destination);
	if ((r = q->s->ops->arrival_get(q->s, &v->uuid, &arrival)) != 0 && r != E_NOTFOUND)
		return r;
	m.came_from = text_or_absent(arrival.from);
	m.came_at = (uint64_t)arrival.arrived_at;
	if ((m.has_seed || (end.due_at && !end.destroyed_at)) && (r = share_list(q->s, v, &sharers)) != 0)
		return r;
	if (sharers.n)
		m.sharing = view_of(sharers.list[0].b, sharers.n * UUID_SIZE);
	m.sharers = sharers.all;
	return admin_answer(q->e->admin, q->client, ADM_VTPM, &m);
}

/* The end of a page: @r is what stopped it. */
static void end_page(const struct request *q, int r)
{
	const struct adm_end m = {.more = r == 0 || r == E_RANGE};

	if (r == E_DB)
		fail_db(q);
	else
		reply(q, ADM_END, &m);
}

static void on_pool_list(const struct request *q, const struct adm_list *m)
{
	struct store_pool p = {.name = ""};
	int r = m->after.p ? view_copy_text(m->after, p.name, sizeof(p.name)) : 0;

	for (int i = 0; i < ADM_PAGE && r == 0; i++)
		if ((r = q->s->ops->pool_next(q->s, p.name, &p)) == 0)
			r = send_pool(q, &p);
	end_page(q, r);
}

static void on_host_list(const struct request *q, const struct adm_list *m)
{
	struct store_host h = {.name = ""};
	int r = m->after.p ? view_copy_text(m->after, h.name, sizeof(h.name)) : 0;

	for (int i = 0; i < ADM_PAGE && r == 0; i++)
		if ((r = q->s->ops->host_next(q->s, h.name, &h)) == 0)
			r = send_host(q, &h);
	end_page(q, r);
}

static void on_vtpm_list(const struct request *q, const struct adm_list *m)
{
	bool first = m->after.n != UUID_SIZE;
	struct store_vtpm v = {0};
	int r = 0;

	if (!first)
		memcpy(v.uuid.b, m->after.p, UUID_SIZE);
	for (int i = 0; i < ADM_PAGE && r == 0; i++, first = false) {
		const struct uuid after = v.uuid;

		if ((r = q->s->ops->vtpm_next(q->s, first ? NULL : &after, &v)) == 0)
			r = send_vtpm(q, &v);
	}
	end_page(q, r);
}

static void on_pool_put(const struct request *q, const struct adm_pool_put *m)
{
	struct store_pool p, old;
	const struct audit_act act = {.event = m->create ? AUDIT_POOL_ADDED : AUDIT_POOL_CHANGED, .pool = p.name,
				      .detail = m->registered_only ? "vTPMs must be registered" : "vTPMs are made when opened"};
	int r;

	if (!take_name(q, m->name, "pool", p.name))
		return;
	p.registered_only = m->registered_only != 0;
	if ((r = q->s->ops->begin(q->s)) == 0) {
		r = q->s->ops->pool_get(q->s, p.name, &old);
		if (r == 0 || r == E_NOTFOUND)
			r = m->create == (r == E_NOTFOUND) ? q->s->ops->pool_put(q->s, &p) : r == 0 ? E_EXISTS : r;
		r = finish(q, r, &act);
	}
	if (r == E_EXISTS)
		admin_fail(q->e->admin, q->client, E_EXISTS, "there is a pool '%s' already: change it with 'kmcctl pool set'", p.name);
	else if (r == E_NOTFOUND)
		admin_fail(q->e->admin, q->client, r, "there is no pool '%s': make it with 'kmcctl pool add %s'", p.name, p.name);
	else if (r != 0)
		fail_db(q);
	else
		reply(q, ADM_DONE, NULL);
}

static void on_host_add(const struct request *q, const struct adm_host_add *m)
{
	struct store_host old, h = {.added_at = engine_now(), .expires_at = (int64_t)m->not_after};
	struct store_pool pool;
	struct ticket *t;
	int r;

	if (!take_name(q, m->name, "host", h.name) || !take_name(q, m->pool, "pool", h.pool))
		return;
	r = q->s->ops->pool_get(q->s, h.pool, &pool);
	if (r == E_NOTFOUND) {
		admin_fail(q->e->admin, q->client, r, "there is no pool '%s': make it with 'kmcctl pool add %s'", h.pool, h.pool);
		return;
	}
	if (r == 0)
		r = q->s->ops->host_get(q->s, h.name, &old);
	if (r == E_DB) {
		fail_db(q);
	} else if (r == 0 && !old.removed) {
		admin_fail(q->e->admin, q->client, E_EXISTS, "there is a host '%s' already: 'kmcctl host remove %s' first, if it is to get a new certificate",
		     h.name, h.name);
	} else if (!(t = engine_ticket(q->e, TICKET_HOST))) {
		admin_fail(q->e->admin, q->client, E_BUSY, "the KMC is busy: try again");
	} else {
		const struct vault_issue issue = {.name = view_text(h.name), .spki = m->spki, .not_before = m->not_before,
			.not_after = m->not_after};

		t->client = q->client;
		t->host = h;
		link_send(q->e->vault, VAULT_ISSUE, t->id, &issue);
	}
}

/* What an enrolment by token left under this name goes: this host was added by files. */
static int put_host(struct store *s, const struct store_host *h, const struct store_hostcert *cert, uint32_t trusts)
{
	int r;

	if ((r = s->ops->identity_drop(s, h->name)) != 0 || (r = s->ops->token_drop(s, h->name)) != 0 || (r = s->ops->hostcert_drop(s, h->name)) != 0 ||
	    (r = s->ops->host_put(s, h)) != 0 || (r = s->ops->trust_put(s, h->name, trusts)) != 0)
		return r;
	return s->ops->hostcert_put(s, cert);
}

void admin_issued(struct engine *e, struct ticket *t, const struct vault_issued *m)
{
	const struct request q = {.e = e, .s = e->store, .client = t->client};
	struct ca_cert cert = {.size = m->cert.n};
	struct store_hostcert row;
	struct store_host h = t->host;
	const struct audit_act act = {.event = AUDIT_HOST_ADDED, .host = h.name, .pool = h.pool};

	engine_ticket_end(t);
	memcpy(cert.der, m->cert.p, m->cert.n);
	if (hostcert_row(&row, h.name, &cert, &e->ca, h.added_at) != 0) {
		admin_fail(q.e->admin, q.client, E_CRYPTO, "can't hash the new certificate");
		return;
	}
	memcpy(h.fingerprint, row.fingerprint, sizeof(h.fingerprint));
	if (q.s->ops->begin(q.s) != 0 || finish(&q, put_host(q.s, &h, &row, e->server_authority), &act) != 0) {
		fail_db(&q);
	} else {
		const struct adm_host_added added = {.cert = m->cert, .ca = view_of(e->server_ca.der, e->server_ca.size),
			.address = view_text(e->conf->address)};

		log_about(LOG_LV_INFO, ABOUT(.host = h.name), "host '%s' was added to pool '%s'", h.name, h.pool);
		reply(&q, ADM_HOST_ADDED, &added);
	}
}

void admin_issue_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	const struct request q = {.e = e, .s = e->store, .client = t->client};

	engine_ticket_end(t);
	admin_fail(q.e->admin, q.client, -(int)m->code, "can't issue a certificate: %.*s", (int)m->reason.n, (const char *)m->reason.p);
}

static void on_host_remove(const struct request *q, const struct adm_name *m)
{
	struct store_host h;
	struct front_cut cut;
	char name[STORE_NAME];
	const struct audit_act act = {.event = AUDIT_HOST_REMOVED, .host = name};
	int r;

	if (!take_name(q, m->name, "host", name))
		return;
	if ((r = q->s->ops->begin(q->s)) == 0) {
		r = q->s->ops->host_get(q->s, name, &h);
		if (r == 0)
			r = h.removed ? E_NOTFOUND : (h.removed = true, q->s->ops->host_put(q->s, &h));
		r = finish(q, r, &act);
	}
	if (r == E_NOTFOUND) {
		admin_fail(q->e->admin, q->client, E_NOTFOUND, "there is no host '%s': see 'kmcctl host list'", name);
		return;
	}
	if (r != 0) {
		fail_db(q);
		return;
	}
	cut.host = view_text(h.name);
	link_send(q->e->front, FRONT_CUT, 0, &cut);
	log_about(LOG_LV_INFO, ABOUT(.host = h.name), "host '%s' was removed", h.name);
	reply(q, ADM_DONE, NULL);
}

static void on_vtpm_show(const struct request *q, const struct adm_uuid *m)
{
	char u[UUID_TEXT];
	struct store_vtpm v;
	int r = q->s->ops->vtpm_get(q->s, &m->uuid, &v);

	if (r == E_NOTFOUND)
		admin_fail(q->e->admin, q->client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", uuid_format(&m->uuid, u));
	else if (r != 0)
		fail_db(q);
	else if ((r = send_vtpm(q, &v)) == 0)
		end_page(q, E_NOTFOUND);
	else if (r == E_DB)
		fail_db(q);
}

/* Who has, or had, what is taken over. */
static const char *loser_of(const struct lease *l)
{
	return l->holder[0] ? l->holder : l->reserver[0] ? l->reserver : l->last_holder;
}

static void on_vtpm_takeover(const struct request *q, const struct adm_uuid *m)
{
	const struct lease_request take = {.act = LEASE_TAKEOVER};
	struct store_vtpm before = {0}, v;
	char loser[STORE_NAME] = "";
	struct audit_act act = {.event = AUDIT_TAKEN_OVER, .vtpm = &m->uuid, .host = loser, .pool = before.lease.pool};
	char u[UUID_TEXT];
	int r = q->s->ops->begin(q->s);

	uuid_format(&m->uuid, u);
	if (r == 0 && (r = q->s->ops->vtpm_get(q->s, &m->uuid, &v)) == 0) {
		before = v;
		snprintf(loser, sizeof(loser), "%s", loser_of(&before.lease));
		act.detail = !before.lease.suspended ? NULL : before.lease.reserver[0] ? "its reservation of what is suspended" : "the right to resume";
		if (lease_decide(&v.lease, &take).result == LEASE_APPLY) {
			lease_apply(&v.lease, &take);
			r = q->s->ops->vtpm_put(q->s, &v);
		} else {
			r = E_STATE;
		}
	}
	r = finish(q, r, &act);
	if (r == E_NOTFOUND) {
		admin_fail(q->e->admin, q->client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	} else if (r == E_STATE) {
		admin_fail(q->e->admin, q->client, r, "nobody holds vTPM %s, nor is it suspended: there is nothing to take over", u);
	} else if (r != 0) {
		fail_db(q);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &before.uuid, .host = loser), "vTPM %s was taken over from host '%s' (lease %" PRIu64 ")", u, loser, before.lease.epoch);
		if (send_vtpm(q, &before) == 0)
			end_page(q, E_NOTFOUND);
	}
}

static void on_vtpm_register(const struct request *q, const struct adm_register *m)
{
	struct store_vtpm old, v = {.uuid = m->uuid, .generation = 1, .created_at = engine_now()};
	struct store_pool pool = {.name = ""};
	const struct audit_act act = {.event = AUDIT_VTPM_REGISTERED, .vtpm = &m->uuid, .pool = v.lease.pool};
	char u[UUID_TEXT];
	int r;

	if (!take_name(q, m->pool, "pool", v.lease.pool))
		return;
	if (uuid_is_nil(&m->uuid)) {
		admin_fail(q->e->admin, q->client, E_ARG, "the nil UUID is nobody's vTPM");
		return;
	}
	if ((r = q->s->ops->begin(q->s)) == 0) {
		r = q->s->ops->pool_get(q->s, v.lease.pool, &pool);
		if (r == 0 && (r = q->s->ops->vtpm_get(q->s, &m->uuid, &old)) == 0)
			r = E_EXISTS;
		else if (r == E_NOTFOUND && pool.name[0])
			r = q->s->ops->vtpm_put(q->s, &v);
		r = finish(q, r, &act);
	}
	if (r == E_NOTFOUND)
		admin_fail(q->e->admin, q->client, r, "there is no pool '%s': make it with 'kmcctl pool add %s'", v.lease.pool, v.lease.pool);
	else if (r == E_EXISTS)
		admin_fail(q->e->admin, q->client, E_EXISTS, "vTPM %s is known already, in pool '%s'", uuid_format(&m->uuid, u), old.lease.pool);
	else if (r != 0)
		fail_db(q);
	else
		reply(q, ADM_DONE, NULL);
}

static void on_key_rotate(const struct request *q, const struct adm_name *m)
{
	char name[STORE_NAME] = "";

	const struct audit_act act = {.event = AUDIT_KEYS_RETIRED, .host = name, .detail = m->name.p ? NULL : "of all hosts"};

	if (m->name.p && !take_name(q, m->name, "host", name))
		return;
	if (q->s->ops->begin(q->s) != 0 || finish(q, q->s->ops->key_retire(q->s, name), &act) != 0) {
		fail_db(q);
		return;
	}
	log_info("protection keys of %s%s were retired", name[0] ? "host " : "all hosts", name);
	reply(q, ADM_DONE, NULL);
}

void admin_request(void *arg, uint64_t client, uint64_t type, const void *fields)
{
	struct engine *e = arg;
	const struct request q = {.e = e, .s = e->store, .client = client};

	if (!engine_ca_known(e)) {
		admin_fail(q.e->admin, q.client, E_BUSY, "the KMC is starting: try again");
		return;
	}
	switch (type) {
	case ADM_STATUS:
		on_status(&q);
		break;
	case ADM_POOL_LIST:
		on_pool_list(&q, fields);
		break;
	case ADM_HOST_LIST:
		on_host_list(&q, fields);
		break;
	case ADM_VTPM_LIST:
		on_vtpm_list(&q, fields);
		break;
	case ADM_POOL_PUT:
		on_pool_put(&q, fields);
		break;
	case ADM_HOST_ADD:
		on_host_add(&q, fields);
		break;
	case ADM_HOST_REMOVE:
		on_host_remove(&q, fields);
		break;
	case ADM_VTPM_SHOW:
		on_vtpm_show(&q, fields);
		break;
	case ADM_VTPM_TAKEOVER:
		on_vtpm_takeover(&q, fields);
		break;
	case ADM_VTPM_REGISTER:
		on_vtpm_register(&q, fields);
		break;
	case ADM_KEY_ROTATE:
		on_key_rotate(&q, fields);
		break;
	default:
		if (!audit_request(e, client, type, fields) && !engine_ca_request(e, client, type, fields) && !states_request(e, client, type, fields) &&
		    !images_request(e, client, type, fields) && !life_request(e, client, type, fields) &&
		    !export_request(e, client, type, fields) && !import_request(e, client, type, fields) &&
		    !engine_policy_request(e, client, type, fields) && !replica_request(e, client, type, fields) &&
		    !server_request(e, client, type, fields) && !keys_request(e, client, type, fields))
			admin_fail(q.e->admin, q.client, E_UNKNOWN, "that is no request");
	}
}
