/*
 * The SQLite engine: the file, its migrations and its driver.
 *
 * Theory of operation: a statement outside of a transaction locks and unlocks the file, which costs more than to read a row. While the store is
 * held, the first read begins a transaction that only reads, and what changes something ends it first.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/error.h"
#include "kmc/store_sql.h"

#define BUSY_MS 2000 /* how long to wait for another process' write */

/* Statements of the engine itself, behind the shared ones. */
enum { SQL_BEGIN = N_STATEMENTS, SQL_BEGIN_READING, SQL_COMMIT, SQL_ROLLBACK, N_ALL };

struct sqlite_store {
	struct sql_store sql; /* first: a struct sql_store * of this engine is one of these */
	sqlite3 *db;
	sqlite3_stmt *statement[N_ALL];
	bool held, reading;
};

static int fail(struct sqlite_store *s, const char *what)
{
	snprintf(s->sql.base.why, sizeof(s->sql.base.why), "database %s: %s: %s", s->db ? sqlite3_db_filename(s->db, "main") : "?", what,
		 s->db ? sqlite3_errmsg(s->db) : "out of memory");
	return E_DB;
}

static int run(struct sqlite_store *s, const char *sql, const char *what)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, what);
}

static int on_number(void *arg, int n, char **text, char **names)
{
	(void)names;
	if (n == 1 && text[0])
		*(int *)arg = (int)strtol(text[0], NULL, 10);
	return 0;
}

/* The schema that the file has, 0 for an empty file. */
static int get_version(struct sqlite_store *s, int *version)
{
	int there = 0;

	*version = 0;
	if (sqlite3_exec(s->db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'", on_number, &there,
			 NULL) != SQLITE_OK)
		return fail(s, "can't read the schema");
	if (!there)
		return 0;
	if (sqlite3_exec(s->db, "SELECT version FROM schema_version", on_number, version, NULL) != SQLITE_OK)
		return fail(s, "can't read the schema's version");
	return 0;
}

static int migrate_step(struct sqlite_store *s, int version)
{
	char set[96];
	int r;

	snprintf(set, sizeof(set), "DELETE FROM schema_version; INSERT INTO schema_version VALUES (%d)", version + 1);
	r = run(s, store_schema[version], "can't change the schema");
	return r != 0 ? r : run(s, set, "can't write the schema's version");
}

