/* Stub domains that are prepared under a name. */
#include "dom0-relay/named.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/text.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

#define LOOK_MS 500	/* while something is waited for */
#define BOOT_LOOKS 60	/* in which a domain must have called */
#define MEET_LOOKS 10	/* and after which its channel is tried once more */
#define RETRY_LOOKS 10	/* between two tries to build the next domain */
#define SEEN_LOOKS 2	/* after which libxl has seen a 6 */
#define RETIRED_MAX 256 /* as many as guests */

enum prep_state {
	PREP_NONE,
	PREP_CHECKING, /* the KMC was asked */
	PREP_BUILDING, /* the builder was; stub is 0 */
	PREP_BOOTING,  /* it has not called yet */
	PREP_READY,    /* it waits for its guest */
	PREP_SERVING,  /* the guest has it */
	PREP_WAITING,  /* for the next try to build one */
	PREP_FAILED,   /* it was never there; kept for its reason */
};

struct prep {
	enum prep_state state;
	struct named *pool;
	char name[XENSTORE_NAME_MAX + 1];
	struct uuid uuid;
	uint64_t ticket;     /* of what is under way */
	unsigned int stub;
	struct stublink *link;
	bool asked;	     /* the KMC was */
	bool ours;	     /* the builder knows the domain: it may be destroyed */
	bool called;	     /* by its name */
	bool own;	     /* what is built was ordered for it, and is no spare */
	bool settled;	     /* it was there once: whatever fails from then on is tried again */
	bool found;	     /* an earlier relay made it: it waits on whatever becomes of its channel */
	bool lost;	     /* found, and no guest has it any more: it held that guest's TPM */
	unsigned int old;    /* the domain before this one, which has the record until this one gets the name; 0: none */
	struct node_ids ids; /* of the guest that has it */
	uint64_t guest;	     /* its ticket; 0: none */
	uint64_t leaver;     /* a guest that waits for the next domain */
	unsigned int looks;  /* in this state */
	time_t since;
	char reason[NAMED_WHY];
};

/* A device that libxl takes away. */
struct retired {
	struct node_ids ids; /* guest 0: free */
	bool destroys;	     /* the stub domain goes with it */
	unsigned int looks;  /* since 6 stands there */
};

struct named {
	struct loop *loop;
	struct xenstore *xs;
	struct link *builder;
	struct kmclink *kmc;
	struct spares *spares;
	uint64_t *last_ticket;
	const struct named_ops *ops;
	void *arg;
	struct source *timer;
	bool armed;
	bool up; /* the KMC can be asked */
	struct prep table[NAMED_MAX];
	struct retired retired[RETIRED_MAX];
};

static void on_look(void *arg, unsigned int what);

struct named *named_new(struct loop *loop, struct xenstore *xs, struct link *builder, struct kmclink *kmc, struct spares *spares,
			uint64_t *last_ticket, const struct named_ops *ops, void *arg)
{
	struct named *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	*n = (struct named){.loop = loop, .xs = xs, .builder = builder, .kmc = kmc, .spares = spares, .last_ticket = last_ticket, .ops = ops, .arg = arg};
	n->timer = source_timer(loop, on_look, n);
	if (!n->timer)
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
	free(*n);
	*n = NULL;
}

static void arm(struct named *n)
{
	if (!n->armed)
		source_set_ms(n->timer, LOOK_MS);
	n->armed = true;
}

/* --- finding --- */

static bool is_live(const struct prep *p)
{
	return p->state != PREP_NONE && p->state != PREP_FAILED;
}

static struct prep *by_ticket(struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (is_live(&n->table[i]) && n->table[i].ticket == ticket && n->table[i].state != PREP_SERVING)
			return &n->table[i];
	return NULL;
}

static struct prep *by_guest(struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREP_SERVING && n->table[i].guest == ticket)
			return &n->table[i];
	return NULL;
}

