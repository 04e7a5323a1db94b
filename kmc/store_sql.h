/*
 * What the SQL engines share: the schema, the statements, and rows in and out (store_schema.c, store_statements.c, store_row.h). An engine adds a driver.
 *
 * Theory of operation: both engines run the same statements, which keep to what SQLite and PostgreSQL have in common. Parameters are
 * written ?1, ?2, ...; types in the schema are TEXT, INTEGER (64 bits) and BLOB: a driver puts its own words instead. A statement gives
 * one row or none.
 */
#ifndef KMC_STORE_SQL_H
#define KMC_STORE_SQL_H

#include "kmc/store.h"

/* Every statement that is ever run, prepared once; store_sql has the text of each. */
enum statement {
	SQL_POOL_GET, SQL_POOL_PUT, SQL_POOL_NEXT,
	SQL_HOST_GET, SQL_HOST_PUT, SQL_HOST_NEXT,
	SQL_KEY_GET, SQL_KEY_CURRENT, SQL_KEY_PUT, SQL_KEY_RETIRE, SQL_KEY_PURGE,
	SQL_VTPM_GET, SQL_VTPM_PUT, SQL_VTPM_FIRST, SQL_VTPM_NEXT, SQL_VTPM_SHARING,
	SQL_STATE_GET, SQL_STATE_PUT, SQL_STATE_PRUNE, SQL_STATE_NEXT, SQL_STATE_DROP,
	SQL_IMAGE_GET, SQL_IMAGE_PUT, SQL_IMAGE_NEXT, SQL_IMAGE_PRUNE,
	SQL_SESSION_GET, SQL_SESSION_NEXT,
	SQL_AUDIT_LAST, SQL_AUDIT_SET_LAST, SQL_AUDIT_PUT, SQL_AUDIT_NEXT, SQL_AUDIT_HEAD_GET, SQL_AUDIT_HEAD_PUT, SQL_AUDIT_HEAD_NEXT,
	SQL_COUNT,
	SQL_TOKEN_GET, SQL_TOKEN_PUT, SQL_TOKEN_DROP, SQL_TOKEN_PURGE,
	SQL_IDENTITY_GET, SQL_IDENTITY_PUT, SQL_IDENTITY_DROP,
	SQL_POLICY_GET, SQL_POLICY_PUT,
	SQL_PARKED_GET, SQL_PARKED_PUT, SQL_PARKED_RECALLED,
	SQL_EK_GET, SQL_EK_PUT, SQL_EK_DROP,
	SQL_RETIREMENT_GET, SQL_RETIREMENT_PUT, SQL_RETIREMENT_DROP, SQL_RETIREMENT_DUE,
	SQL_ARRIVAL_GET, SQL_ARRIVAL_OF, SQL_ARRIVAL_PUT,
	SQL_HOSTCERT_GET, SQL_HOSTCERT_NEWEST, SQL_HOSTCERT_PUT, SQL_HOSTCERT_PRUNE, SQL_HOSTCERT_DROP,
	SQL_AUTHORITY_NEXT, SQL_AUTHORITY_PUT, SQL_SERVER_PUT, SQL_SERVER_NEXT, SQL_TRUST_GET, SQL_TRUST_PUT,
	SQL_WRAPPING_LAST, SQL_WRAPPING_GET, SQL_WRAPPING_PUT, SQL_WRAPPING_KMC_GET, SQL_WRAPPING_KMC_PUT, SQL_WRAPPING_KMC_NEXT, SQL_WRAPPING_KMC_DROP,
	SQL_WRAPPED_SEED_NEXT, SQL_WRAPPED_RETIRED_NEXT, SQL_WRAPPED_KEY_NEXT, SQL_WRAPPED_AUTHORITY_NEXT, SQL_WRAPPED_SEED_SWAP, SQL_WRAPPED_RETIRED_SWAP, SQL_WRAPPED_KEY_SWAP, SQL_WRAPPED_AUTHORITY_SWAP,
	SQL_WRAPPED_COUNT,
	N_STATEMENTS,
};

extern const char *const store_sql[N_STATEMENTS];

/* One step of the schema each: step n brings version n to n + 1. Never changed once released, only added to. */
extern const char *const store_schema[];
extern const int store_schema_version; /* how many there are */

enum sql_kind { SQL_NULL, SQL_NUMBER, SQL_TEXT, SQL_BLOB };

/* A parameter, or a column of the row that was found. */
struct sql_value {
	enum sql_kind kind;
	int64_t number;
	struct view bytes; /* of a text or blob */
};

#define SQL_VALUES_MAX 32 /* parameters of a statement */

struct sql_store;

/* A row of a query; not 0 ends it and is what query() returns. */
typedef int sql_row_fn(void *arg, const struct sql_value *row, size_t n);

struct sql_driver {
	const char *name;
	void (*close)(struct sql_store *s);
	int (*begin)(struct sql_store *s);
	int (*commit)(struct sql_store *s);
	void (*rollback)(struct sql_store *s);
	void (*hold)(struct sql_store *s, bool on); /* see struct store_ops; NULL: nothing is gained by it */
	/* 0 (a row is there until end()), E_NOTFOUND (done, no row), E_DB or E_BUSY with base.why; end() follows in any case */
	int (*run)(struct sql_store *s, enum statement which, const struct sql_value *in, size_t n, const char *what);
	struct sql_value (*column)(struct sql_store *s, enum statement which, int column);
	void (*end)(struct sql_store *s, enum statement which);
	/* any SQL that both engines understand, beside the prepared statements; @fn NULL: there are no rows. 0, E_DB or what @fn said */
	int (*query)(struct sql_store *s, const char *sql, const struct sql_value *in, size_t n, sql_row_fn *fn, void *arg, const char *what);
};

/* The first member of an engine's own struct. */
struct sql_store {
	struct store base; /* first: a struct store * of these engines is one of these */
	const struct sql_driver *driver;
};

/** store_rows() - the operations of every engine of this kind (store_rows.c). */
const struct store_ops *store_rows(void);

#endif
