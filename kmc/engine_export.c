/* vTPMs that leave for another KMC, in the engine: look, have the vault make the file, look again and record, and only then give it out. */
#include "kmc/engine_export.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"
#include "common/log.h"
#include "common/text.h"
#include "kmc/admin.h"
#include "kmc/engine_life.h"
#include "kmc/engine_share.h"
#include "kmc/engine_wrapping.h"

#define DETAIL 400
#define REASON 200
#define HEX (2 * MOVE_HASH_SIZE + 1)

/* One act upon a vTPM. Exports are done one at a time: the vault's answer belongs to this one. */
struct leaving {
	struct engine *e;
	struct uuid uuid;
	uint8_t recipient[MOVE_HASH_SIZE];
	char destination[STORE_NAME];
	struct store_vtpm vtpm;	    /* as it is */
	struct store_retirement end; /* the move: as it is, or is to be */
	bool repeated;		    /* it was on its way already */
	const struct move_acceptance *receipt;
	char why[REASON]; /* E_STATE: what stands against it; "": somebody holds it */
};

static struct {
	uint64_t ticket; /* 0: none is under way */
	struct leaving was;
	uint8_t card[MOVE_CARD_MAX];
	size_t card_size;
} under_way;

static int __attribute__((format(printf, 2, 3))) stop(struct leaving *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(x->why, sizeof(x->why), fmt, ap);
	va_end(ap);
	return E_STATE;
}

static void fail(const struct leaving *x, uint64_t client, int r)
{
	struct admin *a = x->e->admin;
	char u[UUID_TEXT];

	uuid_format(&x->uuid, u);
	if (r == E_NOTFOUND)
		admin_fail(a, client, r, "there is no vTPM %s: see 'kmcctl vtpm list'", u);
	else if (r == E_STATE && x->why[0])
		admin_fail(a, client, r, "vTPM %s %s", u, x->why);
	else if (r == E_STATE)
		admin_fail(a, client, r, "host '%s' holds vTPM %s: shut its guest down there first, or 'kmcctl vtpm takeover %s' if that host is dead",
			   x->vtpm.lease.holder, u, u);
	else {
		log_error("%s", x->e->store->why);
		admin_fail(a, client, r, "%s", x->e->store->why);
	}
}

/* What the move will be, if it is none yet. */
static int begin(struct leaving *x)
{
	const struct store_vtpm *v = &x->vtpm;
	struct store_retirement *end = &x->end;

	if (!v->seed_size)
		return stop(x, "has no keys yet: there is nothing to move, register it there");
	if (v->lease.epoch >= INT64_MAX)
		return stop(x, "has had all leases that there are");
	*end = (struct store_retirement){.uuid = x->uuid, .seed_size = v->seed_size, .due_at = engine_now(), .moving = true, .epoch = v->lease.epoch + 1};
	memcpy(end->seed, v->seed, v->seed_size);
	memcpy(end->recipient, x->recipient, sizeof(end->recipient));
	memcpy(end->destination, x->destination, sizeof(end->destination));
	return getrandom(end->move, sizeof(end->move), 0) == sizeof(end->move) ? 0 : E_IO;
}

/* Whether it can be done; all of @x is filled in. */
static int look(struct store *s, struct leaving *x)
{
	struct store_retirement *end = &x->end;
	const struct lease *l = &x->vtpm.lease;
	int r = s->ops->vtpm_get(s, &x->uuid, &x->vtpm);

	x->why[0] = '\0';
	x->repeated = false;
	if (r != 0)
		return r;
	if (l->holder[0])
		return E_STATE;
	if (l->suspended)
		return stop(x, "is suspended with its guest: resume and shut that down first, or 'kmcctl vtpm takeover' it");
	r = s->ops->retirement_get(s, &x->uuid, end);
	if (r == E_NOTFOUND)
		return begin(x);
	if (r != 0)
		return r;
	if (!end->moving)
		return stop(x, "is retired");
	if (end->destroyed_at)
		return stop(x, "was moved to KMC '%s'", end->destination);
	if (memcmp(end->recipient, x->recipient, sizeof(end->recipient)) != 0)
		return stop(x, "is on its way to KMC '%s': end that first, see 'kmcctl vtpm export --cancel'", end->destination);
	x->repeated = true;
	return 0;
}