static const struct prep *by_stub(const struct named *n, unsigned int stub)
{
	for (size_t i = 0; stub && i < NAMED_MAX; i++)
		if (is_live(&n->table[i]) && n->table[i].stub == stub)
			return &n->table[i];
	return NULL;
}

static struct prep *by_name(struct named *n, const char *name)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state != PREP_NONE && strcmp(n->table[i].name, name) == 0)
			return &n->table[i];
	return NULL;
}

static const struct prep *by_uuid(const struct named *n, const struct uuid *uuid)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (is_live(&n->table[i]) && uuid_equal(&n->table[i].uuid, uuid))
			return &n->table[i];
	return NULL;
}

/* A free place, or the one whose failure is the oldest. */
static struct prep *place(struct named *n)
{
	struct prep *best = NULL;

	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prep *p = &n->table[i];

		if (p->state == PREP_NONE)
			return p;
		if (p->state == PREP_FAILED && (!best || p->since < best->since))
			best = p;
	}
	return best;
}

/* --- one domain --- */

static void change_state(struct prep *p, enum prep_state state)
{
	p->state = state;
	p->since = time(NULL);
	p->looks = 0;
	arm(p->pool);
}

static void watch(struct named *n, unsigned int stub, bool on)
{
	const struct node_ids ids = {.stub = stub};
	char channel[NODE_PATH_MAX], devices[NODE_PATH_MAX];

	node_path(channel, NODE_CHANNEL, ids);
	node_path(devices, NODE_STUB_BACKEND_TYPE, ids);
	xenstore_unwatch(n->xs, channel, "stub"); /* a spare's is there already */
	if (!on)
		xenstore_unwatch(n->xs, devices, "named");
	else if (xenstore_watch(n->xs, channel, "stub") != 0 || xenstore_watch(n->xs, devices, "named") != 0)
		log_warn("xenstore refused a watch on prepared stub domain %u", stub);
}

static void rename_to(struct named *n, unsigned int stub, const char *name, uint64_t ticket)
{
	const struct builder_name q = {.domid = stub, .name = view_text(name)};

	link_send(n->builder, BUILDER_NAME, BUILD_ID(BUILD_ID_STUB, ticket), &q);
}

static void destroy(struct named *n, unsigned int stub)
{
	const struct builder_destroy q = {.domid = stub};

	watch(n, stub, false);
	link_send(n->builder, BUILDER_DESTROY, BUILD_ID(BUILD_ID_DESTROY, 0), &q);
}

/* The record stays, for a relay that comes before the next domain is there. */
static void give_up(struct prep *p)
{
	stublink_free(&p->link);
	if (p->stub && p->ours)
		destroy(p->pool, p->stub);
	else if (p->stub)
		watch(p->pool, p->stub, false);
	if (p->stub)
		p->old = p->stub;
	p->stub = 0;
	p->called = false;
}

static void forget_record(struct prep *p)
{
	if (p->old)
		xenstore_unprepare(p->pool->xs, p->old);
	p->old = 0;
}

/* The record first: a relay that comes after this one must not sweep a domain that has the name. */
static void call(struct prep *p)
{
	struct named *n = p->pool;

	if (xenstore_prepare(n->xs, p->stub, &p->uuid, p->name) != 0)
		log_warn("xenstore refused the record of prepared stub domain %u", p->stub);
	if (p->old && p->old != p->stub)
		xenstore_unprepare(n->xs, p->old);
	p->old = 0;
	rename_to(n, p->stub, p->name, p->ticket);
}

static void tell_leaver(struct prep *p)
{
	uint64_t leaver = p->leaver;

	p->leaver = 0;
	if (leaver)
		p->pool->ops->parted(p->pool->arg, leaver);
}

