/* Rows of vTPMs, their parked leases, endorsement certificates, retirements and arrivals. */
#include "kmc/store_row.h"

/* What a move leaves in a vTPM's row. */
static void read_move(struct row *w, struct store_vtpm *v)
{
	struct lease *l = &v->lease;
	size_t n;

	l->suspended = row_get_number(w) != 0;
	l->image = row_get_number(w);
	v->suspended_at = row_get_time(w);
	row_get_text(w, l->reserver, sizeof(l->reserver));
	n = row_get_blob(w, l->reservation, sizeof(l->reservation));
	w->bad |= n != (l->reserver[0] ? sizeof(l->reservation) : 0);
	v->reserved_at = row_get_time(w);
	n = row_get_blob(w, l->commit, sizeof(l->commit));
	l->committed = n != 0;
	w->bad |= n != 0 && n != sizeof(l->commit);
	l->resumed_from = row_get_number(w);
}

static void put_move(struct row *w, const struct store_vtpm *v)
{
	const struct lease *l = &v->lease;

	row_put_number(w, l->suspended);
	row_put_number(w, l->image);
	row_put_time(w, v->suspended_at);
	row_put_text_or_null(w, l->reserver);
	row_put_blob(w, l->reservation, l->reserver[0] ? sizeof(l->reservation) : 0);
	row_put_time(w, v->reserved_at);
	row_put_blob(w, l->commit, l->committed ? sizeof(l->commit) : 0);
	row_put_number(w, l->resumed_from);
}

/* Its keys are another's, or its own. */
static void read_origin(struct row *w, struct origin *o)
{
	size_t n = row_get_blob(w, o->uuid.b, UUID_SIZE);

	o->generation = (uint32_t)row_get_number(w);
	w->bad |= n != (o->generation ? UUID_SIZE : 0);
	if (!o->generation)
		o->uuid = (struct uuid){0};
}

static int read_vtpm(struct store *s, struct row *w, struct store_vtpm *v)
{
	struct lease *l = &v->lease;

	row_get_exact(w, v->uuid.b, UUID_SIZE);
	row_get_text(w, l->pool, sizeof(l->pool));
	v->generation = (uint32_t)row_get_number(w);
	v->seed_size = row_get_blob(w, v->seed, sizeof(v->seed));
	l->owner_epoch = row_get_number(w);
	l->endorsement_epoch = row_get_number(w);
	l->platform_epoch = row_get_number(w);
	row_get_text(w, l->holder, sizeof(l->holder));
	row_get_text(w, l->last_holder, sizeof(l->last_holder));
	l->epoch = row_get_number(w);
	l->state_version = row_get_number(w);
	v->created_at = row_get_time(w);
	v->opened_at = row_get_time(w);
	v->stored_at = row_get_time(w);
	read_move(w, v);
	read_origin(w, &v->origin);
	return row_finish(s, w, "a vTPM");
}

static int vtpm_get(struct store *s, const struct uuid *uuid, struct store_vtpm *v)
{
	struct row w = row_start(s, SQL_VTPM_GET);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	r = row_find(s, &w, "can't look up a vTPM");
	return r != 0 ? r : read_vtpm(s, &w, v);
}

static int vtpm_next(struct store *s, const struct uuid *after, struct store_vtpm *v)
{
	struct row w = row_start(s, after ? SQL_VTPM_NEXT : SQL_VTPM_FIRST);
	int r;

	if (after)
		row_put_blob(&w, after->b, UUID_SIZE);
	r = row_find(s, &w, "can't list the vTPMs");
	return r != 0 ? r : read_vtpm(s, &w, v);
}

static int vtpm_put(struct store *s, const struct store_vtpm *v)
{
	struct row w = row_start(s, SQL_VTPM_PUT);
	const struct lease *l = &v->lease;

	row_put_blob(&w, v->uuid.b, UUID_SIZE);
	row_put_text(&w, l->pool);
	row_put_number(&w, v->generation);
	row_put_blob(&w, v->seed, v->seed_size);
	row_put_number(&w, l->owner_epoch);
	row_put_number(&w, l->endorsement_epoch);
	row_put_number(&w, l->platform_epoch);
	row_put_text_or_null(&w, l->holder);
	row_put_text_or_null(&w, l->last_holder);
	row_put_number(&w, l->epoch);
	row_put_number(&w, l->state_version);
	row_put_time(&w, v->created_at);
	row_put_time(&w, v->opened_at);
	row_put_time(&w, v->stored_at);
	put_move(&w, v);
	row_put_blob(&w, v->origin.uuid.b, v->origin.generation ? UUID_SIZE : 0);
	row_put_number(&w, v->origin.generation);
	return row_run(s, &w, "can't write a vTPM");
}

