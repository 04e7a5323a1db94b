/* A whole database, table by table, in the order in which they were made: what others refer to comes first. */
#include "kmc/store_copy.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "kmc/store_sql.h"

#define TABLES_MAX 48
#define NAME 48
#define SQL_MAX 1500

struct table {
	char name[NAME];
	char columns[SQL_MAX / 2]; /* separated by ", " */
	size_t n;
};

struct copying {
	struct sql_store *to;
	struct table tables[TABLES_MAX];
	size_t n_tables;
	const struct table *now;
	char insert[SQL_MAX];
};

static struct sql_store *self(struct store *s)
{
	return (struct sql_store *)s;
}

/* A column: its table's name and its own. */
static int on_column(void *arg, const struct sql_value *row, size_t n)
{
	struct copying *c = arg;
	struct table *t = c->n_tables ? &c->tables[c->n_tables - 1] : NULL;
	size_t at;

	if (n != 2 || row[0].kind != SQL_TEXT || row[1].kind != SQL_TEXT || row[0].bytes.n >= NAME || row[1].bytes.n >= NAME)
		return E_RANGE;
	if (!t || strlen(t->name) != row[0].bytes.n || memcmp(t->name, row[0].bytes.p, row[0].bytes.n) != 0) {
		if (c->n_tables == TABLES_MAX)
			return E_RANGE;
		t = &c->tables[c->n_tables++];
		memset(t, 0, sizeof(*t));
		memcpy(t->name, row[0].bytes.p, row[0].bytes.n);
	}
	at = strlen(t->columns);
	if (t->n == SQL_VALUES_MAX || at + row[1].bytes.n + 3 > sizeof(t->columns))
		return E_RANGE;
	snprintf(t->columns + at, sizeof(t->columns) - at, "%s%.*s", t->n++ ? ", " : "", (int)row[1].bytes.n, (const char *)row[1].bytes.p);
	return 0;
}

static int on_row(void *arg, const struct sql_value *row, size_t n)
{
	struct copying *c = arg;

	return n != c->now->n ? E_DB : c->to->driver->query(c->to, c->insert, row, n, NULL, NULL, "can't copy a row");
}

static int copy_table(struct sql_store *from, struct copying *c, const struct table *t)
{
	char sql[SQL_MAX];
	size_t at;
	int r;

	c->now = t;
	at = (size_t)snprintf(c->insert, sizeof(c->insert), "INSERT INTO %s (%s) VALUES (", t->name, t->columns);
	for (size_t i = 0; i < t->n; i++)
		at += (size_t)snprintf(c->insert + at, sizeof(c->insert) - at, "%s?%zu", i ? ", " : "", i + 1);
	snprintf(c->insert + at, sizeof(c->insert) - at, ")");
	snprintf(sql, sizeof(sql), "DELETE FROM %s", t->name); /* what the schema itself puts there */
	r = c->to->driver->query(c->to, sql, NULL, 0, NULL, NULL, "can't empty a table");
	snprintf(sql, sizeof(sql), "SELECT %s FROM %s", t->columns, t->name);
	return r != 0 ? r : from->driver->query(from, sql, NULL, 0, on_row, c, "can't read a table");
}

static int copy_all(struct sql_store *from, struct sql_store *sqlite, struct copying *c)
{
	static const char tables[] = "SELECT m.name, p.name FROM sqlite_schema m, pragma_table_info(m.name) p WHERE m.type = 'table'"
				     " AND m.name <> 'schema_version' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.rowid, p.cid";
	int r = sqlite->driver->query(sqlite, tables, NULL, 0, on_column, c, "can't list the tables");

	for (size_t i = 0; i < c->n_tables && r == 0; i++)
		r = copy_table(from, c, &c->tables[i]);
	return r;
}

int store_copy(struct store *from, struct store *to, char why[STORE_WHY])
{
	static struct copying c;
	bool from_sqlite = strcmp(from->name, "sqlite") == 0;
	struct sql_store *f = self(from), *t = self(to);
	int r;

	c = (struct copying){.to = t};
	from->why[0] = to->why[0] = '\0';
	if (!from_sqlite) /* a large table takes its time */
		f->driver->query(f, "SET statement_timeout = 0", NULL, 0, NULL, NULL, "can't set up the connection");
	/* one moment of @from: a snapshot that keeps nobody from writing */
	r = f->driver->query(f, from_sqlite ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, 0, NULL, NULL, "can't begin");
	if (r == 0)
		r = t->driver->query(t, "BEGIN", NULL, 0, NULL, NULL, "can't begin");
	if (r == 0)
		r = copy_all(f, from_sqlite ? f : t, &c);
	if (r == 0)
		r = t->driver->query(t, "COMMIT", NULL, 0, NULL, NULL, "can't commit");
	snprintf(why, STORE_WHY, "%s", from->why[0] ? from->why : to->why[0] ? to->why : "a table has more columns than were expected");
	if (r != 0)
		t->driver->query(t, "ROLLBACK", NULL, 0, NULL, NULL, "can't roll back");
	f->driver->query(f, "COMMIT", NULL, 0, NULL, NULL, "can't end the snapshot");
	return r;
}
