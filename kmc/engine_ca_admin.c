/* What kmcctl asks about certificate authorities. */
#include "kmc/engine_ca_admin.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/admin.h"
#include "kmc/engine_ca.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"

static void fail_db(struct engine *e, uint64_t client)
{
	log_error("%s", e->store->why);
	admin_fail(e->admin, client, E_DB, "%s", e->store->why);
}

/* --- who is not done with a change --- */

#define NAMES_MAX 260 /* bytes: there is a sentence around them */

struct waiting {
	uint64_t n;
	char names[NAMES_MAX];
	size_t at;
};

static void add(struct waiting *w, const char *what, const char *name)
{
	w->n++;
	if (w->at + strlen(what) + strlen(name) + 16 < sizeof(w->names))
		w->at += (size_t)snprintf(w->names + w->at, sizeof(w->names) - w->at, "%s%s'%s'", w->at ? ", " : "", what, name);
	else if (w->at && w->names[w->at - 1] != '.')
		w->at += (size_t)snprintf(w->names + w->at, sizeof(w->names) - w->at, ", ...");
}

/* Whether the host has still to do something for it. 0 or E_DB. */
static int look_at_host(struct engine *e, const struct authority *a, const struct store_host *h, struct waiting *w)
{
	uint64_t trusted = 0;
	uint32_t by;
	int r;

	if (h->removed)
		return 0;
	if (a->state == AUTHORITY_FORMER) {
		if ((r = engine_ca_of_host(e, h->name, h->fingerprint, &by)) != 0)
			return r;
		if (by == a->number)
			add(w, "", h->name);
		return 0;
	}
	r = e->store->ops->trust_get(e->store, h->name, &trusted);
	if (r != 0 && r != E_NOTFOUND)
		return r;
	if (trusted < a->number)
		add(w, "", h->name);
	return 0;
}

static int look_at_servers(struct engine *e, const struct authority *a, struct waiting *w)
{
	struct store_server v = {.name = ""};
	int r;

	while ((r = e->store->ops->server_next(e->store, v.name, &v)) == 0)
		if (v.authority == a->number)
			add(w, "KMC ", v.name);
	return r == E_NOTFOUND ? 0 : r;
}

static int find_waiting(struct engine *e, const struct authority *a, struct waiting *w)
{
	struct store_host h = {.name = ""};
	int r;

	*w = (struct waiting){.n = 0};
	if (e->authorities->n_live < 2 || a->state == AUTHORITY_RETIRED)
		return 0;
	while ((r = e->store->ops->host_next(e->store, h.name, &h)) == 0)
		if ((r = look_at_host(e, a, &h, w)) != 0)
			return r;
	if (r != E_NOTFOUND)
		return r;
	return a->state == AUTHORITY_FORMER ? look_at_servers(e, a, w) : 0;
}

/* --- answers --- */

static int send_ca(struct engine *e, uint64_t client, const struct authority *a)
{
	struct adm_ca m = {.number = a->number, .state = a->state, .made_at = (uint64_t)a->made_at, .certificate = view_of(a->cert.der, a->cert.size)};
	struct waiting w;
	int r = find_waiting(e, a, &w);

	if (r != 0)
		return r;
	m.waiting = w.n;
	m.names = w.n ? view_text(w.names) : (struct view){0};
	return admin_answer(e->admin, client, ADM_CA, &m);
}

static void on_list(struct engine *e, uint64_t client)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->authorities->n; i++)
		r = send_ca(e, client, &e->authorities->list[i]);
	if (r == E_DB)
		fail_db(e, client);
	else
		admin_answer(e->admin, client, ADM_END, &(const struct adm_end){.more = 0});
}

static void on_renew(struct engine *e, uint64_t client, const struct adm_ca_renew *m)
{
	struct vault_ca_make q = {.not_before = m->not_before, .not_after = m->not_after};
	char name[KMC_NAME_MAX + 1];
	struct ticket *t;

	if (e->authorities->n_live > 1) {
		admin_fail(e->admin, client, E_STATE, "one change at a time: finish the one that is under way first, see 'kmcctl ca status'");
		return;
	}
	if (e->authorities->n == AUTHORITIES_MAX) {
		admin_fail(e->admin, client, E_RANGE, "there were %d authorities, and can't be more", AUTHORITIES_MAX);
		return;
	}
	t = engine_ticket(e, TICKET_CA_MAKE);
	if (!t) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: try again");
		return;
	}
	snprintf(name, sizeof(name), "%.46s CA %u", e->conf->name, authorities_newest(e->authorities)->number + 1);
	q.name = view_text(name);
	t->client = client;
	link_send(e->vault, VAULT_CA_MAKE, t->id, &q);
}

