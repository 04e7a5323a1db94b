/* The wrapping key, for administrators: a new one, which there is and who has it, and a machine that is forgotten. */
#include "kmc/engine_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/engine_rewrap.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"

struct making {
	struct engine *e;
	struct store_wrapping k;
};

/* E_EXISTS: another administrator was faster. */
static int put_new(struct store *s, void *arg)
{
	const struct making *m = arg;
	char detail[80];
	const struct audit_act act = {.event = AUDIT_WRAPPING_MADE, .detail = detail};
	struct store_wrapping last;
	int r = wrapping_newest(s, &last);

	if (r != 0)
		return r;
	if (last.number + 1 != m->k.number || !last.done_at)
		return E_EXISTS;
	snprintf(detail, sizeof(detail), "key %u, to replace key %u", m->k.number, last.number);
	return (r = s->ops->wrapping_put(s, &m->k)) != 0 ? r : auditlog_add(&m->e->audit, &act);
}

void keys_made(struct engine *e, struct ticket *t, const struct vault_wrapping *m)
{
	struct making making = {.e = e, .k = {.number = (uint32_t)m->number, .sealed_size = m->sealed.n, .made_at = engine_now()}};
	const uint64_t client = t->image;
	int r;

	engine_ticket_end(t);
	memcpy(making.k.sealed, m->sealed.p, m->sealed.n);
	r = store_transact(e->store, put_new, &making);
	if (r == E_EXISTS) {
		admin_fail(e->admin, client, r, "the wrapping key is being replaced already: see 'kmcctl key list'");
	} else if (r != 0) {
		log_error("%s", e->store->why);
		admin_fail(e->admin, client, r, "%s", e->store->why);
	} else {
		log_info("wrapping key %u was made, to replace the one before it", making.k.number);
		admin_answer(e->admin, client, ADM_DONE, NULL);
		wrapping_wake();
	}
}

void keys_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	const uint64_t client = t->image;
	char reason[VAULT_REASON_MAX + 1];

	engine_ticket_end(t);
	view_copy_text(m->reason, reason, sizeof(reason));
	admin_fail(e->admin, client, -(int)m->code, "can't make a wrapping key: %s", text_make_printable(reason));
}

static void on_rewrap(struct engine *e, uint64_t client)
{
	struct store_wrapping k;
	struct ticket *t;

	if (wrapping_newest(e->store, &k) != 0) {
		log_error("%s", e->store->why);
		admin_fail(e->admin, client, E_DB, "%s", e->store->why);
	} else if (!k.done_at) {
		admin_fail(e->admin, client, E_EXISTS, "wrapping key %u is replacing key %u already: wait for its end, see 'kmcctl key list'", k.number, k.number - 1);
	} else if (wrapping_oldest() < k.number) {
		admin_fail(e->admin, client, E_STATE, "wrapping key %u is not destroyed on this machine yet: the log of kmcd says why, if it stays so", wrapping_oldest());
	} else if (!(t = engine_ticket(e, TICKET_WRAPPING))) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: try again");
	} else {
		t->client = WRAPPING_MAKE;
		t->image = client;
		link_send(e->vault, VAULT_NEW_WRAPPING, t->id, &(const struct vault_number){.number = k.number + 1});
	}
}

static int list_kmcs(struct engine *e, uint64_t client)
{
	struct store_kmc k = {.name = ""};
	int r;

	while ((r = e->store->ops->wrapping_kmc_next(e->store, k.name, &k)) == 0) {
		const struct adm_wrapping_kmc m = {.name = view_text(k.name), .newest = k.newest, .oldest = k.oldest,
						   .trouble = k.trouble[0] ? view_text(k.trouble) : (struct view){0}};

		if ((r = admin_answer(e->admin, client, ADM_WRAPPING_KMC, &m)) != 0)
			return r;
	}
	return r == E_NOTFOUND ? 0 : r;
}

static void on_list(struct engine *e, uint64_t client)
{
	struct adm_wrapping m = {.damaged = rewrap_damaged()};
	struct store_wrapping k;
	int r = wrapping_newest(e->store, &k);

	if (r == 0)
		r = e->store->ops->wrapped_count(e->store, k.number, &m.all, &m.left);
	if (r == 0) {
		m.number = k.number;
		if (k.number > 1) {
			m.made_at = (uint64_t)k.made_at;
			m.used_at = (uint64_t)k.used_at;
			m.done_at = (uint64_t)k.done_at;
		}
		r = admin_answer(e->admin, client, ADM_WRAPPING, &m);
	}
	if (r == 0)
		r = list_kmcs(e, client);
	if (r == E_DB || r == E_BUSY)
		admin_fail(e->admin, client, E_DB, "%s", e->store->why);
	else
		admin_answer(e->admin, client, ADM_END, &(const struct adm_end){.more = 0});
}

/* A machine that is gone for good is waited for, and listed, no more. */
static void on_forget(struct engine *e, uint64_t client, const struct adm_name *m)
{
	char name[STORE_NAME] = "";
	struct store_kmc k;
	int r = m->name.p ? view_copy_text(m->name, name, sizeof(name)) : E_ARG;

	if (r == 0 && strcmp(name, e->conf->name) == 0) {
		admin_fail(e->admin, client, E_ARG, "'%s' is the KMC that you ask", name);
		return;
	}
	if (r == 0 && (r = e->store->ops->wrapping_kmc_get(e->store, name, &k)) == 0)
		r = e->store->ops->wrapping_kmc_drop(e->store, name);
	if (r == 0)
		admin_answer(e->admin, client, ADM_DONE, NULL);
	else if (r == E_DB)
		admin_fail(e->admin, client, r, "%s", e->store->why);
	else
		admin_fail(e->admin, client, E_NOTFOUND, "there is no KMC '%s' at this database: see 'kmcctl key list'", name);
}

bool keys_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type == ADM_KEY_REWRAP)
		on_rewrap(e, client);
	else if (type == ADM_KEY_LIST)
		on_list(e, client);
	else if (type == ADM_REPLICA_FORGET)
		on_forget(e, client, fields);
	else
		return false;
	return true;
}
