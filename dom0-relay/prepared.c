/* One prepared stub domain. */
#include "dom0-relay/prepared.h"

#include <stdio.h>
#include <string.h>

#include "common/channel.h"
#include "common/log.h"
#include "common/privsep.h"
#include "common/text.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"

#define BOOT_LOOKS 60  /* in which a domain must have called */
#define MEET_LOOKS 10  /* and after which its channel is tried once more */
#define RETRY_LOOKS 10 /* between two tries to build the next domain */

static void change_state(struct prepared *p, enum prepared_state state)
{
	p->state = state;
	p->since = time(NULL);
	p->looks = 0;
	p->world->changed(p->world->arg);
}

/* --- the domain's nodes and name --- */

static void watch(const struct prepared_world *w, unsigned int stub)
{
	const struct node_ids ids = {.stub = stub};
	char channel[NODE_PATH_MAX], devices[NODE_PATH_MAX];

	node_path(channel, NODE_CHANNEL, ids);
	xenstore_unwatch(w->xs, channel, "stub"); /* a spare's is there already */
	if (xenstore_watch(w->xs, channel, "stub") != 0 || xenstore_watch(w->xs, node_path(devices, NODE_STUB_BACKEND_TYPE, ids), "named") != 0)
		log_warn("xenstore refused a watch on prepared stub domain %u", stub);
}

void prepared_unwatch(const struct prepared_world *w, unsigned int stub)
{
	const struct node_ids ids = {.stub = stub};
	char path[NODE_PATH_MAX];

	xenstore_unwatch(w->xs, node_path(path, NODE_CHANNEL, ids), "stub");
	xenstore_unwatch(w->xs, node_path(path, NODE_STUB_BACKEND_TYPE, ids), "named");
}

void prepared_destroy(const struct prepared_world *w, unsigned int stub)
{
	const struct builder_destroy q = {.domid = stub};

	prepared_unwatch(w, stub);
	link_send(w->builder, BUILDER_DESTROY, BUILD_ID(BUILD_ID_DESTROY, 0), &q);
}

static void rename_to(struct prepared *p, const char *name, uint64_t ticket)
{
	const struct builder_name q = {.domid = p->stub, .name = view_text(name)};

	link_send(p->world->builder, BUILDER_NAME, BUILD_ID(BUILD_ID_STUB, ticket), &q);
}

/* The record first: a relay that comes after this one must not sweep a domain that has the name. */
static void call(struct prepared *p)
{
	if (xenstore_prepare(p->world->xs, p->stub, &p->uuid, p->name) != 0)
		log_warn("xenstore refused the record of prepared stub domain %u", p->stub);
	if (p->old && p->old != p->stub)
		xenstore_unprepare(p->world->xs, p->old);
	p->old = 0;
	rename_to(p, p->name, p->ticket);
}

/* --- having one --- */

static void tell_leaver(struct prepared *p)
{
	uint64_t leaver = p->leaver;

	p->leaver = 0;
	if (leaver)
		p->world->parted(p->world->arg, leaver);
}

/* The record stays, for a relay that comes before the next domain is there. */
static void give_up(struct prepared *p)
{
	stublink_free(&p->link);
	if (p->stub && p->ours)
		prepared_destroy(p->world, p->stub);
	else if (p->stub)
		prepared_unwatch(p->world, p->stub);
	if (p->stub && p->keeping)
		p->world->forsaken(p->world->arg, p->ticket, p->stub);
	if (p->stub)
		p->old = p->stub;
	p->stub = 0;
	p->called = p->keeping = false;
}

static void forget_record(struct prepared *p)
{
	if (p->old)
		xenstore_unprepare(p->world->xs, p->old);
	p->old = 0;
}

static void order(struct prepared *p)
{
	char name[40];
	struct builder_build q = {.headroom_mib = 0};

	p->own = true;
	p->ticket = ++*p->world->last_ticket;
	change_state(p, PREPARED_BUILDING);
	snprintf(name, sizeof(name), "vtpm-prepare-%llu", (unsigned long long)p->ticket);
	q.name = view_text(name);
	link_send(p->world->builder, BUILDER_BUILD, BUILD_ID(BUILD_ID_BUILD, p->ticket), &q);
}

