/* What kmcctl asks of the engine about enrolment and attestation. */
#include "kmc/engine_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/token.h"
#include "kmc/admin.h"
#include "kmc/attest.h"
#include "kmc/engine_attest.h"
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

/* A name's text, and that there is such a pool. */
static bool take_pool(const struct request *q, struct view v, char name[STORE_NAME])
{
	struct store_pool pool;
	int r = v.p ? view_copy_text(v, name, STORE_NAME) : E_ARG;

	if (r == 0)
		r = q->s->ops->pool_get(q->s, name, &pool);
	if (r == E_DB)
		fail_db(q);
	else if (r != 0)
		admin_fail(q->e->admin, q->client, E_NOTFOUND, "there is no pool '%.*s': make it with 'kmcctl pool add'", (int)v.n, v.p ? (const char *)v.p : "");
	return r == 0;
}

/* A change, and its place in the audit trail. */
struct change {
	struct engine *e;
	const struct store_token *token;
	const struct store_policy *policy;
	const char *host;
};

static int put_token(struct store *s, void *arg)
{
	const struct change *c = arg;
	const struct audit_act act = {.event = AUDIT_TOKEN_MADE, .host = c->token->host, .pool = c->token->pool};
	int r;

	if ((r = s->ops->token_purge(s, engine_now())) != 0 || (r = s->ops->token_put(s, c->token)) != 0)
		return r;
	return auditlog_add(&c->e->audit, &act);
}

static int put_policy(struct store *s, void *arg)
{
	const struct change *c = arg;
	const struct store_policy *p = c->policy;
	char detail[200];
	const struct audit_act act = {.event = AUDIT_POLICY_CHANGED, .pool = p->pool, .detail = detail};
	int r = s->ops->policy_put(s, p);

	snprintf(detail, sizeof(detail), "PCRs %06" PRIx32 ", every %" PRIu64 " s, attestation %s, endorsement keys %" PRIu32 ", maintenance until %" PRId64 ", images %zu",
		 p->pcrs, p->interval_s, p->require ? "required" : "of enrolled hosts", p->ek_policy, p->maintenance_until, p->n_images);
	return r != 0 ? r : auditlog_add(&c->e->audit, &act);
}

static int accept_host(struct store *s, void *arg)
{
	const struct change *c = arg;
	const struct audit_act act = {.event = AUDIT_HOST_ACCEPTED, .host = c->host};
	struct store_identity i;
	int r;

	if ((r = s->ops->identity_get(s, c->host, &i)) != 0 || (r = attest_accept(&i)) != 0 || (r = s->ops->identity_put(s, &i)) != 0)
		return r;
	return auditlog_add(&c->e->audit, &act);
}

/* As a token has them: separated by one comma. */
static void list_addresses(const char *list, char *out, size_t cap)
{
	size_t n = 0;

	for (const char *p = list + strspn(list, " "); *p; p += strspn(p, " ")) {
		size_t length = strcspn(p, " ");

		n += (size_t)snprintf(out + n, cap - n, "%s%.*s", n ? "," : "", (int)length, p);
		p += length;
	}
}

static int make_token(const struct request *q, struct store_token *t, char text[TOKEN_TEXT_MAX + 1])
{
	struct token token = {0};
	int r = E_CRYPTO;

	list_addresses(q->e->conf->address, token.addresses, sizeof(token.addresses));
	if (getrandom(token.secret, sizeof(token.secret), 0) == sizeof(token.secret) &&
	    (r = ca_cert_fingerprint(&q->e->server_ca, token.ca)) == 0 && (r = token_hash(token.secret, t->hash)) == 0)
		r = token_format(&token, text);
	wipe(&token, sizeof(token));
	return r;
}

static void on_token_add(const struct request *q, const struct adm_token_add *m)
{
	struct store_token t = {.created_at = engine_now(), .expires_at = engine_now() + (int64_t)m->ttl, .has_ek = m->ek.p != NULL};
	struct change c = {.e = q->e, .token = &t};
	char text[TOKEN_TEXT_MAX + 1];
	struct adm_token answer = {.expires_at = (uint64_t)t.expires_at};
	struct store_host host;
	int r;

	if (!take_pool(q, m->pool, t.pool))
		return;
	if (!m->name.p || view_copy_text(m->name, t.host, sizeof(t.host)) != 0 || !engine_is_name(t.host)) {
		admin_fail(q->e->admin, q->client, E_ARG, "that is no name for a host: use up to %d letters, digits, '-', '.' and '_', beginning with a letter or digit",
		     KMC_NAME_MAX);
		return;
	}
	if (m->ek.p)
		memcpy(t.ek, m->ek.p, sizeof(t.ek));
	r = q->s->ops->host_get(q->s, t.host, &host);
	if (r == 0 && !host.removed)
		admin_fail(q->e->admin, q->client, E_EXISTS, "there is a host '%s' already: 'kmcctl host remove %s' first, if it is to be enrolled anew", t.host, t.host);
	else if (!q->e->conf->enrol)
		admin_fail(q->e->admin, q->client, E_STATE, "enrolment by token is off here: set 'allowed = yes' in [enrol] of kmc.conf, or use --out");
	else if (r == E_DB)
		fail_db(q);
	else if (make_token(q, &t, text) != 0)
		admin_fail(q->e->admin, q->client, E_CRYPTO, "can't make a token for the address '%s'", q->e->conf->address);
	else if (store_transact(q->s, put_token, &c) != 0)
		fail_db(q);
	else {
		answer.text = view_text(text);
		log_about(LOG_LV_INFO, ABOUT(.host = t.host), "a token was made for host '%s' of pool '%s', good for %" PRIu64 " s", t.host, t.pool, m->ttl);
		reply(q, ADM_TOKEN, &answer);
	}
	wipe(text, sizeof(text));
}