static void order(struct prep *p)
{
	char name[40];
	struct builder_build q = {.headroom_mib = 0};

	p->own = true;
	p->ticket = ++*p->pool->last_ticket;
	change_state(p, PREP_BUILDING);
	snprintf(name, sizeof(name), "vtpm-prepare-%llu", (unsigned long long)p->ticket);
	q.name = view_text(name);
	link_send(p->pool->builder, BUILDER_BUILD, BUILD_ID(BUILD_ID_BUILD, p->ticket), &q);
}

static const struct stublink_ops link_ops;

/* It has said HELLO, holds nothing, and is called by its name: told once. */
static void tell_ready(struct prep *p)
{
	char uuid[UUID_TEXT];

	if (p->state != PREP_READY || !p->called)
		return;
	p->settled = true;
	p->reason[0] = '\0';
	log_info("backend %s is prepared for vTPM %s: stub domain %u", p->name, uuid_format(&p->uuid, uuid), p->stub);
}

static void be_ready(struct prep *p)
{
	change_state(p, PREP_READY);
	stublink_send(p->link, HANDOFF_STAY, NULL);
	tell_ready(p);
}

/* A spare, ready or on its way; else one of its own. */
static void supply(struct prep *p)
{
	struct spare_taken t;

	p->called = p->own = p->found = false;
	p->stub = 0;
	p->ours = true;
	if (!spares_take(p->pool->spares, &t)) {
		order(p);
		return;
	}
	p->ticket = t.ticket;
	p->stub = t.stub;
	p->link = t.link;
	change_state(p, t.stub ? PREP_BOOTING : PREP_BUILDING);
	if (p->link)
		stublink_rebind(p->link, &link_ops, p);
	if (p->stub) {
		watch(p->pool, p->stub, true);
		call(p);
	}
	if (t.ready)
		be_ready(p);
	spares_fill(p->pool->spares);
}

/* There is no domain, or it is of no use: the first time that is the end of it, later it is tried again. */
static void lack(struct prep *p, const char *why)
{
	if (strcmp(p->reason, why) != 0) /* it may be tried many times */
		log_error("backend %s: %s", p->name, why);
	snprintf(p->reason, sizeof(p->reason), "%s", why);
	text_make_printable(p->reason);
	give_up(p);
	if (!p->settled)
		forget_record(p);
	change_state(p, p->settled ? PREP_WAITING : PREP_FAILED);
	tell_leaver(p);
}

static void on_message(void *arg, enum handoff_type type, const void *fields)
{
	struct prep *p = arg;
	const struct handoff_hello *hello = fields;

	if (type == HANDOFF_HELLO && p->state == PREP_BOOTING && !hello->vtpm.p)
		be_ready(p);
	else
		lack(p, "its stub domain says what it must not");
}

/* The channel of the relay before us may be found once more; the next one is announced by the watch. */
static void on_broken(void *arg, const char *why)
{
	struct prep *p = arg;
	char text[NAMED_WHY];

	stublink_free(&p->link);
	if (p->state != PREP_READY)
		return;
	snprintf(text, sizeof(text), "its stub domain %u: %.200s", p->stub, why);
	lack(p, text);
}

static const struct stublink_ops link_ops = {.message = on_message, .broken = on_broken};

static void meet(struct prep *p)
{
	const struct node_ids ids = {.stub = p->stub};
	char path[NODE_PATH_MAX];
	struct channel *channel;

	if (p->state != PREP_BOOTING || p->link || !xenstore_has(p->pool->xs, node_path(path, NODE_CHANNEL_EVENT, ids)))
		return;
	channel = channel_vchan_client(p->stub, node_path(path, NODE_CHANNEL, ids));
	p->link = channel ? stublink_new(p->pool->loop, channel, &link_ops, p) : NULL;
}

void named_meet(struct named *n)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		meet(&n->table[i]);
}

/* --- what an administrator says --- */

