/* The relay process: what it listens to, and where each thing goes. */
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/process.h"
#include "common/watchdog.h"
#include "dom0-relay/attesting.h"
#include "dom0-relay/certifying.h"
#include "dom0-relay/control.h"
#include "dom0-relay/gracing.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/named.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relay_metrics.h"
#include "dom0-relay/relay_vtpmctl.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/renewing.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/watching.h"
#include "dom0-relay/xenstore.h"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "vchan opens xenstore, grant and event channel devices for each stub domain; name resolution"},
	{SCMP_SYS(ioctl), "grant mapping, event channels"},
	{SCMP_SYS(socket), "a new connection to the KMC"},
	{SCMP_SYS(connect), "the same"},
	{SCMP_SYS(getsockopt), "the same: what connect() came to"},
	{SCMP_SYS(setsockopt), "the same"},
	{SCMP_SYS(getsockname), "name resolution"},
	{SCMP_SYS(getpeername), "name resolution"},
	{SCMP_SYS(bind), "name resolution"},
	{SCMP_SYS(sendmmsg), "name resolution"},
	{SCMP_SYS(uname), "name resolution"},
	{SCMP_SYS(statx), "name resolution"},
	{SCMP_SYS(readlink), "name resolution"},
	{SCMP_SYS(accept4), "vtpmctl"},
	{SCMP_SYS(clone), "libxenstore's reader thread"},
	{SCMP_SYS(clone3), "the same"},
	{SCMP_SYS(prlimit64), "the size of that thread's stack"},
	{SCMP_SYS(prctl), "libxenstore's thread"},
	{SCMP_SYS(pipe), "libxenstore's watches"},
	{SCMP_SYS(fchmod), "node_exporter may read our numbers"},
	{SCMP_SYS(rename), "and never half of them"},
};

/* --- the host TPM --- */

#define SIGNING_TPM (1ull << 62) /* in tickets at the host-tpm process */

static void on_sign(void *arg, uint64_t ticket, const uint8_t digest[32])
{
	const struct tpm_sign m = {.digest = view_of(digest, 32)};
	struct relay *r = arg;

	link_send(r->tpm, TPM_SIGN, SIGNING_TPM | ticket, &m);
}

static void on_signed(struct relay *r, uint64_t type, uint64_t ticket, const void *fields)
{
	const struct tpm_signed *done = fields;
	const struct relay_failed *failed = fields;
	char why[RELAY_REASON_MAX + 1];

	if (type == TPM_SIGNED) {
		kmclink_signed(r->kmc, ticket, done->signature, "");
	} else if (type == TPM_FAILED) {
		snprintf(why, sizeof(why), "%.*s", (int)failed->reason.n, (const char *)failed->reason.p);
		kmclink_signed(r->kmc, ticket, (struct view){0}, why);
	} else {
		fatal("the host-tpm process answered a request to sign with something else");
	}
}

static void on_tpm(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct relay *r = arg;

	if (id == ATTESTING_TICKET)
		attesting_tpm(r->attesting, type, fields);
	else if (id == RENEWING_TICKET)
		renewing_tpm(r->renewing, type, fields);
	else if (id & GRACING_TPM)
		gracing_tpm(r, type, id, fields);
	else if (id & SIGNING_TPM)
		on_signed(r, type, id & ~SIGNING_TPM, fields);
	else
		openings_tpm(r->openings, type, id, fields);
}

/* --- the KMC --- */

static void on_refused(void *arg, uint64_t ticket, const char *why)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (g)
		relay_fail(g, GEV_OPEN_FAILED, "%s", why);
}

#define AGAIN_MS 700 /* between two tries to open what is parked at another host */

static void on_opened(void *arg, uint64_t ticket, const struct opening_result *result)
{
	gracing_opened(arg, ticket, result);
	relay_opened(arg, ticket, result);
}

static void on_parked(void *arg)
{
	struct relay *r = arg;

	source_set_ms(r->again, AGAIN_MS);
}

static void on_again(void *arg, unsigned int what)
{
	struct relay *r = arg;

	(void)what;
	openings_again(r->openings);
}

static void on_unattested(void *arg)
{
	struct relay *r = arg;

	attesting_hurry(r->attesting);
}

static void on_undone(void *arg, const struct uuid *uuid)
{
	struct relay *r = arg;

	keeping_undone(r->keeping, uuid);
}

static void on_orphan(void *arg, const struct uuid *uuid, uint64_t lease_epoch, uint64_t state_version)
{
	struct relay *r = arg;

	if (keeping_orphan(r->keeping, ++r->guests.last_ticket, uuid, lease_epoch, state_version) != 0)
		log_error("a lease could not be given back, for want of memory");
}

static void on_stored(void *arg, uint64_t ticket, uint64_t version, int result, const char *why)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);
	const struct handoff_stored stored = {.version = version, .result = (uint64_t)-result};

	if (!g)
		return;
	if (version && result == 0 && g->store_ms) {
		histogram_add(&r->tally.store, loop_now_ms() - g->store_ms);
		g->store_ms = 0;
	}
	if (version && g->stub)
		stublink_send(g->stub, HANDOFF_STORED, &stored);
	else if (!version && result == 0 && g->machine.restored)
		relay_ask_reservation(g);
	else if (!version && result == 0)
		relay_event(g, GEV_KEPT);
	else if (!version && g->machine.state == GUEST_PREPARING)
		relay_fail(g, GEV_BROKEN, "%s", why);
}

