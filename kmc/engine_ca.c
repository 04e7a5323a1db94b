/* The KMC's certificate authorities, in the engine. */
#include "kmc/engine_ca.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "kmc/admin.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"

#define LOOK_MS 5000	/* how often it is looked whether another kmcd has changed something */
#define AGAIN_S 3600	/* how often hosts ask */
#define CHANGING_S 60	/* and while one authority follows another */

/* There is one engine in a process. */
static struct {
	struct source *timer;
	struct authorities checked; /* what the vault is asked about */
	unsigned int asked;	    /* answers that are still to come */
	bool failed;
	void (*ready)(struct engine *e);
	struct ca_cert file, server; /* as 'kmcctl init' made it, or the last change left it; this kmcd's own certificate */
	uint32_t server_noted;
} ca;

static const char *issuer_trouble(const struct authority *by)
{
	return !by ? "by none of this KMC's authorities" : by->state == AUTHORITY_RETIRED ? "by an authority that is retired" : NULL;
}

/* By whom this kmcd's own certificate is: hosts that are new learn that authority first. */
static void note_server(struct engine *e)
{
	const struct authority *by = authorities_issuer(e->authorities, &ca.server), *signs = authorities_in(e->authorities, AUTHORITY_CURRENT);
	struct store_server row = {.authority = by ? by->number : 0, .started_at = e->started_at};
	const char *trouble = issuer_trouble(by);

	e->server_ca = by ? by->cert : signs->cert;
	e->server_authority = by ? by->number : signs->number;
	if (trouble)
		log_error("this KMC's own certificate is %s: hosts do not take it; run 'kmcctl server renew' and start kmcd anew", trouble);
	if (ca.server_noted == row.authority && ca.server_noted)
		return;
	snprintf(row.name, sizeof(row.name), "%s", e->conf->name);
	if (e->store->ops->server_put(e->store, &row) == 0)
		ca.server_noted = row.authority;
	else
		log_error("%s", e->store->why);
}

static void adopt(struct engine *e)
{
	bool first = !e->authorities->n;

	*e->authorities = ca.checked;
	e->ca = authorities_in(e->authorities, AUTHORITY_CURRENT)->cert;
	link_send(e->front, FRONT_TRUST, 0, &(const struct front_trust){.authorities = view_of(e->authorities->bundle, e->authorities->bundle_size)});
	note_server(e);
	if (first)
		ca.ready(e);
	else
		log_info("certificate authority %u signs now, %zu are trusted", authorities_in(e->authorities, AUTHORITY_CURRENT)->number, e->authorities->n_live);
}

/* Ask the vault about each that is trusted. */
static void ask_vault(struct engine *e)
{
	ca.failed = false;
	for (size_t i = 0; i < ca.checked.n; i++) {
		const struct authority *t = &ca.checked.list[i];
		struct ticket *ticket;

		if (t->state == AUTHORITY_RETIRED || !t->key_size)
			continue;
		ticket = engine_ticket(e, TICKET_CA);
		if (!ticket) {
			ca.failed = true; /* the next look tries again */
			continue;
		}
		ca.asked++;
		wrapping_before(e, view_of(t->key, t->key_size));
		link_send(e->vault, VAULT_CA, ticket->id, &(const struct vault_ca){.certificate = view_of(t->cert.der, t->cert.size),
			.key = view_of(t->key, t->key_size), .sign = t->state == AUTHORITY_CURRENT});
	}
}

void engine_ca_look(struct engine *e)
{
	int r;

	if (ca.asked)
		return;
	r = authorities_read(&ca.checked, e->store, &ca.file);
	if (r == 0 && authorities_same(&ca.checked, e->authorities))
		return;
	if (r == 0 && !authorities_in(&ca.checked, AUTHORITY_CURRENT))
		r = E_STATE;
	if (r == 0)
		ask_vault(e);
	else if (!e->authorities->n)
		fatal("can't read the certificate authorities: %s", r == E_DB ? e->store->why : "their rows are not as they should be");
	else
		log_error("can't read the certificate authorities: %s", r == E_DB ? e->store->why : "their rows are not as they should be");
	if (r == 0 && !ca.asked && !ca.failed)
		adopt(e);
}