/* What xl takes for a name, and what its vtpm lines can hold: no number, and none of its separators. */
static bool is_good_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", others[] = "0123456789_.-";
	size_t n = strlen(name);

	if (n == 0 || n > XENSTORE_NAME_MAX || !strchr(letters, name[0]) || strncmp(name, "vtpm-", 5) == 0 || strcmp(name, "Domain-0") == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!strchr(letters, name[i]) && !strchr(others, name[i]))
			return false;
	return true;
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
	const struct prep *p = by_name(n, name), *q = by_uuid(n, uuid);
	char text[UUID_TEXT];
	unsigned int domid;

	if (!is_good_name(name))
		return refuse(why, E_ARG, "'%.70s' is no name for a backend: up to %u letters, digits, '_', '.' and '-', a letter first, and not 'vtpm-' at the beginning",
			      name, XENSTORE_NAME_MAX);
	if (p && is_live(p))
		return refuse(why, E_EXISTS, "backend %s is prepared already, for vTPM %s: 'vtpmctl unprepare %s' ends that", name, uuid_format(&p->uuid, text), name);
	if (q)
		return refuse(why, E_EXISTS, "vTPM %s is prepared already, as backend %s: 'vtpmctl unprepare %s' ends that", uuid_format(uuid, text), q->name, q->name);
	if (xenstore_find_domain(n->xs, name, &domid) == 0)
		return refuse(why, E_EXISTS, "the name %s is taken: domain %u of this host has it; choose another", name, domid);
	return 0;
}

/* Now, or when the KMC can be asked. */
static void check(struct prep *p)
{
	const struct kmc_check q = {.uuid = p->uuid};

	p->asked = p->pool->up && kmclink_send(p->pool->kmc, KMC_CHECK, KMC_ID(KMC_ID_CHECK, p->ticket), &q) == 0;
	snprintf(p->reason, sizeof(p->reason), "%s", p->asked ? "" : "waits for the KMC, to ask whether this host may have the vTPM");
	if (!p->asked)
		kmclink_hurry(p->pool->kmc);
}

int named_prepare(struct named *n, const struct uuid *uuid, const char *name, char why[NAMED_WHY])
{
	struct prep *p;
	int r = check_free(n, uuid, name, why);

	if (r != 0)
		return r;
	p = by_name(n, name); /* one that failed */
	if (!p)
		p = place(n);
	if (!p)
		return refuse(why, E_NOMEM, "%u backends are prepared on this host, its limit", NAMED_MAX);
	memset(p, 0, sizeof(*p));
	p->pool = n;
	p->uuid = *uuid;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->ticket = ++*n->last_ticket;
	change_state(p, PREP_CHECKING);
	check(p);
	return 0;
}

int named_unprepare(struct named *n, const char *name, char why[NAMED_WHY])
{
	struct prep *p = by_name(n, name);

	if (!p)
		return refuse(why, E_NOTFOUND, "there is no prepared backend %.70s: see 'vtpmctl list'", name);
	if (p->state == PREP_SERVING)
		return refuse(why, E_BUSY, "backend %s serves domain %u: shut that down first", name, p->ids.guest);
	give_up(p); /* what is being built is destroyed when it is there: nobody waits for it */
	forget_record(p);
	tell_leaver(p);
	if (p->state != PREP_FAILED)
		log_info("backend %s is prepared no more", name);
	memset(p, 0, sizeof(*p));
	return 0;
}

void named_kmc(struct named *n, enum kmc_type type, uint64_t ticket, const void *fields)
{
	struct prep *p = by_ticket(n, ticket);
	const struct kmc_refused *m = fields;
	char why[NAMED_WHY];

	if (!p || p->state != PREP_CHECKING)
		return;
	if (type == KMC_CHECKED) {
		supply(p);
	} else {
		snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(m->code), (int)(m->reason.n < 220 ? m->reason.n : 220), (const char *)m->reason.p);
		lack(p, why);
	}
}

void named_up(struct named *n)
{
	n->up = true;
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREP_CHECKING && !n->table[i].asked)
			check(&n->table[i]);
}

