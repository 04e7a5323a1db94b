/* A row on its way in or out. */
#include "kmc/store_row.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"

struct row row_start(struct store *s, enum statement which)
{
	return (struct row){.s = (struct sql_store *)s, .which = which};
}

static void put(struct row *w, struct sql_value v)
{
	if (w->n == SQL_VALUES_MAX)
		w->bad = true;
	else
		w->in[w->n++] = v;
}

void row_put_text(struct row *w, const char *text)
{
	put(w, (struct sql_value){.kind = SQL_TEXT, .bytes = view_text(text)});
}

void row_put_text_or_null(struct row *w, const char *text)
{
	put(w, *text ? (struct sql_value){.kind = SQL_TEXT, .bytes = view_text(text)} : (struct sql_value){.kind = SQL_NULL});
}

void row_put_time(struct row *w, int64_t t)
{
	put(w, (struct sql_value){.kind = SQL_NUMBER, .number = t});
}

void row_put_number(struct row *w, uint64_t n)
{
	w->bad |= n > INT64_MAX;
	row_put_time(w, (int64_t)n);
}

void row_put_blob(struct row *w, const void *p, size_t n)
{
	put(w, n ? (struct sql_value){.kind = SQL_BLOB, .bytes = view_of(p, n)} : (struct sql_value){.kind = SQL_NULL});
}

struct sql_value row_next(struct row *w)
{
	return w->s->driver->column(w->s, w->which, w->column++);
}

void row_get_text(struct row *w, char *out, size_t cap)
{
	struct sql_value v = row_next(w);
	size_t n = v.kind == SQL_TEXT ? v.bytes.n : 0;

	w->bad |= n >= cap;
	snprintf(out, cap, "%.*s", (int)n, n ? (const char *)v.bytes.p : "");
}

int64_t row_get_time(struct row *w)
{
	struct sql_value v = row_next(w);

	w->bad |= v.kind != SQL_NUMBER;
	return v.number;
}

uint64_t row_get_number(struct row *w)
{
	int64_t n = row_get_time(w);

	w->bad |= n < 0;
	return (uint64_t)n;
}

size_t row_get_blob(struct row *w, void *out, size_t cap)
{
	struct sql_value v = row_next(w);
	size_t n = v.kind == SQL_BLOB ? v.bytes.n : 0;

	w->bad |= n > cap;
	if (n && n <= cap)
		memcpy(out, v.bytes.p, n);
	return n;
}

void row_get_exact(struct row *w, void *out, size_t size)
{
	w->bad |= row_get_blob(w, out, size) != size;
}

void row_end(struct row *w)
{
	w->s->driver->end(w->s, w->which);
}

static int run_it(struct store *s, struct row *w, const char *what)
{
	if (w->bad) {
		snprintf(s->why, sizeof(s->why), "database: %s: a number beyond what it can hold", what);
		return E_DB;
	}
	return w->s->driver->run(w->s, w->which, w->in, w->n, what);
}

int row_run(struct store *s, struct row *w, const char *what)
{
	int r = run_it(s, w, what);

	row_end(w);
	return r == E_NOTFOUND ? 0 : r;
}

int row_find(struct store *s, struct row *w, const char *what)
{
	int r = run_it(s, w, what);

	if (r != 0)
		row_end(w);
	return r;
}

int row_finish(struct store *s, struct row *w, const char *what)
{
	bool bad = w->bad;

	row_end(w);
	if (!bad)
		return 0;
	snprintf(s->why, sizeof(s->why), "database: %s: a row holds what can't be there; was the file changed by hand?", what);
	return E_DB;
}

int row_get_bytes(struct store *s, struct row *w, struct buf *out, const char *what)
{
	struct sql_value v = row_next(w);
	int r = buf_put(out, v.bytes.p, v.bytes.n), e = row_finish(s, w, what);

	return e != 0 ? e : r;
}
