/*
 * Replacement of the wrapping key, in the engine.
 *
 * Theory of operation: look() reads the newest key's row every LOOK_MS and does the next thing. The link to the vault keeps the order, so
 * what is sent behind a LEARN may be under that key. A batch of wrapped things is read, wrapped anew by the vault between other requests, and
 * written in one transaction, each only if it still is as it was read.
 */
#include "kmc/engine_wrapping.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/text.h"
#include "kmc/engine_rewrap.h"
#include "kmc/kmcconf.h"
#include "kmc/wrap.h"

#define LOOK_MS 2000
#define SILENT_MS 20000 /* a kmcd that has not moved for so long does not run */
#define KMCS_MAX 32

/* What a ticket is about is in its client, the key's number in its image. */
enum { ASK_LEARN = WRAPPING_MAKE + 1, ASK_USE, ASK_DESTROY };

struct seen {
	char name[STORE_NAME];
	uint64_t beat, at_ms;
};

static struct {
	struct source *timer;
	bool ready, database_away;
	struct store_kmc own; /* this kmcd's row, as it is or is to be */
	uint32_t taught[WRAP_KEYS_MAX]; /* that were sent to the vault */
	uint32_t use, files; /* that the vault was told to use, and has its files under */
	uint32_t destroying;
	uint32_t waiting_for; /* the key that the table is about */
	struct seen seen[KMCS_MAX];
	char complained[STORE_REASON_MAX + 1];
} w;

int wrapping_newest(struct store *s, struct store_wrapping *k)
{
	int r = s->ops->wrapping_last(s, k);

	if (r != E_NOTFOUND)
		return r;
	*k = (struct store_wrapping){.number = 1, .used_at = 1, .done_at = 1};
	return 0;
}

static bool is_taught(uint32_t number)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++)
		if (w.taught[i] == number)
			return true;
	return number <= 1; /* that is there, or nothing is under it */
}

static void set_taught(uint32_t number, bool yes)
{
	for (size_t i = 0; i < WRAP_KEYS_MAX; i++) {
		if (w.taught[i] != (yes ? 0 : number))
			continue;
		w.taught[i] = yes ? number : 0;
		return;
	}
	if (yes) /* the oldest was destroyed long ago */
		w.taught[number % WRAP_KEYS_MAX] = number;
}

static bool ask(struct engine *e, unsigned int what, uint64_t type, uint32_t number, const void *fields)
{
	struct ticket *t = engine_ticket(e, TICKET_WRAPPING);

	if (!t)
		return false;
	t->client = what;
	t->image = number;
	link_send(e->vault, type, t->id, fields);
	return true;
}

static void teach(struct engine *e, uint32_t number)
{
	struct store_wrapping k;

	if (is_taught(number) || e->store->ops->wrapping_get(e->store, number, &k) != 0 || !k.sealed_size)
		return;
	if (ask(e, ASK_LEARN, VAULT_LEARN, number,
		&(const struct vault_wrapping){.number = number, .sealed = view_of(k.sealed, k.sealed_size)}))
		set_taught(number, true);
}

struct own_act {
	struct auditlog *audit;
	const struct audit_act *act; /* NULL: nothing to record */
};

static int put_own(struct store *s, void *arg)
{
	const struct own_act *o = arg;
	int r = s->ops->wrapping_kmc_put(s, &w.own);

	return r != 0 || !o->act ? r : auditlog_add(o->audit, o->act);
}

/* This kmcd's row, and what there is to record with it. */
static void write_own(struct engine *e, const struct audit_act *act)
{
	struct own_act o = {.audit = &e->audit, .act = act};

	if (store_transact(e->store, put_own, &o) != 0)
		log_error("%s", e->store->why);
}