static void fill_row(struct store_authority *row, struct view certificate, struct view key)
{
	row->size = certificate.n;
	memcpy(row->certificate, certificate.p, certificate.n);
	row->key_size = key.n;
	memcpy(row->key, key.p, key.n);
}

struct making {
	struct engine *e;
	const struct vault_ca_made *m;
};

/* E_STATE: another kmcd was first. */
static int put_next(struct store *s, void *arg)
{
	const struct making *w = arg;
	struct store_authority row = {.number = 1, .state = AUTHORITY_CURRENT, .made_at = engine_machine_time()};
	const struct audit_act act = {.event = AUDIT_CA_MADE};
	static struct authorities now; /* too large for a stack */
	int r = authorities_read(&now, s, &w->e->authorities->list[0].cert);

	if (r != 0)
		return r;
	if (now.n_live > 1)
		return E_STATE;
	if ((r = wrapping_allows(s, w->m->key)) != 0 || (r = wrapping_allows(s, w->m->present_key)) != 0)
		return r;
	if (!now.list[0].key_size && now.list[0].state == AUTHORITY_CURRENT) { /* the first change: what was in files has a row from now on */
		fill_row(&row, w->m->present, w->m->present_key);
		if ((r = s->ops->authority_put(s, &row)) != 0)
			return r;
	}
	row.number = now.list[now.n - 1].number + 1;
	row.state = AUTHORITY_NEXT;
	fill_row(&row, w->m->certificate, w->m->key);
	r = s->ops->authority_put(s, &row);
	return r != 0 ? r : auditlog_add(&w->e->audit, &act);
}

void engine_ca_made(struct engine *e, struct ticket *t, const struct vault_ca_made *m)
{
	struct making w = {.e = e, .m = m};
	uint64_t client = t->client;
	int r = store_transact(e->store, put_next, &w);

	engine_ticket_end(t);
	if (r == E_STATE) {
		admin_fail(e->admin, client, r, "one change at a time: another KMC has begun one just now, see 'kmcctl ca status'");
	} else if (r != 0) {
		fail_db(e, client);
	} else {
		log_info("the next certificate authority was made: hosts learn to trust it");
		engine_ca_look(e);
		admin_answer(e->admin, client, ADM_DONE, NULL);
	}
}

/* --- steps --- */

struct step {
	struct engine *e;
	bool retire; /* else switch */
	bool forced;
	struct authority signs; /* who signs afterwards */
};

static int put_state(struct store *s, const struct authority *a, enum authority_state state)
{
	struct store_authority row = {.number = a->number, .state = state, .made_at = a->made_at};

	fill_row(&row, view_of(a->cert.der, a->cert.size), view_of(a->key, a->key_size));
	if (state == AUTHORITY_RETIRED)
		row.key_size = 0;
	return s->ops->authority_put(s, &row);
}

/* E_NOTFOUND: there is nothing to be done. */
static int take_step(struct store *s, void *arg)
{
	struct step *w = arg;
	const struct audit_act act = {.event = w->retire ? AUDIT_CA_RETIRED : AUDIT_CA_SWITCHED, .detail = w->forced ? "by force" : NULL};
	static struct authorities now;
	const struct authority *from, *to;
	int r = authorities_read(&now, s, &w->e->authorities->list[0].cert);

	if (r != 0)
		return r;
	from = authorities_in(&now, w->retire ? AUTHORITY_FORMER : AUTHORITY_CURRENT);
	to = authorities_in(&now, w->retire ? AUTHORITY_CURRENT : AUTHORITY_NEXT);
	if (!from || !to)
		return E_NOTFOUND;
	w->signs = *to;
	r = put_state(s, from, w->retire ? AUTHORITY_RETIRED : AUTHORITY_FORMER);
	if (r == 0 && !w->retire)
		r = put_state(s, to, AUTHORITY_CURRENT);
	return r != 0 ? r : auditlog_add(&w->e->audit, &act);
}

/* Nobody is cut off, or it is wanted so. */
static bool may(struct engine *e, uint64_t client, const struct authority *a, bool force, const char *what)
{
	struct waiting w;

	if (find_waiting(e, a, &w) != 0) {
		fail_db(e, client);
		return false;
	}
	if (!w.n || force)
		return true;
	admin_fail(e->admin, client, E_STATE, "%s: %s; wait until they have, or give --force, and they are cut off", what, w.names);
	return false;
}

