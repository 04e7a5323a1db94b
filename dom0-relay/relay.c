/* Doing what the guest state machine says. */
#include "dom0-relay/relay.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "common/text.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/named.h"
#include "dom0-relay/noting.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

bool relay_is_kept(const struct guest *g)
{
	const struct guest *source = guests_source(&g->relay->guests, g); /* sleeps on, until this one runs or is given up */

	return keeping_has(g->relay->keeping, &g->uuid, source ? source->ticket : 0) || openings_has(g->relay->openings, &g->uuid);
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

		if (!g->ticket || !g->open_waits || !g->machine.open_pending || !uuid_equal(&g->uuid, uuid))
			continue;
		if (g->machine.restored)
			relay_reserve(g);
		else
			open_vtpm(g);
	}
}

int relay_intend(void *arg, uint64_t ticket, const struct uuid *uuid)
{
	struct relay *r = arg;
	const struct guest *g = guests_by_ticket(&r->guests, ticket);
	const struct state_record record = {.uuid = *uuid, .handle = g ? g->handle : (struct uuid){{0}}, .boot = r->boot, .guest = g ? g->ids.guest : 0,
					    .dev = g ? g->ids.dev : 0, .phase = PHASE_OPENING};

	return keeping_intend(r->keeping, ticket, &record);
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
		guest_log(g, LOG_LV_ERROR, "can't tell libxl that the device is closed: xenstore refused");
	if (g->backend)
		named_leave(g->relay->named, g->ticket); /* its stub domain may have gone before */
	guest_log(g, LOG_LV_INFO, "closed");
}

/* A device whose line names the stub domain waits in that one's own directory, which is not ours to take apart. */
static void refuse(struct guest *g)
{
	if (!g->backend && xenstore_refuse(g->relay->xs, g->ids) != 0)
		guest_log(g, LOG_LV_WARN, "can't tell libxl that there is no vTPM, it waits for it some seconds more: xenstore refused");
}

