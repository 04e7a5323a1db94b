/* The SQLite engine: the file, its schema and its migrations. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "kmc/store_sqlite.h"

#define BUSY_MS 2000 /* how long to wait for another process' write */

/* One step of the schema each: step n brings version n to n + 1. Never changed once released, only added to. */
static const char *const migrations[] = {
	"CREATE TABLE pools (name TEXT PRIMARY KEY, registered_only INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE hosts (name TEXT PRIMARY KEY, pool TEXT NOT NULL REFERENCES pools(name), fingerprint BLOB NOT NULL,"
	" removed INTEGER NOT NULL, added_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE protection_keys (id BLOB PRIMARY KEY, host TEXT NOT NULL REFERENCES hosts(name), modulus BLOB NOT NULL,"
	" exponent INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, retired INTEGER NOT NULL,"
	" wrapped BLOB NOT NULL);"
	"CREATE INDEX protection_keys_by_host ON protection_keys (host, expires_at);"
	"CREATE TABLE vtpms (uuid BLOB PRIMARY KEY, pool TEXT NOT NULL REFERENCES pools(name), generation INTEGER NOT NULL, seed BLOB,"
	" owner_epoch INTEGER NOT NULL, endorsement_epoch INTEGER NOT NULL, platform_epoch INTEGER NOT NULL, holder TEXT, last_holder TEXT,"
	" lease_epoch INTEGER NOT NULL, state_version INTEGER NOT NULL, created_at INTEGER NOT NULL, opened_at INTEGER NOT NULL,"
	" stored_at INTEGER NOT NULL);"
	"CREATE TABLE states (uuid BLOB NOT NULL REFERENCES vtpms(uuid), version INTEGER NOT NULL, state BLOB NOT NULL,"
	" PRIMARY KEY (uuid, version));",
};
#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

int store_sqlite_fail(struct sqlite_store *s, const char *what)
{
	snprintf(s->base.why, sizeof(s->base.why), "database %s: %s: %s", s->db ? sqlite3_db_filename(s->db, "main") : "?", what,
		 s->db ? sqlite3_errmsg(s->db) : "out of memory");
	return E_DB;
}

static int run(struct sqlite_store *s, const char *sql, const char *what)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_sqlite_fail(s, what);
}

static int on_number(void *arg, int n, char **text, char **names)
{
	(void)names;
	if (n == 1 && text[0])
		*(int *)arg = atoi(text[0]);
	return 0;
}

/* The schema that the file has, 0 for an empty file. */
static int get_version(struct sqlite_store *s, int *version)
{
	int there = 0;

	*version = 0;
	if (sqlite3_exec(s->db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'", on_number, &there,
			 NULL) != SQLITE_OK)
		return store_sqlite_fail(s, "can't read the schema");
	if (!there)
		return 0;
	if (sqlite3_exec(s->db, "SELECT version FROM schema_version", on_number, version, NULL) != SQLITE_OK)
		return store_sqlite_fail(s, "can't read the schema's version");
	return 0;
}

static int migrate_step(struct sqlite_store *s, int version)
{
	char set[96];
	int r;

	snprintf(set, sizeof(set), "DELETE FROM schema_version; INSERT INTO schema_version VALUES (%d)", version + 1);
	r = run(s, migrations[version], "can't change the schema");
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
	if (r == 0 && version > SCHEMA_VERSION) {
		snprintf(s->base.why, sizeof(s->base.why),
			 "database %s: its schema %d is newer than this program's %d: upgrade the program",
			 sqlite3_db_filename(s->db, "main"), version, SCHEMA_VERSION);
		r = E_VERSION;
	}
	for (; r == 0 && version < SCHEMA_VERSION; version++)
		r = migrate_step(s, version);
	if (r == 0)
		r = run(s, "COMMIT", "can't commit the schema");
	if (r != 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static int prepare(struct sqlite_store *s)
{
	for (size_t i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(s->db, store_sqlite_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i],
				       NULL) != SQLITE_OK)
			return store_sqlite_fail(s, "can't prepare a statement");
	return 0;
}

void store_sqlite_close(struct store *store)
{
	struct sqlite_store *s = (struct sqlite_store *)store;

	for (size_t i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(s->statement[i]);
	sqlite3_close(s->db);
	free(s);
}

static int open_file(struct sqlite_store *s, const char *path, bool create)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (create ? SQLITE_OPEN_CREATE : 0);
	int rc = sqlite3_open_v2(path, &s->db, flags, NULL), r;

	if (rc != SQLITE_OK) {
		snprintf(s->base.why, sizeof(s->base.why), "can't open the database %s: %s", path, sqlite3_errstr(rc));
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
	s->base.ops = &store_sqlite_ops;
	r = open_file(s, path, create);
	if (r != 0) {
		snprintf(why, STORE_WHY, "%s", s->base.why);
		store_sqlite_close(&s->base);
		return r;
	}
	*store = &s->base;
	return 0;
}