/* Whether @k needs not be waited for: it has the key, or does not run. */
static bool is_settled(const struct store_kmc *k, uint32_t number, uint64_t now)
{
	struct seen *s = NULL;

	if (k->newest >= number)
		return true;
	for (size_t i = 0; i < KMCS_MAX && !s; i++)
		if (!w.seen[i].name[0] || strcmp(w.seen[i].name, k->name) == 0)
			s = &w.seen[i];
	if (!s)
		return true; /* so many: it learns the key when it needs it */
	if (!s->name[0] || s->beat != k->beat) {
		memcpy(s->name, k->name, sizeof(s->name));
		s->beat = k->beat;
		s->at_ms = now;
	}
	return now - s->at_ms >= SILENT_MS;
}

static int start_use(struct store *s, void *arg)
{
	const struct store_wrapping *k = arg;
	struct store_wrapping now;
	int r = wrapping_newest(s, &now);

	if (r != 0 || now.number != k->number || now.used_at)
		return r;
	now.used_at = engine_now();
	return s->ops->wrapping_put(s, &now);
}

/* A new key is used once all that run have it. */
static void await_all(struct engine *e, struct store_wrapping *k)
{
	struct store_kmc kmc = {.name = ""};
	uint64_t now = loop_now_ms();
	bool all = true;
	int r;

	if (w.waiting_for != k->number) {
		memset(w.seen, 0, sizeof(w.seen));
		w.waiting_for = k->number;
	}
	w.own.beat++;
	write_own(e, NULL);
	while ((r = e->store->ops->wrapping_kmc_next(e->store, kmc.name, &kmc)) == 0)
		all &= is_settled(&kmc, k->number, now);
	if (r != E_NOTFOUND || !all)
		return;
	if (store_transact(e->store, start_use, k) != 0 || wrapping_newest(e->store, k) != 0)
		log_error("%s", e->store->why);
	else
		log_info("wrapping key %u is in use: what is under the one before it is wrapped anew", k->number);
}

static void use(struct engine *e, uint32_t number)
{
	if (w.use != number && ask(e, ASK_USE, VAULT_USE, number, &(const struct vault_number){.number = number}))
		w.use = number;
}

static void destroy(struct engine *e, uint32_t number)
{
	if (w.destroying != number && ask(e, ASK_DESTROY, VAULT_DESTROY, number, &(const struct vault_number){.number = number}))
		w.destroying = number;
}

/*
 * What came before @needed goes. While another replacement is under way, too: who orders one after the other, each at the end of the one before,
 * would else fill the vaults of those machines that never saw an end, and then wait for them.
 */
static void destroy_before(struct engine *e, uint32_t needed)
{
	if (w.files >= needed && w.own.oldest < needed)
		destroy(e, needed);
}

void wrapping_look(struct engine *e)
{
	struct store_wrapping k;

	if (wrapping_newest(e->store, &k) != 0) {
		if (!w.database_away)
			log_error("%s", e->store->why);
		w.database_away = true;
		return;
	}
	w.database_away = false;
	if (!k.done_at)
		teach(e, k.number - 1);
	teach(e, k.number);
	if (!w.ready) /* what follows is written under this kmcd's name */
		return;
	if (!k.used_at)
		await_all(e, &k);
	use(e, k.used_at ? k.number : k.number - 1);
	if (k.used_at && !k.done_at)
		rewrap_go_on(e, k.number);
	destroy_before(e, k.done_at ? k.number : k.number - 1);
}

static void on_time(void *arg, unsigned int what)
{
	(void)what;
	wrapping_look(arg);
	source_set_ms(w.timer, LOOK_MS);
}

void wrapping_start(struct engine *e, struct loop *loop)
{
	w.timer = source_timer(loop, on_time, e);
	if (!w.timer || !rewrap_start(e, loop))
		fatal("can't start: out of memory");
	wrapping_look(e);
}