/* It has said HELLO, holds nothing, and is called by its name: told once. */
static void tell_ready(struct prepared *p)
{
	char uuid[UUID_TEXT];

	if (p->state != PREPARED_READY || !p->called)
		return;
	p->settled = true;
	p->reason[0] = '\0';
	log_about(LOG_LV_INFO, ABOUT(.vtpm = &p->uuid), "backend %s is prepared for vTPM %s: stub domain %u", p->name, uuid_format(&p->uuid, uuid), p->stub);
}

static void be_ready(struct prepared *p)
{
	change_state(p, PREPARED_READY);
	stublink_send(p->link, HANDOFF_STAY, NULL);
	tell_ready(p);
}

static const struct stublink_ops link_ops;

void prepared_supply(struct prepared *p)
{
	struct spare_taken t;

	p->called = p->own = p->found = p->keeping = false;
	p->stub = 0;
	p->ours = true;
	if (!spares_take(p->world->spares, &t)) {
		order(p);
		return;
	}
	p->ticket = t.ticket;
	p->stub = t.stub;
	p->link = t.link;
	change_state(p, t.stub ? PREPARED_BOOTING : PREPARED_BUILDING);
	if (p->link)
		stublink_rebind(p->link, &link_ops, p);
	if (p->stub) {
		watch(p->world, p->stub);
		call(p);
	}
	if (t.ready)
		be_ready(p);
	spares_fill(p->world->spares);
}

void prepared_replace(struct prepared *p)
{
	p->lost = false;
	give_up(p);
	prepared_supply(p);
}

void prepared_lack(struct prepared *p, const char *why)
{
	if (strcmp(p->reason, why) != 0) /* it may be tried many times */
		log_error("backend %s: %s", p->name, why);
	snprintf(p->reason, sizeof(p->reason), "%s", why);
	text_make_printable(p->reason);
	give_up(p);
	if (!p->settled)
		forget_record(p);
	change_state(p, p->settled ? PREPARED_WAITING : PREPARED_FAILED);
	tell_leaver(p);
}

/* --- its channel --- */

static void on_message(void *arg, enum handoff_type type, const void *fields)
{
	struct prepared *p = arg;
	const struct handoff_hello *hello = fields;

	if (type == HANDOFF_HELLO && p->state == PREPARED_BOOTING && !hello->vtpm.p)
		be_ready(p);
	else
		prepared_lack(p, "its stub domain says what it must not");
}

/* The channel of the relay before us may be found once more; the next one is announced by the watch. */
static void on_broken(void *arg, const char *why)
{
	struct prepared *p = arg;
	char text[PREPARED_WHY];

	stublink_free(&p->link);
	if (p->state != PREPARED_READY)
		return;
	snprintf(text, sizeof(text), "its stub domain %u: %.200s", p->stub, why);
	prepared_lack(p, text);
}

static const struct stublink_ops link_ops = {.message = on_message, .broken = on_broken};

void prepared_meet(struct prepared *p)
{
	const struct node_ids ids = {.stub = p->stub};
	char path[NODE_PATH_MAX];
	struct channel *channel;

	if (p->state != PREPARED_BOOTING || p->link || !xenstore_has(p->world->xs, node_path(path, NODE_CHANNEL_EVENT, ids)))
		return;
	channel = channel_vchan_client(p->stub, node_path(path, NODE_CHANNEL, ids));
	p->link = channel ? stublink_new(p->world->loop, channel, &link_ops, p) : NULL;
}

/* --- its life --- */

void prepared_begin(struct prepared *p, const struct prepared_world *world, const struct uuid *uuid, const char *name)
{
	*p = (struct prepared){.world = world, .uuid = *uuid, .ticket = ++*world->last_ticket};
	snprintf(p->name, sizeof(p->name), "%s", name);
	change_state(p, PREPARED_CHECKING);
}

void prepared_found(struct prepared *p, const struct prepared_world *world, const struct uuid *uuid, const char *name, struct node_ids ids)
{
	*p = (struct prepared){.world = world, .uuid = *uuid, .ticket = ++*world->last_ticket, .stub = ids.stub, .settled = true, .found = true,
			       .lost = ids.guest != 0, .ids = ids};
	snprintf(p->name, sizeof(p->name), "%s", name);
	change_state(p, PREPARED_BOOTING);
	watch(world, p->stub);
}

