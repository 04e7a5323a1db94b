/* vTPMs that come from another KMC, in the engine: look, have the vault wrap the seed, look again and record, have the receipt signed. */
#include "kmc/engine_import.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/engine_life.h"
#include "kmc/engine_wrapping.h"

#define DETAIL 400
#define REASON 240
#define HEX (2 * MOVE_HASH_SIZE + 1)

/* The one import that is under way: the file waits here while the vault works. */
static struct {
	uint64_t ticket; /* 0: none */
	uint8_t package[MOVE_PACKAGE_MAX];
	size_t package_size;
	struct buf state; /* empty: there is none */
	char pool[STORE_NAME]; /* "": of the same name as there */
} under_way;

/* One look at it. */
struct arriving {
	struct engine *e;
	const struct move_checked *file;
	struct view seed;  /* wrapped, once the vault has done that */
	struct store_vtpm vtpm; /* as it is to be */
	struct store_arrival arrival;
	bool repeated; /* this very move was done already: vtpm is void, arrival as it was */
	bool returns;  /* it had left from here */
	bool stale;    /* E_STATE: the wrapping key was replaced meanwhile */
	char why[REASON]; /* E_STATE, E_EXISTS: what stands against it */
};

static int __attribute__((format(printf, 3, 4))) stop(struct arriving *x, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(x->why, sizeof(x->why), fmt, ap);
	va_end(ap);
	return r;
}

/* Where the vTPM will be. */
static int choose_pool(struct store *s, struct arriving *x, const struct store_vtpm *old)
{
	char *pool = x->vtpm.lease.pool;
	struct store_pool p;
	int r;

	if (under_way.pool[0])
		memcpy(pool, under_way.pool, STORE_NAME);
	else if (old)
		memcpy(pool, old->lease.pool, STORE_NAME);
	else if (view_copy_text(x->file->terms.pool, pool, STORE_NAME) != 0)
		return E_FORMAT;
	if (old && strcmp(pool, old->lease.pool) != 0)
		return stop(x, E_STATE, "belongs to pool '%s' here: leave --pool out", old->lease.pool);
	r = s->ops->pool_get(s, pool, &p);
	text_make_printable(pool);
	return r == E_NOTFOUND ? stop(x, E_STATE, "comes from a pool '%s', which there is not here: say which one with --pool", pool) : r;
}

/* There is such a vTPM here: whether the one that comes is its continuation. */
static int look_at_old(struct store *s, struct arriving *x, const struct store_vtpm *old)
{
	const struct move_terms *t = &x->file->terms;
	struct store_retirement end;
	int r = s->ops->retirement_get(s, &t->uuid, &end);

	if (r != 0 && r != E_NOTFOUND)
		return r;
	x->returns = r == 0 && end.moving && end.destroyed_at;
	if (r == 0 && !end.moving)
		return stop(x, E_EXISTS, "is retired here");
	if (r == 0 && !end.destroyed_at)
		return stop(x, E_EXISTS, "is on its way to KMC '%s' from here: give this KMC its receipt first ('kmcctl vtpm moved')", end.destination);
	if (x->returns && (t->lease_epoch <= end.epoch || t->generation < old->generation))
		return stop(x, E_EXISTS, "had left from here under lease %" PRIu64 ": this file, of lease %" PRIu64 ", is older", end.epoch, t->lease_epoch);
	if (!x->returns && (old->seed_size || old->lease.epoch || old->lease.state_version))
		return stop(x, E_EXISTS, "is here already, by another way than this file: nothing was changed");
	return 0;
}

static void fill_in(struct arriving *x, const struct store_vtpm *old)
{
	const struct move_terms *t = &x->file->terms;
	struct store_vtpm *v = &x->vtpm;
	struct lease *l = &v->lease;

	v->uuid = t->uuid;
	v->generation = (uint32_t)t->generation;
	v->origin = x->file->origin;
	v->created_at = (int64_t)t->created_at;
	v->stored_at = t->state_version ? engine_now() : 0;
	l->epoch = old && old->lease.epoch > t->lease_epoch ? old->lease.epoch : t->lease_epoch;
	l->owner_epoch = t->owner_epoch;
	l->endorsement_epoch = t->endorsement_epoch;
	l->platform_epoch = t->platform_epoch;
	l->state_version = t->state_version;
	x->arrival = (struct store_arrival){.uuid = t->uuid, .epoch = t->lease_epoch, .arrived_at = engine_now(),
		.keys = v->origin.generation ? v->origin : (struct origin){.uuid = t->uuid, .generation = v->generation}};
	memcpy(x->arrival.move, t->id.p, MOVE_ID_SIZE);
	memcpy(x->arrival.sender, t->from.p, MOVE_HASH_SIZE);
	view_copy_text(t->from_name, x->arrival.from, sizeof(x->arrival.from));
	text_make_printable(x->arrival.from);
}

