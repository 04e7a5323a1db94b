/* Replicas, in the engine: who asked, and the record of what the vault made. */
#include "kmc/engine_replica.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/admin.h"
#include "kmc/kmcconf.h"

bool replica_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	const struct adm_replica_add *m = fields;
	struct ticket *t;

	if (type != ADM_REPLICA_ADD)
		return false;
	t = engine_ticket(e, TICKET_REPLICA);
	if (!t) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: try again");
		return true;
	}
	t->client = client;
	view_copy_text(m->name, t->host.name, sizeof(t->host.name));
	view_copy_text(m->remark, t->remark, sizeof(t->remark));
	if (!engine_is_name(t->host.name)) {
		engine_ticket_end(t);
		admin_fail(e->admin, client, E_ARG, "the replica's name is none: correct [kmc] name there");
		return true;
	}
	link_send(e->vault, VAULT_DUPLICATE, t->id, &(const struct vault_duplicate){
		.ek = m->ek, .storage = m->storage, .authority = m->authority, .signature = m->signature});
	return true;
}

void replica_duplicated(struct engine *e, struct ticket *t, const struct vault_duplicated *m)
{
	const struct audit_act act = {.event = AUDIT_REPLICA_ADDED, .host = t->host.name, .detail = t->remark};

	if (auditlog_add_alone(&e->audit, &act) != 0) { /* what is not recorded does not leave */
		log_error("%s", e->store->why);
		admin_fail(e->admin, t->client, E_DB, "%s", e->store->why);
	} else {
		log_info("a copy of the parent key was made for the TPM of replica '%s': %s", t->host.name, t->remark);
		admin_answer(e->admin, t->client, ADM_REPLICA_COPY, &(const struct adm_replica_copy){
			.kmc = view_text(e->conf->name), .credential = m->credential, .secret = m->secret, .public = m->public,
			.duplicate = m->duplicate, .seed = m->seed});
	}
	engine_ticket_end(t);
}

void replica_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	admin_fail(e->admin, t->client, -(int)m->code, "%.*s", (int)m->reason.n, (const char *)m->reason.p);
	engine_ticket_end(t);
}