/* The key of @a, which signs, goes into this machine's file: that is the vault's to write, as it is when the wrapping key is replaced. */
static void keep(struct engine *e, uint64_t client, const struct authority *a)
{
	static struct authorities now; /* as the key is wrapped at this moment */
	struct ticket *t = engine_ticket(e, TICKET_CA_KEEP);

	if (!t) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: 'kmcctl ca switch' once more");
		return;
	}
	if (authorities_read(&now, e->store, &e->authorities->list[0].cert) == 0 && authorities_in(&now, AUTHORITY_CURRENT))
		a = authorities_in(&now, AUTHORITY_CURRENT);
	t->client = client;
	t->present = a->cert;
	wrapping_before(e, view_of(a->key, a->key_size));
	link_send(e->vault, VAULT_CA_KEEP, t->id, &(const struct vault_ca){
		.certificate = view_of(a->cert.der, a->cert.size), .key = view_of(a->key, a->key_size)});
}

void engine_ca_kept(struct engine *e, struct ticket *t)
{
	admin_answer(e->admin, t->client, ADM_CA_SIGNS, &(const struct adm_ca_signs){.certificate = view_of(t->present.der, t->present.size)});
	engine_ticket_end(t);
}

void engine_ca_keep_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	admin_fail(e->admin, t->client, -(int)m->code, "the new authority signs, but its key is not in vault/ca.key: %.*s; then 'kmcctl ca switch' once more",
		   (int)m->reason.n, (const char *)m->reason.p);
	engine_ticket_end(t);
}

static void on_switch(struct engine *e, uint64_t client, const struct adm_ca_change *m)
{
	const struct authority *next = authorities_in(e->authorities, AUTHORITY_NEXT), *signs = authorities_in(e->authorities, AUTHORITY_CURRENT);
	struct step w = {.e = e, .forced = m->force};
	int r = E_NOTFOUND;

	if (next && !may(e, client, next, m->force, "these hosts do not trust the next authority yet"))
		return;
	if (next)
		r = store_transact(e->store, take_step, &w);
	if (r == E_NOTFOUND && signs->key_size) {
		keep(e, client, signs); /* it was done before: for the files of this machine */
	} else if (r == E_NOTFOUND) {
		admin_fail(e->admin, client, r, "there is no next authority: 'kmcctl ca renew' makes one");
	} else if (r != 0) {
		fail_db(e, client);
	} else {
		log_info("certificate authority %u signs from now on", w.signs.number);
		engine_ca_look(e);
		keep(e, client, &w.signs);
	}
}

static void on_retire(struct engine *e, uint64_t client, const struct adm_ca_change *m)
{
	const struct authority *former = authorities_in(e->authorities, AUTHORITY_FORMER);
	struct step w = {.e = e, .retire = true, .forced = m->force};
	int r;

	if (!former) {
		admin_fail(e->admin, client, E_NOTFOUND, "there is no former authority: see 'kmcctl ca status'");
		return;
	}
	if (!may(e, client, former, m->force, "these still have certificates by the former authority"))
		return;
	if (!may(e, client, authorities_in(e->authorities, AUTHORITY_CURRENT), m->force, "these hosts do not trust the present authority yet"))
		return;
	r = store_transact(e->store, take_step, &w);
	if (r != 0 && r != E_NOTFOUND) {
		fail_db(e, client);
		return;
	}
	log_info("the former certificate authority is trusted no more, and its key is destroyed");
	engine_ca_look(e);
	admin_answer(e->admin, client, ADM_DONE, NULL);
}

/* A new authority's key is not to be under a wrapping key that is about to go. */
static bool is_wrapping_settled(struct engine *e, uint64_t client)
{
	struct store_wrapping k;

	if (wrapping_newest(e->store, &k) != 0) {
		fail_db(e, client);
		return false;
	}
	if (k.done_at)
		return true;
	admin_fail(e->admin, client, E_STATE, "wrapping key %u is being replaced: wait for its end, see 'kmcctl key list'", k.number - 1);
	return false;
}

bool engine_ca_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type == ADM_CA_RENEW && !is_wrapping_settled(e, client))
		return true;
	switch (type) {
	case ADM_CA_LIST:
		on_list(e, client);
		break;
	case ADM_CA_RENEW:
		on_renew(e, client, fields);
		break;
	case ADM_CA_SWITCH:
		on_switch(e, client, fields);
		break;
	case ADM_CA_RETIRE:
		on_retire(e, client, fields);
		break;
	default:
		return false;
	}
	return true;
}