/* Whether it can be done; all of @x is filled in. */
static int look(struct store *s, struct arriving *x)
{
	const struct move_terms *t = &x->file->terms;
	struct store_vtpm old;
	bool known;
	int r = s->ops->arrival_get(s, &t->uuid, &x->arrival);

	x->stale = x->returns = false;
	x->repeated = r == 0 && memcmp(x->arrival.move, t->id.p, MOVE_ID_SIZE) == 0 && memcmp(x->arrival.sender, t->from.p, MOVE_HASH_SIZE) == 0;
	if (x->repeated || (r != 0 && r != E_NOTFOUND))
		return x->repeated ? 0 : r;
	r = s->ops->vtpm_get(s, &t->uuid, &old);
	known = r == 0;
	if (r != 0 && r != E_NOTFOUND)
		return r;
	x->vtpm = (struct store_vtpm){.seed_size = 0};
	if (known && (r = look_at_old(s, x, &old)) != 0)
		return r;
	if ((r = choose_pool(s, x, known ? &old : NULL)) != 0)
		return r;
	fill_in(x, known ? &old : NULL);
	return 0;
}

static int put_state(struct store *s, const struct arriving *x)
{
	const struct lease *l = &x->vtpm.lease;
	const struct store_state st = {.version = l->state_version, .owner_epoch = l->owner_epoch, .endorsement_epoch = l->endorsement_epoch,
				       .platform_epoch = l->platform_epoch, .stored_at = x->vtpm.stored_at};

	return l->state_version ? s->ops->state_put(s, &x->vtpm.uuid, &st, view_of(buf_ptr(&under_way.state), buf_left(&under_way.state))) : 0;
}

static int record(struct store *s, void *arg)
{
	struct arriving *x = arg;
	struct store_vtpm *v = &x->vtpm;
	char detail[DETAIL], from[HEX], id[2 * MOVE_ID_SIZE + 1];
	const struct audit_act act = {.event = AUDIT_VTPM_IMPORTED, .vtpm = &v->uuid, .pool = v->lease.pool, .detail = detail};
	int r = look(s, x);

	if (r != 0 || x->repeated)
		return r;
	if ((r = wrapping_allows(s, x->seed)) != 0) {
		x->stale = r == E_STATE;
		return r;
	}
	memcpy(v->seed, x->seed.p, x->seed.n);
	v->seed_size = x->seed.n;
	snprintf(detail, sizeof(detail), "from KMC '%s' (%s), move %s, lease %" PRIu64 ", state version %" PRIu64 "%s", x->arrival.from,
		 text_hex(x->arrival.sender, MOVE_HASH_SIZE, from), text_hex(x->arrival.move, MOVE_ID_SIZE, id), x->arrival.epoch, v->lease.state_version,
		 x->returns ? "; it had left from here" : "");
	if ((r = s->ops->vtpm_put(s, v)) != 0 || (r = life_drop_contents(s, &v->uuid)) != 0 || (r = put_state(s, x)) != 0 ||
	    (r = s->ops->retirement_drop(s, &v->uuid)) != 0 || (r = s->ops->arrival_put(s, &x->arrival)) != 0)
		return r;
	return auditlog_add(&x->e->audit, &act);
}

static void fail(const struct arriving *x, uint64_t client, int r)
{
	char u[UUID_TEXT];

	if ((r == E_STATE || r == E_EXISTS) && x->why[0]) {
		admin_fail(x->e->admin, client, r, "vTPM %s %s", uuid_format(&x->file->terms.uuid, u), x->why);
	} else {
		log_error("%s", x->e->store->why);
		admin_fail(x->e->admin, client, r, "%s", x->e->store->why);
	}
}

static void end(struct ticket *t)
{
	under_way.ticket = 0;
	engine_ticket_end(t);
}

static void ask_import(struct engine *e, const struct ticket *t, const struct arriving *x)
{
	const struct vault_import q = {.tenant = view_text(x->vtpm.lease.pool), .from = x->file->terms.from,
				       .package = view_of(under_way.package, under_way.package_size)};

	link_send(e->vault, VAULT_IMPORT, t->id, &q);
}

