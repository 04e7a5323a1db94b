/* Rows of stored states, and of suspended domains' volatile states. */
#include "common/buf.h"
#include "kmc/store_row.h"

static int state_get(struct store *s, const struct uuid *uuid, uint64_t version, struct buf *out)
{
	struct row w = row_start(s, SQL_STATE_GET);
	struct sql_value state;
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, version);
	r = row_find(s, &w, "can't look up a state");
	if (r != 0)
		return r;
	state = row_next(&w);
	r = buf_put(out, state.bytes.p, state.bytes.n);
	row_end(&w);
	return r;
}

static int state_put(struct store *s, const struct uuid *uuid, const struct store_state *st, struct view state)
{
	struct row w = row_start(s, SQL_STATE_PUT);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, st->version);
	row_put_number(&w, st->owner_epoch);
	row_put_number(&w, st->endorsement_epoch);
	row_put_number(&w, st->platform_epoch);
	row_put_time(&w, st->stored_at);
	row_put_blob(&w, state.p, state.n);
	return row_run(s, &w, "can't write a state");
}

static int state_prune(struct store *s, const struct uuid *uuid, uint64_t newest, const struct store_keep *keep)
{
	struct row w = row_start(s, SQL_STATE_PRUNE);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, newest);
	row_put_number(&w, keep->states);
	row_put_number(&w, keep->bytes);
	return row_run(s, &w, "can't remove older states");
}

static int state_next(struct store *s, const struct uuid *uuid, uint64_t after, struct store_state *st)
{
	struct row w = row_start(s, SQL_STATE_NEXT);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, after);
	r = row_find(s, &w, "can't list the states");
	if (r != 0)
		return r;
	st->version = row_get_number(&w);
	st->size = row_get_number(&w);
	st->owner_epoch = row_get_number(&w);
	st->endorsement_epoch = row_get_number(&w);
	st->platform_epoch = row_get_number(&w);
	st->stored_at = row_get_time(&w);
	return row_finish(s, &w, "a state");
}

static int state_drop(struct store *s, const struct uuid *uuid, uint64_t above)
{
	struct row w = row_start(s, SQL_STATE_DROP);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, above);
	return row_run(s, &w, "can't remove newer states");
}

static int image_get(struct store *s, const struct uuid *uuid, uint64_t image, struct buf *out)
{
	struct row w = row_start(s, SQL_IMAGE_GET);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, image);
	r = row_find(s, &w, "can't look up a volatile state");
	return r != 0 ? r : row_get_bytes(s, &w, out, "a volatile state");
}

static int image_put(struct store *s, const struct uuid *uuid, const struct store_image *i, struct view volatile_state)
{
	struct row w = row_start(s, SQL_IMAGE_PUT);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, i->image);
	row_put_number(&w, i->version);
	row_put_time(&w, i->suspended_at);
	row_put_blob(&w, volatile_state.p, volatile_state.n);
	return row_run(s, &w, "can't write a volatile state");
}

static int image_next(struct store *s, const struct uuid *uuid, uint64_t after, struct store_image *i)
{
	struct row w = row_start(s, SQL_IMAGE_NEXT);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, after);
	r = row_find(s, &w, "can't list the volatile states");
	if (r != 0)
		return r;
	i->image = row_get_number(&w);
	i->version = row_get_number(&w);
	i->number = row_get_number(&w);
	i->suspended_at = row_get_time(&w);
	return row_finish(s, &w, "a volatile state");
}

static int image_prune(struct store *s, const struct uuid *uuid, uint64_t present, uint64_t keep)
{
	struct row w = row_start(s, SQL_IMAGE_PRUNE);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	row_put_number(&w, present);
	row_put_number(&w, keep);
	return row_run(s, &w, "can't remove volatile states");
}

void store_states_fill(struct store_ops *ops)
{
	ops->state_get = state_get;
	ops->state_put = state_put;
	ops->state_prune = state_prune;
	ops->state_next = state_next;
	ops->state_drop = state_drop;
	ops->image_get = image_get;
	ops->image_put = image_put;
	ops->image_next = image_next;
	ops->image_prune = image_prune;
}
