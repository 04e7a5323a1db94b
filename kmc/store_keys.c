/* Rows of protection keys. */
#include "kmc/store_row.h"

static int read_key(struct store *s, struct row *w, struct store_key *k)
{
	row_get_exact(w, k->id, sizeof(k->id));
	row_get_text(w, k->host, sizeof(k->host));
	k->modulus_size = row_get_blob(w, k->modulus, sizeof(k->modulus));
	k->exponent = row_get_number(w);
	k->created_at = row_get_time(w);
	k->expires_at = row_get_time(w);
	k->retired = row_get_number(w) != 0;
	k->wrapped_size = row_get_blob(w, k->wrapped, sizeof(k->wrapped));
	return row_finish(s, w, "a protection key");
}

static int key_get(struct store *s, const uint8_t id[KMC_KEY_ID_SIZE], struct store_key *k)
{
	struct row w = row_start(s, SQL_KEY_GET);
	int r;

	row_put_blob(&w, id, KMC_KEY_ID_SIZE);
	r = row_find(s, &w, "can't look up a protection key");
	return r != 0 ? r : read_key(s, &w, k);
}

static int key_current(struct store *s, const char *host, int64_t expires_after, struct store_key *k)
{
	struct row w = row_start(s, SQL_KEY_CURRENT);
	int r;

	row_put_text(&w, host);
	row_put_time(&w, expires_after);
	r = row_find(s, &w, "can't look up a host's protection key");
	return r != 0 ? r : read_key(s, &w, k);
}

static int key_put(struct store *s, const struct store_key *k)
{
	struct row w = row_start(s, SQL_KEY_PUT);

	row_put_blob(&w, k->id, sizeof(k->id));
	row_put_text(&w, k->host);
	row_put_blob(&w, k->modulus, k->modulus_size);
	row_put_number(&w, k->exponent);
	row_put_time(&w, k->created_at);
	row_put_time(&w, k->expires_at);
	row_put_number(&w, k->retired);
	row_put_blob(&w, k->wrapped, k->wrapped_size);
	return row_run(s, &w, "can't write a protection key");
}

static int key_retire(struct store *s, const char *host)
{
	struct row w = row_start(s, SQL_KEY_RETIRE);

	row_put_text(&w, host);
	return row_run(s, &w, "can't retire protection keys");
}

static int key_purge(struct store *s, int64_t expired_before)
{
	struct row w = row_start(s, SQL_KEY_PURGE);

	row_put_time(&w, expired_before);
	return row_run(s, &w, "can't remove expired protection keys");
}

void store_keys_fill(struct store_ops *ops)
{
	ops->key_get = key_get;
	ops->key_current = key_current;
	ops->key_put = key_put;
	ops->key_retire = key_retire;
	ops->key_purge = key_purge;
}
