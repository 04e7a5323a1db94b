/* The engine's numbers for node_exporter. */
#include "kmc/engine_metrics.h"

#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "kmc/engine.h"
#include "kmc/engine_wrapping.h"
#include "kmc/kmcconf.h"

#define TEXT_MAX (256 * 1024)
#define HOSTS_MAX 512 /* that are listed one by one */
#define P "xen_vtpm_kmc_"

static struct source *timer;
static char path[METRICS_PATH];
static struct buf text;

static void put_refusals(const struct engine *e, struct buf *out)
{
	metrics_family(out, P "refusals_total", "counter", "Requests that were refused, by reason.");
	for (uint64_t code = 1; code < REFUSAL_CODES; code++)
		if (strcmp(kmc_refusal_text(code), kmc_refusal_text(0)) != 0) /* there is such a code */
			metrics_value(out, P "refusals_total", "reason", kmc_refusal_text(code), e->tally.refusals[code]);
}

static int put_counts(struct engine *e, struct buf *out)
{
	struct store_counts c;
	uint64_t wrapping, left;

	if (e->store->ops->count(e->store, &c) != 0)
		return E_DB;
	metrics_gauge(out, P "hosts", "Hosts that may connect.", c.hosts);
	metrics_family(out, P "vtpms", "gauge", "vTPMs by lease.");
	metrics_value(out, P "vtpms", "lease", "held", c.held);
	metrics_value(out, P "vtpms", "lease", "free", c.vtpms - c.held);
	metrics_gauge(out, P "states", "Sealed states that are kept.", c.states);
	metrics_gauge(out, P "state_bytes", "And their size.", c.state_bytes);
	if (wrapping_progress(e, &wrapping, &left) != 0)
		return E_DB;
	metrics_gauge(out, P "wrapping_key", "Number of the wrapping key.", wrapping);
	metrics_gauge(out, P "rewrap_left", "Seeds and keys that are not under it yet, while it replaces another.", left);
	return 0;
}

static uint64_t since(int64_t when)
{
	return engine_now() > when ? (uint64_t)(engine_now() - when) : 0;
}

/* Hosts that were added by files have no identity, and show no quotes. */
static int put_hosts(struct engine *e, struct buf *out, const char *name, uint64_t (*value)(const struct store_identity *i))
{
	struct store_identity identity;
	struct store_host host = {.name = ""};
	int r = 0;

	for (unsigned int n = 0; n < HOSTS_MAX && (r = e->store->ops->host_next(e->store, host.name, &host)) == 0; n++) {
		if (host.removed)
			continue;
		r = e->store->ops->identity_get(e->store, host.name, &identity);
		if (r == 0)
			metrics_value(out, name, "host", host.name, value(&identity));
		else if (r != E_NOTFOUND)
			return E_DB;
	}
	return r == 0 || r == E_NOTFOUND ? 0 : E_DB;
}

static uint64_t attestation_age(const struct store_identity *i)
{
	return since(i->attested_at);
}

static uint64_t attestation_failed(const struct store_identity *i)
{
	return i->failed;
}

static uint64_t tickets_in_use(const struct engine *e)
{
	uint64_t n = 0;

	for (size_t i = 0; i < TICKETS_MAX; i++)
		n += e->tickets[i].kind != TICKET_FREE;
	return n;
}

int engine_metrics_put(struct engine *e, struct buf *out)
{
	metrics_gauge(out, P "started_seconds", "When kmcd started, since 1970.", (uint64_t)e->started_at);
	metrics_counter(out, P "opens_total", "Opens that were granted.", e->opens);
	put_refusals(e, out);
	metrics_histogram(out, P "open_seconds", "From a host's request to the grant.", &e->tally.open);
	metrics_gauge(out, P "requests_waiting", "Requests that wait for the vault.", tickets_in_use(e));
	metrics_gauge(out, P "audit_signed", "Number of the last audit record that a signed head covers.", e->audit.signed_seq);
	if (put_counts(e, out) != 0)
		return E_DB;
	metrics_family(out, P "attestation_age_seconds", "gauge", "Since a host's last good quote.");
	if (put_hosts(e, out, P "attestation_age_seconds", attestation_age) != 0)
		return E_DB;
	metrics_family(out, P "attestation_failed", "gauge", "1: the host's last quote was bad, and it gets no seeds.");
	return put_hosts(e, out, P "attestation_failed", attestation_failed);
}

static void on_timer(void *arg, unsigned int what)
{
	struct engine *e = arg;

	(void)what;
	buf_reset(&text);
	if (engine_metrics_put(e, &text) == 0)
		metrics_write(path, &text);
	else
		log_error("no numbers for node_exporter: %s", e->store->why);
	source_set_ms(timer, METRICS_PERIOD_MS);
}

int engine_metrics_start(struct engine *e, struct loop *loop)
{
	metrics_prepare(e->conf->control, "kmcd.prom", e->conf->user, path);
	if (!path[0])
		return 0;
	timer = source_timer(loop, on_timer, e);
	if (!timer || buf_init(&text, TEXT_MAX) != 0)
		return E_NOMEM;
	source_set_ms(timer, 1000);
	return 0;
}
