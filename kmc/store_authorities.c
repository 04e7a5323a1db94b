/* Rows of the SQL engines: certificate authorities, and who relies on them. */
#include "common/error.h"
#include "kmc/store_row.h"

static int authority_next(struct store *s, uint32_t after, struct store_authority *a)
{
	struct row w = row_start(s, SQL_AUTHORITY_NEXT);
	int r;

	row_put_number(&w, after);
	r = row_find(s, &w, "can't list the authorities");
	if (r != 0)
		return r;
	a->number = (uint32_t)row_get_number(&w);
	a->state = (uint32_t)row_get_number(&w);
	a->size = row_get_blob(&w, a->certificate, sizeof(a->certificate));
	a->key_size = row_get_blob(&w, a->key, sizeof(a->key));
	a->made_at = row_get_time(&w);
	return row_finish(s, &w, "an authority");
}

static int authority_put(struct store *s, const struct store_authority *a)
{
	struct row w = row_start(s, SQL_AUTHORITY_PUT);

	row_put_number(&w, a->number);
	row_put_number(&w, a->state);
	row_put_blob(&w, a->certificate, a->size);
	row_put_blob(&w, a->key, a->key_size);
	row_put_time(&w, a->made_at);
	return row_run(s, &w, "can't write an authority");
}

static int server_put(struct store *s, const struct store_server *v)
{
	struct row w = row_start(s, SQL_SERVER_PUT);

	row_put_text(&w, v->name);
	row_put_number(&w, v->authority);
	row_put_time(&w, v->started_at);
	return row_run(s, &w, "can't write which KMCs there are");
}

static int server_next(struct store *s, const char *after, struct store_server *v)
{
	struct row w = row_start(s, SQL_SERVER_NEXT);
	int r;

	row_put_text(&w, after);
	r = row_find(s, &w, "can't list the KMCs");
	if (r != 0)
		return r;
	row_get_text(&w, v->name, sizeof(v->name));
	v->authority = (uint32_t)row_get_number(&w);
	v->started_at = row_get_time(&w);
	return row_finish(s, &w, "a KMC");
}

static int trust_get(struct store *s, const char *host, uint64_t *authority)
{
	struct row w = row_start(s, SQL_TRUST_GET);
	int r;

	row_put_text(&w, host);
	r = row_find(s, &w, "can't look up whom a host trusts");
	if (r != 0)
		return r;
	*authority = row_get_number(&w);
	return row_finish(s, &w, "whom a host trusts");
}

static int trust_put(struct store *s, const char *host, uint64_t authority)
{
	struct row w = row_start(s, SQL_TRUST_PUT);

	row_put_text(&w, host);
	row_put_number(&w, authority);
	return row_run(s, &w, "can't write whom a host trusts");
}

void store_authorities_fill(struct store_ops *ops)
{
	ops->authority_next = authority_next;
	ops->authority_put = authority_put;
	ops->server_put = server_put;
	ops->server_next = server_next;
	ops->trust_get = trust_get;
	ops->trust_put = trust_put;
}