void named_down(struct named *n)
{
	n->up = false;
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREP_CHECKING)
			check(&n->table[i]);
}

/* --- guests --- */

int named_allows(const struct named *n, unsigned int backend, const struct uuid *uuid, char why[NAMED_WHY])
{
	const struct prep *p = backend ? by_stub(n, backend) : by_uuid(n, uuid);
	char text[UUID_TEXT];

	if (!backend)
		return !p ? 0 : refuse(why, E_DENIED, "it is prepared as backend %s: its line must say backend=%s, or 'vtpmctl unprepare %s' first", p->name, p->name, p->name);
	if (!p)
		return refuse(why, E_DENIED, "domain %u is prepared for nobody (any more): see 'vtpmctl list'", backend);
	if (!uuid_equal(&p->uuid, uuid))
		return refuse(why, E_DENIED, "backend %s is prepared for vTPM %s, and its line names another", p->name, uuid_format(&p->uuid, text));
	if (p->state == PREP_SERVING)
		return refuse(why, E_DENIED, "in use: backend %s serves domain %u", p->name, p->ids.guest);
	return 0;
}

bool named_take(struct named *n, struct node_ids ids, uint64_t ticket, struct spare_taken *taken)
{
	struct prep *p = NULL;

	for (size_t i = 0; i < NAMED_MAX; i++)
		if ((n->table[i].state == PREP_BOOTING || n->table[i].state == PREP_READY) && n->table[i].stub == ids.stub)
			p = &n->table[i];
	if (!p || p->lost)
		return false;
	if (xenstore_prepared_for(n->xs, ids) != 0)
		log_warn("xenstore refused the record of backend %s's guest", p->name);
	*taken = (struct spare_taken){.ticket = ticket, .stub = p->stub, .link = p->link, .ready = p->state == PREP_READY};
	p->link = NULL;
	p->settled = true;
	p->reason[0] = '\0';
	tell_leaver(p);
	p->ids = ids;
	p->guest = ticket;
	change_state(p, PREP_SERVING);
	return true;
}

void named_leave(struct named *n, uint64_t ticket)
{
	struct prep *p = by_guest(n, ticket);
	char name[40];

	if (!p)
		return;
	snprintf(name, sizeof(name), "vtpm-%u-%u", p->ids.guest, p->ids.dev);
	rename_to(n, p->stub, name, 0);
	p->old = p->stub;
	p->leaver = ticket;
	p->guest = 0;
	supply(p);
}

/* Is there a guest that waits for its domain's name to be another's? */
static bool is_leaving(const struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].leaver == ticket)
			return true;
	return false;
}

/* The entry of that device, or a new one. */
static struct retired *retired_place(struct named *n, struct node_ids ids)
{
	struct retired *place = NULL;

	arm(n);
	for (size_t i = 0; i < RETIRED_MAX; i++) {
		struct retired *e = &n->retired[i];

		if (e->ids.guest == ids.guest && e->ids.dev == ids.dev && e->ids.stub == ids.stub)
			return e;
		if (!place && !e->ids.guest)
			place = e;
	}
	if (place)
		*place = (struct retired){.ids = ids};
	return place;
}

bool named_retire(struct named *n, struct node_ids ids, uint64_t ticket, bool gone)
{
	struct retired *e;

	named_leave(n, ticket);
	if (gone)
		watch(n, ids.stub, false); /* the number may be another's soon */
	e = retired_place(n, ids);
	if (e)
		e->destroys = !gone;
	else if (!gone)
		destroy(n, ids.stub);
	return !is_leaving(n, ticket);
}

void named_answered(struct named *n, struct node_ids ids)
{
	retired_place(n, ids);
}

void named_has_died(struct named *n, uint64_t ticket)
{
	struct prep *p = by_guest(n, ticket);

	if (p)
		p->ours = false;
}

