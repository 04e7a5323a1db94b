/* What the relay asks of the builder, and what comes of it: guests' stub domains first of all. */
#include <stdio.h>

#include "common/log.h"
#include "common/privsep.h"
#include "dom0-relay/attesting.h"
#include "dom0-relay/certifying.h"
#include "dom0-relay/named.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/watching.h"
#include "dom0-relay/xenstore.h"

void relay_identify(struct guest *g)
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

/* --- a guest's stub domain --- */

/* @number: the domain number that it must have, 0 for any. */
static void order_stub(struct guest *g, unsigned int number)
{
	char name[40];
	const struct builder_build q = {.domid = number, .name = view_text(stub_name(g, name))};

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
		relay_listen(g);
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
void relay_build(struct guest *g)
{
	struct spare_taken taken;

	if (g->backend) {
		take_named(g);
		return;
	}
	if (!spares_take(g->relay->spares, &taken)) {
		order_stub(g, 0);
		return;
	}
	begin_with(g, &taken);
	if (taken.stub)
		rename_stub(g);
	if (taken.ready)
		relay_event(g, GEV_STUB);
}

void relay_rebuild(struct guest *g)
{
	guest_log(g, LOG_LV_INFO, "building a stand-in for stub domain %u", g->ids.stub);
	order_stub(g, g->ids.stub);
}

/* What an earlier builder built serves on: tell ours. */
void relay_keep_stub(struct guest *g)
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

void relay_destroy_stub(struct guest *g)
{
	const struct builder_destroy q = {.domid = g->ids.stub};

	certifying_forget(g->relay->certifying, g->ticket);
	stublink_free(&g->stub);
	if (g->build_pending)
		g->destroy_wanted = true;
	else if (!g->backend || !retire_named(g))
		link_send(g->relay->builder, BUILDER_DESTROY, BUILD_ID(BUILD_ID_DESTROY, g->ticket), &q);
}

/* --- answers --- */

/* The guest whose stub domain is being built, or NULL. */
static struct guest *by_build(struct relay *r, uint64_t build_ticket)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (r->guests.table[i].ticket && r->guests.table[i].build_pending && r->guests.table[i].build_ticket == build_ticket)
			return &r->guests.table[i];
	return NULL;
}

static void build_failed(struct relay *r, uint64_t build_ticket, const char *why)
{
	struct guest *g = by_build(r, build_ticket);

	if (!g)
		return;
	g->build_pending = false;
	if (g->destroy_wanted) {
		g->destroy_wanted = false;
		relay_event(g, GEV_BUILD_FAILED);
	} else if (build_ticket != g->ticket) {
		order_stub(g, 0); /* a spare could not be had: one of its own may */
	} else {
		relay_fail(g, GEV_BUILD_FAILED, "%s", why);
	}
}

/* For its channel; a named one's was watched before. */
static int watch_stub(const struct guest *g)
{
	char path[NODE_PATH_MAX];

	node_path(path, NODE_CHANNEL, g->ids);
	xenstore_unwatch(g->relay->xs, path, "stub");
	return xenstore_watch(g->relay->xs, path, "stub");
}

static void built(struct relay *r, uint64_t build_ticket, unsigned int stub)
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
		relay_destroy_stub(g);
	} else if (watch_stub(g) != 0) {
		relay_fail(g, GEV_BROKEN, "xenstore refused a watch");
	}
}

static void kept(struct relay *r, uint64_t ticket)
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
		relay_destroy_stub(g);
	} else if (g->machine.state == GUEST_ADOPTING && watch_stub(g) != 0) {
		relay_fail(g, GEV_BROKEN, "xenstore refused a watch");
	} else if (g->machine.state == GUEST_ADOPTING) { /* a domain that crashed is still there */
		q.domid = g->ids.stub;
		link_send(r->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, g->ticket), &q);
	}
}

static void destroyed(struct relay *r, uint64_t ticket)
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

void relay_parted(void *arg, uint64_t ticket)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (!g || !g->machine.destroying)
		return;
	g->ids.stub = 0;
	relay_event(g, GEV_STUB_DESTROYED);
}