void wrapping_ready(struct engine *e, uint32_t oldest)
{
	struct store_wrapping k;

	if (wrapping_newest(e->store, &k) != 0)
		fatal("%s", e->store->why);
	if (oldest > k.number || (oldest == k.number && !k.used_at))
		fatal("the database is older than this machine's keys: what is in it may be under wrapping key %u, which was replaced by key %u and destroyed;"
		      " restore database and keys from one backup, with 'kmcctl recover'", oldest - 1, oldest);
	if (e->store->ops->wrapping_kmc_get(e->store, e->conf->name, &w.own) != 0)
		w.own = (struct store_kmc){.newest = oldest};
	view_copy_text(view_text(e->conf->name), w.own.name, sizeof(w.own.name));
	w.own.oldest = oldest;
	w.own.trouble[0] = '\0';
	write_own(e, NULL);
	w.ready = true;
	source_set_ms(w.timer, 0);
}

void wrapping_before(struct engine *e, struct view wrapped)
{
	if (!is_taught(wrap_number(wrapped)))
		wrapping_look(e);
}

int wrapping_allows(struct store *s, struct view wrapped)
{
	uint32_t number = wrap_number(wrapped);
	struct store_wrapping k;
	int r = wrapping_newest(s, &k);

	if (r != 0)
		return r;
	return number == k.number || (!k.done_at && number + 1 == k.number) ? 0 : E_STATE;
}

/* --- what the vault said --- */

void wrapping_kept(struct engine *e, struct ticket *t)
{
	const uint32_t number = (uint32_t)t->image;
	const uint64_t what = t->client;
	char detail[80];
	const struct audit_act act = {.event = AUDIT_WRAPPING_DESTROYED, .detail = detail};

	engine_ticket_end(t);
	w.complained[0] = '\0';
	if (what == ASK_LEARN)
		w.own.trouble[0] = '\0';
	if (what == ASK_LEARN) {
		w.own.newest = number > w.own.newest ? number : w.own.newest;
		write_own(e, NULL);
	} else if (what == ASK_USE) {
		w.files = number;
	} else if (what == ASK_DESTROY) {
		snprintf(detail, sizeof(detail), "what came before key %u, on the machine of KMC '%s'", number, e->conf->name);
		w.own.oldest = number;
		write_own(e, &act);
		log_info("the wrapping key that key %u replaced is destroyed on this machine", number);
	}
	source_set_ms(w.timer, 0);
}

/* It is tried again at the next look. */
static void step_failed(struct engine *e, unsigned int what, uint32_t number, const char *reason)
{
	static const char *const verbs[] = {[ASK_LEARN] = "take", [ASK_USE] = "use", [ASK_DESTROY] = "destroy what was replaced by"};

	if (what == ASK_LEARN) {
		set_taught(number, false);
		snprintf(w.own.trouble, sizeof(w.own.trouble), "%s", reason);
		write_own(e, NULL);
	} else if (what == ASK_USE) {
		w.use = 0;
	} else {
		w.destroying = 0;
	}
	if (strcmp(w.complained, reason) != 0)
		log_error("can't %s wrapping key %u: %s", verbs[what], number, reason);
	snprintf(w.complained, sizeof(w.complained), "%s", reason);
}

void wrapping_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	const uint64_t what = t->client, number = t->image;
	char reason[VAULT_REASON_MAX + 1];

	engine_ticket_end(t);
	view_copy_text(m->reason, reason, sizeof(reason));
	text_make_printable(reason);
	step_failed(e, (unsigned int)what, (uint32_t)number, reason);
}

/* --- for the administrators' side --- */

void wrapping_wake(void)
{
	source_set_ms(w.timer, 0);
}

uint32_t wrapping_oldest(void)
{
	return w.own.oldest;
}

int wrapping_progress(struct engine *e, uint64_t *number, uint64_t *left)
{
	struct store_wrapping k;
	uint64_t all;
	int r = wrapping_newest(e->store, &k);

	if (r != 0)
		return r;
	*number = k.number;
	*left = 0;
	return k.done_at ? 0 : e->store->ops->wrapped_count(e->store, k.number, &all, left);
}
