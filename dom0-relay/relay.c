/* Doing what the guest state machine says. */
#include "dom0-relay/relay.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/secret.h"
#include "common/text.h"
#include "dom0-relay/certifying.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/named.h"
#include "dom0-relay/noting.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/standin.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

/* "domain 5 device 0 vTPM 8c6f...": the beginning of every line about a guest. */
const char *relay_name_of(const struct guest *g)
{
	static char text[96];
	char uuid[UUID_TEXT];

	snprintf(text, sizeof(text), "domain %u device %u vTPM %s", g->ids.guest, g->ids.dev, uuid_format(&g->uuid, uuid));
	return text;
}

static void identify(struct guest *g)
{
	const struct builder_inspect q = {.domid = g->ids.guest};

	link_send(g->relay->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_GUEST, g->ticket), &q);
}

/* "vtpm-5-0": what `xl list` shows for a guest's stub domain. */
static const char *stub_name(const struct guest *g, char name[40])
{
	snprintf(name, 40, "vtpm-%u-%u", g->ids.guest, g->ids.dev);
	return name;
}

static void rename_stub(struct guest *g)
{
	char name[40];
	const struct builder_name q = {.domid = g->ids.stub, .name = view_text(stub_name(g, name))};

	link_send(g->relay->builder, BUILDER_NAME, 0, &q);
}

static const struct stublink_ops stub_ops;

static void order_stub(struct guest *g)
{
	char name[40];
	const struct builder_build q = {.name = view_text(stub_name(g, name))};

	g->build_pending = true;
	g->build_ticket = g->ticket;
	link_send(g->relay->builder, BUILDER_BUILD, BUILD_ID(BUILD_ID_BUILD, g->ticket), &q);
}

static void begin_with(struct guest *g, const struct spare_taken *taken)
{
	g->build_pending = taken->stub == 0;
	g->build_ticket = taken->ticket;
	g->ids.stub = taken->stub;
	g->stub = taken->link;
	if (g->stub)
		stublink_rebind(g->stub, &stub_ops, g);
}

/* The one that its line names. */
static void take_named(struct guest *g)
{
	const struct node_ids ids = {.guest = g->ids.guest, .stub = g->backend, .dev = g->ids.dev};
	struct spare_taken taken;

	if (!named_take(g->relay->named, ids, g->ticket, &taken)) {
		relay_fail(g, GEV_BUILD_FAILED, "the stub domain that its line names has just died: try again");
		return;
	}
	begin_with(g, &taken);
	if (taken.ready)
		relay_event(g, GEV_STUB);
	else
		relay_meet_stub(g);
}

/* A spare, ready or on its way; else one of its own. */
static void build(struct guest *g)
{
	struct spare_taken taken;

	if (g->backend) {
		take_named(g);
		return;
	}
	if (!spares_take(g->relay->spares, &taken)) {
		order_stub(g);
		return;
	}
	begin_with(g, &taken);
	if (taken.stub)
		rename_stub(g);
	if (taken.ready)
		relay_event(g, GEV_STUB);
	spares_fill(g->relay->spares);
}

bool relay_is_kept(const struct guest *g)
{
	return keeping_has(g->relay->keeping, &g->uuid) || openings_has(g->relay->openings, &g->uuid);
}

/* The KMC learns of a lease's last state and end before it is asked for the next one, or it would give an older state. */
static void open_vtpm(struct guest *g)
{
	g->open_waits = relay_is_kept(g);
	if (!g->open_waits && openings_start(g->relay->openings, g->ticket, &g->uuid) != 0)
		relay_fail(g, GEV_OPEN_FAILED, "too many guests are starting at once; try again");
}

void relay_retry_open(struct relay *r, const struct uuid *uuid)
{
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		struct guest *g = &r->guests.table[i];

		if (!g->ticket || !g->open_waits || !uuid_equal(&g->uuid, uuid))
			continue;
		if (g->machine.restored)
			relay_reserve(g);
		else
			open_vtpm(g);
	}
}

