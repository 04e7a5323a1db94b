/* The audit trail in the engine. */
#include "kmc/engine_audit.h"

#include <inttypes.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/kmcconf.h"

static void on_due(void *arg, unsigned int what)
{
	struct engine *e = arg;
	struct audit_chain last;
	struct ticket *t;

	(void)what;
	e->audit.due = false;
	if (!auditlog_last(&e->audit, &last))
		return;
	t = engine_ticket(e, TICKET_SIGN);
	if (!t) {
		auditlog_wake(&e->audit, TICK_MS);
		return;
	}
	e->audit.signing = true;
	link_send(e->vault, VAULT_SIGN, t->id, &(const struct vault_sign){
		.hash = view_of(last.hash, sizeof(last.hash)), .seq = last.seq, .time = (uint64_t)engine_now()});
}

void audit_start(struct engine *e, struct loop *loop)
{
	struct audit_chain last;

	if (auditlog_open(&e->audit, e->store, e->conf->name) != 0 || e->store->ops->audit_last(e->store, &last) != 0)
		fatal("%s", e->store->why);
	if (last.seq < e->audit.signed_seq)
		log_error("the audit trail ends with record %" PRIu64 ", but the head of record %" PRIu64
			  " was signed: was an older database put back, or the trail cut off?", last.seq, e->audit.signed_seq);
	e->audit.timer = source_timer(loop, on_due, e);
	if (!e->audit.timer)
		fatal("can't start: out of memory");
	auditlog_wake(&e->audit, TICK_MS); /* what was recorded before the last end */
}

void audit_signed(struct engine *e, struct ticket *t, const struct vault_signed *m)
{
	engine_ticket_end(t);
	e->audit.signing = false;
	if (auditlog_signed(&e->audit, m->head) != 0)
		log_error("the head of the audit trail could not be kept: %s", e->store->why);
	auditlog_wake(&e->audit, TICK_MS); /* what was recorded meanwhile is the next head's */
}

void audit_sign_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	engine_ticket_end(t);
	e->audit.signing = false;
	log_error("the head of the audit trail could not be signed: %.*s", (int)m->reason.n, (const char *)m->reason.p);
	auditlog_wake(&e->audit, TICKET_MS);
}

/* The end of a page: @r is what stopped it. */
static void end_page(struct engine *e, uint64_t client, int r)
{
	const struct adm_end end = {.more = r == 0 || r == E_RANGE};
	const struct adm_failed failed = {.code = -E_DB, .reason = view_text(text_make_printable(e->store->why))};

	if (r == 0 || r == E_RANGE || r == E_NOTFOUND)
		admin_answer(e->admin, client, ADM_END, &end);
	else
		admin_answer(e->admin, client, ADM_FAILED, &failed);
}

static void on_list(struct engine *e, uint64_t client, const struct adm_audit_list *m)
{
	uint8_t room[AUDIT_RECORD_MAX];
	uint64_t seq = m->after;
	struct buf b;
	int r = 0;

	for (int i = 0; i < ADM_PAGE && r == 0; i++) {
		buf_over(&b, room, sizeof(room));
		r = e->store->ops->audit_next(e->store, seq, &seq, &b);
		if (r == 0)
			r = admin_answer(e->admin, client, ADM_AUDIT_RECORD,
					 &(const struct adm_audit_record){.seq = seq, .record = view_of(room, b.len)});
	}
	end_page(e, client, r);
}

static void on_heads(struct engine *e, uint64_t client)
{
	uint8_t room[AUDIT_HEAD_MAX];
	char kmc[STORE_NAME] = "", after[STORE_NAME];
	struct buf b;
	int r = 0;

	while (r == 0) {
		memcpy(after, kmc, sizeof(after));
		buf_over(&b, room, sizeof(room));
		r = e->store->ops->audit_head_next(e->store, after, kmc, &b);
		if (r == 0)
			r = admin_answer(e->admin, client, ADM_AUDIT_HEAD, &(const struct adm_audit_head){.head = view_of(room, b.len)});
	}
	end_page(e, client, r);
}

static void on_last(struct engine *e, uint64_t client)
{
	struct audit_chain c;
	int r = e->store->ops->audit_last(e->store, &c);

	if (r == 0)
		admin_answer(e->admin, client, ADM_AUDIT_CHAIN,
			     &(const struct adm_audit_chain){.seq = c.seq, .hash = view_of(c.hash, sizeof(c.hash))});
	else
		end_page(e, client, r);
}

bool audit_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type == ADM_AUDIT_LIST)
		on_list(e, client, fields);
	else if (type == ADM_AUDIT_HEADS)
		on_heads(e, client);
	else if (type == ADM_AUDIT_LAST)
		on_last(e, client);
	else
		return false;
	return true;
}
