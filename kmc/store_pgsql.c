/*
 * The PostgreSQL engine, on libpq: the connection, migrations and the driver.
 *
 * Theory of operation: several kmcd may share one database. A transaction begins with a lock on the one row of audit_last, so that writers
 * take turns, whichever machine they are on: what a transaction has read stays so until it ends, and the audit trail is one chain. This
 * needs neither serializable transactions nor retries; a database that asks for one all the same (40001, 40P01) gets it from
 * store_transact(). A kmcd that stalls in a transaction loses it to a timeout of the server.
 *
 * A connection that is lost is made anew at the next statement outside of a transaction, and lookups are repeated then. That a commit's answer
 * was lost is an error of its own: who asked will ask again, and every request of hosts may be repeated.
 */
#include <ctype.h>
#include <endian.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <postgresql/libpq-fe.h>

#include "common/error.h"
#include "common/loop.h"
#include "kmc/store_sql.h"

#define SQL_BYTES 2048 /* of a statement in PostgreSQL's spelling */
#define PAUSE_MS 1000  /* after a connection could not be made: until then, fail at once */
#define OPEN_TRIES 3   /* two kmcd may bring a new database up at the same time */

/* How PostgreSQL sends what we store: the types' object identifiers in its catalogue. */
enum { TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_TEXT = 25, TYPE_VARCHAR = 1043 };

struct pgsql_store {
	struct sql_store sql; /* first: a struct sql_store * of this engine is one of these */
	char *connection;     /* may hold a password: it is never shown */
	PGconn *db;	      /* NULL: there is no connection */
	uint64_t failed_at;   /* when one could not be made; 0: it could */
	bool in_transaction;
	PGresult *row;
};

static struct pgsql_store *self(struct sql_store *s)
{
	return (struct pgsql_store *)s;
}

/* Note @why, which may have a line for each host that was tried, as one line. Return: E_DB. */
static int fail(struct pgsql_store *s, const char *what, const char *why)
{
	char *text = s->sql.base.why;
	size_t end;

	snprintf(text, STORE_WHY, "database: %s: %s", what, why);
	for (end = strlen(text); end && text[end - 1] == '\n'; end--)
		text[end - 1] = '\0';
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ';';
	return E_DB;
}

/* --- statements in PostgreSQL's spelling --- */

static bool starts_word(const char *text, const char *p)
{
	return isalpha((unsigned char)*p) && (p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_'));
}

/* What takes the place of the word at @p, and its length into *n; NULL: it stays. */
static const char *translate(const char *p, size_t *n)
{
	static const char *const words[][2] = {{"INTEGER", "BIGINT"}, {"BLOB", "BYTEA"}, {"WITHOUT ROWID", ""}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		*n = strlen(words[i][0]);
		if (strncmp(p, words[i][0], *n) == 0 && !isalnum((unsigned char)p[*n]) && p[*n] != '_')
			return words[i][1];
	}
	return NULL;
}

static int spell(const char *sql, char *out, size_t cap)
{
	size_t len = 0, n;

	for (const char *p = sql; *p; ) {
		const char *word = starts_word(sql, p) ? translate(p, &n) : NULL;

		if (!word) {
			word = *p == '?' ? "$" : NULL;
			n = 1;
		}
		if (len + (word ? strlen(word) : n) >= cap)
			return E_RANGE;
		memcpy(out + len, word ? word : p, word ? strlen(word) : n);
		len += word ? strlen(word) : n;
		p += n;
	}
	out[len] = '\0';
	return 0;
}

/* --- the connection --- */

static void on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
}

static void disconnect(struct pgsql_store *s)
{
	PQclear(s->row);
	s->row = NULL;
	PQfinish(s->db);
	s->db = NULL;
	s->in_transaction = false;
}

/* Run something without parameters; @what NULL: nobody asks how it went. */
static int simple(struct pgsql_store *s, const char *sql, const char *what)
{
	PGresult *result = PQexec(s->db, sql);
	ExecStatusType status = PQresultStatus(result);
	int r = 0;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		r = what ? fail(s, what, PQerrorMessage(s->db)) : E_DB;
	PQclear(result);
	return r;
}

/* What was committed must survive the server's machine: only synchronous_commit = off would break that, stronger settings stay. */
static int set_up(struct pgsql_store *s)
{
	return simple(s, "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
			 "SET lock_timeout = 5000; SET statement_timeout = 10000; SET idle_in_transaction_session_timeout = 10000",
		      "can't set up the connection");
}