/* The state that goes along, into e->state. */
static int read_state(struct engine *e, const struct store_vtpm *v, uint8_t hash[MOVE_HASH_SIZE])
{
	int r;

	buf_reset(&e->state);
	if (!v->lease.state_version)
		return 0;
	r = e->store->ops->state_get(e->store, &v->uuid, v->lease.state_version, &e->state);
	if (r != 0)
		return r == E_NOTFOUND ? E_DB : r;
	return EVP_Digest(buf_ptr(&e->state), buf_left(&e->state), hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

static int record(struct store *s, void *arg)
{
	struct leaving *x = arg;
	const struct leaving *was = &under_way.was;
	struct store_vtpm v;
	char detail[DETAIL], to[HEX], id[2 * MOVE_ID_SIZE + 1];
	const struct audit_act act = {.event = AUDIT_VTPM_EXPORTED, .vtpm = &x->uuid, .pool = x->vtpm.lease.pool, .detail = detail};
	int r = look(s, x);

	if (r != 0)
		return r;
	v = x->vtpm;
	if (x->repeated != was->repeated || v.generation != was->vtpm.generation || v.lease.epoch != was->vtpm.lease.epoch ||
	    v.lease.state_version != was->vtpm.lease.state_version || (x->repeated && memcmp(x->end.move, was->end.move, MOVE_ID_SIZE) != 0))
		return stop(x, "changed while its file was made: look at it, and try again");
	snprintf(detail, sizeof(detail), "%sto KMC '%s' (%s), move %s, lease %" PRIu64 ", state version %" PRIu64, x->repeated ? "once more " : "",
		 x->destination, text_hex(x->recipient, MOVE_HASH_SIZE, to), text_hex(was->end.move, MOVE_ID_SIZE, id), was->end.epoch, v.lease.state_version);
	if (!x->repeated) {
		memcpy(x->end.move, was->end.move, MOVE_ID_SIZE);
		v.seed_size = 0;
		v.lease.epoch = x->end.epoch; /* a parked lease is void, and so is what an old relay still sends */
		v.lease.last_holder[0] = '\0';
		if ((r = s->ops->vtpm_put(s, &v)) != 0 || (r = s->ops->retirement_put(s, &x->end)) != 0)
			return r;
	}
	return auditlog_add(&x->e->audit, &act);
}

static void ask(struct engine *e, struct ticket *t, const uint8_t hash[MOVE_HASH_SIZE])
{
	const struct leaving *x = &under_way.was;
	const struct store_vtpm *v = &x->vtpm;
	const struct lease *l = &v->lease;
	uint8_t origin[ORIGIN_SIZE];
	const struct vault_export q = {
		.tenant = view_text(l->pool), .seed = view_of(x->end.seed, x->end.seed_size), .card = view_of(under_way.card, under_way.card_size),
		.id = view_of(x->end.move, sizeof(x->end.move)), .uuid = x->uuid, .origin = origin_put(&v->origin, origin),
		.state_hash = l->state_version ? view_of(hash, MOVE_HASH_SIZE) : (struct view){0}, .generation = v->generation,
		.lease_epoch = x->end.epoch, .owner_epoch = l->owner_epoch, .endorsement_epoch = l->endorsement_epoch,
		.platform_epoch = l->platform_epoch, .state_version = l->state_version, .created_at = (uint64_t)v->created_at,
		.exported_at = (uint64_t)engine_now(),
	};

	wrapping_before(e, q.seed);
	link_send(e->vault, VAULT_EXPORT, t->id, &q);
}

/* Who is to get it; false: that was answered. */
static bool know_recipient(struct engine *e, uint64_t client, const struct adm_export *m, struct leaving *x)
{
	struct move_card card;
	char text[HEX];

	if (move_read(m->card, MOVE_CARD, &card) != 0 || move_fingerprint(&card, x->recipient) != 0 ||
	    view_copy_text(card.kmc, x->destination, sizeof(x->destination)) != 0) {
		admin_fail(e->admin, client, E_FORMAT, "that is no KMC's key for moves, or is damaged: have it written anew there, by 'kmcctl move-key'");
		return false;
	}
	text_make_printable(x->destination);
	if (memcmp(m->fingerprint.p, x->recipient, sizeof(x->recipient)) == 0)
		return true;
	admin_fail(e->admin, client, E_DENIED, "the key is of a KMC '%s' with fingerprint %s: that is not the one in --fingerprint", x->destination,
		   text_hex(x->recipient, sizeof(x->recipient), text));
	return false;
}

static void start(struct engine *e, uint64_t client, const struct adm_export *m)
{
	struct leaving *x = &under_way.was;
	uint8_t hash[MOVE_HASH_SIZE];
	struct ticket *t;
	int r;

	if (under_way.ticket || !(t = engine_ticket(e, TICKET_EXPORT))) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy with another move: try again");
		return;
	}
	*x = (struct leaving){.e = e, .uuid = m->uuid};
	if (!know_recipient(e, client, m, x)) {
		engine_ticket_end(t);
		return;
	}
	if ((r = look(e->store, x)) != 0 || (r = read_state(e, &x->vtpm, hash)) != 0) {
		fail(x, client, r);
		engine_ticket_end(t);
		return;
	}
	memcpy(under_way.card, m->card.p, m->card.n);
	under_way.card_size = m->card.n;
	under_way.ticket = t->id;
	t->client = client;
	ask(e, t, hash);
}

static void end(struct ticket *t)
{
	under_way.ticket = 0;
	engine_ticket_end(t);
}

void export_made(struct engine *e, struct ticket *t, const struct vault_exported *m)
{
	struct leaving x = under_way.was;
	uint8_t hash[MOVE_HASH_SIZE];
	char u[UUID_TEXT];
	int r = store_transact(e->store, record, &x);

	if (r == 0) /* it can't change any more */
		r = read_state(e, &x.vtpm, hash);
	if (r != 0) {
		fail(&x, t->client, r);
	} else {
		log_about(LOG_LV_WARN, ABOUT(.vtpm = &x.uuid), "vTPM %s is on its way to KMC '%s': nobody opens it here", uuid_format(&x.uuid, u), x.destination);
		admin_answer(e->admin, t->client, ADM_EXPORTED, &(const struct adm_exported){.package = m->package, .repeated = x.repeated});
		if (buf_left(&e->state))
			admin_answer(e->admin, t->client, ADM_STATE_BYTES,
				     &(const struct adm_state_bytes){.state = view_of(buf_ptr(&e->state), buf_left(&e->state))});
		admin_answer(e->admin, t->client, ADM_END, &(const struct adm_end){.more = 0});
	}
	end(t);
}

static int cancel_it(struct store *s, void *arg)
{
	struct leaving *x = arg;
	struct store_retirement *was = &x->end;
	char detail[DETAIL], id[2 * MOVE_ID_SIZE + 1];
	const struct audit_act act = {.event = AUDIT_EXPORT_CANCELLED, .vtpm = &x->uuid, .pool = x->vtpm.lease.pool, .detail = detail};
	int r = s->ops->vtpm_get(s, &x->uuid, &x->vtpm);

	if (r != 0)
		return r;
	r = s->ops->retirement_get(s, &x->uuid, was);
	if (r == E_NOTFOUND || (r == 0 && !was->moving))
		return stop(x, "is not on its way to another KMC");
	if (r != 0)
		return r;
	if (was->destroyed_at)
		return stop(x, "was moved to KMC '%s', which has said so: it can come back from there only", was->destination);
	x->vtpm.seed_size = was->seed_size;
	memcpy(x->vtpm.seed, was->seed, was->seed_size);
	snprintf(detail, sizeof(detail), "to KMC '%s', move %s: BY ORDER, that KMC was not asked", was->destination, text_hex(was->move, MOVE_ID_SIZE, id));
	if ((r = s->ops->vtpm_put(s, &x->vtpm)) != 0 || (r = s->ops->retirement_drop(s, &x->uuid)) != 0)
		return r;
	return auditlog_add(&x->e->audit, &act);
}

static void cancel(struct engine *e, uint64_t client, const struct adm_uuid *m)
{
	struct leaving x = {.e = e, .uuid = m->uuid};
	char u[UUID_TEXT];
	int r = store_transact(e->store, cancel_it, &x);

	if (r != 0) {
		fail(&x, client, r);
		return;
	}
	log_about(LOG_LV_WARN, ABOUT(.vtpm = &x.uuid), "vTPM %s stays: its move to KMC '%s' was cancelled by order", uuid_format(&x.uuid, u), x.end.destination);
	admin_answer(e->admin, client, ADM_DONE, NULL);
}

/* The other KMC has it: its seed is not needed here any more. */
static int finish_it(struct store *s, void *arg)
{
	struct leaving *x = arg;
	struct store_retirement *was = &x->end;
	char detail[DETAIL], id[2 * MOVE_ID_SIZE + 1], shared[SHARE_TEXT];
	const struct audit_act act = {.event = AUDIT_VTPM_MOVED, .vtpm = &x->uuid, .pool = x->vtpm.lease.pool, .detail = detail};
	struct sharers sharers = {.n = 0};
	int r = s->ops->vtpm_get(s, &x->uuid, &x->vtpm);

	x->repeated = false;
	if (r != 0)
		return r;
	r = s->ops->retirement_get(s, &x->uuid, was);
	if (r != 0 && r != E_NOTFOUND)
		return r;
	if (r != 0 || !was->moving || memcmp(was->move, x->receipt->id.p, MOVE_ID_SIZE) != 0)
		return stop(x, "is not on its way under this receipt's move: it was cancelled, or is another one");
	if (memcmp(was->recipient, x->receipt->to.p, MOVE_HASH_SIZE) != 0)
		return stop(x, "is on its way to KMC '%s', and the receipt is of another", was->destination);
	x->repeated = was->destroyed_at != 0;
	if (x->repeated)
		return 0;
	if ((r = share_list(s, &x->vtpm, &sharers)) != 0)
		return r;
	snprintf(detail, sizeof(detail), "to KMC '%s', move %s, by its receipt; the seed is destroyed here%s", was->destination,
		 text_hex(was->move, MOVE_ID_SIZE, id), share_text(&sharers, shared));
	was->seed_size = 0;
	was->destroyed_at = engine_now();
	x->vtpm.lease.state_version = 0;
	if ((r = life_drop_contents(s, &x->uuid)) != 0 || (r = s->ops->vtpm_put(s, &x->vtpm)) != 0 || (r = s->ops->retirement_put(s, was)) != 0)
		return r;
	return auditlog_add(&x->e->audit, &act);
}

static void finish(struct engine *e, uint64_t client, const struct adm_moved *m)
{
	struct leaving x = {.e = e};
	struct move_acceptance receipt;
	char u[UUID_TEXT];
	int r = move_check_receipt(m->receipt, &receipt);

	if (r != 0) {
		admin_fail(e->admin, client, r, "that is no receipt as a KMC has signed it: have it written anew there, by the same 'kmcctl vtpm import'");
		return;
	}
	x.uuid = receipt.uuid;
	x.receipt = &receipt;
	r = store_transact(e->store, finish_it, &x);
	if (r != 0) {
		fail(&x, client, r);
		return;
	}
	if (!x.repeated)
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &x.uuid), "vTPM %s has moved to KMC '%s'", uuid_format(&x.uuid, u), x.end.destination);
	admin_answer(e->admin, client, ADM_DONE, NULL);
}