/* What an earlier builder built serves on: tell ours. */
static void adopt(struct guest *g)
{
	const struct builder_keep q = {.domid = g->ids.stub};

	g->build_pending = true;
	g->build_ticket = g->ticket;
	link_send(g->relay->builder, BUILDER_KEEP, BUILD_ID(BUILD_ID_BUILD, g->ticket), &q);
}

/*
 * One that its line names stays until libxl has let go of the device, because libxl waits for 6 below it: unless the guest runs on and must not
 * be served any more, or another is to take its number.
 */
static bool retire_named(struct guest *g)
{
	bool rebuilds = g->machine.state == GUEST_REVIVING, gone = g->machine.state != GUEST_CLEANING && g->handed_off;

	if (rebuilds) {
		named_has_died(g->relay->named, g->ticket);
		return false;
	}
	if (named_retire(g->relay->named, g->ids, g->ticket, gone) && !gone)
		relay_parted(g->relay, g->ticket);
	return !gone;
}

static void destroy(struct guest *g)
{
	const struct builder_destroy q = {.domid = g->ids.stub};

	certifying_forget(g->relay->certifying, g->ticket);
	stublink_free(&g->stub);
	if (g->build_pending)
		g->destroy_wanted = true;
	else if (!g->backend || !retire_named(g))
		link_send(g->relay->builder, BUILDER_DESTROY, BUILD_ID(BUILD_ID_DESTROY, g->ticket), &q);
}

static void hand_off(struct guest *g)
{
	const struct guest_lease *l = &g->lease;
	uint8_t origin[ORIGIN_SIZE];
	const struct handoff_handoff h = {
		.uuid = g->uuid,
		.tenant = view_text(l->tenant),
		.seed = view_of(l->seed->data, l->seed->size),
		.generation = l->generation,
		.owner_epoch = l->owner_epoch,
		.endorsement_epoch = l->endorsement_epoch,
		.platform_epoch = l->platform_epoch,
		.lease_epoch = l->epoch,
		.guest_domid = g->ids.guest,
		.devid = g->ids.dev,
		.incarnation = g->machine.restored ? g->incarnation : 1,
		.state = view_of(buf_left(&l->state) ? buf_ptr(&l->state) : NULL, buf_left(&l->state)),
		.state_version = l->state_version,
		.transient = view_of(buf_left(&l->transient) ? buf_ptr(&l->transient) : NULL, buf_left(&l->transient)),
		.origin = origin_put(&l->origin, origin),
	};

	g->handed_off = true;
	keeping_serves(g->relay->keeping, g->ticket, g->ids.stub);
	if (stublink_send(g->stub, HANDOFF_HANDOFF, &h) != 0)
		relay_fail(g, GEV_BROKEN, "the stub domain does not read the hand-off");
}

/* The stub domain has what it needs: our copy goes before the guest runs. */
static void serve(struct guest *g)
{
	int r;

	guest_lease_clear(&g->lease);
	r = g->backend ? xenstore_rehome_named(g->relay->xs, g->ids, true) : xenstore_rehome(g->relay->xs, g->ids, true);
	if (r == E_NOTFOUND) {
		relay_fail(g, GEV_CLOSE, "ready, but libxl had given up waiting");
		return;
	}
	if (r != 0 || stublink_send(g->stub, HANDOFF_SERVE, NULL) != 0) {
		relay_fail(g, GEV_BROKEN, "xenstore refused to hand the device to the stub domain");
		return;
	}
	g->relay->tally.served++;
	histogram_add(&g->relay->tally.start, loop_now_ms() - g->asked_ms);
	guests_forgive(&g->relay->guests, &g->uuid);
	if (g->machine.restored)
		log_info("%s: resumed in stub domain %u, served once the guest runs", relay_name_of(g), g->ids.stub);
	else
		log_info("%s: served by stub domain %u, lease %" PRIu64, relay_name_of(g), g->ids.stub, g->lease.epoch);
}

static void rebuild(struct guest *g)
{
	log_info("%s: building a stand-in for stub domain %u", relay_name_of(g), g->ids.stub);
	standin_order(g, g->relay->builder);
}