static void on_time(void *arg, unsigned int what)
{
	(void)what;
	engine_ca_look(arg);
	source_set_ms(ca.timer, LOOK_MS);
}

void engine_ca_start(struct engine *e, struct loop *loop, void (*ready)(struct engine *e))
{
	ca.ready = ready;
	ca.file = e->ca;
	e->authorities = calloc(1, sizeof(*e->authorities));
	ca.timer = source_timer(loop, on_time, e);
	if (!e->authorities || !ca.timer)
		fatal("can't start: out of memory");
	if (ca_cert_read(&ca.server, e->conf->tls_certificate) != 0)
		fatal("can't read this KMC's certificate %s: was 'kmcctl init' run?", e->conf->tls_certificate);
	on_time(e, 0);
}

bool engine_ca_known(const struct engine *e)
{
	return e->authorities && e->authorities->n;
}

void engine_ca_taken(struct engine *e, struct ticket *t)
{
	engine_ticket_end(t);
	if (--ca.asked == 0 && !ca.failed)
		adopt(e);
}

void engine_ca_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	enum ticket_kind kind = t->kind;
	uint64_t client = t->client;

	engine_ticket_end(t);
	if (kind == TICKET_CA_MAKE) {
		admin_fail(e->admin, client, -(int)m->code, "%.*s", (int)m->reason.n, (const char *)m->reason.p);
		return;
	}
	ca.asked--;
	ca.failed = true;
	if (!e->authorities->n)
		fatal("vault: %.*s", (int)m->reason.n, (const char *)m->reason.p);
	log_error("vault: %.*s; the authorities stay as they were", (int)m->reason.n, (const char *)m->reason.p);
}

/* --- hosts --- */

struct telling {
	const char *host;
	uint64_t authority;
};

static int put_trust(struct store *s, void *arg)
{
	const struct telling *t = arg;
	uint64_t known = 0;
	int r = s->ops->trust_get(s, t->host, &known);

	if (r != 0 && r != E_NOTFOUND)
		return r;
	return known == t->authority ? 0 : s->ops->trust_put(s, t->host, t->authority);
}

int engine_ca_of_host(struct engine *e, const char *host, const uint8_t fingerprint[32], uint32_t *number)
{
	struct store_hostcert c;
	int r = e->store->ops->hostcert_get(e->store, host, fingerprint, &c);

	*number = r == E_NOTFOUND ? e->authorities->list[0].number : 0; /* what has no row is from before there was a second one */
	for (size_t i = 0; r == 0 && i < e->authorities->n; i++)
		if (memcmp(e->authorities->list[i].hash, c.ca, sizeof(c.ca)) == 0)
			*number = e->authorities->list[i].number;
	return r == E_NOTFOUND ? 0 : r;
}

void engine_ca_trust(struct engine *e, const struct asker *a, struct view fingerprint, const struct kmc_trust *m)
{
	const struct authority *signs = authorities_in(e->authorities, AUTHORITY_CURRENT);
	struct kmc_trusted answer = {.again = e->authorities->n_live > 1 ? CHANGING_S : AGAIN_S};
	struct telling t = {.host = a->host, .authority = authorities_newest(e->authorities)->number};
	uint32_t by;
	int r = engine_ca_of_host(e, a->host, fingerprint.p, &by);

	if (!bytes_equal(m->have.p, e->authorities->bundle_hash, 32))
		answer.authorities = view_of(e->authorities->bundle, e->authorities->bundle_size);
	else if (r == 0)
		r = store_transact(e->store, put_trust, &t);
	if (r != 0) {
		engine_refuse_db(e, a);
		return;
	}
	answer.renew = by != signs->number;
	engine_answer(e, a, KMC_TRUSTED, &answer);
}