static int connect_now(struct pgsql_store *s)
{
	/* What stands behind dbname, the administrator's string, does not matter if that says otherwise. */
	const char *const keys[] = {"connect_timeout", "tcp_user_timeout", "keepalives_idle", "target_session_attrs", "application_name",
				    "dbname", "client_encoding", NULL};
	const char *const values[] = {"3", "5000", "10", "read-write", "kmcd", s->connection, "UTF8", NULL};

	disconnect(s);
	s->db = PQconnectdbParams(keys, values, 1);
	if (PQstatus(s->db) != CONNECTION_OK) {
		fail(s, "can't connect", s->db ? PQerrorMessage(s->db) : "out of memory");
		disconnect(s);
		return E_DB;
	}
	PQsetNoticeReceiver(s->db, on_notice, NULL);
	return set_up(s);
}

static int prepare_all(struct pgsql_store *s)
{
	char name[16], sql[SQL_BYTES];

	for (int i = 0; i < N_STATEMENTS; i++) {
		PGresult *result;
		bool ok;

		snprintf(name, sizeof(name), "s%d", i);
		if (spell(store_sql[i], sql, sizeof(sql)) != 0)
			return fail(s, "can't prepare a statement", "it is too long");
		result = PQprepare(s->db, name, sql, 0, NULL);
		ok = PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
		if (!ok)
			return fail(s, "can't prepare a statement", PQerrorMessage(s->db));
	}
	return 0;
}

static bool is_lost(const struct pgsql_store *s)
{
	return !s->db || PQstatus(s->db) != CONNECTION_OK;
}

/* A connection that serves, for what begins now. */
static int connected(struct pgsql_store *s)
{
	int r;

	if (!is_lost(s))
		return 0;
	if (s->failed_at && loop_now_ms() - s->failed_at < PAUSE_MS)
		return E_DB; /* why is still there */
	r = connect_now(s);
	if (r == 0)
		r = prepare_all(s);
	if (r != 0)
		disconnect(s);
	s->failed_at = r == 0 ? 0 : loop_now_ms();
	return r;
}

/* --- the driver --- */

static int refused(struct pgsql_store *s, const PGresult *result, const char *what)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	fail(s, what, text ? text : PQerrorMessage(s->db));
	return state && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0) ? E_BUSY : E_DB;
}

/* Parameters as libpq takes them; numbers go as 8 bytes, big endian. */
struct parameters {
	int64_t number[SQL_VALUES_MAX];
	const char *values[SQL_VALUES_MAX];
	int lengths[SQL_VALUES_MAX], formats[SQL_VALUES_MAX];
	Oid types[SQL_VALUES_MAX];
};

static void set_parameters(struct parameters *p, const struct sql_value *in, size_t n)
{
	static const Oid types[] = {[SQL_NULL] = 0, [SQL_NUMBER] = TYPE_INT8, [SQL_TEXT] = TYPE_TEXT, [SQL_BLOB] = TYPE_BYTEA};

	for (size_t i = 0; i < n; i++) {
		p->number[i] = (int64_t)htobe64((uint64_t)in[i].number);
		p->values[i] = in[i].kind == SQL_NULL ? NULL
			       : in[i].kind == SQL_NUMBER ? (const char *)&p->number[i] : (const char *)in[i].bytes.p;
		p->lengths[i] = in[i].kind == SQL_NUMBER ? (int)sizeof(p->number[i]) : (int)in[i].bytes.n;
		p->formats[i] = 1;
		p->types[i] = types[in[i].kind];
	}
}

static int execute(struct pgsql_store *s, enum statement which, const struct sql_value *in, size_t n, const char *what)
{
	struct parameters p;
	ExecStatusType status;
	char name[16];

	set_parameters(&p, in, n);
	snprintf(name, sizeof(name), "s%d", (int)which);
	s->row = PQexecPrepared(s->db, name, (int)n, p.values, p.lengths, p.formats, 1);
	status = PQresultStatus(s->row);
	if (status == PGRES_TUPLES_OK && PQntuples(s->row) > 0)
		return 0;
	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ? E_NOTFOUND : refused(s, s->row, what);
}

static void end_statement(struct sql_store *store, enum statement which)
{
	(void)which;
	PQclear(self(store)->row);
	self(store)->row = NULL;
}

