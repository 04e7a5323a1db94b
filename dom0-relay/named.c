/* Stub domains that are prepared under a name. */
#include "dom0-relay/named.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/prepared.h"
#include "dom0-relay/retiring.h"
#include "dom0-relay/stublink.h"

#define LOOK_MS 500 /* while something is waited for */

/* A domain of an earlier relay that was given up while the builder was still to say that it is there: only then may it be destroyed. */
struct forsaken {
	uint64_t ticket; /* under which the builder was asked; 0: free */
	unsigned int stub;
};

struct named {
	struct prepared_world world;
	struct kmclink *kmc;
	const struct named_ops *ops;
	void *arg;
	struct source *timer;
	bool armed;
	bool up; /* the KMC can be asked */
	struct prepared table[NAMED_MAX];
	struct forsaken forsaken[NAMED_MAX]; /* each was found at the start, in a place of the table: there are no more */
	struct retiring *retiring;
};

static void arm(void *arg)
{
	struct named *n = arg;

	if (!n->armed)
		source_set_ms(n->timer, LOOK_MS);
	n->armed = true;
}

static void on_look(void *arg, unsigned int what)
{
	struct named *n = arg;

	(void)what;
	n->armed = false;
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (prepared_look(&n->table[i]))
			arm(n);
}

static void on_parted(void *arg, uint64_t ticket)
{
	struct named *n = arg;

	n->ops->parted(n->arg, ticket);
}

static struct forsaken *forsaken_by(struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->forsaken[i].ticket == ticket)
			return &n->forsaken[i];
	return NULL;
}

static void on_forsaken(void *arg, uint64_t ticket, unsigned int stub)
{
	struct forsaken *f = forsaken_by(arg, 0);

	if (f)
		*f = (struct forsaken){.ticket = ticket, .stub = stub};
}

/* The builder has answered: was it about one that was given up meanwhile? */
static bool end_forsaken(struct named *n, uint64_t ticket, bool is_there)
{
	struct forsaken *f = ticket ? forsaken_by(n, ticket) : NULL;

	if (!f)
		return false;
	if (is_there)
		prepared_destroy(&n->world, f->stub);
	*f = (struct forsaken){.ticket = 0};
	return true;
}

static void on_let_go(void *arg, struct node_ids ids, bool destroys)
{
	struct named *n = arg;

	if (destroys)
		prepared_destroy(&n->world, ids.stub);
	n->ops->let_go(n->arg, ids);
}

struct named *named_new(struct loop *loop, struct xenstore *xs, struct link *builder, struct kmclink *kmc, struct spares *spares,
			uint64_t *last_ticket, const struct named_ops *ops, void *arg)
{
	struct named *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	*n = (struct named){.kmc = kmc, .ops = ops, .arg = arg};
	n->world = (struct prepared_world){.loop = loop, .xs = xs, .builder = builder, .spares = spares, .last_ticket = last_ticket,
					   .changed = arm, .parted = on_parted, .forsaken = on_forsaken, .arg = n};
	n->timer = source_timer(loop, on_look, n);
	n->retiring = retiring_new(loop, xs, on_let_go, n);
	if (!n->timer || !n->retiring)
		named_free(&n);
	return n;
}

void named_free(struct named **n)
{
	if (!*n)
		return;
	for (size_t i = 0; i < NAMED_MAX; i++)
		stublink_free(&(*n)->table[i].link);
	source_free(&(*n)->timer);
	retiring_free(&(*n)->retiring);
	free(*n);
	*n = NULL;
}

/* --- finding --- */

static bool is_live(const struct prepared *p)
{
	return p->state != PREPARED_NONE && p->state != PREPARED_FAILED;
}

static struct prepared *by_ticket(struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (is_live(&n->table[i]) && n->table[i].ticket == ticket && n->table[i].state != PREPARED_SERVING)
			return &n->table[i];
	return NULL;
}

static struct prepared *by_guest(struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREPARED_SERVING && n->table[i].guest == ticket)
			return &n->table[i];
	return NULL;
}

static const struct prepared *by_stub(const struct named *n, unsigned int stub)
{
	for (size_t i = 0; stub && i < NAMED_MAX; i++)
		if (is_live(&n->table[i]) && n->table[i].stub == stub)
			return &n->table[i];
	return NULL;
}

static struct prepared *by_name(struct named *n, const char *name)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state != PREPARED_NONE && strcmp(n->table[i].name, name) == 0)
			return &n->table[i];
	return NULL;
}

static const struct prepared *by_uuid(const struct named *n, const struct uuid *uuid)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (is_live(&n->table[i]) && uuid_equal(&n->table[i].uuid, uuid))
			return &n->table[i];
	return NULL;
}

/* A free place, or the one whose failure is the oldest. */
static struct prepared *place(struct named *n)
{
	struct prepared *best = NULL;

	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prepared *p = &n->table[i];

		if (p->state == PREPARED_NONE)
			return p;
		if (p->state == PREPARED_FAILED && (!best || p->since < best->since))
			best = p;
	}
	return best;
}

