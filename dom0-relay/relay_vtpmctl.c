/* What vtpmctl asks of the relay: the list of vTPMs, and orders. */
#include "dom0-relay/relay_vtpmctl.h"

#include <stdio.h>

#include "common/buf.h"
#include "common/error.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/named.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/renewing.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

static struct view text_or_none(const char *text)
{
	return text && text[0] ? view_text(text) : (struct view){0};
}

static struct view entry_reason(const struct guest *g)
{
	if (!g->reason[0] && g->failure[0])
		return view_text(g->failure);
	if (!g->reason[0] && g->grace)
		return view_text("started in grace: without KMC, from the copy sealed to the host's TPM");
	return text_or_none(g->reason);
}

static void put_prepared(void *arg, const struct named_row *row)
{
	struct buf *out = arg;
	const struct ctl_entry e = {.uuid = row->uuid, .stub = row->stub, .state = view_text(row->state), .since = (uint64_t)row->since,
				    .reason = text_or_none(row->reason), .backend = text_or_none(row->name)};

	ctl_write(out, CTL_ENTRY, &e);
}

void relay_vtpmctl_list(void *arg, struct buf *out)
{
	struct relay *r = arg;
	bool up = kmclink_is_up(r->kmc);
	struct ctl_status status = {.kmc = up ? view_text("connected") : view_text(kmclink_why(r->kmc)), .kmc_up = up,
					  .spares_ready = spares_ready(r->spares), .spares_wanted = r->conf->stub_spares,
					  .software_key = !relayconf_key_in_tpm(r->conf)};

	renewing_status(r->renewing, &status);
	ctl_write(out, CTL_STATUS, &status);
	for (size_t i = 0; i < GUESTS_MAX; i++) {
		const struct guest *g = &r->guests.table[i];
		const struct ctl_entry e = {.guest = g->ids.guest, .dev = g->ids.dev, .uuid = g->uuid, .stub = g->ids.stub,
					    .state = view_text(guest_state_text(g->machine.state)), .since = (uint64_t)g->since,
					    .reason = entry_reason(g), .connected = g->connected,
					    .commands = g->usage.commands, .malformed = g->usage.malformed,
					    .service_ns = g->usage.service_ns, .memory_kib = g->usage.resident_kib,
					    .backend = text_or_none(named_name(r->named, g->ticket))};

		if (!g->ticket)
			continue;
		ctl_write(out, CTL_ENTRY, &e);
		if (g->machine.state == GUEST_SERVING)
			stublink_send(g->stub, HANDOFF_STATUS, NULL); /* for the next listing: nobody waits for a guest here */
	}
	named_each(r->named, put_prepared, out);
	for (size_t i = 0; i < REFUSALS_MAX; i++) {
		const struct refusal *f = &r->guests.refusals[i];
		const struct ctl_entry e = {.guest = f->ids.guest, .dev = f->ids.dev, .uuid = f->uuid, .state = view_text("refused"),
					    .since = (uint64_t)f->when, .reason = text_or_none(f->reason)};

		if (f->when && !guests_find(&r->guests, f->ids))
			ctl_write(out, CTL_ENTRY, &e);
	}
}

static int prepare(struct relay *r, const struct ctl_prepare *m, char why[CTL_REASON_MAX])
{
	const struct guest *g = guests_holder(&r->guests, NULL, &m->uuid);
	char name[XENSTORE_NAME_MAX + 1] = "", u[UUID_TEXT];

	if (g) {
		snprintf(why, CTL_REASON_MAX, "vTPM %s is in use: domain %u of this host has it; shut that down first", uuid_format(&m->uuid, u), g->ids.guest);
		return E_BUSY;
	}
	if (uuid_is_nil(&m->uuid)) {
		snprintf(why, CTL_REASON_MAX, "the nil UUID is nobody's vTPM");
		return E_ARG;
	}
	view_copy_text(m->name, name, sizeof(name));
	return named_prepare(r->named, &m->uuid, name, why);
}

int relay_vtpmctl_order(void *arg, enum ctl_type type, const void *fields, char why[CTL_REASON_MAX])
{
	struct relay *r = arg;
	char name[XENSTORE_NAME_MAX + 1] = "";

	if (type == CTL_RENEW)
		renewing_now(r->renewing);
	if (type == CTL_PREPARE)
		return prepare(r, fields, why);
	if (type != CTL_UNPREPARE)
		return 0;
	view_copy_text(((const struct ctl_unprepare *)fields)->name, name, sizeof(name));
	return named_unprepare(r->named, name, why);
}