static int vtpm_sharing(struct store *s, const struct origin *keys, const struct uuid *after, struct uuid *uuid)
{
	struct row w = row_start(s, SQL_VTPM_SHARING);
	int r;

	row_put_blob(&w, after->b, UUID_SIZE);
	row_put_blob(&w, keys->uuid.b, UUID_SIZE);
	row_put_number(&w, keys->generation);
	r = row_find(s, &w, "can't look for vTPMs that share keys");
	if (r != 0)
		return r;
	row_get_exact(&w, uuid->b, UUID_SIZE);
	return row_finish(s, &w, "a vTPM that shares keys");
}

static int read_parked(struct store *s, struct row *w, struct store_parked *p)
{
	row_get_exact(w, p->uuid.b, sizeof(p->uuid.b));
	row_get_text(w, p->holder, sizeof(p->holder));
	p->epoch = row_get_number(w);
	p->recalled_at = row_get_time(w);
	return row_finish(s, w, "a parked lease");
}

static int parked_get(struct store *s, const struct uuid *uuid, struct store_parked *p)
{
	struct row w = row_start(s, SQL_PARKED_GET);
	int r;

	row_put_blob(&w, uuid->b, sizeof(uuid->b));
	r = row_find(s, &w, "can't look up a parked lease");
	return r != 0 ? r : read_parked(s, &w, p);
}

static int parked_put(struct store *s, const struct store_parked *p)
{
	struct row w = row_start(s, SQL_PARKED_PUT);

	row_put_blob(&w, p->uuid.b, sizeof(p->uuid.b));
	row_put_text(&w, p->holder);
	row_put_number(&w, p->epoch);
	row_put_time(&w, p->recalled_at);
	return row_run(s, &w, "can't write a parked lease");
}

static int parked_recalled(struct store *s, const char *holder, struct store_parked *p)
{
	struct row w = row_start(s, SQL_PARKED_RECALLED);
	int r;

	row_put_text(&w, holder);
	r = row_find(s, &w, "can't look for recalled leases");
	return r != 0 ? r : read_parked(s, &w, p);
}

static int ek_get(struct store *s, const struct uuid *uuid, struct store_ek *k)
{
	struct row w = row_start(s, SQL_EK_GET);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	r = row_find(s, &w, "can't look up a vTPM's certificates");
	if (r != 0)
		return r;
	row_get_exact(&w, k->uuid.b, UUID_SIZE);
	k->generation = (uint32_t)row_get_number(&w);
	k->endorsement_epoch = row_get_number(&w);
	row_get_exact(&w, k->ca, sizeof(k->ca));
	k->issued_at = row_get_time(&w);
	k->rsa_size = row_get_blob(&w, k->rsa, sizeof(k->rsa));
	k->ecc_size = row_get_blob(&w, k->ecc, sizeof(k->ecc));
	return row_finish(s, &w, "a vTPM's certificates");
}

static int ek_put(struct store *s, const struct store_ek *k)
{
	struct row w = row_start(s, SQL_EK_PUT);

	row_put_blob(&w, k->uuid.b, UUID_SIZE);
	row_put_number(&w, k->generation);
	row_put_number(&w, k->endorsement_epoch);
	row_put_blob(&w, k->ca, sizeof(k->ca));
	row_put_time(&w, k->issued_at);
	row_put_blob(&w, k->rsa, k->rsa_size);
	row_put_blob(&w, k->ecc, k->ecc_size);
	return row_run(s, &w, "can't write a vTPM's certificates");
}

static int ek_drop(struct store *s, const struct uuid *uuid)
{
	struct row w = row_start(s, SQL_EK_DROP);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	return row_run(s, &w, "can't remove a vTPM's certificates");
}

static int read_retirement(struct store *s, struct row *w, struct store_retirement *r)
{
	size_t n;

	row_get_exact(w, r->uuid.b, UUID_SIZE);
	r->seed_size = row_get_blob(w, r->seed, sizeof(r->seed));
	r->due_at = row_get_time(w);
	r->destroyed_at = row_get_time(w);
	n = row_get_blob(w, r->move, sizeof(r->move));
	r->moving = n != 0;
	w->bad |= n != 0 && n != sizeof(r->move);
	w->bad |= row_get_blob(w, r->recipient, sizeof(r->recipient)) != (r->moving ? sizeof(r->recipient) : 0);
	row_get_text(w, r->destination, sizeof(r->destination));
	r->epoch = row_get_number(w);
	return row_finish(s, w, "a retirement");
}

