/* What a guest's stub domain is told, and what it says. */
#include <inttypes.h>
#include <stdio.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "common/text.h"
#include "dom0-relay/certifying.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/noting.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/standin.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

void relay_hand_off(struct guest *g)
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
void relay_serve(struct guest *g)
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
	spares_fill_soon(g->relay->spares);
	g->relay->tally.served++;
	histogram_add(&g->relay->tally.start, loop_now_ms() - g->asked_ms);
	guests_forgive(&g->relay->guests, &g->uuid);
	if (g->machine.restored)
		guest_log(g, LOG_LV_INFO, "resumed in stub domain %u, served once the guest runs", g->ids.stub);
	else
		guest_log(g, LOG_LV_INFO, "served by stub domain %u, lease %" PRIu64, g->ids.stub, g->lease.epoch);
}

void relay_stand_in(struct guest *g)
{
	standin_explain(g);
	if (standin_begin(g, g->relay->xs) != 0)
		relay_fail(g, GEV_BROKEN, "xenstore refused to hand the device to a stand-in");
	else
		guest_log(g, LOG_LV_WARN, "stub domain %u stands in: TPM_RC_INITIALIZE until the guest is started anew", g->ids.stub);
}

void relay_close_stub(struct guest *g)
{
	if (stublink_send(g->stub, HANDOFF_CLOSE, NULL) != 0)
		relay_event(g, GEV_BROKEN);
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
	const struct kmc_certify q = {
		.uuid = g->uuid, .lease_epoch = g->machine.restored ? 0 : g->lease.epoch, .endorsement_epoch = m->endorsement_epoch,
	};

	certifying_want(g->relay->certifying, g->ticket, &q);
}

/* The relay before us had a later lease for it from the KMC, and told it so; its disk did not take that. */
static void catch_up(struct guest *g, uint64_t lease_epoch)
{
	guest_log(g, LOG_LV_WARN, "is served under lease %" PRIu64 ", which is not on record: putting it there", lease_epoch);
	g->lease.epoch = lease_epoch;
	keeping_served(g->relay->keeping, g->ticket, lease_epoch);
}

/* A new stub domain holds nothing; one that is adopted holds just what our record says, or what came after that. */
static void on_hello(struct guest *g, const struct handoff_hello *h)
{
	bool adopting = g->machine.state == GUEST_ADOPTING;
	bool ours = adopting && h->vtpm.p && bytes_equal(h->vtpm.p, g->uuid.b, UUID_SIZE);

	if (ours && !h->held.p && h->lease_epoch > g->lease.epoch)
		catch_up(g, h->lease_epoch);
	if (ours && (h->held.p || h->lease_epoch == g->lease.epoch)) { /* what is held gets its lease's epoch when it is thawed */
		g->connected = h->connected;
		guest_log(g, LOG_LV_INFO, "stub domain %u %s", g->ids.stub, h->held.p ? "has waited" : "served on");
		if (!h->connected) /* the relay before us may have died just before it said so */
			stublink_send(g->stub, HANDOFF_SERVE, NULL);
		relay_event(g, h->held.p ? GEV_STUB_HELD : GEV_STUB);
		if (h->connected)
			relay_event(g, GEV_CONNECTED);
	} else if (ours && h->lease_epoch == 0) {
		g->connected = h->connected;
		standin_explain(g);
		guest_log(g, LOG_LV_WARN, "stub domain %u stands in as before", g->ids.stub);
		relay_event(g, GEV_STANDS_IN);
	} else if (!adopting && !h->vtpm.p) {
		relay_event(g, GEV_STUB);
	} else {
		relay_fail(g, GEV_BROKEN, "stub domain %u holds %s", g->ids.stub, h->vtpm.p ? "another vTPM or lease" : "no vTPM any more");
	}
}

/* A TPM that fails under its guest is not ours to mend: the next start of the guest gets it whole, from what is stored. */
static void on_status(struct guest *g, const struct handoff_status_reply *s)
{
	g->usage = *s;
	g->usage.failure = (struct view){0}; /* the message's own */
	if (!s->failure.p || g->failure[0])
		return;
	snprintf(g->failure, sizeof(g->failure), "its TPM is out of order until the guest is started anew: %.*s", (int)s->failure.n,
		 (const char *)s->failure.p);
	text_make_printable(g->failure);
	guest_log(g, LOG_LV_ERROR, "%s", g->failure);
	noting(g->relay->disk, g, HISTORY_TPM_FAILED, g->failure);
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
		on_status(g, fields);
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

void relay_listen(struct guest *g)
{
	stublink_rebind(g->stub, &stub_ops, g);
}

static bool awaits_hello(const struct guest_machine *m)
{
	return m->state == GUEST_PREPARING || m->state == GUEST_ADOPTING || (m->state == GUEST_REVIVING && !m->destroying);
}

void relay_meet_stub(struct guest *g)
{
	char path[NODE_PATH_MAX];
	struct channel *channel;

	if (g->stub || g->build_pending || !awaits_hello(&g->machine) || /* pending: who the guest is may not be known yet either */
	    !xenstore_has(g->relay->xs, node_path(path, NODE_CHANNEL_EVENT, g->ids)))
		return;
	channel = channel_vchan_client(g->ids.stub, node_path(path, NODE_CHANNEL, g->ids));
	g->stub = channel ? stublink_new(g->relay->loop, channel, &stub_ops, g) : NULL;
	if (!g->stub && g->machine.state == GUEST_PREPARING)
		relay_fail(g, GEV_BROKEN, "can't connect to stub domain %u", g->ids.stub);
}
