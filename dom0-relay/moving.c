/*
 * Guests that sleep, wake up, and come from elsewhere: looking after them, and what their state machines say.
 *
 * Theory of operation: xl suspends a guest for a save or a migration. @releaseDomain tells of it; that it runs on tells nobody, so
 * while a guest sleeps, or may be about to, the hypervisor is asked every so often. A guest's image is known by its domain's
 * incarnation: each domain that is served gets a random even one, its mark (docs/models/README.md, rule 6), which an image carries,
 * and a domain restored from it comes with one more. Whoever runs on after a sleep gets a new mark before the lease is asked for,
 * so that no old image ever fits a vTPM that has served since.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/certifying.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/named.h"
#include "dom0-relay/noting.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/stublink.h"

#define LOOK_MS 100    /* between two looks at a guest that sleeps */
#define RESERVE_MS 250 /* between two tries to reserve */
#define MISS_MS 100    /* a guest that was asked after so long ago may have slept and woken up meanwhile */

/* --- looking --- */

static bool is_watched(const struct guest *g)
{
	switch (g->machine.state) {
	case GUEST_RESERVED:
	case GUEST_COMMITTING:
	case GUEST_SUSPENDING:
	case GUEST_FROZEN:
	case GUEST_RESUMING:
		return true;
	default:
		return false;
	}
}

void relay_look(struct guest *g)
{
	const struct builder_inspect q = {.domid = g->ids.guest};

	if (g->look_pending || (g->machine.state != GUEST_SERVING && !is_watched(g)))
		return;
	g->look_pending = true;
	g->look_asked_ms = loop_now_ms();
	link_send(g->relay->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_GUEST, g->ticket), &q);
}

/*
 * libxl takes the device away. It may have suspended, saved and be destroying the guest faster than we looked, when the builder was busy;
 * the domain is there until we answer, so one more look tells, and what sleeps is frozen first.
 */
void relay_close(struct guest *g)
{
	if (g->backend)
		named_leave(g->relay->named, g->ticket); /* a reboot asks for the next domain of that name at once */
	if (g->machine.state != GUEST_SERVING) {
		relay_event(g, GEV_CLOSE);
	} else if (!g->closing) {
		g->closing = true;
		g->look_stale = g->look_pending;
		relay_look(g);
	}
}

static void close_after_look(struct guest *g, bool asleep)
{
	if (g->look_stale && g->machine.state == GUEST_SERVING && !asleep) { /* that one was asked before */
		g->look_stale = false;
		relay_look(g);
		return;
	}
	g->closing = false;
	if (asleep)
		relay_event(g, GEV_ASLEEP);
	relay_event(g, GEV_CLOSE);
}

void relay_not_looked(struct guest *g)
{
	g->look_pending = false;
	if (g->closing)
		close_after_look(g, false);
}

void relay_looked(struct guest *g, const struct builder_domain *d)
{
	bool asleep = d->exists && d->shutdown == 1 + RELAY_SHUTDOWN_SUSPEND;

	g->look_pending = false;
	if (g->closing) {
		close_after_look(g, asleep);
		return;
	}
	if (!d->exists || (d->shutdown && !asleep)) /* libxl takes the device away */
		return;
	if (asleep != g->machine.asleep)
		relay_event(g, asleep ? GEV_ASLEEP : GEV_AWAKE);
	else if (g->machine.state == GUEST_SERVING && (g->unseen || loop_now_ms() - g->look_asked_ms > MISS_MS))
		relay_mark(g); /* nobody looked, or the builder was busy: should there be an image, it fits nothing that is suspended later */
}

/* After each step of a guest's machine: keep looking as long as it matters. */
void relay_watch_sleep(struct guest *g)
{
	if (is_watched(g) && !g->looking) {
		g->looking = true;
		source_set_ms(g->look, LOOK_MS);
	}
}

void relay_on_look(void *arg, unsigned int what)
{
	struct guest *g = arg;

	(void)what;
	g->looking = false;
	relay_ask_reservation(g);
	relay_look(g);
	relay_watch_sleep(g);
}

/* --- marks --- */

/* Even, and none that another domain has: what the incarnations that Xen counts never reach. */
static int make_mark(uint32_t *mark)
{
	if (getrandom(mark, sizeof(*mark), 0) != sizeof(*mark))
		return E_IO;
	*mark = (*mark & 0x3ffffffe) | 0x40000000;
	return 0;
}

void relay_mark(struct guest *g)
{
	struct builder_mark q = {.domid = g->ids.guest};
	uint32_t mark;

	if (make_mark(&mark) != 0) {
		relay_fail(g, GEV_BROKEN, "no random number for the mark of its images");
		return;
	}
	g->image = q.image = mark;
	g->unseen = false;
	link_send(g->relay->builder, BUILDER_MARK, BUILD_ID(BUILD_ID_GUEST, g->ticket), &q);
}