void named_is_back(struct named *n, uint64_t ticket)
{
	struct prep *p = by_guest(n, ticket);

	if (!p)
		return;
	p->ours = true;
	rename_to(n, p->stub, p->name, 0);
}

const char *named_name(const struct named *n, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREP_SERVING && n->table[i].guest == ticket)
			return n->table[i].name;
	return NULL;
}

/* --- after a restart --- */

static void found(void *arg, struct node_ids ids, const struct uuid *uuid, const char *name)
{
	struct named *n = arg;
	struct prep *p = by_name(n, name) ? NULL : place(n);

	if (!p) { /* two for one name: the relay ended between the two; the first that is found stays */
		xenstore_unprepare(n->xs, ids.stub);
		return;
	}
	*p = (struct prep){.state = PREP_BOOTING, .pool = n, .uuid = *uuid, .ticket = ++*n->last_ticket, .stub = ids.stub, .settled = true, .found = true,
			   .lost = ids.guest != 0, .ids = ids};
	snprintf(p->name, sizeof(p->name), "%s", name);
	change_state(p, PREP_BOOTING);
	watch(n, p->stub, true);
}

void named_found(struct named *n, void (*fn)(void *arg, struct node_ids ids), void *arg)
{
	xenstore_each_prepared(n->xs, found, n);
	for (size_t i = 0; i < NAMED_MAX; i++)
		if (n->table[i].state == PREP_BOOTING && n->table[i].lost)
			fn(arg, n->table[i].ids);
}

void named_kept(struct named *n, unsigned int stub, uint64_t ticket)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prep *p = &n->table[i];

		if (p->state != PREP_BOOTING || p->stub != stub)
			continue;
		p->lost = false;
		p->called = true;
		p->guest = ticket;
		change_state(p, PREP_SERVING);
	}
}

void named_settle(struct named *n, void (*fn)(void *arg, unsigned int stub), void *arg)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prep *p = &n->table[i];
		const struct builder_keep q = {.domid = p->stub};

		if (p->state != PREP_BOOTING)
			continue;
		if (p->lost) { /* the builder sweeps what nobody kept */
			p->lost = false;
			give_up(p);
			supply(p);
			continue;
		}
		link_send(n->builder, BUILDER_KEEP, BUILD_ID(BUILD_ID_BUILD, p->ticket), &q);
		fn(arg, p->stub);
	}
}

bool named_builder_kept(struct named *n, uint64_t ticket)
{
	struct prep *p = by_ticket(n, ticket);

	if (!p)
		return false;
	p->ours = true;
	rename_to(n, p->stub, p->name, p->ticket); /* the relay before us may have come no further */
	meet(p);
	named_inspect(n); /* a domain that crashed is still there */
	return true;
}

/* --- what others tell --- */

bool named_built(struct named *n, uint64_t ticket, unsigned int stub)
{
	struct prep *p = by_ticket(n, ticket);

	if (!p || p->state != PREP_BUILDING)
		return false;
	p->stub = stub;
	change_state(p, PREP_BOOTING);
	watch(n, stub, true);
	call(p);
	return true;
}

/* Of what was to be built, or to be kept. */
bool named_failed(struct named *n, uint64_t ticket, const char *why)
{
	struct prep *p = by_ticket(n, ticket);

	if (!p)
		return false;
	if (p->state == PREP_BUILDING && !p->own) {
		order(p); /* a spare could not be had: one of its own may */
	} else if (p->stub) { /* it ended while no relay was there */
		give_up(p);
		supply(p);
	} else {
		lack(p, why);
	}
	return true;
}