static void on_show(const struct request *q, const struct adm_name *m)
{
	char name[STORE_NAME];
	struct store_policy p;

	if (!take_pool(q, m->name, name))
		return;
	if (engine_policy(q->e, name, &p) != 0) {
		fail_db(q);
		return;
	}
	reply(q, ADM_POLICY, &(const struct adm_policy){
		.pool = view_text(p.pool), .pcrs = p.pcrs, .interval = p.interval_s, .require = p.require, .ek = p.ek_policy,
		.note_clock = p.note_clock, .note_firmware = p.note_firmware, .maintenance_until = (uint64_t)p.maintenance_until,
		.images = p.n_images ? view_of(p.images, p.n_images * sizeof(p.images[0])) : (struct view){0}});
}

static void on_set(const struct request *q, const struct adm_policy *m)
{
	struct store_policy p = {
		.pcrs = (uint32_t)m->pcrs, .interval_s = m->interval, .require = m->require != 0, .ek_policy = (uint32_t)m->ek,
		.note_clock = m->note_clock != 0, .note_firmware = m->note_firmware != 0, .maintenance_until = (int64_t)m->maintenance_until};
	struct change c = {.e = q->e, .policy = &p};

	if (!take_pool(q, m->pool, p.pool))
		return;
	if (m->images.p) {
		p.n_images = m->images.n / sizeof(p.images[0]);
		memcpy(p.images, m->images.p, p.n_images * sizeof(p.images[0]));
	}
	if (m->interval < ATTEST_INTERVAL_MIN_S || m->interval > ATTEST_INTERVAL_MAX_S) {
		admin_fail(q->e->admin, q->client, E_ARG, "the interval must be between %d s and %d s", ATTEST_INTERVAL_MIN_S, ATTEST_INTERVAL_MAX_S);
		return;
	}
	if (store_transact(q->s, put_policy, &c) != 0) {
		fail_db(q);
		return;
	}
	log_info("the policy of pool '%s' was changed: PCRs %06" PRIx32 ", every %" PRIu64 " s, attestation %s, maintenance until %" PRId64, p.pool,
		 p.pcrs, p.interval_s, p.require ? "required" : "of enrolled hosts", p.maintenance_until);
	reply(q, ADM_DONE, NULL);
}

static void on_accept(const struct request *q, const struct adm_name *m)
{
	char name[STORE_NAME] = "";
	struct change c = {.e = q->e, .host = name};
	int r = m->name.p ? view_copy_text(m->name, name, sizeof(name)) : E_NOTFOUND;

	if (r == 0)
		r = store_transact(q->s, accept_host, &c);
	if (r == E_NOTFOUND) {
		admin_fail(q->e->admin, q->client, r, "there is no host '%s' that was enrolled by token: see 'kmcctl host list'", name);
	} else if (r != 0) {
		fail_db(q);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.host = name), "the present state of host '%s' was accepted: it holds from its next attestation on", name);
		reply(q, ADM_DONE, NULL);
	}
}

bool engine_policy_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	const struct request q = {.e = e, .s = e->store, .client = client};

	switch (type) {
	case ADM_TOKEN_ADD:
		on_token_add(&q, fields);
		return true;
	case ADM_POLICY_SHOW:
		on_show(&q, fields);
		return true;
	case ADM_POLICY_SET:
		on_set(&q, fields);
		return true;
	case ADM_POLICY_ACCEPT:
		on_accept(&q, fields);
		return true;
	default:
		return false;
	}
}

int engine_policy_host(struct engine *e, const char *name, struct store_identity *identity, struct adm_host *m)
{
	int r = e->store->ops->identity_get(e->store, name, identity);

	m->software_key = 1; /* added by files: the key is one */
	if (r != 0)
		return r == E_NOTFOUND ? 0 : r;
	m->enrolled = 1;
	m->software_key = identity->software_key;
	m->ek_check = identity->ek_check;
	m->ek = view_of(identity->ek, sizeof(identity->ek));
	m->attested_at = (uint64_t)identity->attested_at;
	m->failed = identity->failed;
	m->image = identity->has_image ? view_of(identity->image, sizeof(identity->image)) : (struct view){0};
	m->reason = identity->reason[0] ? view_text(identity->reason) : (struct view){0};
	return 0;
}
