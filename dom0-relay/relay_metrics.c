/* The relay's numbers for node_exporter. */
#include "dom0-relay/relay_metrics.h"

#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "dom0-relay/attesting.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"

#define TEXT_MAX (256 * 1024)
#define P "xen_vtpm_"

static struct source *timer;
static char path[METRICS_PATH];
static struct buf text;

static const struct guest *guest_at(const struct relay *r, size_t i)
{
	return r->guests.table[i].ticket ? &r->guests.table[i] : NULL;
}

/* Some states have one text: for people, and so for Prometheus, they are one. */
static int first_of_its_text(int state)
{
	int s = 0;

	while (strcmp(guest_state_text((enum guest_state)s), guest_state_text((enum guest_state)state)) != 0)
		s++;
	return s;
}

static void put_states(const struct relay *r, struct buf *out)
{
	uint64_t n[GUEST_STATES] = {0};

	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (guest_at(r, i))
			n[first_of_its_text((int)guest_at(r, i)->machine.state)]++;
	metrics_family(out, P "vtpms", "gauge", "vTPMs of this host by state.");
	for (int s = 0; s < GUEST_GONE; s++)
		if (first_of_its_text(s) == s)
			metrics_value(out, P "vtpms", "state", guest_state_text((enum guest_state)s), n[s]);
}

static void put_refusals(const struct relay *r, struct buf *out)
{
	static const struct {
		enum guest_event event;
		const char *reason;
	} reasons[] = {{GEV_OPEN_FAILED, "kmc"}, {GEV_BUILD_FAILED, "build"}, {GEV_DEADLINE, "deadline"}, {GEV_CLOSE, "too-late"}, {GEV_BROKEN, "broken"}};

	metrics_family(out, P "refusals_total", "counter",
		       "Guests that got no vTPM or lost it: refused by the KMC, no stub domain, not in time, answered too late, anything else.");
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		metrics_value(out, P "refusals_total", "reason", reasons[i].reason, r->tally.refusals[reasons[i].event]);
}

/* One value of each serving vTPM. */
static void put_each(const struct relay *r, struct buf *out, const char *name, const char *type, const char *help,
		     uint64_t (*value)(const struct guest *g))
{
	metrics_family(out, name, type, help);
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (guest_at(r, i) && guest_at(r, i)->machine.state == GUEST_SERVING)
			metrics_value_uuid(out, name, &guest_at(r, i)->uuid, value(guest_at(r, i)));
}

static uint64_t commands(const struct guest *g)
{
	return g->usage.commands;
}

static uint64_t malformed(const struct guest *g)
{
	return g->usage.malformed;
}

static uint64_t memory(const struct guest *g)
{
	return g->usage.resident_kib * 1024;
}

static uint64_t serving(const struct guest *g)
{
	time_t now = time(NULL);

	return now > g->since ? (uint64_t)(now - g->since) : 0;
}

static void put_guests(const struct relay *r, struct buf *out)
{
	put_each(r, out, P "commands_total", "counter", "TPM commands since the stub domain started.", commands);
	put_each(r, out, P "malformed_total", "counter", "Requests of the guest that broke the protocol.", malformed);
	put_each(r, out, P "stub_memory_bytes", "gauge", "Resident memory of the stub domain's program.", memory);
	put_each(r, out, P "serving_seconds", "gauge", "Since this relay has served or adopted it: how old its lease is at least.", serving);
}

void relay_metrics_put(struct relay *r, struct buf *out)
{
	const struct relay_tally *m = &r->tally;
	uint64_t attested = attesting_good_ms(r->attesting), now = loop_now_ms();
	struct keeping_count kept;

	keeping_count(r->keeping, &kept);
	put_states(r, out);
	metrics_counter(out, P "requests_total", "vTPMs that libxl asked for.", m->requests);
	metrics_counter(out, P "served_total", "vTPMs that were handed to their guests.", m->served);
	put_refusals(r, out);
	metrics_histogram(out, P "start_seconds", "From libxl's request to the guest being let go.", &m->start);
	metrics_counter(out, P "nv_writes_total", "Sealed states that stub domains sent after changes of NV memory.", m->stores);
	metrics_histogram(out, P "store_seconds", "From a stub domain's write to its being safe, as 'durability' says.", &m->store);
	metrics_gauge(out, P "leases", "Leases that this host holds or still has to give back.", kept.leases);
	metrics_gauge(out, P "states_waiting", "States that the KMC does not have yet.", kept.waiting);
	metrics_gauge(out, P "kmc_connected", "1 if the KMC can be asked.", kmclink_is_up(r->kmc));
	metrics_family(out, P "attestation_age_seconds", "gauge", "Since the KMC accepted this host's last quote; absent if it has not.");
	if (attested)
		metrics_value_ms(out, P "attestation_age_seconds", NULL, NULL, now - attested);
	metrics_gauge(out, P "spares_ready", "Booted stub domains that wait for a guest.", spares_ready(r->spares));
	metrics_gauge(out, P "spares_wanted", "As configured.", r->conf->stub_spares);
	put_guests(r, out);
}

/* The stub domains' answers are in the next writing: nobody waits for a guest here. */
static void ask_stubs(struct relay *r)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (guest_at(r, i) && guest_at(r, i)->machine.state == GUEST_SERVING)
			stublink_send(guest_at(r, i)->stub, HANDOFF_STATUS, NULL);
}

static void on_timer(void *arg, unsigned int what)
{
	struct relay *r = arg;

	(void)what;
	buf_reset(&text);
	relay_metrics_put(r, &text);
	metrics_write(path, &text);
	ask_stubs(r);
	source_set_ms(timer, METRICS_PERIOD_MS);
}

int relay_metrics_start(struct relay *r)
{
	metrics_prepare(r->conf->control, "vtpm-relayd.prom", r->conf->user, path);
	if (!path[0])
		return 0;
	timer = source_timer(r->loop, on_timer, r);
	if (!timer || buf_init(&text, TEXT_MAX) != 0)
		return E_NOMEM;
	source_set_ms(timer, 1000);
	return 0;
}