/* Renamed, or not: another domain may have had the name meanwhile. */
bool named_renamed(struct named *n, uint64_t ticket)
{
	struct prep *p = ticket ? by_ticket(n, ticket) : NULL;
	char why[NAMED_WHY];
	unsigned int domid;

	if (!p || !p->stub)
		return false;
	p->called = xenstore_find_domain(n->xs, p->name, &domid) == 0 && domid == p->stub;
	if (p->called) {
		tell_leaver(p);
		tell_ready(p);
	} else if (xenstore_has_domain(n->xs, p->stub)) {
		snprintf(why, sizeof(why), "its stub domain %u can't be called so: another domain of this host has the name", p->stub);
		lack(p, why);
	}
	return true;
}

bool named_inspected(struct named *n, uint64_t ticket, const struct builder_domain *d)
{
	struct prep *p = by_ticket(n, ticket);
	char why[NAMED_WHY];

	if (!p)
		return false;
	if (p->stub && d->domid == p->stub && (!d->exists || d->shutdown)) {
		snprintf(why, sizeof(why), "its stub domain %u has died", p->stub);
		lack(p, why);
		if (p->state == PREP_WAITING)
			supply(p);
	}
	return true;
}

void named_inspect(struct named *n)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		const struct prep *p = &n->table[i];
		const struct builder_inspect q = {.domid = p->stub};

		if (p->state == PREP_BOOTING || p->state == PREP_READY)
			link_send(n->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, p->ticket), &q);
	}
}

/*
 * With a backend in another domain, libxl waits for 6 and then for the directory to be removed; that it has seen the 6 nobody tells, and a
 * directory that goes before is an error. When it has gone, libxl forgets the device, and the stub domain may go.
 */
static bool look_after_retired(struct named *n)
{
	bool any = false;

	for (size_t i = 0; i < RETIRED_MAX; i++) {
		const struct node_ids ids = n->retired[i].ids;
		int state = ids.guest ? xenstore_named_state(n->xs, ids) : -1;

		if (!ids.guest)
			continue;
		n->retired[i].looks = state == 6 ? n->retired[i].looks + 1 : 0;
		if (n->retired[i].looks > SEEN_LOOKS)
			xenstore_remove_backend(n->xs, ids);
		if (state >= 0 && xenstore_has_domain(n->xs, ids.guest)) {
			any = true;
			continue;
		}
		if (n->retired[i].destroys)
			destroy(n, ids.stub);
		n->retired[i].ids.guest = 0;
		n->ops->let_go(n->arg, ids);
	}
	return any;
}

/* Perhaps it was the channel that was the old relay's. */
static void meet_again(struct prep *p)
{
	stublink_free(&p->link);
	meet(p);
}

static void on_look(void *arg, unsigned int what)
{
	struct named *n = arg;
	bool any;

	(void)what;
	n->armed = false;
	any = look_after_retired(n);
	for (size_t i = 0; i < NAMED_MAX; i++) {
		struct prep *p = &n->table[i];

		p->looks++;
		if (p->state == PREP_WAITING && p->looks > RETRY_LOOKS)
			supply(p);
		else if (p->state == PREP_BOOTING && p->found && p->looks % MEET_LOOKS == 0 && p->looks <= BOOT_LOOKS)
			meet_again(p);
		else if (p->state == PREP_BOOTING && p->looks > BOOT_LOOKS)
			lack(p, "its stub domain has not called; its console's log may say why");
		any = any || p->state == PREP_WAITING || p->state == PREP_BOOTING;
	}
	if (any)
		arm(n);
}

void named_each(const struct named *n, void (*fn)(void *arg, const struct named_row *row), void *arg)
{
	for (size_t i = 0; i < NAMED_MAX; i++) {
		const struct prep *p = &n->table[i];
		const struct named_row row = {.name = p->name, .reason = p->reason, .uuid = p->uuid, .stub = p->stub, .since = p->since,
					      .state = p->state == PREP_FAILED ? "refused" : p->state == PREP_READY && p->called ? "prepared" : "preparing"};

		if (p->state != PREP_NONE && p->state != PREP_SERVING)
			fn(arg, &row);
	}
}