static int run_statement(struct sql_store *store, enum statement which, const struct sql_value *in, size_t n, const char *what)
{
	struct pgsql_store *s = self(store);
	bool alone = !s->in_transaction, may_repeat = alone && strncmp(store_sql[which], "SELECT", 6) == 0;
	int r = alone ? connected(s) : 0;

	if (r != 0 || (!alone && is_lost(s)))
		return r != 0 ? r : fail(s, what, "the connection was lost");
	r = execute(s, which, in, n, what);
	if (may_repeat && (r == E_BUSY || (r == E_DB && is_lost(s)))) {
		end_statement(store, which);
		r = connected(s);
		if (r == 0)
			r = execute(s, which, in, n, what);
	}
	return alone && r == E_BUSY ? E_DB : r;
}

static struct sql_value value_of(const PGresult *row, int i)
{
	const struct view bytes = view_of(PQgetvalue(row, 0, i), (size_t)PQgetlength(row, 0, i));
	uint64_t n8;
	uint32_t n4;

	if (PQgetisnull(row, 0, i))
		return (struct sql_value){.kind = SQL_NULL};
	switch (PQftype(row, i)) {
	case TYPE_INT8:
		memcpy(&n8, bytes.p, sizeof(n8));
		return (struct sql_value){.kind = SQL_NUMBER, .number = (int64_t)be64toh(n8)};
	case TYPE_INT4:
		memcpy(&n4, bytes.p, sizeof(n4));
		return (struct sql_value){.kind = SQL_NUMBER, .number = (int32_t)be32toh(n4)};
	case TYPE_TEXT:
	case TYPE_VARCHAR:
		return (struct sql_value){.kind = SQL_TEXT, .bytes = bytes};
	case TYPE_BYTEA:
		return (struct sql_value){.kind = SQL_BLOB, .bytes = bytes};
	default:
		return (struct sql_value){.kind = SQL_NULL};
	}
}

static struct sql_value column(struct sql_store *store, enum statement which, int i)
{
	(void)which;
	return value_of(self(store)->row, i);
}

static int each_row(const PGresult *result, sql_row_fn *fn, void *arg)
{
	struct sql_value row[SQL_VALUES_MAX];
	int columns = PQnfields(result), r = 0;

	for (int i = 0; i < PQntuples(result) && r == 0; i++) { /* one, in single-row mode */
		for (int j = 0; j < columns && j < SQL_VALUES_MAX; j++)
			row[j] = value_of(result, j);
		r = fn(arg, row, (size_t)columns);
	}
	return r;
}

static int query(struct sql_store *store, const char *sql, const struct sql_value *in, size_t n, sql_row_fn *fn, void *arg, const char *what)
{
	struct pgsql_store *s = self(store);
	char text[SQL_BYTES];
	struct parameters p;
	PGresult *result;
	int r = spell(sql, text, sizeof(text));

	if (r != 0 || n > SQL_VALUES_MAX)
		return fail(s, what, "the statement is too long");
	set_parameters(&p, in, n);
	if (!PQsendQueryParams(s->db, text, (int)n, p.types, p.values, p.lengths, p.formats, 1))
		return fail(s, what, PQerrorMessage(s->db));
	PQsetSingleRowMode(s->db);
	while ((result = PQgetResult(s->db))) { /* to the end, whatever came */
		ExecStatusType status = PQresultStatus(result);

		if (r == 0 && (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK))
			r = fn ? each_row(result, fn, arg) : 0;
		else if (r == 0 && status != PGRES_COMMAND_OK)
			r = fail(s, what, PQresultErrorMessage(result));
		PQclear(result);
	}
	return r;
}

static int begin(struct sql_store *store)
{
	static const char sql[] = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT seq FROM audit_last WHERE id = 1 FOR UPDATE";
	static const char what[] = "can't begin a transaction";
	struct pgsql_store *s = self(store);
	int r = connected(s);

	if (r == 0 && (r = simple(s, sql, what)) != 0 && is_lost(s)) { /* since the last use: nothing was done yet */
		r = connected(s);
		if (r == 0)
			r = simple(s, sql, what);
	}
	s->in_transaction = r == 0;
	if (r != 0 && !is_lost(s))
		simple(s, "ROLLBACK", NULL);
	return r;
}