static void stand_in(struct guest *g)
{
	standin_explain(g);
	if (standin_begin(g, g->relay->xs) != 0)
		relay_fail(g, GEV_BROKEN, "xenstore refused to hand the device to a stand-in");
	else
		log_warn("%s: stub domain %u stands in: TPM_RC_INITIALIZE until the guest is started anew", relay_name_of(g), g->ids.stub);
}

static void close_stub(struct guest *g)
{
	if (stublink_send(g->stub, HANDOFF_CLOSE, NULL) != 0)
		relay_event(g, GEV_BROKEN);
}

static void release(struct guest *g)
{
	guest_lease_clear(&g->lease);
	keeping_release(g->relay->keeping, g->ticket);
}

static void answer(struct guest *g)
{
	const struct node_ids ids = {.guest = g->ids.guest, .stub = g->backend, .dev = g->ids.dev};

	if (xenstore_answer(g->relay->xs, g->backend ? NODE_BACKEND_STATE : NODE_CONTROL_STATE, ids, 6) != 0)
		log_error("%s: can't tell libxl that the device is closed: xenstore refused", relay_name_of(g));
	if (g->backend)
		named_leave(g->relay->named, g->ticket); /* its stub domain may have gone before */
	log_info("%s: closed", relay_name_of(g));
}

static const struct {
	enum guest_action action;
	void (*perform)(struct guest *g);
} acts[] = {
	{GACT_IDENTIFY, identify}, {GACT_MARK, relay_mark}, {GACT_BUILD, build}, {GACT_OPEN, open_vtpm}, {GACT_RESERVE, relay_reserve},
	{GACT_HANDOFF, hand_off}, {GACT_SERVE, serve}, {GACT_FREEZE, relay_freeze}, {GACT_RESUME, relay_resume},
	{GACT_COMMIT, relay_commit}, {GACT_THAW, relay_thaw},
	{GACT_CLOSE_STUB, close_stub}, {GACT_DESTROY, destroy}, {GACT_RELEASE, release}, {GACT_ANSWER, answer}, {GACT_ADOPT, adopt},
	{GACT_REBUILD, rebuild}, {GACT_STAND_IN, stand_in},
};

static void perform(struct guest *g, unsigned int actions)
{
	if (actions & GACT_ABANDON) {
		g->open_waits = false;
		openings_abandon(g->relay->openings, g->ticket);
	}
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (actions & acts[i].action)
			acts[i].perform(g);
}

static void on_deadline(void *arg, unsigned int what)
{
	struct guest *g = arg;
	char why[OPENING_WHY] = "";

	(void)what;
	if (g->machine.state == GUEST_ADOPTING) { /* perhaps we met what its old relay left behind: once more */
		stublink_free(&g->stub);
		relay_meet_stub(g);
		source_set_ms(g->deadline, guest_deadline_ms(GUEST_ADOPTING));
		return;
	}
	if (g->machine.state == GUEST_REVIVING) {
		source_set_ms(g->deadline, guest_deadline_ms(GUEST_REVIVING));
		relay_event(g, GEV_DEADLINE);
		return;
	}
	if (g->machine.state == GUEST_PREPARING && g->open_waits)
		snprintf(why, sizeof(why), "its last state is still on its way to the KMC: %s", kmclink_why(g->relay->kmc));
	else if (g->machine.state == GUEST_PREPARING && !g->machine.has_seed && g->not_yet[0])
		snprintf(why, sizeof(why), "%.300s", g->not_yet);
	else if (g->machine.state == GUEST_PREPARING && !g->machine.has_seed)
		openings_why(g->relay->openings, g->ticket, why);
	else if (g->machine.state == GUEST_PREPARING || g->machine.state == GUEST_HANDOFF)
		snprintf(why, sizeof(why), "the stub domain was not ready in time");
	else
		log_warn("%s: still %s after %u ms, going on", relay_name_of(g), guest_state_text(g->machine.state),
			 guest_deadline_ms(g->machine.state));
	if (why[0])
		relay_fail(g, GEV_DEADLINE, "%s", why);
	else
		relay_event(g, GEV_DEADLINE);
}

