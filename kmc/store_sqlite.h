/* The SQLite engine's insides, shared by its two files. Only these see sqlite3.h. */
#ifndef KMC_STORE_SQLITE_H
#define KMC_STORE_SQLITE_H

#include <sqlite3.h>

#include "kmc/store.h"

/* Every statement that is ever run, prepared once; store_sqlite_sql has the text of each. */
enum statement {
	SQL_BEGIN, SQL_COMMIT, SQL_ROLLBACK,
	SQL_POOL_GET, SQL_POOL_PUT, SQL_POOL_NEXT,
	SQL_HOST_GET, SQL_HOST_PUT, SQL_HOST_NEXT,
	SQL_KEY_GET, SQL_KEY_CURRENT, SQL_KEY_PUT, SQL_KEY_RETIRE, SQL_KEY_PURGE,
	SQL_VTPM_GET, SQL_VTPM_PUT, SQL_VTPM_FIRST, SQL_VTPM_NEXT,
	SQL_STATE_GET, SQL_STATE_DROP, SQL_STATE_PUT,
	SQL_COUNT,
	N_STATEMENTS,
};

struct sqlite_store {
	struct store base; /* first: a struct store * of this engine is one of these */
	sqlite3 *db;
	sqlite3_stmt *statement[N_STATEMENTS];
};

extern const char *const store_sqlite_sql[N_STATEMENTS];
extern const struct store_ops store_sqlite_ops;

/** store_sqlite_fail() - note SQLite's last error in base.why. Return: E_DB. */
int store_sqlite_fail(struct sqlite_store *s, const char *what);
void store_sqlite_close(struct store *store);

#endif
