/* Rows of wrapping keys, of who has them, and what is under them, wherever it is. */
#include <string.h>

#include "common/buf.h"
#include "kmc/store_row.h"

static int read_wrapping(struct store *s, struct row *r, struct store_wrapping *w)
{
	w->number = (uint32_t)row_get_number(r);
	w->sealed_size = row_get_blob(r, w->sealed, sizeof(w->sealed));
	w->made_at = row_get_time(r);
	w->used_at = row_get_time(r);
	w->done_at = row_get_time(r);
	return row_finish(s, r, "a wrapping key");
}

static int wrapping_last(struct store *s, struct store_wrapping *w)
{
	struct row row = row_start(s, SQL_WRAPPING_LAST);
	int r = row_find(s, &row, "can't look up the wrapping key");

	return r != 0 ? r : read_wrapping(s, &row, w);
}

static int wrapping_get(struct store *s, uint32_t number, struct store_wrapping *w)
{
	struct row row = row_start(s, SQL_WRAPPING_GET);
	int r;

	row_put_number(&row, number);
	r = row_find(s, &row, "can't look up a wrapping key");
	return r != 0 ? r : read_wrapping(s, &row, w);
}

static int wrapping_put(struct store *s, const struct store_wrapping *w)
{
	struct row row = row_start(s, SQL_WRAPPING_PUT);

	row_put_number(&row, w->number);
	row_put_blob(&row, w->sealed, w->sealed_size);
	row_put_time(&row, w->made_at);
	row_put_time(&row, w->used_at);
	row_put_time(&row, w->done_at);
	return row_run(s, &row, "can't write a wrapping key");
}

static int read_kmc(struct store *s, struct row *r, struct store_kmc *k)
{
	row_get_text(r, k->name, sizeof(k->name));
	k->newest = (uint32_t)row_get_number(r);
	k->oldest = (uint32_t)row_get_number(r);
	k->beat = row_get_number(r);
	row_get_text(r, k->trouble, sizeof(k->trouble));
	return row_finish(s, r, "a KMC");
}

static int wrapping_kmc_get(struct store *s, const char *name, struct store_kmc *k)
{
	struct row row = row_start(s, SQL_WRAPPING_KMC_GET);
	int r;

	row_put_text(&row, name);
	r = row_find(s, &row, "can't look up a KMC");
	return r != 0 ? r : read_kmc(s, &row, k);
}

static int wrapping_kmc_next(struct store *s, const char *after, struct store_kmc *k)
{
	struct row row = row_start(s, SQL_WRAPPING_KMC_NEXT);
	int r;

	row_put_text(&row, after);
	r = row_find(s, &row, "can't list the KMCs");
	return r != 0 ? r : read_kmc(s, &row, k);
}

static int wrapping_kmc_put(struct store *s, const struct store_kmc *k)
{
	struct row row = row_start(s, SQL_WRAPPING_KMC_PUT);

	row_put_text(&row, k->name);
	row_put_number(&row, k->newest);
	row_put_number(&row, k->oldest);
	row_put_number(&row, k->beat);
	row_put_text(&row, k->trouble);
	return row_run(s, &row, "can't write a KMC");
}

static int wrapping_kmc_drop(struct store *s, const char *name)
{
	struct row row = row_start(s, SQL_WRAPPING_KMC_DROP);

	row_put_text(&row, name);
	return row_run(s, &row, "can't forget a KMC");
}

/* A wrapped thing's number, as it is in it. */
static void put_under(struct row *row, uint32_t number, uint8_t b[4])
{
	for (int i = 0; i < 4; i++)
		b[i] = (uint8_t)(number >> (24 - 8 * i));
	row_put_blob(row, b, 4);
}

static size_t id_size(enum store_wrapped_kind kind)
{
	return kind == STORE_WRAPPED_KEY ? KMC_KEY_ID_SIZE : UUID_SIZE;
}

static void put_id(struct row *row, const struct store_wrapped *w)
{
	uint32_t number = 0;

	for (int i = 0; i < 4; i++)
		number = number << 8 | w->id[i];
	if (w->kind == STORE_WRAPPED_AUTHORITY)
		row_put_number(row, number);
	else
		row_put_blob(row, w->id, id_size(w->kind));
}

static void get_id(struct row *row, struct store_wrapped *w)
{
	uint64_t number = w->kind == STORE_WRAPPED_AUTHORITY ? row_get_number(row) : 0;

	if (w->kind != STORE_WRAPPED_AUTHORITY)
		row_get_exact(row, w->id, id_size(w->kind));
	for (int i = 0; i < 4 && w->kind == STORE_WRAPPED_AUTHORITY; i++)
		w->id[i] = (uint8_t)(number >> (24 - 8 * i));
}

static int wrapped_next(struct store *s, uint32_t number, struct store_wrapped *w)
{
	static const enum statement which[STORE_WRAPPED_KINDS] = {SQL_WRAPPED_SEED_NEXT, SQL_WRAPPED_RETIRED_NEXT, SQL_WRAPPED_KEY_NEXT,
								   SQL_WRAPPED_AUTHORITY_NEXT};
	struct row row = row_start(s, which[w->kind]);
	uint8_t under[4];
	int r;

	/* NOLINTNEXTLINE(misc-redundant-expression): that the two sizes are the same today is chance */
	_Static_assert(sizeof(w->id) >= KMC_KEY_ID_SIZE && sizeof(w->id) >= UUID_SIZE, "an id must fit");
	put_under(&row, number, under);
	put_id(&row, w);
	r = row_find(s, &row, "can't look for what is under an older wrapping key");
	if (r != 0)
		return r;
	get_id(&row, w);
	row_get_text(&row, w->tenant, sizeof(w->tenant));
	w->generation = (uint32_t)row_get_number(&row);
	w->size = row_get_blob(&row, w->wrapped, sizeof(w->wrapped));
	return row_finish(s, &row, "something wrapped");
}

static int wrapped_swap(struct store *s, const struct store_wrapped *was, struct view now)
{
	static const enum statement which[STORE_WRAPPED_KINDS] = {SQL_WRAPPED_SEED_SWAP, SQL_WRAPPED_RETIRED_SWAP, SQL_WRAPPED_KEY_SWAP,
								   SQL_WRAPPED_AUTHORITY_SWAP};
	struct row row = row_start(s, which[was->kind]);

	put_id(&row, was);
	row_put_blob(&row, was->wrapped, was->size);
	row_put_blob(&row, now.p, now.n);
	return row_run(s, &row, "can't write what was wrapped anew");
}

static int wrapped_count(struct store *s, uint32_t number, uint64_t *all, uint64_t *left)
{
	struct row row = row_start(s, SQL_WRAPPED_COUNT);
	uint8_t under[4];
	int r;

	put_under(&row, number, under);
	r = row_find(s, &row, "can't count what is wrapped");
	if (r != 0)
		return r;
	*all = row_get_number(&row);
	*left = row_get_number(&row);
	return row_finish(s, &row, "counts");
}

void store_wrapping_fill(struct store_ops *ops)
{
	ops->wrapping_last = wrapping_last;
	ops->wrapping_get = wrapping_get;
	ops->wrapping_put = wrapping_put;
	ops->wrapping_kmc_get = wrapping_kmc_get;
	ops->wrapping_kmc_put = wrapping_kmc_put;
	ops->wrapping_kmc_next = wrapping_kmc_next;
	ops->wrapping_kmc_drop = wrapping_kmc_drop;
	ops->wrapped_next = wrapped_next;
	ops->wrapped_swap = wrapped_swap;
	ops->wrapped_count = wrapped_count;
}