static void on_intended(void *arg, const struct uuid *uuid, const char *why)
{
	struct relay *r = arg;

	openings_intended(r->openings, uuid, why);
}

static void on_undecided(void *arg, uint64_t ticket, const struct uuid *uuid)
{
	struct relay *r = arg;
	char text[UUID_TEXT];

	if (openings_settle(r->openings, ticket, uuid) != 0)
		log_about(LOG_LV_ERROR, ABOUT(.vtpm = uuid), "vTPM %s: too many guests were starting when the last relay ended: restart this one", uuid_format(uuid, text));
	else
		log_about(LOG_LV_INFO, ABOUT(.vtpm = uuid), "vTPM %s: was being opened when the last relay ended: what came of it is given back", uuid_format(uuid, text));
}

static void on_fenced(void *arg, uint64_t ticket, const char *why)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (g)
		relay_fail(g, GEV_BROKEN, "%s", why);
}

static void on_ended(void *arg, const struct uuid *uuid)
{
	relay_retry_open(arg, uuid);
}

static void on_released(void *arg, uint64_t ticket)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (g)
		relay_event(g, GEV_RELEASED);
}

static void on_up(void *arg, const struct kmc_welcome *welcome)
{
	struct relay *r = arg;
	uint8_t certificate[32];

	(void)welcome;
	if (kmclink_certificate(r->kmc, certificate) != 0)
		fatal("can't hash this host's certificate");
	gracing_up(r);
	keeping_up(r->keeping);
	attesting_up(r->attesting, certificate); /* openings wait for what comes of it */
}

static void on_certificates(void *arg, uint64_t ticket, const struct handoff_certificates *c)
{
	struct relay *r = arg;
	struct guest *g = guests_by_ticket(&r->guests, ticket);

	if (g && g->stub)
		stublink_send(g->stub, HANDOFF_CERTIFICATES, c);
}

static void on_settled(void *arg)
{
	struct relay *r = arg;

	openings_up(r->openings);
	named_up(r->named);
	certifying_up(r->certifying);
	renewing_up(r->renewing);
}

static void on_down(void *arg, const char *why)
{
	struct relay *r = arg;

	(void)why;
	keeping_down(r->keeping);
	attesting_down(r->attesting);
	openings_down(r->openings);
	gracing_down(r);
	certifying_down(r->certifying);
	renewing_down(r->renewing);
	named_down(r->named);
}

static void on_lost(void *arg)
{
	gracing_lost(arg);
}

static void on_unwelcome(void *arg)
{
	gracing_unwelcome(arg);
}

static void on_answer(void *arg, enum kmc_type type, uint64_t id, const void *fields)
{
	struct relay *r = arg;

	if (id == KMC_ID_RECALLS)
		gracing_kmc(r, type, fields);
	else if (id == KMC_ID_ATTEST)
		attesting_kmc(r->attesting, type, fields);
	else if (id == KMC_ID_CERTIFY)
		certifying_kmc(r->certifying, type, fields);
	else if (id == KMC_ID_RENEW)
		renewing_kmc(r->renewing, type, fields);
	else if (KMC_ID_KIND(id) == KMC_ID_CHECK)
		named_kmc(r->named, type, KMC_ID_TICKET(id), fields);
	else if (KMC_ID_KIND(id) == KMC_ID_STORE || KMC_ID_KIND(id) == KMC_ID_RELEASE || KMC_ID_KIND(id) == KMC_ID_MOVE ||
		 KMC_ID_KIND(id) == KMC_ID_VERIFY)
		keeping_kmc(r->keeping, type, id, fields);
	else
		openings_kmc(r->openings, type, id, fields);
}

/* --- the state directory --- */

static void ask_record(struct relay *r, uint64_t number)
{
	const struct state_next q = {.number = number};

	link_send(r->disk, STATE_NEXT, number, &q);
}

static void on_record(struct relay *r, uint64_t number, const struct state_placed *p)
{
	if ((p->unreadable || p->record.lease_epoch || p->record.phase == PHASE_RESERVED || p->record.phase == PHASE_OPENING) &&
	    keeping_found(r->keeping, ++r->guests.last_ticket, p) != 0)
		fatal("the state directory holds more than this host can serve");
	ask_record(r, number + 1);
}

/* Who asked while we were not there. */
static void on_prepared(void *arg, unsigned int stub)
{
	struct relay *r = arg;

	xenstore_each_control(r->xs, stub, watching_device, r);
}

/* Who asked or was served before we were there; and what nobody asks for any more. */
static void on_listed(struct relay *r, uint64_t contact)
{
	r->listed = true;
	gracing_start(r, contact);
	xenstore_each_control(r->xs, 0, watching_device, r);
	named_found(r->named, watching_device, r);
	named_settle(r->named, on_prepared, r);
	keeping_settle(r->keeping);
	link_send(r->builder, BUILDER_SWEEP, 0, NULL);
	spares_fill(r->spares);
	process_ready("serving vTPMs");
	log_info("ready");
}