static int retirement_get(struct store *s, const struct uuid *uuid, struct store_retirement *out)
{
	struct row w = row_start(s, SQL_RETIREMENT_GET);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	r = row_find(s, &w, "can't look up a retirement");
	return r != 0 ? r : read_retirement(s, &w, out);
}

static int retirement_put(struct store *s, const struct store_retirement *r)
{
	struct row w = row_start(s, SQL_RETIREMENT_PUT);

	row_put_blob(&w, r->uuid.b, UUID_SIZE);
	row_put_blob(&w, r->seed, r->seed_size);
	row_put_time(&w, r->due_at);
	row_put_time(&w, r->destroyed_at);
	row_put_blob(&w, r->move, r->moving ? sizeof(r->move) : 0);
	row_put_blob(&w, r->recipient, r->moving ? sizeof(r->recipient) : 0);
	row_put_text_or_null(&w, r->moving ? r->destination : "");
	row_put_number(&w, r->epoch);
	return row_run(s, &w, "can't write a retirement");
}

static int retirement_drop(struct store *s, const struct uuid *uuid)
{
	struct row w = row_start(s, SQL_RETIREMENT_DROP);

	row_put_blob(&w, uuid->b, UUID_SIZE);
	return row_run(s, &w, "can't remove a retirement");
}

static int retirement_due(struct store *s, int64_t now, struct store_retirement *out)
{
	struct row w = row_start(s, SQL_RETIREMENT_DUE);
	int r;

	row_put_time(&w, now);
	r = row_find(s, &w, "can't look for retirements that are due");
	return r != 0 ? r : read_retirement(s, &w, out);
}

static int read_arrival(struct store *s, struct row *w, struct store_arrival *a)
{
	row_get_exact(w, a->uuid.b, UUID_SIZE);
	row_get_exact(w, a->move, sizeof(a->move));
	row_get_exact(w, a->sender, sizeof(a->sender));
	row_get_text(w, a->from, sizeof(a->from));
	row_get_exact(w, a->keys.uuid.b, UUID_SIZE);
	a->keys.generation = (uint32_t)row_get_number(w);
	a->epoch = row_get_number(w);
	a->arrived_at = row_get_time(w);
	return row_finish(s, w, "an arrival");
}

static int arrival_get(struct store *s, const struct uuid *uuid, struct store_arrival *a)
{
	struct row w = row_start(s, SQL_ARRIVAL_GET);
	int r;

	row_put_blob(&w, uuid->b, UUID_SIZE);
	r = row_find(s, &w, "can't look up an arrival");
	return r != 0 ? r : read_arrival(s, &w, a);
}

static int arrival_of(struct store *s, const struct origin *keys, struct store_arrival *a)
{
	struct row w = row_start(s, SQL_ARRIVAL_OF);
	int r;

	row_put_blob(&w, keys->uuid.b, UUID_SIZE);
	row_put_number(&w, keys->generation);
	r = row_find(s, &w, "can't look for an arrival");
	return r != 0 ? r : read_arrival(s, &w, a);
}

static int arrival_put(struct store *s, const struct store_arrival *a)
{
	struct row w = row_start(s, SQL_ARRIVAL_PUT);

	row_put_blob(&w, a->uuid.b, UUID_SIZE);
	row_put_blob(&w, a->move, sizeof(a->move));
	row_put_blob(&w, a->sender, sizeof(a->sender));
	row_put_text(&w, a->from);
	row_put_blob(&w, a->keys.uuid.b, UUID_SIZE);
	row_put_number(&w, a->keys.generation);
	row_put_number(&w, a->epoch);
	row_put_time(&w, a->arrived_at);
	return row_run(s, &w, "can't write an arrival");
}

void store_vtpms_fill(struct store_ops *ops)
{
	ops->vtpm_get = vtpm_get;
	ops->vtpm_put = vtpm_put;
	ops->vtpm_next = vtpm_next;
	ops->vtpm_sharing = vtpm_sharing;
	ops->parked_get = parked_get;
	ops->parked_put = parked_put;
	ops->parked_recalled = parked_recalled;
	ops->ek_get = ek_get;
	ops->ek_put = ek_put;
	ops->ek_drop = ek_drop;
	ops->retirement_get = retirement_get;
	ops->retirement_put = retirement_put;
	ops->retirement_drop = retirement_drop;
	ops->retirement_due = retirement_due;
	ops->arrival_get = arrival_get;
	ops->arrival_of = arrival_of;
	ops->arrival_put = arrival_put;
}