/* --- what an administrator says --- */

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* What xl takes for a name, and what its vtpm lines can hold: no number, and none of its separators. */
static bool is_good_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= XENSTORE_NAME_MAX && strchr(LETTERS, name[0]) && strspn(name, LETTERS "0123456789_.-") == n &&
	       strncmp(name, "vtpm-", 5) != 0 && strcmp(name, "Domain-0") != 0;
}

static int refuse(char why[NAMED_WHY], int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int refuse(char why[NAMED_WHY], int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, NAMED_WHY, fmt, ap);
	va_end(ap);
	return r;
}

static int check_free(struct named *n, const struct uuid *uuid, const char *name, char why[NAMED_WHY])
{
	const struct prepared *p = by_name(n, name), *q = by_uuid(n, uuid);
	char text[UUID_TEXT];
	unsigned int domid;

	if (!is_good_name(name))
		return refuse(why, E_ARG, "'%.70s' is no name for a backend: up to %u letters, digits, '_', '.' and '-', a letter first, and not 'vtpm-' at the beginning",
			      name, XENSTORE_NAME_MAX);
	if (p && is_live(p))
		return refuse(why, E_EXISTS, "backend %s is prepared already, for vTPM %s: 'vtpmctl unprepare %s' ends that", name, uuid_format(&p->uuid, text), name);
	if (q)
		return refuse(why, E_EXISTS, "vTPM %s is prepared already, as backend %s: 'vtpmctl unprepare %s' ends that", uuid_format(uuid, text), q->name, q->name);
	if (xenstore_find_domain(n->world.xs, name, &domid) == 0)
		return refuse(why, E_EXISTS, "the name %s is taken: domain %u of this host has it; choose another", name, domid);
	return 0;
}

/* Now, or when the KMC can be asked. */
static void check(struct named *n, struct prepared *p)
{
	const struct kmc_check q = {.uuid = p->uuid};

	p->asked = n->up && kmclink_send(n->kmc, KMC_CHECK, KMC_ID(KMC_ID_CHECK, p->ticket), &q) == 0;
	snprintf(p->reason, sizeof(p->reason), "%s", p->asked ? "" : "waits for the KMC, to ask whether this host may have the vTPM");
}

int named_prepare(struct named *n, const struct uuid *uuid, const char *name, char why[NAMED_WHY])
{
	struct prepared *p;
	int r = check_free(n, uuid, name, why);

	if (r != 0)
		return r;
	p = by_name(n, name); /* one that failed */
	if (!p)
		p = place(n);
	if (!p)
		return refuse(why, E_NOMEM, "%u backends are prepared on this host, its limit", NAMED_MAX);
	prepared_begin(p, &n->world, uuid, name);
	check(n, p);
	if (!p->asked)
		kmclink_hurry(n->kmc);
	return 0;
}

int named_unprepare(struct named *n, const char *name, char why[NAMED_WHY])
{
	struct prepared *p = by_name(n, name);

	if (!p)
		return refuse(why, E_NOTFOUND, "there is no prepared backend %.70s: see 'vtpmctl list'", name);
	if (p->state == PREPARED_SERVING)
		return refuse(why, E_BUSY, "backend %s serves domain %u: shut that down first", name, p->ids.guest);
	if (p->stub && !p->ours) /* the builder has been asked to keep it, and would then keep what nobody knows */
		return refuse(why, E_BUSY, "backend %s was prepared before the relay was started, which is still taking it over: try again", name);
	prepared_end(p);
	return 0;
}

void named_kmc(struct named *n, enum kmc_type type, uint64_t ticket, const void *fields)
{
	struct prepared *p = by_ticket(n, ticket);
	const struct kmc_refused *m = fields;
	char why[PREPARED_WHY];

	if (!p || p->state != PREPARED_CHECKING)
		return;
	if (type == KMC_CHECKED) {
		prepared_supply(p);
	} else {
		snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(m->code), (int)(m->reason.n < 220 ? m->reason.n : 220), (const char *)m->reason.p);
		prepared_lack(p, why);
	}
}

void named_up(struct named *n)
{
	n->up = true;
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREPARED_CHECKING && !n->table[i].asked)
			check(n, &n->table[i]);
}

void named_down(struct named *n)
{
	n->up = false;
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREPARED_CHECKING)
			check(n, &n->table[i]);
}

/* --- guests --- */

int named_allows(const struct named *n, unsigned int backend, const struct uuid *uuid, char why[NAMED_WHY])
{
	const struct prepared *p = backend ? by_stub(n, backend) : by_uuid(n, uuid);
	char text[UUID_TEXT];

	if (!backend)
		return !p ? 0 : refuse(why, E_DENIED, "it is prepared as backend %s: its line must say backend=%s, or 'vtpmctl unprepare %s' first", p->name, p->name, p->name);
	if (!p)
		return refuse(why, E_DENIED, "domain %u is prepared for nobody (any more): see 'vtpmctl list'", backend);
	if (!uuid_equal(&p->uuid, uuid))
		return refuse(why, E_DENIED, "backend %s is prepared for vTPM %s, and its line names another", p->name, uuid_format(&p->uuid, text));
	if (p->state == PREPARED_SERVING)
		return refuse(why, E_DENIED, "in use: backend %s serves domain %u", p->name, p->ids.guest);
	return 0;
}