static const struct {
	enum guest_action action;
	void (*perform)(struct guest *g);
} acts[] = {
	{GACT_IDENTIFY, relay_identify}, {GACT_MARK, relay_mark}, {GACT_BUILD, relay_build}, {GACT_OPEN, open_vtpm}, {GACT_RESERVE, relay_reserve},
	{GACT_HANDOFF, relay_hand_off}, {GACT_SERVE, relay_serve}, {GACT_FREEZE, relay_freeze}, {GACT_RESUME, relay_resume},
	{GACT_COMMIT, relay_commit}, {GACT_THAW, relay_thaw},
	{GACT_CLOSE_STUB, relay_close_stub}, {GACT_DESTROY, relay_destroy_stub}, {GACT_RELEASE, release}, {GACT_ANSWER, answer}, {GACT_ADOPT, relay_keep_stub},
	{GACT_REBUILD, relay_rebuild}, {GACT_STAND_IN, relay_stand_in},
	{GACT_REFUSE, refuse},
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
	if (g->machine.state == GUEST_PREPARING && g->open_waits && openings_has(g->relay->openings, &g->uuid))
		snprintf(why, sizeof(why), "an earlier start of it is not settled at the KMC yet: %s", kmclink_why(g->relay->kmc));
	else if (g->machine.state == GUEST_PREPARING && g->open_waits)
		snprintf(why, sizeof(why), "its last state is still on its way to the KMC: %s", kmclink_why(g->relay->kmc));
	else if (g->machine.state == GUEST_PREPARING && !g->machine.has_seed && g->not_yet[0])
		snprintf(why, sizeof(why), "%.300s", g->not_yet);
	else if (g->machine.state == GUEST_PREPARING && !g->machine.has_seed)
		openings_why(g->relay->openings, g->ticket, why);
	else if (g->machine.state == GUEST_PREPARING || g->machine.state == GUEST_HANDOFF)
		snprintf(why, sizeof(why), "the stub domain was not ready in time");
	else
		guest_log(g, LOG_LV_WARN, "still %s after %u ms, going on", guest_state_text(g->machine.state),
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
	if (g->unseen && g->machine.state == GUEST_SERVING)
		relay_look(g);
	if (g->machine.state == GUEST_HANDOFF)
		return;
	if (ms)
		source_set_ms(g->deadline, ms);
	else
		source_clear(g->deadline);
}

/* Its device may have been made anew while the end of this one was under way. */
static void drop(struct relay *r, struct guest *g)
{
	const struct node_ids ids = {.guest = g->ids.guest, .stub = g->backend, .dev = g->ids.dev};
	char path[NODE_PATH_MAX];

	guests_drop(g);
	if (!ids.stub && xenstore_read_state(r->xs, node_path(path, NODE_CONTROL_STATE, ids)) == 1)
		relay_request(r, ids);
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
				drop(r, &r->guests.table[i]);
}

void relay_fail(struct guest *g, enum guest_event event, const char *fmt, ...)
{
	va_list ap;

	if (!g->reason[0]) { /* the first reason is the cause */
		va_start(ap, fmt);
		vsnprintf(g->reason, sizeof(g->reason), fmt, ap);
		text_make_printable(g->reason); /* a stub domain's words end up on a terminal */
		va_end(ap);
		guest_log(g, LOG_LV_ERROR, "no vTPM: %s", g->reason);
		g->relay->tally.refusals[event]++;
		guests_remember(&g->relay->guests, g);
	}
	relay_event(g, event);
}

static struct guest *add(struct relay *r, struct node_ids ids)
{
	struct guest *g = guests_add(&r->guests, ids);

	if (!g) {
		log_about(LOG_LV_ERROR, ABOUT(.domid = ids.guest), "domain %u device %u: no vTPM: this host serves %d already, its limit", ids.guest, ids.dev, GUESTS_MAX);
		return NULL;
	}
	g->relay = r;
	g->deadline = source_timer(r->loop, on_deadline, g);
	g->look = source_timer(r->loop, relay_on_look, g);
	if (!g->deadline || !g->look) {
		log_about(LOG_LV_ERROR, ABOUT(.domid = ids.guest), "domain %u device %u: no vTPM: out of memory", ids.guest, ids.dev);
		guests_drop(g);
		return NULL;
	}
	return g;
}

/* The vTPM's, as libxl has it; nil: it has none. */
static struct uuid read_uuid(struct relay *r, struct node_ids ids)
{
	char path[NODE_PATH_MAX];
	struct uuid uuid;

	ids.stub = 0;
	return xenstore_read_uuid(r->xs, node_path(path, NODE_LIBXL_UUID, ids), &uuid) == 0 ? uuid : (struct uuid){{0}};
}

struct guest *relay_adopt(struct relay *r, struct node_ids ids)
{
	const struct uuid uuid = read_uuid(r, ids);
	uint64_t ticket;
	const struct state_record *record = keeping_claim(r->keeping, ids.guest, ids.dev, &uuid, &r->boot, &ticket);
	unsigned int backend;
	bool reserved;
	struct guest *g;

	if (!record)
		return NULL;
	backend = ids.stub;
	ids.stub = (unsigned int)record->stub;
	g = add(r, ids);
	if (!g) { /* the lease is not served: the KMC gets it back, and the builder sweeps the stub domain that nobody keeps */
		keeping_release(r->keeping, ticket);
		return NULL;
	}
	g->ticket = ticket;
	g->backend = backend;
	g->handed_off = g->unseen = true;
	if (backend)
		named_kept(r->named, backend, ticket);
	g->uuid = record->uuid;
	g->handle = record->handle;
	g->lease.epoch = record->lease_epoch;
	g->image = (uint32_t)record->image;
	reserved = record->phase == PHASE_RESERVED;
	source_set_ms(g->deadline, guest_deadline_ms(GUEST_ADOPTING));
	guest_log(g, LOG_LV_INFO, "served by stub domain %u since before this start", ids.stub);
	perform(g, guest_adopt(&g->machine, reserved));
	noting_state(r->disk, g, GUEST_ADOPTING);
	return g;
}

void relay_request(struct relay *r, struct node_ids ids)
{
	const unsigned int backend = ids.stub;
	struct guest *g;

	ids.stub = 0;
	if (guests_find(&r->guests, ids))
		return;
	g = add(r, ids);
	if (!g)
		return;
	g->backend = backend;
	g->uuid = read_uuid(r, ids);
	source_set_ms(g->deadline, guest_deadline_ms(GUEST_PREPARING));
	g->asked_ms = loop_now_ms();
	r->tally.requests++;
	guest_log(g, LOG_LV_INFO, "requested");
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
	const struct guest *other;
	char why[NAMED_WHY];

	if (g->machine.state == GUEST_ADOPTING || g->machine.state == GUEST_REVIVING) {
		if (!uuid_equal(&g->handle, &d->handle))
			relay_fail(g, GEV_STRANGER, "this domain is not the one that it was served to");
		else if (d->incarnation % 2 == 0)
			g->image = (uint32_t)d->incarnation; /* marked, and perhaps not on record yet */
		return;
	}
	g->handle = d->handle;
	g->incarnation = is_restored(d) ? (uint32_t)d->incarnation : 1;
	other = guests_holder(&g->relay->guests, g, &g->uuid);
	if (uuid_is_nil(&g->uuid))
		relay_fail(g, GEV_BROKEN, "its vtpm line has no usable uuid= in xenstore");
	else if (other)
		relay_fail(g, GEV_BROKEN, "in use: domain %u of this host has this vTPM", other->ids.guest);
	else if (keeping_is_unreadable(g->relay->keeping, &g->uuid))
		relay_fail(g, GEV_BROKEN, "its record in the state directory can't be read, and may have what the KMC has not: mend that disk; or move the file away and start vtpm-relayd again");
	else if (named_allows(g->relay->named, g->backend, &g->uuid, why) != 0)
		relay_fail(g, GEV_BROKEN, "%s", why);
	else
		relay_event(g, is_restored(d) ? GEV_RESTORED : GEV_IDENTIFIED);
}

/* The record of what was opened; with the state that came, if a start without the KMC is to be possible. */
static struct state_record record_of(const struct guest *g)
{
	const struct guest_lease *l = &g->lease;
	struct state_record record = {
		.uuid = g->uuid, .handle = g->handle, .boot = g->relay->boot, .guest = g->ids.guest, .dev = g->ids.dev,
		.lease_epoch = l->epoch, .owner_epoch = l->owner_epoch, .endorsement_epoch = l->endorsement_epoch,
		.platform_epoch = l->platform_epoch, .phase = PHASE_SERVING, .image = g->image,
	};

	if (g->relay->conf->grace_s && buf_left(&l->state)) {
		record.version = l->state_version;
		record.state = view_of(buf_ptr(&l->state), buf_left(&l->state));
	}
	return record;
}

/* A lease that came and is kept nowhere. */
static void give_back(struct guest *g)
{
	struct relay *r = g->relay;

	if (keeping_orphan(r->keeping, ++r->guests.last_ticket, &g->uuid, g->lease.epoch, g->lease.state_version) != 0)
		guest_log(g, LOG_LV_ERROR, "its lease could not be given back, for want of memory");
	guest_lease_clear(&g->lease);
}

/* GEV_KEPT follows when the record is on the disk. */
static void hold(struct guest *g)
{
	const struct state_record record = record_of(g);
	int e = keeping_hold(g->relay->keeping, g->ticket, &record);

	if (e == 0) {
		relay_event(g, GEV_SEED);
		return;
	}
	give_back(g);
	relay_fail(g, GEV_OPEN_FAILED, "can't put its lease on record: %s", error_text(e));
}

static bool copy(struct buf *b, struct view v)
{
	return v.n == 0 || (buf_init(b, v.n) == 0 && buf_put(b, v.p, v.n) == 0);
}

void relay_opened(void *arg, uint64_t ticket, const struct opening_result *o)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);
	struct state_record record;
	struct guest_lease *l;

	if (!g)
		return; /* can't be: an entry that goes abandons its opening first */
	l = &g->lease;
	*l = (struct guest_lease){.generation = o->generation, .epoch = o->lease_epoch, .owner_epoch = o->owner_epoch,
				  .endorsement_epoch = o->endorsement_epoch, .platform_epoch = o->platform_epoch,
				  .state_version = o->state_version};
	if (origin_get(o->origin, &l->origin) != 0 || view_copy_text(o->tenant, l->tenant, sizeof(l->tenant)) != 0 || !(l->seed = secret_dup(o->seed.p, o->seed.n)) ||
	    !copy(&l->state, o->state) || !copy(&l->transient, o->transient)) {
		if (!g->machine.restored)
			give_back(g);
		relay_fail(g, GEV_OPEN_FAILED, "no memory for its seed");
		return;
	}
	if (!g->machine.restored) {
		hold(g);
		return;
	}
	record = record_of(g);
	if (keeping_reserved(r->keeping, ticket, &record) != 0) {
		relay_event(g, GEV_SEED);
		relay_fail(g, GEV_BROKEN, "no memory for its state");
		return;
	}
	guest_log(g, LOG_LV_INFO, "reserved at the KMC");
	relay_event(g, GEV_SEED);
	relay_event(g, GEV_KEPT); /* its reservation is, since before it was asked for */
}