static void ask_card(struct engine *e, uint64_t client)
{
	struct ticket *t = engine_ticket(e, TICKET_CARD);

	if (!t) {
		admin_fail(e->admin, client, E_BUSY, "the KMC is busy: try again");
		return;
	}
	t->client = client;
	link_send(e->vault, VAULT_CARD, t->id, NULL);
}

void export_card(struct engine *e, struct ticket *t, const struct vault_card *m)
{
	admin_answer(e->admin, t->client, ADM_MOVE_CARD, &(const struct adm_move_card){.card = m->card});
	engine_ticket_end(t);
}

void export_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	char u[UUID_TEXT], reason[VAULT_REASON_MAX + 1];

	view_copy_text(m->reason, reason, sizeof(reason));
	text_make_printable(reason);
	log_error("vault: %s", reason);
	if (t->kind == TICKET_EXPORT) {
		admin_fail(e->admin, t->client, -(int)m->code, "vTPM %s stays here: %s", uuid_format(&under_way.was.uuid, u), reason);
		end(t);
	} else {
		admin_fail(e->admin, t->client, -(int)m->code, "%s", reason);
		engine_ticket_end(t);
	}
}

bool export_request(struct engine *e, uint64_t client, uint64_t type, const void *fields)
{
	if (type == ADM_MOVE_KEY)
		ask_card(e, client);
	else if (type == ADM_VTPM_EXPORT)
		start(e, client, fields);
	else if (type == ADM_EXPORT_CANCEL)
		cancel(e, client, fields);
	else if (type == ADM_VTPM_MOVED)
		finish(e, client, fields);
	else
		return false;
	return true;
}
