/* The audit trail in the engine. */
#include "kmc/engine_audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/kmcconf.h"

#define CLOCK_SLACK_S 60 /* machines that share a database differ by less */

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
		.hash = view_of(last.hash, sizeof(last.hash)), .seq = last.seq, .time = (uint64_t)engine_machine_time()});
}

/* When the last record was written, 0: there is none. */
static int64_t last_time(struct engine *e, uint64_t last)
{
	uint8_t room[AUDIT_RECORD_MAX];
	struct audit_record record = {0};
	uint64_t seq, event;
	struct buf b;

	buf_over(&b, room, sizeof(room));
	if (last == 0 || e->store->ops->audit_next(e->store, last - 1, &seq, &b) != 0 ||
	    audit_read(view_of(b.data, b.len), &seq, &event, &record) != 0 || record.time > INT64_MAX)
		return 0; /* 'audit verify' says more of what is wrong with it */
	return (int64_t)record.time;
}

void audit_clock(struct engine *e)
{
	char detail[120];
	const struct audit_act act = {.event = AUDIT_CLOCK_BACK, .detail = detail};
	int64_t behind = engine_clock_behind();

	if (behind <= CLOCK_SLACK_S) {
		if (e->clock_is_back)
			log_info("this machine's clock has caught up");
		e->clock_is_back = false;
		return;
	}
	if (e->clock_is_back)
		return;
	snprintf(detail, sizeof(detail), "this machine's clock was set back by %" PRId64 " seconds: what has expired stays expired", behind);
	log_error("%s; certificates that it makes may not be valid elsewhere: set it right", detail);
	e->clock_is_back = auditlog_add_alone(&e->audit, &act) == 0; /* else again at the next request */
}

void audit_start(struct engine *e, struct loop *loop)
{
	struct audit_chain last;

	if (auditlog_open(&e->audit, e->store, e->conf->name) != 0 || e->store->ops->audit_last(e->store, &last) != 0)
		fatal("%s", e->store->why);
	if (last.seq < e->audit.signed_seq)
		log_error("the audit trail ends with record %" PRIu64 ", but the head of record %" PRIu64
			  " was signed: was an older database put back, or the trail cut off?", last.seq, e->audit.signed_seq);
	engine_clock_start(last_time(e, last.seq));
	e->audit.timer = source_timer(loop, on_due, e);
	if (!e->audit.timer)
		fatal("can't start: out of memory");
	audit_clock(e);
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
