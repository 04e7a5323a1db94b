/*
 * Wrapping anew.
 *
 * Theory of operation: a pass goes through seeds, retired seeds and protection keys by id. The first one begins anywhere, so that several
 * kmcd of a database seldom take the same; a pass that found nothing from the very beginning to the end is the last. Nothing is kept between batches but in the database.
 */
#include "kmc/engine_rewrap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "kmc/keyring.h"
#include "kmc/seed.h"

#define BATCH 32
#define PAUSE_MS 20 /* between two batches: opens go first */

struct item {
	struct store_wrapped was;
	uint8_t now[STORE_WRAPPED_KEY_MAX];
	size_t size; /* 0: the vault could not */
};

static struct {
	struct source *timer;
	uint32_t number;
	struct store_wrapped at; /* what was read last */
	struct item items[BATCH];
	size_t n, waiting;
	bool pausing;
	uint64_t damaged, damaged_before; /* in this pass, in the one before */
} p;

static void from_the_first(void)
{
	p.at.kind = 0;
	memset(p.at.id, 0, sizeof(p.at.id));
	p.damaged_before = p.damaged;
	p.damaged = 0;
}

/* The next thing, of any kind. E_NOTFOUND: that was the pass. */
static int next(struct store *s, struct store_wrapped *out)
{
	int r = E_NOTFOUND;

	while (p.at.kind < STORE_WRAPPED_KINDS && (r = s->ops->wrapped_next(s, p.number, &p.at)) == E_NOTFOUND) {
		p.at.kind++;
		memset(p.at.id, 0, sizeof(p.at.id));
	}
	if (r == 0)
		*out = p.at;
	return r;
}

/* What it is bound to, as it was when it was wrapped. */
static int context_of(const struct store_wrapped *i, struct buf *b)
{
	struct seed_owner owner = {.tenant = view_text(i->tenant), .generation = i->generation};

	if (i->kind == STORE_WRAPPED_AUTHORITY)
		return buf_put(b, KEYRING_CA_CONTEXT, strlen(KEYRING_CA_CONTEXT));
	if (i->kind == STORE_WRAPPED_KEY)
		return buf_put(b, i->id, KMC_KEY_ID_SIZE);
	memcpy(owner.uuid.b, i->id, UUID_SIZE);
	return seed_message(&owner, b);
}

static bool send_one(struct engine *e, size_t i)
{
	const struct store_wrapped *was = &p.items[i].was;
	uint8_t context[VAULT_CONTEXT_MAX];
	struct ticket *t;
	struct buf b;

	buf_over(&b, context, sizeof(context));
	if (context_of(was, &b) != 0 || !(t = engine_ticket(e, TICKET_WRAPPING)))
		return false;
	t->client = 0; /* one of a batch */
	t->image = i;
	p.items[i].size = 0;
	link_send(e->vault, VAULT_REWRAP, t->id, &(const struct vault_rewrap){
		.kind = was->kind == STORE_WRAPPED_KEY ? 0 : was->kind == STORE_WRAPPED_AUTHORITY ? 2 : 1, .context = view_of(context, b.len), .wrapped = view_of(was->wrapped, was->size)});
	return true;
}

/* E_AGAIN_OUT: something is left. */
static int finish(struct store *s, void *arg)
{
	struct engine *e = arg;
	struct store_wrapping k, old;
	char detail[100];
	const struct audit_act act = {.event = AUDIT_WRAPPING_REPLACED, .detail = detail};
	uint64_t all, left;
	int r;

	if ((r = s->ops->wrapping_last(s, &k)) != 0 || (r = s->ops->wrapped_count(s, p.number, &all, &left)) != 0)
		return r;
	if (k.number != p.number || k.done_at || left)
		return E_AGAIN_OUT;
	k.done_at = engine_now();
	r = s->ops->wrapping_get(s, p.number - 1, &old);
	if (r == 0) {
		old.sealed_size = 0;
		r = s->ops->wrapping_put(s, &old);
	}
	if (r != 0 && r != E_NOTFOUND)
		return r;
	snprintf(detail, sizeof(detail), "key %u by key %u: %" PRIu64 " seeds and keys are under it", p.number - 1, p.number, all);
	return (r = s->ops->wrapping_put(s, &k)) != 0 ? r : auditlog_add(&e->audit, &act);
}

static void end_pass(struct engine *e)
{
	int r = store_transact(e->store, finish, e);

	if (r == 0)
		log_info("nothing is under wrapping key %u any more: it is destroyed on every machine that runs", p.number - 1);
	else if (r != E_AGAIN_OUT)
		log_error("%s", e->store->why);
	if (p.damaged && p.damaged != p.damaged_before)
		log_error("%" PRIu64 " seeds or keys can't be wrapped anew: wrapping key %u stays", p.damaged, p.number - 1);
	from_the_first();
}

void rewrap_go_on(struct engine *e, uint32_t number)
{
	int r = 0;

	if (p.waiting || p.pausing)
		return;
	if (p.number != number) {
		from_the_first();
		p.damaged_before = 0;
		p.number = number;
		if (getrandom(p.at.id, sizeof(p.at.id), 0) != (ssize_t)sizeof(p.at.id))
			memset(p.at.id, 0, sizeof(p.at.id));
	}
	for (p.n = 0; p.n < BATCH && (r = next(e->store, &p.items[p.n].was)) == 0; p.n++) {
		if (!send_one(e, p.n))
			break;
		p.waiting++;
	}
	if (r != 0 && r != E_NOTFOUND)
		log_error("%s", e->store->why);
	else if (r == E_NOTFOUND && !p.n)
		end_pass(e);
}

static int write_batch(struct store *s, void *arg)
{
	int r = 0;

	(void)arg;
	for (size_t i = 0; i < p.n && r == 0; i++)
		if (p.items[i].size)
			r = s->ops->wrapped_swap(s, &p.items[i].was, view_of(p.items[i].now, p.items[i].size));
	return r;
}

void rewrap_answer(struct engine *e, struct ticket *t, struct view wrapped)
{
	struct item *i = &p.items[t->image];

	engine_ticket_end(t);
	if (wrapped.p) {
		memcpy(i->now, wrapped.p, wrapped.n);
		i->size = wrapped.n;
	} else {
		p.damaged++;
	}
	if (--p.waiting)
		return;
	if (store_transact(e->store, write_batch, NULL) != 0) {
		log_error("%s", e->store->why);
		return; /* the next look goes on, and the next pass finds these again */
	}
	p.pausing = true;
	source_set_ms(p.timer, PAUSE_MS);
}

void rewrap_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	if (!p.damaged)
		log_error("can't wrap anew: %.*s", (int)m->reason.n, (const char *)m->reason.p);
	rewrap_answer(e, t, (struct view){0});
}

uint64_t rewrap_damaged(void)
{
	return p.damaged > p.damaged_before ? p.damaged : p.damaged_before;
}

static void on_time(void *arg, unsigned int what)
{
	(void)what;
	p.pausing = false;
	rewrap_go_on(arg, p.number);
}

bool rewrap_start(struct engine *e, struct loop *loop)
{
	p.timer = source_timer(loop, on_time, e);
	return p.timer;
}