void prepared_end(struct prepared *p)
{
	give_up(p); /* what is being built is destroyed when it is there: nobody waits for it */
	forget_record(p);
	tell_leaver(p);
	if (p->state != PREPARED_FAILED)
		log_info("backend %s is prepared no more", p->name);
	memset(p, 0, sizeof(*p));
}

void prepared_serve(struct prepared *p, uint64_t ticket)
{
	p->guest = ticket;
	change_state(p, PREPARED_SERVING);
}

void prepared_give(struct prepared *p, struct node_ids ids, uint64_t ticket, struct spare_taken *taken)
{
	if (xenstore_prepared_for(p->world->xs, ids) != 0)
		log_warn("xenstore refused the record of backend %s's guest", p->name);
	*taken = (struct spare_taken){.ticket = ticket, .stub = p->stub, .link = p->link, .ready = p->state == PREPARED_READY};
	p->link = NULL;
	p->settled = true;
	p->reason[0] = '\0';
	tell_leaver(p);
	p->ids = ids;
	prepared_serve(p, ticket);
}

void prepared_leave(struct prepared *p)
{
	char name[40];

	snprintf(name, sizeof(name), "vtpm-%u-%u", p->ids.guest, p->ids.dev);
	rename_to(p, name, 0);
	p->old = p->stub;
	p->leaver = p->guest;
	p->guest = 0;
	prepared_supply(p);
}

void prepared_keep(struct prepared *p)
{
	const struct builder_keep q = {.domid = p->stub};

	p->keeping = true;
	link_send(p->world->builder, BUILDER_KEEP, BUILD_ID(BUILD_ID_BUILD, p->ticket), &q);
}

/* The relay before us may have come no further than the record; a stand-in comes with another name. */
void prepared_is_kept(struct prepared *p)
{
	p->ours = true;
	p->keeping = false;
	rename_to(p, p->name, p->state == PREPARED_SERVING ? 0 : p->ticket);
	prepared_meet(p);
}

void prepared_built(struct prepared *p, unsigned int stub)
{
	p->stub = stub;
	change_state(p, PREPARED_BOOTING);
	watch(p->world, stub);
	call(p);
}

void prepared_build_failed(struct prepared *p, const char *why)
{
	p->keeping = false;
	if (p->state == PREPARED_BUILDING && !p->own)
		order(p); /* a spare could not be had: one of its own may */
	else if (p->stub)
		prepared_replace(p); /* it ended while no relay was there */
	else
		prepared_lack(p, why);
}

/* Renamed, or not: another domain may have had the name meanwhile. */
void prepared_renamed(struct prepared *p)
{
	char why[PREPARED_WHY];
	unsigned int domid;

	p->called = xenstore_find_domain(p->world->xs, p->name, &domid) == 0 && domid == p->stub;
	if (p->called) {
		tell_leaver(p);
		tell_ready(p);
	} else if (xenstore_has_domain(p->world->xs, p->stub)) {
		snprintf(why, sizeof(why), "its stub domain %u can't be called so: another domain of this host has the name", p->stub);
		prepared_lack(p, why);
	}
}

void prepared_inspected(struct prepared *p, const struct builder_domain *d)
{
	char why[PREPARED_WHY];

	if (!p->stub || d->domid != p->stub || (d->exists && !d->shutdown))
		return;
	snprintf(why, sizeof(why), "its stub domain %u has died", p->stub);
	prepared_lack(p, why);
	if (p->state == PREPARED_WAITING)
		prepared_supply(p);
}

void prepared_inspect(struct prepared *p)
{
	const struct builder_inspect q = {.domid = p->stub};

	if (p->state == PREPARED_BOOTING || p->state == PREPARED_READY)
		link_send(p->world->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, p->ticket), &q);
}

bool prepared_look(struct prepared *p)
{
	p->looks++;
	if (p->state == PREPARED_WAITING && p->looks > RETRY_LOOKS) {
		prepared_supply(p);
	} else if (p->state == PREPARED_BOOTING && p->found && p->looks % MEET_LOOKS == 0 && p->looks <= BOOT_LOOKS) {
		stublink_free(&p->link); /* perhaps it was the channel that was the old relay's */
		prepared_meet(p);
	} else if (p->state == PREPARED_BOOTING && p->looks > BOOT_LOOKS) {
		prepared_lack(p, "its stub domain has not called; its console's log may say why");
	}
	return p->state == PREPARED_WAITING || p->state == PREPARED_BOOTING;
}