/* --- a guest that was resumed here --- */

/* The reservation's name is on record before it is asked for, so that what may come of it can be given back. */
void relay_reserve(struct guest *g)
{
	struct state_record record = {
		.uuid = g->uuid, .handle = g->handle, .boot = g->relay->boot, .guest = g->ids.guest, .dev = g->ids.dev,
		.phase = PHASE_RESERVED, .image = g->image, .request = view_of(g->request, sizeof(g->request)),
	};
	int r;

	g->open_waits = relay_is_kept(g);
	if (g->open_waits)
		return;
	if (getrandom(g->request, sizeof(g->request), 0) != sizeof(g->request)) {
		relay_fail(g, GEV_OPEN_FAILED, "no random number for its reservation");
		return;
	}
	g->reserving = true;
	r = keeping_hold(g->relay->keeping, g->ticket, &record);
	if (r != 0)
		relay_fail(g, GEV_OPEN_FAILED, "can't put its reservation on record: %s", error_text(r));
}

/* The record is safe, or the last answer was "not yet". */
void relay_ask_reservation(struct guest *g)
{
	if (!g->reserving || g->machine.state != GUEST_PREPARING || !g->machine.open_pending)
		return;
	g->reserving = false;
	if (openings_reserve(g->relay->openings, g->ticket, &g->uuid, g->incarnation, g->request) != 0)
		relay_fail(g, GEV_OPEN_FAILED, "too many guests are starting at once; try again");
}

void relay_not_yet(void *arg, uint64_t ticket, const char *why)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (!g)
		return;
	snprintf(g->not_yet, sizeof(g->not_yet), "%s", why);
	g->reserving = true;
	source_set_ms(g->look, RESERVE_MS);
}

void relay_commit(struct guest *g)
{
	guest_log(g, LOG_LV_INFO, "its guest runs, asking for its lease");
	keeping_commit(g->relay->keeping, g->ticket);
}

/* --- a guest that sleeps --- */

void relay_freeze(struct guest *g)
{
	const struct handoff_freeze f = {.image = g->image, .lease_epoch = g->lease.epoch};

	guest_log(g, LOG_LV_INFO, "sleeps, its TPM is being sealed");
	if (stublink_send(g->stub, HANDOFF_FREEZE, &f) != 0)
		relay_fail(g, GEV_BROKEN, "the stub domain does not read that the guest sleeps");
}

void relay_frozen(struct guest *g, const struct handoff_frozen *f)
{
	int r;

	if (g->machine.state != GUEST_SUSPENDING && g->machine.state != GUEST_SEALING)
		return;
	r = keeping_freeze(g->relay->keeping, g->ticket, g->image, f);
	if (r != 0)
		relay_fail(g, GEV_BROKEN, "can't keep what its TPM was sealed into: %s", error_text(r));
}

void relay_resume(struct guest *g)
{
	guest_log(g, LOG_LV_INFO, "runs on, asking for its lease");
	keeping_resume(g->relay->keeping, g->ticket, g->image);
}

void relay_thaw(struct guest *g)
{
	const struct handoff_thaw t = {.lease_epoch = g->lease.epoch};

	g->reason[0] = '\0';
	certifying_lease(g->relay->certifying, g->ticket, g->lease.epoch);
	if (stublink_send(g->stub, HANDOFF_THAW, &t) != 0)
		relay_fail(g, GEV_BROKEN, "the stub domain does not read that the guest runs");
	else
		guest_log(g, LOG_LV_INFO, "served by stub domain %u, lease %" PRIu64, g->ids.stub, g->lease.epoch);
}

void relay_moved(void *arg, uint64_t ticket, enum keeping_move what, uint64_t lease_epoch, const char *why)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (!g)
		return;
	switch (what) {
	case MOVE_FROZEN:
		guest_log(g, LOG_LV_INFO, "sealed, on record here");
		relay_event(g, GEV_FROZEN);
		break;
	case MOVE_SUSPENDED:
		g->lease.epoch = lease_epoch;
		guest_log(g, LOG_LV_INFO, "suspended, the KMC has its state");
		noting(r->disk, g, HISTORY_SUSPENDED, "the KMC has its state");
		break;
	case MOVE_SERVES:
		g->lease.epoch = lease_epoch;
		relay_event(g, GEV_GRANTED);
		break;
	case MOVE_FENCED:
		relay_fail(g, GEV_FENCED, "its TPM stays frozen: %s", why);
		break;
	}
}
