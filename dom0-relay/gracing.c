/* Starting guests while no KMC is there. */
#include "dom0-relay/gracing.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/grace.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"

#define TICK_MS 1500   /* how often the KMC is asked whether another host wants what is parked */
#define TOUCH_S 60     /* how often the time of the last contact is written down, at most */

static uint64_t wall_clock(void)
{
	return (uint64_t)time(NULL);
}

/* --- the last contact --- */

static void touch(struct relay *r)
{
	const struct state_touch m = {.contact = r->contact};

	r->touched = r->contact;
	link_send(r->disk, STATE_TOUCH, GRACING_CONTACT_TICKET, &m);
}

static void on_tick(void *arg, unsigned int what)
{
	struct relay *r = arg;

	(void)what;
	if (kmclink_is_up(r->kmc)) {
		r->contact = wall_clock();
		if (r->contact - r->touched >= TOUCH_S)
			touch(r);
		if (keeping_has_parked(r->keeping))
			kmclink_send(r->kmc, KMC_RECALLS, KMC_ID_RECALLS, NULL);
	}
	source_set_ms(r->grace_timer, TICK_MS);
}

void gracing_start(struct relay *r, uint64_t contact)
{
	if (!r->conf->grace_s)
		return;
	r->contact = contact > r->contact ? contact : r->contact; /* it may be there already */
	keeping_park_leases(r->keeping);
	r->grace_timer = source_timer(r->loop, on_tick, r);
	if (!r->grace_timer)
		fatal("can't start: out of memory");
	source_set_ms(r->grace_timer, TICK_MS);
}

void gracing_up(struct relay *r)
{
	r->contact = wall_clock();
	r->kmc_seen = true;
	if (r->grace_timer)
		touch(r);
}

void gracing_down(struct relay *r)
{
	if (!r->kmc_seen)
		return;
	r->kmc_seen = false;
	r->contact = wall_clock();
	if (r->grace_timer)
		touch(r);
}

/* --- making copies --- */

void gracing_opened(struct relay *r, uint64_t ticket, const struct opening_result *o)
{
	const struct tpm_seal m = {.uuid = o->uuid, .tenant = o->tenant, .seed = o->seed, .generation = o->generation, .pcrs = r->conf->grace_pcrs,
				   .origin = o->origin};

	if (r->grace_timer)
		link_send(r->tpm, TPM_SEAL, GRACING_TPM | ticket, &m);
}

static void on_sealed(struct relay *r, struct guest *g, const struct tpm_sealed *m)
{
	uint8_t origin[ORIGIN_SIZE];
	const struct grace_copy c = {.tenant = view_text(g->lease.tenant), .generation = g->lease.generation, .pcrs = r->conf->grace_pcrs,
				     .sealed = m->sealed, .origin = origin_put(&g->lease.origin, origin)};
	uint8_t room[STATE_GRACE_MAX];
	struct buf b;

	buf_over(&b, room, sizeof(room));
	if (grace_copy_write(&b, &c) != 0 || keeping_grace(r->keeping, g->ticket, view_of(room, b.len)) != 0)
		guest_log(g, LOG_LV_WARN, "no copy of its seed could be kept for a start without KMC");
}

/* --- using them --- */

/*
 * Whether the guest waits for nothing but a KMC, which was not asked for it since: nobody else can have got its lease by that. Nor for the guest before it:
 * what was asked for that one goes on, and gets and gives back a newer lease.
 */
static bool waits(struct relay *r, struct guest *g)
{
	return g->ticket && !g->grace && g->machine.state == GUEST_PREPARING && g->machine.open_pending && !g->machine.restored &&
	       (g->open_waits ? !openings_has(r->openings, &g->uuid) : openings_cancel(r->openings, g->ticket));
}

