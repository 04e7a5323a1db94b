/*
 * A row of the SQL engines on its way in or out; and the files of such rows, one for each kind of thing that is remembered.
 *
 * Theory of operation: parameters are put in their order and columns taken in theirs. A value that does not fit spoils the row, which
 * row_run(), row_find() or row_finish() then says; nothing else needs to be checked on the way.
 */
#ifndef KMC_STORE_ROW_H
#define KMC_STORE_ROW_H

#include "kmc/store_sql.h"

struct row {
	struct sql_store *s;
	enum statement which;
	struct sql_value in[SQL_VALUES_MAX];
	size_t n;   /* parameters so far */
	int column; /* the next one to read */
	bool bad;
};

struct row row_start(struct store *s, enum statement which);

/* Parameters. Text and bytes must stay until the statement has run. */
void row_put_text(struct row *w, const char *text);
void row_put_text_or_null(struct row *w, const char *text); /* "" is NULL */
void row_put_time(struct row *w, int64_t t);
void row_put_number(struct row *w, uint64_t n);
void row_put_blob(struct row *w, const void *p, size_t n); /* n == 0 is NULL */

/** row_run() - run a change; 0, E_BUSY or E_DB with store->why filled in. */
int row_run(struct store *s, struct row *w, const char *what);

/** row_find() - run a lookup as far as its row: 0, E_NOTFOUND, E_BUSY or E_DB; after 0 the columns are read and row_finish() follows. */
int row_find(struct store *s, struct row *w, const char *what);

/* Columns. */
struct sql_value row_next(struct row *w);
void row_get_text(struct row *w, char *out, size_t cap);
int64_t row_get_time(struct row *w);
uint64_t row_get_number(struct row *w);
size_t row_get_blob(struct row *w, void *out, size_t cap); /* bytes of it; 0: NULL */
void row_get_exact(struct row *w, void *out, size_t size);

void row_end(struct row *w);

/** row_finish() - end a row that was read; E_DB with store->why filled in if it held what can't be there (@what). */
int row_finish(struct store *s, struct row *w, const char *what);

/** row_get_bytes() - the last column's bytes, behind what @out holds, and row_finish(). */
int row_get_bytes(struct store *s, struct row *w, struct buf *out, const char *what);

/* Each puts the operations of its file into the table. */
void store_hosts_fill(struct store_ops *ops);
void store_hostcerts_fill(struct store_ops *ops);
void store_authorities_fill(struct store_ops *ops);
void store_identities_fill(struct store_ops *ops);
void store_keys_fill(struct store_ops *ops);
void store_vtpms_fill(struct store_ops *ops);
void store_states_fill(struct store_ops *ops);
void store_audit_fill(struct store_ops *ops);
void store_wrapping_fill(struct store_ops *ops);

#endif