/* The deadline and the time go with the state; PREPARING and HANDOFF share one deadline. */
static void enter(struct guest *g, enum guest_state before)
{
	unsigned int ms = guest_deadline_ms(g->machine.state);

	if (g->machine.state == before)
		return;
	g->since = time(NULL);
	noting_state(g->relay->disk, g, before);
	relay_watch_sleep(g);
	if (g->machine.state == GUEST_HANDOFF)
		return;
	if (ms)
		source_set_ms(g->deadline, ms);
	else
		source_clear(g->deadline);
}

void relay_event(struct guest *g, enum guest_event event)
{
	struct relay *r = g->relay;
	enum guest_state before = g->machine.state;
	unsigned int actions;

	r->depth++;
	actions = guest_step(&g->machine, event);
	enter(g, before);
	perform(g, actions);
	r->depth--;
	if (r->depth == 0)
		for (size_t i = 0; i < GUESTS_MAX; i++)
			if (r->guests.table[i].ticket && r->guests.table[i].machine.state == GUEST_GONE)
				guests_drop(&r->guests.table[i]);
}

void relay_fail(struct guest *g, enum guest_event event, const char *fmt, ...)
{
	va_list ap;

	if (!g->reason[0]) { /* the first reason is the cause */
		va_start(ap, fmt);
		vsnprintf(g->reason, sizeof(g->reason), fmt, ap);
		text_make_printable(g->reason); /* a stub domain's words end up on a terminal */
		va_end(ap);
		log_error("%s: no vTPM: %s", relay_name_of(g), g->reason);
		g->relay->tally.refusals[event]++;
		guests_remember(&g->relay->guests, g);
	}
	relay_event(g, event);
}

static struct guest *add(struct relay *r, struct node_ids ids)
{
	struct guest *g = guests_add(&r->guests, ids);

	if (!g) {
		log_error("domain %u device %u: no vTPM: this host serves %d already, its limit", ids.guest, ids.dev, GUESTS_MAX);
		return NULL;
	}
	g->relay = r;
	g->deadline = source_timer(r->loop, on_deadline, g);
	g->look = source_timer(r->loop, relay_on_look, g);
	if (!g->deadline || !g->look) {
		log_error("domain %u device %u: no vTPM: out of memory", ids.guest, ids.dev);
		guests_drop(g);
		return NULL;
	}
	return g;
}

struct guest *relay_adopt(struct relay *r, struct node_ids ids)
{
	uint64_t ticket;
	const struct state_record *record = keeping_claim(r->keeping, ids.guest, ids.dev, &r->boot, &ticket);
	unsigned int backend;
	bool reserved;
	struct guest *g;

	if (!record)
		return NULL;
	backend = ids.stub;
	ids.stub = (unsigned int)record->stub;
	g = add(r, ids);
	if (!g)
		return NULL;
	g->ticket = ticket;
	g->backend = backend;
	g->handed_off = true;
	if (backend)
		named_kept(r->named, backend, ticket);
	g->uuid = record->uuid;
	g->handle = record->handle;
	g->lease.epoch = record->lease_epoch;
	g->image = (uint32_t)record->image;
	reserved = record->phase == PHASE_RESERVED;
	source_set_ms(g->deadline, guest_deadline_ms(GUEST_ADOPTING));
	log_info("%s: served by stub domain %u since before this start", relay_name_of(g), ids.stub);
	perform(g, guest_adopt(&g->machine, reserved));
	noting_state(r->disk, g, GUEST_ADOPTING);
	return g;
}

void relay_request(struct relay *r, struct node_ids ids)
{
	const unsigned int backend = ids.stub;
	struct guest *g;
	char path[NODE_PATH_MAX];

	ids.stub = 0;
	if (guests_find(&r->guests, ids))
		return;
	g = add(r, ids);
	if (!g)
		return;
	g->backend = backend;
	if (xenstore_read_uuid(r->xs, node_path(path, NODE_LIBXL_UUID, ids), &g->uuid) != 0)
		memset(&g->uuid, 0, sizeof(g->uuid));
	source_set_ms(g->deadline, guest_deadline_ms(GUEST_PREPARING));
	g->asked_ms = loop_now_ms();
	r->tally.requests++;
	log_info("%s: requested", relay_name_of(g));
	noting(r->disk, g, HISTORY_REQUESTED, NULL);
	perform(g, guest_start(&g->machine));
}

