/* What xenstore tells the relay: devices that come and go, domains that end, channels that appear. */
#include "dom0-relay/watching.h"

#include <string.h>

#include "common/log.h"
#include "common/privsep.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/named.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/xenstore.h"

#define LOOKS_AT_ONCE 64 /* the builder may be busy, and its link's queue is bounded */

/* What libxl wants of a device below dom0, or below the stub domain ids.stub that its line names. */
static int read_control(struct relay *r, struct node_ids ids)
{
	char path[NODE_PATH_MAX];

	return ids.stub ? xenstore_named_state(r->xs, ids) : xenstore_read_state(r->xs, node_path(path, NODE_CONTROL_STATE, ids));
}

/* Its state was taken away, so that libxl gives up: one that is there is a new device's of the same number. */
static bool was_refused(const struct guest *g)
{
	return g->machine.state == GUEST_FAILED && !g->backend;
}

void watching_device(void *arg, struct node_ids ids)
{
	struct relay *r = arg;
	struct guest *g = guests_find(&r->guests, ids);
	int state;

	if (!r->listed || (g && g->backend != ids.stub))
		return;
	state = read_control(r, ids);
	if (state == XENSTORE_UNREADABLE) { /* nobody is told to go for that */
		log_about(LOG_LV_WARN, ABOUT(.domid = ids.guest), "domain %u device %u: xenstore does not say what is wanted of it", ids.guest, ids.dev);
		return;
	}
	if (!g && (state == 0 || (state >= 2 && state <= 5)))
		g = relay_adopt(r, ids);
	if (g && (state == 5 || state < 0 || (state == 1 && was_refused(g))))
		relay_close(g);
	else if (!g && state == 1)
		relay_request(r, ids);
	else if (!g && state == 5)
		xenstore_answer(r->xs, ids.stub ? NODE_BACKEND_STATE : NODE_CONTROL_STATE, ids, 6); /* nothing of ours is left behind it */
	else if (!g && ids.stub && state == 6)
		named_answered(r->named, ids);
	else if (!g && state >= 2 && state <= 4)
		log_about(LOG_LV_ERROR, ABOUT(.domid = ids.guest), "domain %u device %u: has a vTPM that this relay knows nothing of: destroy the domain and create it again",
			  ids.guest, ids.dev);
}

/* A guest's own device. */
static void on_control_of(struct guest *g)
{
	const struct node_ids ids = {.guest = g->ids.guest, .stub = g->backend, .dev = g->ids.dev};

	watching_device(g->relay, ids);
}

bool watching_needs_stub(const struct guest *g)
{
	return g->machine.state != GUEST_CLOSING && g->machine.state != GUEST_CLEANING && g->machine.state != GUEST_FAILED &&
	       g->machine.state != GUEST_GONE && !g->machine.destroying;
}

/* Ask for some stub domains, and at last for dom0: its answer says that the others have been answered. */
static void look_on(struct relay *r)
{
	const struct builder_inspect dom0 = {.domid = 0};

	for (unsigned int n = 0; r->look_next < GUESTS_MAX && n < LOOKS_AT_ONCE; r->look_next++) {
		const struct guest *g = &r->guests.table[r->look_next];
		const struct builder_inspect stub = {.domid = g->ids.stub};

		if (!g->ticket || !g->ids.stub || !watching_needs_stub(g))
			continue;
		link_send(r->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, g->ticket), &stub);
		n++;
	}
	if (r->look_next == GUESTS_MAX) {
		spares_inspect(r->spares);
		named_inspect(r->named);
	}
	link_send(r->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, 0), &dom0);
}

/* One round at a time: when many domains end at once, one more round sees them all. */
static void look_after_stubs(struct relay *r)
{
	r->look_again = r->looking;
	if (r->looking)
		return;
	r->looking = true;
	r->look_next = 0;
	look_on(r);
}

void watching_looked(struct relay *r)
{
	if (r->look_next < GUESTS_MAX) {
		look_on(r);
		return;
	}
	r->looking = false;
	if (r->look_again)
		look_after_stubs(r);
}

/* Domains ended somewhere: look after ours. */
static void on_release(struct relay *r)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (r->guests.table[i].ticket) {
			on_control_of(&r->guests.table[i]); /* libxl may have removed the directory without asking */
			relay_look(&r->guests.table[i]);	  /* or it sleeps */
		}
	look_after_stubs(r);
	kmclink_look(r->kmc);
}

void watching_tell(void *arg, const char *path, const char *token)
{
	struct relay *r = arg;
	struct node_ids ids;

	if (strcmp(token, "control") == 0) {
		if (node_match_control(path, &ids))
			watching_device(r, ids);
	} else if (strcmp(token, "release") == 0) {
		on_release(r);
	} else if (strcmp(token, "stub") == 0) {
		for (size_t i = 0; i < GUESTS_MAX; i++)
			if (r->guests.table[i].ticket && r->guests.table[i].ids.stub)
				relay_meet_stub(&r->guests.table[i]);
		spares_meet(r->spares);
		named_meet(r->named);
	} else if (strcmp(token, "named") == 0) {
		if (node_match_backend(path, &ids))
			watching_device(r, ids);
	}
}

void watching_start(struct relay *r)
{
	const struct node_ids none = {0};
	char path[NODE_PATH_MAX];

	if (xenstore_watch(r->xs, node_path(path, NODE_CONTROL_ROOT, none), "control") != 0 ||
	    xenstore_watch(r->xs, "@releaseDomain", "release") != 0)
		fatal("xenstore refused a watch: does this run in dom0?");
}