/* All steps in one transaction: a crash leaves the old schema. */
static int migrate(struct sqlite_store *s)
{
	int version, r = run(s, "BEGIN IMMEDIATE", "can't begin");

	if (r != 0)
		return r;
	r = run(s, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)", "can't write the schema");
	if (r == 0)
		r = get_version(s, &version);
	if (r == 0 && version > store_schema_version) {
		snprintf(s->sql.base.why, sizeof(s->sql.base.why),
			 "database %s: its schema %d is newer than this program's %d: upgrade the program",
			 sqlite3_db_filename(s->db, "main"), version, store_schema_version);
		r = E_VERSION;
	}
	for (; r == 0 && version < store_schema_version; version++)
		r = migrate_step(s, version);
	if (r == 0)
		r = run(s, "COMMIT", "can't commit the schema");
	if (r != 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static const char *text_of(size_t which)
{
	static const char *const own[] = {"BEGIN IMMEDIATE", "BEGIN", "COMMIT", "ROLLBACK"};

	return which < N_STATEMENTS ? store_sql[which] : own[which - N_STATEMENTS];
}

static int prepare(struct sqlite_store *s)
{
	for (size_t i = 0; i < N_ALL; i++)
		if (sqlite3_prepare_v3(s->db, text_of(i), -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL) != SQLITE_OK)
			return fail(s, "can't prepare a statement");
	return 0;
}

static struct sqlite_store *self(struct sql_store *s)
{
	return (struct sqlite_store *)s;
}

static bool bind(sqlite3_stmt *st, int i, const struct sql_value *v)
{
	switch (v->kind) {
	case SQL_NUMBER:
		return sqlite3_bind_int64(st, i, v->number) == SQLITE_OK;
	case SQL_TEXT:
		return sqlite3_bind_text64(st, i, (const char *)v->bytes.p, v->bytes.n, SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK;
	case SQL_BLOB:
		return sqlite3_bind_blob64(st, i, v->bytes.p, v->bytes.n, SQLITE_STATIC) == SQLITE_OK;
	default:
		return sqlite3_bind_null(st, i) == SQLITE_OK;
	}
}

static int simple(struct sql_store *store, int which, const char *what)
{
	struct sqlite_store *s = self(store);
	int r = sqlite3_step(s->statement[which]) == SQLITE_DONE ? 0 : fail(s, what);

	sqlite3_reset(s->statement[which]);
	return r;
}

static void stop_reading(struct sqlite_store *s)
{
	if (s->reading)
		simple(&s->sql, SQL_COMMIT, "can't stop reading");
	s->reading = false;
}

/* Ahead of @st. */
static void read_or_write(struct sqlite_store *s, sqlite3_stmt *st)
{
	if (!s->held)
		return;
	if (!sqlite3_stmt_readonly(st))
		stop_reading(s);
	else if (sqlite3_get_autocommit(s->db))
		s->reading = simple(&s->sql, SQL_BEGIN_READING, "can't read") == 0;
}

static void hold(struct sql_store *store, bool on)
{
	self(store)->held = on;
	if (!on)
		stop_reading(self(store));
}

/*
 * Whether the file at our path is not ours any more. What was written then would be told as kept and be gone at the next start. It is
 * never opened anew by itself: the write-ahead log beside it belongs to the other one.
 */
static bool has_moved(struct sqlite_store *s, const char *what)
{
	int moved = 0;

	if (!sqlite3_get_autocommit(s->db) || /* asked when the transaction began */
	    sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved)
		return false;
	snprintf(s->sql.base.why, sizeof(s->sql.base.why),
		 "database %s: %s: it was moved away or replaced under a running kmcd: put it back; to use another one, stop kmcd first",
		 sqlite3_db_filename(s->db, "main"), what);
	return true;
}

static int run_statement(struct sql_store *store, enum statement which, const struct sql_value *in, size_t n,
			 const char *what)
{
	sqlite3_stmt *st = self(store)->statement[which];
	bool ok = true;
	int rc;

	if (has_moved(self(store), what))
		return E_DB;
	read_or_write(self(store), st);
	for (size_t i = 0; i < n; i++)
		ok &= bind(st, (int)i + 1, &in[i]);
	rc = ok ? sqlite3_step(st) : SQLITE_ERROR;
	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? E_NOTFOUND : fail(self(store), what);
}

static struct sql_value value_of(sqlite3_stmt *st, int i)
{
	struct sql_value v = {.kind = SQL_NULL};

	switch (sqlite3_column_type(st, i)) {
	case SQLITE_INTEGER:
		v = (struct sql_value){.kind = SQL_NUMBER, .number = sqlite3_column_int64(st, i)};
		break;
	case SQLITE_TEXT:
		v = (struct sql_value){.kind = SQL_TEXT, .bytes.p = sqlite3_column_text(st, i)};
		break;
	case SQLITE_BLOB:
		v = (struct sql_value){.kind = SQL_BLOB, .bytes.p = sqlite3_column_blob(st, i)};
		break;
	default:
		break;
	}
	if (v.bytes.p)
		v.bytes.n = (size_t)sqlite3_column_bytes(st, i);
	return v;
}

static struct sql_value column(struct sql_store *store, enum statement which, int i)
{
	return value_of(self(store)->statement[which], i);
}

static int query(struct sql_store *store, const char *sql, const struct sql_value *in, size_t n, sql_row_fn *fn, void *arg, const char *what)
{
	struct sql_value row[SQL_VALUES_MAX];
	sqlite3_stmt *st = NULL;
	int rc, columns, r = 0;
	bool ok;

	stop_reading(self(store));
	if (has_moved(self(store), what))
		return E_DB;
	ok = sqlite3_prepare_v2(self(store)->db, sql, -1, &st, NULL) == SQLITE_OK;

	for (size_t i = 0; ok && i < n; i++)
		ok = bind(st, (int)i + 1, &in[i]);
	columns = ok ? sqlite3_column_count(st) : 0;
	rc = !ok || columns > SQL_VALUES_MAX ? SQLITE_ERROR : sqlite3_step(st);
	for (; rc == SQLITE_ROW && r == 0; rc = r == 0 ? sqlite3_step(st) : rc) {
		for (int i = 0; i < columns; i++)
			row[i] = value_of(st, i);
		r = fn(arg, row, (size_t)columns);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(self(store), what);
	sqlite3_finalize(st);
	return r;
}

static void end_statement(struct sql_store *store, enum statement which)
{
	sqlite3_reset(self(store)->statement[which]);
	sqlite3_clear_bindings(self(store)->statement[which]);
}

static int begin(struct sql_store *s)
{
	static const char what[] = "can't begin a transaction";

	stop_reading(self(s));
	return has_moved(self(s), what) ? E_DB : simple(s, SQL_BEGIN, what);
}

static int commit(struct sql_store *s)
{
	return simple(s, SQL_COMMIT, "can't commit");
}

static void rollback(struct sql_store *s)
{
	if (!sqlite3_get_autocommit(self(s)->db))
		simple(s, SQL_ROLLBACK, "can't roll back");
}

static void close_store(struct sql_store *store)
{
	struct sqlite_store *s = self(store);

	for (size_t i = 0; i < N_ALL; i++)
		sqlite3_finalize(s->statement[i]);
	sqlite3_close(s->db);
	free(s);
}

static const struct sql_driver driver = {
	.name = "sqlite",
	.close = close_store,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.hold = hold,
	.run = run_statement,
	.column = column,
	.end = end_statement,
	.query = query,
};

static int open_file(struct sqlite_store *s, const char *path, bool create)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (create ? SQLITE_OPEN_CREATE : 0);
	int rc = sqlite3_open_v2(path, &s->db, flags, NULL), r;

	if (rc != SQLITE_OK) {
		snprintf(s->sql.base.why, sizeof(s->sql.base.why), "can't open the database %s: %s", path, sqlite3_errstr(rc));
		return E_DB;
	}
	sqlite3_busy_timeout(s->db, BUSY_MS);
	/* synchronous=FULL: what was committed survives a power cut; a seed or a state is only acknowledged after that. */
	r = run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
		   "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -8192", "can't set it up");
	if (r == 0)
		r = migrate(s);
	return r != 0 ? r : prepare(s);
}

int store_sqlite_open(struct store **store, const char *path, bool create, char why[STORE_WHY])
{
	struct sqlite_store *s;
	bool there = access(path, F_OK) == 0;
	int r;

	*store = NULL;
	if (there == create) {
		snprintf(why, STORE_WHY, there ? "the database %s exists already"
			 : "there is no database %s: run 'kmcctl init' first", path);
		return there ? E_EXISTS : E_NOTFOUND;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		snprintf(why, STORE_WHY, "out of memory");
		return E_NOMEM;
	}
	s->sql = (struct sql_store){.base = {.ops = store_rows(), .name = driver.name}, .driver = &driver};
	r = open_file(s, path, create);
	if (r != 0) {
		snprintf(why, STORE_WHY, "%s", s->sql.base.why);
		close_store(&s->sql);
		return r;
	}
	*store = &s->sql.base;
	return 0;
}