/* In its window a domain is paused, and it has come from an image if it is no new one; what runs already has its TPM attached, anew. */
static bool is_restored(const struct builder_domain *d)
{
	return d->paused && d->incarnation > 1;
}

void relay_identified(struct guest *g, const struct builder_domain *d)
{
	const struct guest *other = guests_holder(&g->relay->guests, g, &g->uuid);
	char why[NAMED_WHY];

	if (g->machine.state == GUEST_ADOPTING || g->machine.state == GUEST_REVIVING) {
		if (!uuid_equal(&g->handle, &d->handle))
			relay_fail(g, GEV_STRANGER, "this domain is not the one that it was served to");
		else if (d->incarnation % 2 == 0)
			g->image = (uint32_t)d->incarnation; /* marked, and perhaps not on record yet */
		return;
	}
	g->handle = d->handle;
	g->incarnation = (uint32_t)d->incarnation;
	if (uuid_is_nil(&g->uuid))
		relay_fail(g, GEV_BROKEN, "its vtpm line has no usable uuid= in xenstore");
	else if (other)
		relay_fail(g, GEV_BROKEN, "in use: domain %u of this host has this vTPM", other->ids.guest);
	else if (named_allows(g->relay->named, g->backend, &g->uuid, why) != 0)
		relay_fail(g, GEV_BROKEN, "%s", why);
	else
		relay_event(g, is_restored(d) ? GEV_RESTORED : GEV_IDENTIFIED);
}

/* The guest whose stub domain is being built, or NULL. */
static struct guest *by_build(struct relay *r, uint64_t build_ticket)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (r->guests.table[i].ticket && r->guests.table[i].build_pending && r->guests.table[i].build_ticket == build_ticket)
			return &r->guests.table[i];
	return NULL;
}

void relay_build_failed(struct relay *r, uint64_t build_ticket, const char *why)
{
	struct guest *g = by_build(r, build_ticket);

	if (!g)
		return;
	g->build_pending = false;
	if (g->destroy_wanted) {
		g->destroy_wanted = false;
		relay_event(g, GEV_BUILD_FAILED);
	}
	else if (build_ticket != g->ticket)
		order_stub(g); /* a spare could not be had: one of its own may */
	else
		relay_fail(g, GEV_BUILD_FAILED, "%s", why);
}

/* For its channel; a named one's was watched before. */
static int watch_stub(const struct guest *g)
{
	char path[NODE_PATH_MAX];

	node_path(path, NODE_CHANNEL, g->ids);
	xenstore_unwatch(g->relay->xs, path, "stub");
	return xenstore_watch(g->relay->xs, path, "stub");
}

void relay_built(struct relay *r, uint64_t build_ticket, unsigned int stub)
{
	struct guest *g = by_build(r, build_ticket);
	const struct builder_destroy unwanted = {.domid = stub};

	if (!g) { /* its guest was forgotten meanwhile */
		link_send(r->builder, BUILDER_DESTROY, BUILD_ID(BUILD_ID_DESTROY, 0), &unwanted);
		return;
	}
	g->build_pending = false;
	g->ids.stub = stub;
	if (build_ticket != g->ticket && !g->destroy_wanted)
		rename_stub(g);
	if (g->backend)
		named_is_back(r->named, g->ticket);
	if (g->destroy_wanted) {
		g->destroy_wanted = false;
		destroy(g);
	} else if (watch_stub(g) != 0)
		relay_fail(g, GEV_BROKEN, "xenstore refused a watch");
}

void relay_kept(struct relay *r, uint64_t ticket)
{
	struct guest *g = guests_by_ticket(&r->guests, ticket);
	struct builder_inspect q;

	if (!g)
		return;
	g->build_pending = false;
	if (g->backend)
		named_is_back(r->named, ticket);
	if (g->destroy_wanted) {
		g->destroy_wanted = false;
		destroy(g);
	} else if (g->machine.state == GUEST_ADOPTING && watch_stub(g) != 0) {
		relay_fail(g, GEV_BROKEN, "xenstore refused a watch");
	} else if (g->machine.state == GUEST_ADOPTING) { /* a domain that crashed is still there */
		q.domid = g->ids.stub;
		link_send(r->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, g->ticket), &q);
	}
}

