/* The audit trail in the store. */
#include "kmc/auditlog.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "kmc/store.h"

#define SIGN_MS 1000 /* so long after a record its head is signed: one signature for many records */

static struct view text_or_absent(const char *s)
{
	return s && *s ? view_text(s) : (struct view){0};
}

int auditlog_open(struct auditlog *l, struct store *store, const char *kmc)
{
	struct audit_signed s;
	struct audit_head h;
	struct buf b;
	int r;

	*l = (struct auditlog){.store = store, .kmc = kmc};
	buf_over(&b, l->head, sizeof(l->head));
	r = store->ops->audit_head_get(store, kmc, &b);
	if (r == 0 && audit_signed_read(view_of(b.data, b.len), &l->signed_seq, &s, &h) == 0)
		l->head_size = b.len;
	return r == E_NOTFOUND ? 0 : r;
}

int auditlog_add(struct auditlog *l, const struct audit_act *a)
{
	uint8_t frame[AUDIT_RECORD_MAX];
	struct store *s = l->store;
	struct audit_chain last;
	struct buf b;
	int r = s->ops->audit_last(s, &last);
	const struct audit_record rec = {
		.time = (uint64_t)time(NULL), .prev = view_of(last.hash, sizeof(last.hash)), .kmc = view_text(l->kmc),
		.actor = text_or_absent(a->actor), .vtpm = a->vtpm ? view_of(a->vtpm->b, UUID_SIZE) : (struct view){0},
		.host = text_or_absent(a->host), .pool = text_or_absent(a->pool), .lease_epoch = a->lease_epoch, .code = a->code,
		.detail = text_or_absent(a->detail),
	};

	if (r != 0)
		return r;
	buf_over(&b, frame, sizeof(frame));
	last.seq++;
	if ((r = audit_write(&b, last.seq, a->event, &rec)) != 0 || (r = audit_hash(view_of(frame, b.len), last.hash)) != 0) {
		snprintf(s->why, sizeof(s->why), "can't write an audit record: %s", error_text(r));
		return E_DB;
	}
	r = s->ops->audit_put(s, &last, view_of(frame, b.len));
	if (r == 0)
		auditlog_wake(l, SIGN_MS);
	return r;
}

void auditlog_wake(struct auditlog *l, uint64_t ms)
{
	if (!l->timer || l->due || l->signing)
		return;
	l->due = true;
	source_set_ms(l->timer, ms);
}

struct alone {
	struct auditlog *log;
	const struct audit_act *act;
};

static int add_one(struct store *s, void *arg)
{
	const struct alone *a = arg;

	(void)s;
	return auditlog_add(a->log, a->act);
}

int auditlog_add_alone(struct auditlog *l, const struct audit_act *act)
{
	struct alone a = {.log = l, .act = act};

	return store_transact(l->store, add_one, &a);
}

bool auditlog_last(struct auditlog *l, struct audit_chain *c)
{
	return l->store->ops->audit_last(l->store, c) == 0 && c->seq > l->signed_seq;
}

int auditlog_signed(struct auditlog *l, struct view head)
{
	struct audit_signed s;
	struct audit_head h;
	uint64_t seq;
	int r = head.n <= sizeof(l->head) ? audit_signed_read(head, &seq, &s, &h) : E_RANGE;

	if (r != 0)
		return E_FORMAT;
	if ((r = l->store->ops->audit_head_put(l->store, l->kmc, head)) != 0)
		return r;
	memcpy(l->head, head.p, head.n);
	l->head_size = head.n;
	l->signed_seq = seq;
	return 0;
}

struct view auditlog_head(const struct auditlog *l)
{
	return l->head_size ? view_of(l->head, l->head_size) : (struct view){0};
}