bool named_take(struct named *n, struct node_ids ids, uint64_t ticket, struct spare_taken *taken)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prepared *p = &n->table[i];

		if ((p->state != PREPARED_BOOTING && p->state != PREPARED_READY) || p->stub != ids.stub || p->lost)
			continue;
		prepared_give(p, ids, ticket, taken);
		return true;
	}
	return false;
}

void named_leave(struct named *n, uint64_t ticket)
{
	struct prepared *p = by_guest(n, ticket);

	if (p)
		prepared_leave(p);
}

/* Is there a guest that waits for its domain's name to be another's? */
static bool is_leaving(const struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].leaver == ticket)
			return true;
	return false;
}

bool named_retire(struct named *n, struct node_ids ids, uint64_t ticket, bool gone)
{
	named_leave(n, ticket);
	if (gone)
		prepared_unwatch(&n->world, ids.stub); /* the number may be another's soon */
	if (!retiring_add(n->retiring, ids, !gone) && !gone)
		prepared_destroy(&n->world, ids.stub);
	return !is_leaving(n, ticket);
}

void named_answered(struct named *n, struct node_ids ids)
{
	retiring_answered(n->retiring, ids);
}

void named_has_died(struct named *n, uint64_t ticket)
{
	struct prepared *p = by_guest(n, ticket);

	if (p)
		p->ours = false;
}

void named_is_back(struct named *n, uint64_t ticket)
{
	struct prepared *p = by_guest(n, ticket);

	if (p)
		prepared_is_kept(p);
}

const char *named_name(struct named *n, uint64_t ticket)
{
	const struct prepared *p = by_guest(n, ticket);

	return p ? p->name : NULL;
}

/* --- after a restart --- */

static void found(void *arg, struct node_ids ids, const struct uuid *uuid, const char *name)
{
	struct named *n = arg;
	struct prepared *p = by_name(n, name) ? NULL : place(n);

	if (p)
		prepared_found(p, &n->world, uuid, name, ids);
	else /* two for one name: the relay ended between the two; the first that is found stays */
		xenstore_unprepare(n->world.xs, ids.stub);
}

void named_found(struct named *n, void (*fn)(void *arg, struct node_ids ids), void *arg)
{
	xenstore_each_prepared(n->world.xs, found, n);
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREPARED_BOOTING && n->table[i].lost)
			fn(arg, n->table[i].ids);
}

void named_kept(struct named *n, unsigned int stub, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prepared *p = &n->table[i];

		if (p->state != PREPARED_BOOTING || p->stub != stub)
			continue;
		p->lost = false;
		p->called = true;
		prepared_serve(p, ticket);
	}
}

void named_settle(struct named *n, void (*fn)(void *arg, unsigned int stub), void *arg)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prepared *p = &n->table[i];

		if (p->state != PREPARED_BOOTING)
			continue;
		if (p->lost) { /* the builder sweeps what nobody kept */
			prepared_replace(p);
			continue;
		}
		prepared_keep(p);
		fn(arg, p->stub);
	}
}

/* --- what others tell --- */

bool named_builder_kept(struct named *n, uint64_t ticket)
{
	struct prepared *p = by_ticket(n, ticket);

	if (end_forsaken(n, ticket, true))
		return true;
	if (!p)
		return false;
	prepared_is_kept(p);
	named_inspect(n); /* a domain that crashed is still there */
	return true;
}

bool named_built(struct named *n, uint64_t ticket, unsigned int stub)
{
	struct prepared *p = by_ticket(n, ticket);

	if (!p || p->state != PREPARED_BUILDING)
		return false;
	prepared_built(p, stub);
	return true;
}

/* Of what was to be built, or to be kept. */
bool named_failed(struct named *n, uint64_t ticket, const char *why)
{
	struct prepared *p = by_ticket(n, ticket);

	if (end_forsaken(n, ticket, false))
		return true;
	if (p)
		prepared_build_failed(p, why);
	return p;
}

void named_renamed(struct named *n, uint64_t ticket)
{
	struct prepared *p = by_ticket(n, ticket);

	if (p && p->stub)
		prepared_renamed(p);
}

void named_inspected(struct named *n, uint64_t ticket, const struct builder_domain *d)
{
	struct prepared *p = by_ticket(n, ticket);

	if (p)
		prepared_inspected(p, d);
}

void named_inspect(struct named *n)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		prepared_inspect(&n->table[i]);
}

void named_meet(struct named *n)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		prepared_meet(&n->table[i]);
}

void named_each(const struct named *n, void (*fn)(void *arg, const struct named_row *row), void *arg)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		const struct prepared *p = &n->table[i];
		const struct named_row row = {.name = p->name, .reason = p->reason, .uuid = p->uuid, .stub = p->stub, .since = p->since,
					      .state = p->state == PREPARED_FAILED ? "refused" : p->state == PREPARED_READY && p->called ? "prepared" : "preparing"};

		if (p->state != PREPARED_NONE && p->state != PREPARED_SERVING)
			fn(arg, &row);
	}
}