static void on_domain(struct relay *r, enum build_id_kind kind, uint64_t ticket, const struct builder_domain *d)
{
	struct guest *g = ticket ? guests_by_ticket(&r->guests, ticket) : NULL;

	if (!ticket) {
		watching_looked(r);
		return;
	}
	if (!g) {
		if (!spares_inspected(r->spares, ticket, d))
			named_inspected(r->named, ticket, d);
		return;
	}
	if (kind == BUILD_ID_STUB) {
		if (d->domid == g->ids.stub && (!d->exists || d->shutdown) && watching_needs_stub(g))
			relay_fail(g, GEV_BROKEN, "its stub domain %u has died", g->ids.stub);
		return;
	}
	if (g->machine.state != GUEST_PREPARING && g->machine.state != GUEST_ADOPTING)
		relay_looked(g, d);
	else if (d->exists)
		relay_identified(g, d);
	else
		relay_fail(g, GEV_BROKEN, "the hypervisor knows no such domain");
}

/* Its identity or its mark is waited for; else it was looked whether it sleeps, and a domain that dies just then is no news. */
static bool needs_domain(const struct guest *g)
{
	return g->machine.state == GUEST_PREPARING || g->machine.state == GUEST_HANDOFF || g->machine.state == GUEST_ADOPTING ||
	       g->machine.state == GUEST_RESUMING;
}

static void on_builder_failed(struct relay *r, enum build_id_kind kind, uint64_t ticket, const struct relay_failed *f)
{
	struct guest *g = ticket ? guests_by_ticket(&r->guests, ticket) : NULL;
	char why[GUEST_REASON];

	snprintf(why, sizeof(why), "%.*s", (int)f->reason.n, (const char *)f->reason.p);
	if (kind == BUILD_ID_STUB && !ticket)
		watching_looked(r);
	else if (kind == BUILD_ID_BUILD && !spares_failed(r->spares, ticket, why) && !named_failed(r->named, ticket, why))
		build_failed(r, ticket, why);
	else if (g && kind == BUILD_ID_GUEST && !needs_domain(g))
		relay_not_looked(g);
	else if (g && kind == BUILD_ID_DESTROY)
		relay_fail(g, GEV_NOT_DESTROYED, "%s", why);
	else if (g && kind == BUILD_ID_GUEST)
		relay_fail(g, GEV_BROKEN, "%s", why);
}

void relay_builder_says(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct relay *r = arg;
	enum build_id_kind kind = (enum build_id_kind)(id & 3);
	uint64_t ticket = id >> 2;
	unsigned int domid;

	switch (type) {
	case BUILDER_DOMAIN:
		on_domain(r, kind, ticket, fields);
		break;
	case BUILDER_BUILT:
		domid = (unsigned int)((const struct builder_built *)fields)->domid;
		if (!spares_built(r->spares, ticket, domid) && !named_built(r->named, ticket, domid))
			built(r, ticket, domid);
		break;
	case BUILDER_DESTROYED:
		destroyed(r, ticket);
		break;
	case BUILDER_KEPT:
		if (!named_builder_kept(r->named, ticket))
			kept(r, ticket);
		break;
	case BUILDER_MARKED:
		if (guests_by_ticket(&r->guests, ticket))
			relay_event(guests_by_ticket(&r->guests, ticket), GEV_MARKED);
		break;
	case BUILDER_NAMED:
		named_renamed(r->named, ticket);
		break;
	case BUILDER_FREE:
		spares_memory(r->spares, ((const struct builder_free *)fields)->mib);
		break;
	case BUILDER_IMAGE:
		attesting_image(r->attesting, ((const struct builder_image *)fields)->digest.p);
		break;
	case BUILDER_SWEPT:
		log_debug("no stub domain without a guest is left");
		break;
	case BUILDER_FAILED:
		on_builder_failed(r, kind, ticket, fields);
		break;
	default:
		fatal("the builder process sent a request where an answer belongs");
	}
}