static int commit(struct sql_store *store)
{
	static const char what[] = "can't commit";
	struct pgsql_store *s = self(store);
	PGresult *result;
	int r = 0;

	if (is_lost(s))
		return fail(s, what, "the connection was lost");
	result = PQexec(s->db, "COMMIT");
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		r = refused(s, result, what);
	else if (strcmp(PQcmdStatus(result), "COMMIT") != 0) /* something in it had failed */
		r = fail(s, what, "the database rolled it back");
	PQclear(result);
	s->in_transaction = r != 0;
	return r != 0 && is_lost(s) ? E_EOF : r;
}

static void rollback(struct sql_store *store)
{
	struct pgsql_store *s = self(store);

	if (!is_lost(s) && PQtransactionStatus(s->db) != PQTRANS_IDLE)
		simple(s, "ROLLBACK", NULL);
	s->in_transaction = false;
}

static void close_store(struct sql_store *store)
{
	struct pgsql_store *s = self(store);

	disconnect(s);
	free(s->connection);
	free(s);
}

static const struct sql_driver driver = {
	.name = "postgresql",
	.close = close_store,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.run = run_statement,
	.column = column,
	.end = end_statement,
	.query = query,
};

/* --- migrations --- */

/* The schema that the database has; 0: none. */
static int get_version(struct pgsql_store *s, int *version)
{
	PGresult *result = PQexec(s->db, "SELECT version FROM schema_version FOR UPDATE");
	int r = PQresultStatus(result) == PGRES_TUPLES_OK ? 0 : fail(s, "can't read the schema's version", PQerrorMessage(s->db));

	*version = r == 0 && PQntuples(result) == 1 ? (int)strtol(PQgetvalue(result, 0, 0), NULL, 10) : 0;
	PQclear(result);
	return r;
}

static int migrate_step(struct pgsql_store *s, int version)
{
	size_t cap = 2 * strlen(store_schema[version]) + 1;
	char *sql = malloc(cap), set[96];
	int r = sql && spell(store_schema[version], sql, cap) == 0 ? simple(s, sql, "can't change the schema") : E_NOMEM;

	free(sql);
	snprintf(set, sizeof(set), "DELETE FROM schema_version; INSERT INTO schema_version VALUES (%d)", version + 1);
	return r != 0 ? r : simple(s, set, "can't write the schema's version");
}

/* All steps in one transaction. @create: there must be none yet, and only then is one made. */
static int migrate(struct pgsql_store *s, bool create)
{
	int version = 0, r = simple(s, "BEGIN; CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)", "can't write the schema");

	if (r == 0)
		r = get_version(s, &version);
	if (r == 0 && create == (version != 0)) {
		fail(s, "can't use it", create ? "it belongs to a KMC already: give this one a database of its own"
		     : "it is empty: run 'kmcctl init' first");
		r = create ? E_EXISTS : E_NOTFOUND;
	} else if (r == 0 && version > store_schema_version) {
		fail(s, "can't use it", "its schema is newer than this program's: upgrade the program");
		r = E_VERSION;
	}
	for (; r == 0 && version < store_schema_version; version++)
		r = migrate_step(s, version);
	if (r == 0)
		r = simple(s, "COMMIT", "can't commit the schema");
	if (r != 0)
		simple(s, "ROLLBACK", NULL);
	return r;
}

int store_pgsql_open(struct store **store, const char *connection, bool create, char why[STORE_WHY])
{
	struct pgsql_store *s = calloc(1, sizeof(*s));
	int r = E_DB;

	*store = NULL;
	unsetenv("HOME"); /* libpq looks for certificates at home: of whom we became, not of who started us */
	if (!s || !(s->connection = strdup(connection))) {
		free(s);
		snprintf(why, STORE_WHY, "out of memory");
		return E_NOMEM;
	}
	s->sql = (struct sql_store){.base = {.ops = store_rows(), .name = driver.name}, .driver = &driver};
	for (int i = 0; i < OPEN_TRIES && r == E_DB; i++) {
		if (i)
			usleep(300000);
		if ((r = connect_now(s)) == 0 && (r = migrate(s, create)) == 0)
			r = prepare_all(s);
	}
	if (r != 0) {
		snprintf(why, STORE_WHY, "%s", s->sql.base.why);
		close_store(&s->sql);
		return r;
	}
	*store = &s->sql.base;
	return 0;
}
