/* Rows of the audit trail. */
#include <string.h>

#include "common/error.h"
#include "kmc/store_row.h"

static int audit_last(struct store *s, struct audit_chain *c)
{
	struct row w = row_start(s, SQL_AUDIT_LAST);
	size_t n;
	int r = row_find(s, &w, "can't look up the last audit record");

	if (r != 0)
		return E_DB;
	memset(c, 0, sizeof(*c));
	c->seq = row_get_number(&w);
	n = row_get_blob(&w, c->hash, sizeof(c->hash));
	w.bad |= n != (c->seq ? sizeof(c->hash) : 0);
	return row_finish(s, &w, "the last audit record");
}

static int audit_put(struct store *s, const struct audit_chain *c, struct view record)
{
	struct row w = row_start(s, SQL_AUDIT_PUT), last = row_start(s, SQL_AUDIT_SET_LAST);
	int r;

	row_put_number(&w, c->seq);
	row_put_blob(&w, record.p, record.n);
	row_put_number(&last, c->seq);
	row_put_blob(&last, c->hash, sizeof(c->hash));
	r = row_run(s, &w, "can't write an audit record");
	return r != 0 ? r : row_run(s, &last, "can't write which audit record is the last");
}

static int audit_next(struct store *s, uint64_t after, uint64_t *seq, struct buf *record)
{
	struct row w = row_start(s, SQL_AUDIT_NEXT);
	int r;

	row_put_number(&w, after);
	r = row_find(s, &w, "can't list the audit records");
	if (r != 0)
		return r;
	*seq = row_get_number(&w);
	return row_get_bytes(s, &w, record, "an audit record");
}

static int audit_head_get(struct store *s, const char *kmc, struct buf *head)
{
	struct row w = row_start(s, SQL_AUDIT_HEAD_GET);
	int r;

	row_put_text(&w, kmc);
	r = row_find(s, &w, "can't look up a signed head");
	return r != 0 ? r : row_get_bytes(s, &w, head, "a signed head");
}

static int audit_head_put(struct store *s, const char *kmc, struct view head)
{
	struct row w = row_start(s, SQL_AUDIT_HEAD_PUT);

	row_put_text(&w, kmc);
	row_put_blob(&w, head.p, head.n);
	return row_run(s, &w, "can't write a signed head");
}

static int audit_head_next(struct store *s, const char *after, char kmc[STORE_NAME], struct buf *head)
{
	struct row w = row_start(s, SQL_AUDIT_HEAD_NEXT);
	int r;

	row_put_text(&w, after);
	r = row_find(s, &w, "can't list the signed heads");
	if (r != 0)
		return r;
	row_get_text(&w, kmc, STORE_NAME);
	return row_get_bytes(s, &w, head, "a signed head");
}

void store_audit_fill(struct store_ops *ops)
{
	ops->audit_last = audit_last;
	ops->audit_put = audit_put;
	ops->audit_next = audit_next;
	ops->audit_head_get = audit_head_get;
	ops->audit_head_put = audit_head_put;
	ops->audit_head_next = audit_head_next;
}