/* The copy is opened; on_seed() goes on. */
static void try_copy(struct relay *r, struct guest *g, const struct state_record *record)
{
	const char *why = grace_why_not(r->conf->grace_s, r->contact, wall_clock());
	struct tpm_unseal m = {.uuid = record->uuid};
	struct grace_copy c;

	if (!why && grace_copy_read(record->grace, &c) != 0)
		why = "the copy in the state directory can't be read";
	if (why) {
		relay_fail(g, GEV_OPEN_FAILED, "%s; it can't be started without: %s", kmclink_why(r->kmc), why);
		return;
	}
	g->open_waits = false;
	g->grace = true;
	m.tenant = c.tenant;
	m.generation = c.generation;
	m.pcrs = c.pcrs;
	m.sealed = c.sealed;
	m.origin = c.origin;
	link_send(r->tpm, TPM_UNSEAL, GRACING_TPM | g->ticket, &m);
}

void gracing_lost(struct relay *r)
{
	for (size_t i = 0; r->grace_timer && i < GUESTS_MAX; i++) {
		struct guest *g = &r->guests.table[i];
		const struct state_record *record = g->ticket ? keeping_parked(r->keeping, &g->uuid) : NULL;

		if (record && waits(r, g))
			try_copy(r, g, record);
	}
}

static void on_seed(struct relay *r, struct guest *g, const struct tpm_seed *m)
{
	const struct state_record *record = keeping_parked(r->keeping, &g->uuid);
	struct grace_copy c;
	struct opening_result o;

	if (g->machine.state != GUEST_PREPARING || !g->machine.open_pending)
		return; /* its time was over */
	if (!record || grace_copy_read(record->grace, &c) != 0) {
		relay_fail(g, GEV_OPEN_FAILED, "its lease was given back meanwhile: try again");
		return;
	}
	o = (struct opening_result){
		.uuid = record->uuid, .seed = m->seed, .tenant = c.tenant, .state = record->state, .generation = c.generation,
		.lease_epoch = record->lease_epoch, .owner_epoch = record->owner_epoch, .endorsement_epoch = record->endorsement_epoch,
		.platform_epoch = record->platform_epoch, .state_version = record->version, .origin = c.origin,
	};
	guest_log(g, LOG_LV_WARN, "%s: started in grace from the copy sealed to this host's TPM, %" PRIu64 " s after the last contact", kmclink_why(r->kmc),
		  wall_clock() - r->contact);
	relay_opened(r, g->ticket, &o);
}

void gracing_tpm(struct relay *r, uint64_t type, uint64_t ticket, const void *fields)
{
	struct guest *g = guests_by_ticket(&r->guests, ticket & ~GRACING_TPM);
	const struct relay_failed *failed = fields;

	if (!g)
		return; /* it is gone */
	if (type == TPM_SEALED)
		on_sealed(r, g, fields);
	else if (type == TPM_SEED)
		on_seed(r, g, fields);
	else if (type == TPM_FAILED && g->grace)
		relay_fail(g, GEV_OPEN_FAILED, "%s; it can't be started without: %.*s", kmclink_why(r->kmc), (int)failed->reason.n,
			   (const char *)failed->reason.p);
	else if (type == TPM_FAILED)
		guest_log(g, LOG_LV_WARN, "no copy of its seed for a start without KMC: %.*s", (int)failed->reason.n, (const char *)failed->reason.p);
	else
		fatal("the host-tpm process sent message %" PRIu64 " out of turn", type);
}

/* --- giving them up --- */

void gracing_unwelcome(struct relay *r)
{
	if (!r->grace_timer)
		return;
	log_warn("the KMC does not know this host any more: its copies of seeds are erased");
	keeping_forget_grace(r->keeping);
}

void gracing_kmc(struct relay *r, enum kmc_type type, const void *fields)
{
	const struct kmc_recalled *m = fields;
	struct uuid uuid;
	char text[UUID_TEXT];

	if (type != KMC_RECALLED || !m->uuid.p)
		return;
	for (size_t i = 0; i < sizeof(uuid.b); i++)
		uuid.b[i] = m->uuid.p[i];
	log_about(LOG_LV_INFO, ABOUT(.vtpm = &uuid), "vTPM %s: another host waits for it", uuid_format(&uuid, text));
	keeping_recall(r->keeping, &uuid);
}