void relay_destroyed(struct relay *r, uint64_t ticket)
{
	struct guest *g = guests_by_ticket(&r->guests, ticket);
	char path[NODE_PATH_MAX];

	if (!ticket || !g)
		return;
	xenstore_unwatch(r->xs, node_path(path, NODE_CHANNEL, g->ids), "stub");
	if (g->machine.state != GUEST_REVIVING) /* else the number is its stand-in's */
		g->ids.stub = 0;
	relay_event(g, GEV_STUB_DESTROYED);
	spares_fill(r->spares); /* its memory is free */
}

void relay_parted(struct relay *r, uint64_t ticket)
{
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (!g || !g->machine.destroying)
		return;
	g->ids.stub = 0;
	relay_event(g, GEV_STUB_DESTROYED);
}

/* GEV_KEPT follows when the record is on the disk. */
static void hold(struct guest *g)
{
	const struct guest_lease *l = &g->lease;
	struct state_record record = {
		.uuid = g->uuid, .handle = g->handle, .boot = g->relay->boot, .guest = g->ids.guest, .dev = g->ids.dev,
		.lease_epoch = l->epoch, .owner_epoch = l->owner_epoch, .endorsement_epoch = l->endorsement_epoch,
		.platform_epoch = l->platform_epoch, .phase = PHASE_SERVING, .image = g->image,
	};
	int e;

	if (g->relay->conf->grace_s && buf_left(&l->state)) { /* what a start without KMC needs */
		record.version = l->state_version;
		record.state = view_of(buf_ptr(&l->state), buf_left(&l->state));
	}
	e = keeping_hold(g->relay->keeping, g->ticket, &record);
	relay_event(g, GEV_SEED);
	if (e != 0)
		relay_fail(g, GEV_BROKEN, "can't put its lease on record: %s", error_text(e));
}

static bool copy(struct buf *b, struct view v)
{
	return v.n == 0 || (buf_init(b, v.n) == 0 && buf_put(b, v.p, v.n) == 0);
}

void relay_opened(void *arg, uint64_t ticket, const struct opening_result *o)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);
	struct guest_lease *l;

	if (!g)
		return; /* can't be: an entry that goes abandons its opening first */
	l = &g->lease;
	*l = (struct guest_lease){.generation = o->generation, .epoch = o->lease_epoch, .owner_epoch = o->owner_epoch,
				  .endorsement_epoch = o->endorsement_epoch, .platform_epoch = o->platform_epoch,
				  .state_version = o->state_version};
	if (origin_get(o->origin, &l->origin) != 0 || view_copy_text(o->tenant, l->tenant, sizeof(l->tenant)) != 0 || !(l->seed = secret_dup(o->seed.p, o->seed.n)) ||
	    !copy(&l->state, o->state) || !copy(&l->transient, o->transient)) {
		relay_event(g, GEV_SEED); /* the lease is ours and has to go back */
		relay_fail(g, GEV_BROKEN, "no memory for its seed");
		return;
	}
	if (!g->machine.restored) {
		hold(g);
		return;
	}
	relay_event(g, GEV_SEED);
	relay_event(g, GEV_KEPT); /* its reservation is, since before it was asked for */
}

static void on_store(struct guest *g, const struct handoff_store *s)
{
	const struct handoff_stored no = {.version = s->version, .result = (uint64_t)-E_NOMEM};

	g->store_ms = loop_now_ms();
	g->relay->tally.stores++;
	if (keeping_store(g->relay->keeping, g->ticket, s) != 0)
		stublink_send(g->stub, HANDOFF_STORED, &no);
}

/* Its own lease, whatever it says: a stub domain can't ask for another's certificates. */
static void on_certify(struct guest *g, const struct handoff_certify *m)
{
	const struct kmc_certify q = {.uuid = g->uuid, .lease_epoch = g->lease.epoch, .endorsement_epoch = m->endorsement_epoch};

	certifying_want(g->relay->certifying, g->ticket, &q);
}

