/* What every SQL engine does: transactions by its driver, counting, and the operations of the other files put together. */
#include <string.h>

#include "common/error.h"
#include "kmc/store_row.h"

static struct sql_store *self(struct store *s)
{
	return (struct sql_store *)s;
}

static void close_it(struct store *s)
{
	self(s)->driver->close(self(s));
}

static int begin(struct store *s)
{
	return self(s)->driver->begin(self(s));
}

static void rollback(struct store *s)
{
	self(s)->driver->rollback(self(s));
}

static void hold(struct store *s)
{
	if (self(s)->driver->hold)
		self(s)->driver->hold(self(s), true);
}

static void let_go(struct store *s)
{
	if (self(s)->driver->hold)
		self(s)->driver->hold(self(s), false);
}

static int commit(struct store *s)
{
	char why[STORE_WHY];
	int r = self(s)->driver->commit(self(s));

	if (r != 0) {
		memcpy(why, s->why, sizeof(why));
		rollback(s);
		memcpy(s->why, why, sizeof(why));
	}
	return r;
}

static int count(struct store *s, struct store_counts *c)
{
	struct row w = row_start(s, SQL_COUNT);
	int r = row_find(s, &w, "can't count");

	if (r != 0)
		return r;
	c->hosts = row_get_number(&w);
	c->vtpms = row_get_number(&w);
	c->held = row_get_number(&w);
	c->states = row_get_number(&w);
	c->state_bytes = row_get_number(&w);
	return row_finish(s, &w, "counts");
}

const struct store_ops *store_rows(void)
{
	static struct store_ops ops = {
		.close = close_it,
		.begin = begin,
		.commit = commit,
		.rollback = rollback,
		.hold = hold,
		.let_go = let_go,
		.count = count,
	};

	if (!ops.pool_get) {
		store_hosts_fill(&ops);
		store_hostcerts_fill(&ops);
		store_authorities_fill(&ops);
		store_identities_fill(&ops);
		store_keys_fill(&ops);
		store_vtpms_fill(&ops);
		store_states_fill(&ops);
		store_audit_fill(&ops);
		store_wrapping_fill(&ops);
	}
	return &ops;
}
