/* The server's own certificate, in the engine: who asked, and the record of what the vault issued. */
#include "kmc/engine_server.h"

#include "common/error.h"
#include "common/log.h"
#include "kmc/admin.h"
#include "kmc/kmcconf.h"

bool server_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	const struct adm_server_renew *m = fields;
	struct ticket *t;

	if (type != ADM_SERVER_RENEW)
		return false;
	t = engine_ticket(e, TICKET_SERVER);
	if (!t) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: try again");
		return true;
	}
	t->client = client;
	link_send(e->vault, VAULT_ISSUE, t->id, &(const struct vault_issue){
		.name = view_text(e->conf->name), .spki = m->spki, .not_before = m->not_before, .not_after = m->not_after, .servers = m->names});
	return true;
}

void server_issued(struct engine *e, struct ticket *t, const struct vault_issued *m)
{
	const struct audit_act act = {.event = AUDIT_SERVER_RENEWED, .host = e->conf->name};

	if (auditlog_add_alone(&e->audit, &act) != 0) { /* what is not recorded does not leave */
		log_error("%s", e->store->why);
		admin_fail(e->admin, t->client, E_DB, "%s", e->store->why);
	} else {
		log_info("a new certificate was issued for this server");
		admin_answer(e->admin, t->client, ADM_SERVER_RENEWED, &(const struct adm_server_renewed){.cert = m->cert});
	}
	engine_ticket_end(t);
}

void server_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	admin_fail(e->admin, t->client, -(int)m->code, "%.*s", (int)m->reason.n, (const char *)m->reason.p);
	engine_ticket_end(t);
}