/* A new stub domain holds nothing; one that is adopted holds just what our record says. */
static void on_hello(struct guest *g, const struct handoff_hello *h)
{
	bool adopting = g->machine.state == GUEST_ADOPTING;

	bool ours = adopting && h->vtpm.p && bytes_equal(h->vtpm.p, g->uuid.b, UUID_SIZE);

	if (ours && (h->held.p || h->lease_epoch == g->lease.epoch)) { /* what is held gets its lease's epoch when it is thawed */
		g->connected = h->connected;
		log_info("%s: stub domain %u %s", relay_name_of(g), g->ids.stub, h->held.p ? "has waited" : "served on");
		relay_event(g, h->held.p ? GEV_STUB_HELD : GEV_STUB);
		if (h->connected)
			relay_event(g, GEV_CONNECTED);
	} else if (ours && h->lease_epoch == 0) {
		g->connected = h->connected;
		standin_explain(g);
		log_warn("%s: stub domain %u stands in as before", relay_name_of(g), g->ids.stub);
		relay_event(g, GEV_STANDS_IN);
	} else if (!adopting && !h->vtpm.p) {
		relay_event(g, GEV_STUB);
	} else {
		relay_fail(g, GEV_BROKEN, "stub domain %u holds %s", g->ids.stub, h->vtpm.p ? "another vTPM or lease" : "no vTPM any more");
	}
}

static void on_stub_message(void *arg, enum handoff_type type, const void *fields)
{
	struct guest *g = arg;
	const struct handoff_failed *failed = fields;

	switch (type) {
	case HANDOFF_HELLO:
		on_hello(g, fields);
		break;
	case HANDOFF_READY:
		if (((const struct handoff_ready *)fields)->lease_epoch == g->lease.epoch)
			relay_event(g, GEV_READY);
		break;
	case HANDOFF_FRONTEND:
		g->connected = ((const struct handoff_frontend *)fields)->connected;
		if (g->connected)
			relay_event(g, GEV_CONNECTED);
		break;
	case HANDOFF_FROZEN:
		relay_frozen(g, fields);
		break;
	case HANDOFF_STORE:
		on_store(g, fields);
		break;
	case HANDOFF_CERTIFY:
		on_certify(g, fields);
		break;
	case HANDOFF_CLOSED:
		relay_event(g, GEV_CLOSED);
		break;
	case HANDOFF_FAILED:
		relay_fail(g, GEV_BROKEN, "the stub domain says: %.*s", (int)failed->reason.n, (const char *)failed->reason.p);
		break;
	case HANDOFF_STATUS_REPLY:
		g->usage = *(const struct handoff_status_reply *)fields;
		break;
	default:
		break;
	}
}

static void on_stub_broken(void *arg, const char *why)
{
	struct guest *g = arg;

	if (g->machine.state == GUEST_ADOPTING) /* the channel of the relay before us: the next one is announced by the watch */
		stublink_free(&g->stub);
	else if (g->machine.state == GUEST_CLOSING || g->machine.state == GUEST_CLEANING)
		relay_event(g, GEV_BROKEN); /* it may end before its last word is read */
	else
		relay_fail(g, GEV_BROKEN, "stub domain %u: %s", g->ids.stub, why);
}

static const struct stublink_ops stub_ops = {.message = on_stub_message, .broken = on_stub_broken};

static bool awaits_hello(const struct guest_machine *m)
{
	return m->state == GUEST_PREPARING || m->state == GUEST_ADOPTING || (m->state == GUEST_REVIVING && !m->destroying);
}

void relay_meet_stub(struct guest *g)
{
	char path[NODE_PATH_MAX];
	struct channel *channel;

	if (g->stub || !awaits_hello(&g->machine) ||
	    !xenstore_has(g->relay->xs, node_path(path, NODE_CHANNEL_EVENT, g->ids)))
		return;
	channel = channel_vchan_client(g->ids.stub, node_path(path, NODE_CHANNEL, g->ids));
	g->stub = channel ? stublink_new(g->relay->loop, channel, &stub_ops, g) : NULL;
	if (!g->stub && g->machine.state == GUEST_PREPARING)
		relay_fail(g, GEV_BROKEN, "can't connect to stub domain %u", g->ids.stub);
}
