/* Rows of pools, hosts, their tokens and sessions. */
#include "kmc/store_row.h"

static int read_pool(struct store *s, struct row *w, struct store_pool *p)
{
	row_get_text(w, p->name, sizeof(p->name));
	p->registered_only = row_get_number(w) != 0;
	return row_finish(s, w, "a pool");
}

static int pool_get(struct store *s, const char *name, struct store_pool *p)
{
	struct row w = row_start(s, SQL_POOL_GET);
	int r;

	row_put_text(&w, name);
	r = row_find(s, &w, "can't look up a pool");
	return r != 0 ? r : read_pool(s, &w, p);
}

static int pool_next(struct store *s, const char *after, struct store_pool *p)
{
	struct row w = row_start(s, SQL_POOL_NEXT);
	int r;

	row_put_text(&w, after);
	r = row_find(s, &w, "can't list the pools");
	return r != 0 ? r : read_pool(s, &w, p);
}

static int pool_put(struct store *s, const struct store_pool *p)
{
	struct row w = row_start(s, SQL_POOL_PUT);

	row_put_text(&w, p->name);
	row_put_number(&w, p->registered_only);
	return row_run(s, &w, "can't write a pool");
}

static int read_host(struct store *s, struct row *w, struct store_host *h)
{
	row_get_text(w, h->name, sizeof(h->name));
	row_get_text(w, h->pool, sizeof(h->pool));
	row_get_exact(w, h->fingerprint, sizeof(h->fingerprint));
	h->removed = row_get_number(w) != 0;
	h->added_at = row_get_time(w);
	h->expires_at = row_get_time(w);
	return row_finish(s, w, "a host");
}

static int host_get(struct store *s, const char *name, struct store_host *h)
{
	struct row w = row_start(s, SQL_HOST_GET);
	int r;

	row_put_text(&w, name);
	r = row_find(s, &w, "can't look up a host");
	return r != 0 ? r : read_host(s, &w, h);
}

static int host_next(struct store *s, const char *after, struct store_host *h)
{
	struct row w = row_start(s, SQL_HOST_NEXT);
	int r;

	row_put_text(&w, after);
	r = row_find(s, &w, "can't list the hosts");
	return r != 0 ? r : read_host(s, &w, h);
}

static int host_put(struct store *s, const struct store_host *h)
{
	struct row w = row_start(s, SQL_HOST_PUT);

	row_put_text(&w, h->name);
	row_put_text(&w, h->pool);
	row_put_blob(&w, h->fingerprint, sizeof(h->fingerprint));
	row_put_number(&w, h->removed);
	row_put_time(&w, h->added_at);
	row_put_time(&w, h->expires_at);
	return row_run(s, &w, "can't write a host");
}

static int session_get(struct store *s, const char *host, uint64_t *session)
{
	struct row w = row_start(s, SQL_SESSION_GET);
	int r;

	row_put_text(&w, host);
	r = row_find(s, &w, "can't look up a host's session");
	if (r != 0)
		return r;
	*session = row_get_number(&w);
	return row_finish(s, &w, "a session");
}

static int session_next(struct store *s, const char *host)
{
	struct row w = row_start(s, SQL_SESSION_NEXT);

	row_put_text(&w, host);
	return row_run(s, &w, "can't write a host's session");
}

static int token_get(struct store *s, const uint8_t hash[32], struct store_token *t)
{
	struct row w = row_start(s, SQL_TOKEN_GET);
	size_t n;
	int r;

	row_put_blob(&w, hash, 32);
	r = row_find(s, &w, "can't look up a token");
	if (r != 0)
		return r;
	row_get_exact(&w, t->hash, sizeof(t->hash));
	row_get_text(&w, t->host, sizeof(t->host));
	row_get_text(&w, t->pool, sizeof(t->pool));
	n = row_get_blob(&w, t->ek, sizeof(t->ek));
	t->has_ek = n != 0;
	w.bad |= n != 0 && n != sizeof(t->ek);
	t->created_at = row_get_time(&w);
	t->expires_at = row_get_time(&w);
	return row_finish(s, &w, "a token");
}

static int token_put(struct store *s, const struct store_token *t)
{
	struct row w = row_start(s, SQL_TOKEN_PUT);

	row_put_blob(&w, t->hash, sizeof(t->hash));
	row_put_text(&w, t->host);
	row_put_text(&w, t->pool);
	row_put_blob(&w, t->ek, t->has_ek ? sizeof(t->ek) : 0);
	row_put_time(&w, t->created_at);
	row_put_time(&w, t->expires_at);
	return row_run(s, &w, "can't write a token");
}

static int token_drop(struct store *s, const char *host)
{
	struct row w = row_start(s, SQL_TOKEN_DROP);

	row_put_text(&w, host);
	return row_run(s, &w, "can't remove a token");
}

static int token_purge(struct store *s, int64_t expired_before)
{
	struct row w = row_start(s, SQL_TOKEN_PURGE);

	row_put_time(&w, expired_before);
	return row_run(s, &w, "can't remove expired tokens");
}

void store_hosts_fill(struct store_ops *ops)
{
	ops->pool_get = pool_get;
	ops->pool_put = pool_put;
	ops->pool_next = pool_next;
	ops->host_get = host_get;
	ops->host_put = host_put;
	ops->host_next = host_next;
	ops->session_get = session_get;
	ops->session_next = session_next;
	ops->token_get = token_get;
	ops->token_put = token_put;
	ops->token_drop = token_drop;
	ops->token_purge = token_purge;
}