static void ask_receipt(struct engine *e, struct ticket *t, const struct arriving *x)
{
	const struct store_arrival *a = &x->arrival;
	const struct vault_receipt q = {.id = view_of(a->move, sizeof(a->move)), .from = view_of(a->sender, sizeof(a->sender)), .uuid = a->uuid,
					.lease_epoch = a->epoch, .imported_at = (uint64_t)a->arrived_at};

	t->uuid = a->uuid;
	t->reserve = x->repeated;
	link_send(e->vault, VAULT_RECEIPT, t->id, &q);
}

/* What a file has to be before the database is looked at; false: that was answered. */
static bool acceptable(struct engine *e, uint64_t client, const struct adm_import *m, struct move_checked *c)
{
	char name[KMC_NAME_MAX + 1], text[HEX];
	int r = move_check(m->package, c);

	if (r != 0) {
		admin_fail(e->admin, client, r, "the file is not as a KMC has signed it: copy it anew, or have it written anew there");
		return false;
	}
	view_copy_text(c->terms.from_name, name, sizeof(name));
	if (CRYPTO_memcmp(c->terms.from.p, m->fingerprint.p, MOVE_HASH_SIZE) != 0) {
		admin_fail(e->admin, client, E_DENIED, "the file is signed by a KMC '%s' with fingerprint %s: that is not the one in --fingerprint",
			   text_make_printable(name), text_hex(c->terms.from.p, MOVE_HASH_SIZE, text));
		return false;
	}
	if (move_check_state(&c->terms, m->state) != 0) {
		admin_fail(e->admin, client, E_INTEGRITY, "the state in the file is not the one that was signed: copy it anew, or have it written anew there");
		return false;
	}
	return true;
}

static int keep_file(const struct adm_import *m)
{
	int r = under_way.state.data ? 0 : buf_init(&under_way.state, KMC_STATE_MAX);

	if (r != 0)
		return r;
	buf_reset(&under_way.state);
	memcpy(under_way.package, m->package.p, m->package.n);
	under_way.package_size = m->package.n;
	under_way.pool[0] = '\0';
	if (m->pool.p && (r = view_copy_text(m->pool, under_way.pool, sizeof(under_way.pool))) != 0)
		return r;
	return m->state.p ? buf_put(&under_way.state, m->state.p, m->state.n) : 0;
}

static void start(struct engine *e, uint64_t client, const struct adm_import *m)
{
	struct move_checked file;
	struct arriving x = {.e = e, .file = &file};
	struct ticket *t;
	int r;

	if (!acceptable(e, client, m, &file))
		return;
	if (under_way.ticket || keep_file(m) != 0 || !(t = engine_ticket(e, TICKET_IMPORT))) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy with another move: try again");
		return;
	}
	if ((r = look(e->store, &x)) != 0) {
		fail(&x, client, r);
		engine_ticket_end(t);
		return;
	}
	under_way.ticket = t->id;
	t->client = client;
	if (x.repeated)
		ask_receipt(e, t, &x);
	else
		ask_import(e, t, &x);
}

void import_made(struct engine *e, struct ticket *t, const struct vault_made *m)
{
	struct move_checked file;
	struct arriving x = {.e = e, .file = &file, .seed = m->seed};
	char u[UUID_TEXT];
	int r = move_check(view_of(under_way.package, under_way.package_size), &file);

	if (r == 0)
		r = store_transact(e->store, record, &x);
	if (r == E_STATE && x.stale) { /* the wrapping key was replaced behind this kmcd's back: once more, under the present one */
		wrapping_look(e);
		ask_import(e, t, &x);
	} else if (r != 0) {
		fail(&x, t->client, r);
		end(t);
	} else {
		if (!x.repeated)
			log_about(LOG_LV_INFO, ABOUT(.vtpm = &x.vtpm.uuid), "vTPM %s has come from KMC '%s' into pool '%s'", uuid_format(&x.vtpm.uuid, u), x.arrival.from, x.vtpm.lease.pool);
		ask_receipt(e, t, &x);
	}
}

void import_receipt(struct engine *e, struct ticket *t, const struct vault_receipt_is *m)
{
	admin_answer(e->admin, t->client, ADM_IMPORTED, &(const struct adm_imported){.receipt = m->receipt, .uuid = t->uuid, .repeated = t->reserve});
	end(t);
}

void import_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	char reason[VAULT_REASON_MAX + 1];

	view_copy_text(m->reason, reason, sizeof(reason));
	text_make_printable(reason);
	log_error("vault: %s", reason);
	admin_fail(e->admin, t->client, -(int)m->code, "%s", reason);
	end(t);
}

bool import_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type != ADM_VTPM_IMPORT)
		return false;
	start(e, client, fields);
	return true;
}
