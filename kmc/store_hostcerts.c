/* Rows of the SQL engines: certificates of hosts. */
#include "common/error.h"
#include "kmc/store_row.h"

static int read_hostcert(struct store *s, struct row *w, struct store_hostcert *c)
{
	row_get_text(w, c->host, sizeof(c->host));
	row_get_exact(w, c->fingerprint, sizeof(c->fingerprint));
	row_get_exact(w, c->ca, sizeof(c->ca));
	c->issued_at = row_get_time(w);
	c->expires_at = row_get_time(w);
	c->used_at = row_get_time(w);
	c->size = row_get_blob(w, c->certificate, sizeof(c->certificate));
	return row_finish(s, w, "a host's certificate");
}

static int hostcert_get(struct store *s, const char *host, const uint8_t fingerprint[32], struct store_hostcert *c)
{
	struct row w = row_start(s, SQL_HOSTCERT_GET);
	int r;

	row_put_text(&w, host);
	row_put_blob(&w, fingerprint, 32);
	r = row_find(s, &w, "can't look up a host's certificate");
	return r != 0 ? r : read_hostcert(s, &w, c);
}

static int hostcert_newest(struct store *s, const char *host, struct store_hostcert *c)
{
	struct row w = row_start(s, SQL_HOSTCERT_NEWEST);
	int r;

	row_put_text(&w, host);
	r = row_find(s, &w, "can't look up a host's newest certificate");
	return r != 0 ? r : read_hostcert(s, &w, c);
}

static int hostcert_put(struct store *s, const struct store_hostcert *c)
{
	struct row w = row_start(s, SQL_HOSTCERT_PUT);

	row_put_text(&w, c->host);
	row_put_blob(&w, c->fingerprint, sizeof(c->fingerprint));
	row_put_blob(&w, c->ca, sizeof(c->ca));
	row_put_time(&w, c->issued_at);
	row_put_time(&w, c->expires_at);
	row_put_time(&w, c->used_at);
	row_put_blob(&w, c->certificate, c->size);
	return row_run(s, &w, "can't write a host's certificate");
}

static int hostcert_prune(struct store *s, const char *host, const uint8_t present[32], uint64_t keep)
{
	struct row w = row_start(s, SQL_HOSTCERT_PRUNE);

	row_put_text(&w, host);
	row_put_blob(&w, present, 32);
	row_put_number(&w, keep);
	return row_run(s, &w, "can't remove a host's older certificates");
}

static int hostcert_drop(struct store *s, const char *host)
{
	struct row w = row_start(s, SQL_HOSTCERT_DROP);

	row_put_text(&w, host);
	return row_run(s, &w, "can't remove a host's certificates");
}

void store_hostcerts_fill(struct store_ops *ops)
{
	ops->hostcert_get = hostcert_get;
	ops->hostcert_newest = hostcert_newest;
	ops->hostcert_put = hostcert_put;
	ops->hostcert_prune = hostcert_prune;
	ops->hostcert_drop = hostcert_drop;
}