static void on_disk(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	struct relay *r = arg;

	if (type == STATE_RECORD)
		on_record(r, id, fields);
	else if (type == STATE_LISTED)
		on_listed(r, ((const struct state_listed *)fields)->contact);
	else if (id == RENEWING_TICKET)
		renewing_disk(r->renewing, type, fields);
	else if (id == GRACING_CONTACT_TICKET)
		return; /* if it failed, the state process has said so */
	else
		keeping_disk(r->keeping, type, id, fields);
}

/* --- start --- */

static void on_signal(void *arg, unsigned int what)
{
	struct relay *r = arg;

	(void)what;
	log_info("asked to end; the stub domains go on");
	loop_stop(r->loop);
}

static void read_boot_id(struct uuid *boot)
{
	char text[UUID_TEXT] = "";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(text, sizeof(text), f) || uuid_parse(text, boot) != 0)
		fatal("can't read this host's boot id from /proc: is /proc mounted?");
	fclose(f);
}

static void connect_parts(struct relay *r, const struct relay_fds *fds)
{
	static const struct opening_ops opening_ops = {
		.opened = on_opened, .parked = on_parked, .not_yet = relay_not_yet, .refused = on_refused, .unattested = on_unattested, .orphaned = on_orphan, .ended = on_ended,
		.intend = relay_intend, .undone = on_undone};
	static const struct keeping_ops keeping_ops = {.stored = on_stored, .fenced = on_fenced, .released = on_released,
						      .ended = on_ended, .moved = relay_moved, .intended = on_intended,
						      .undecided = on_undecided};
	static const struct kmclink_ops kmc_ops = {.up = on_up, .down = on_down, .lost = on_lost, .unwelcome = on_unwelcome, .sign = on_sign, .answer = on_answer};
	static const struct named_ops named_ops = {.parted = relay_parted, .let_go = watching_device};
	char why[KMCLINK_WHY], unreadable[IDENTITY_WHY];
	static struct identity id; /* too large for a stack */

	r->loop = loop_new();
	if (!r->loop)
		fatal("can't start: out of memory");
	r->xs = xenstore_open(r->loop, watching_tell, r);
	if (!r->xs)
		fatal("can't open xenstore: is this dom0, booted under Xen, and is xenstored running?");
	r->builder = link_new(r->loop, fds->builder, "builder", &builder_protocol, relay_builder_says, r);
	r->tpm = link_new(r->loop, fds->tpm, "host-tpm", &tpm_protocol, on_tpm, r);
	r->disk = link_new(r->loop, fds->disk, "state", &state_protocol, on_disk, r);
	r->control = control_new(r->loop, fds->control, relay_vtpmctl_list, relay_vtpmctl_order, r);
	if (identity_read(&id, r->conf, unreadable) != 0)
		fatal("%s", unreadable);
	if (kmclink_new(&r->kmc, r->loop, r->xs, r->conf, &id, &kmc_ops, r, why) != 0)
		fatal("%s", why);
	r->attesting = attesting_new(r->loop, r->kmc, r->tpm, on_settled, r);
	r->renewing = renewing_new(r->loop, r->kmc, r->tpm, r->disk, &id);
	r->certifying = certifying_new(r->loop, r->kmc, on_certificates, r);
	r->openings = openings_new(r->kmc, r->tpm, &opening_ops, r);
	r->keeping = keeping_new(r->loop, r->kmc, r->disk, (enum durability)r->conf->durability, &keeping_ops, r);
	r->spares = spares_new(r->loop, r->xs, r->builder, r->conf, &r->guests.last_ticket);
	r->named = named_new(r->loop, r->xs, r->builder, r->kmc, r->spares, &r->guests.last_ticket, &named_ops, r);
	r->again = source_timer(r->loop, on_again, r);
	if (!r->again || !r->spares || !r->named || !r->builder || !r->tpm || !r->disk || !r->control || !r->attesting || !r->certifying || !r->renewing ||
	    !r->openings || !r->keeping)
		fatal("can't start: out of memory");
}

void relay_main(const struct relayconf *conf, const struct relay_fds *fds)
{
	const struct confinement box = {.user = conf->user, .rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	static struct relay r;
	struct source *term, *interrupt;

	r.conf = conf;
	read_boot_id(&r.boot);
	connect_parts(&r, fds);
	watching_start(&r);
	term = source_signal(r.loop, SIGTERM, on_signal, &r);
	interrupt = source_signal(r.loop, SIGINT, on_signal, &r);
	if (!term || !interrupt || watchdog_start(r.loop) != 0 || relay_metrics_start(&r) != 0)
		fatal("can't start: out of memory");
	process_confine(&box);
	ask_record(&r, 0); /* it goes on in on_listed() */
	if (loop_run(r.loop) != 0)
		fatal("the event loop failed");
	exit(0);
}
