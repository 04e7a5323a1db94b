/* What the relay has put on record of a guest's vTPM. */
#include "dom0-relay/noting.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/privsep.h"
#include "dom0-relay/statemsg.h"

enum history_event noting_event(enum guest_state before, enum guest_state now)
{
	static const enum history_event of[GUEST_STATES] = {
		[GUEST_PREPARING] = HISTORY_REQUESTED, [GUEST_HANDOFF] = HISTORY_OPENED, [GUEST_ADOPTING] = HISTORY_FOUND,
		[GUEST_SERVING] = HISTORY_SERVING, [GUEST_RESERVED] = HISTORY_RESERVED, [GUEST_COMMITTING] = HISTORY_RUNS,
		[GUEST_SUSPENDING] = HISTORY_SLEEPS, [GUEST_SEALING] = HISTORY_SLEEPS, [GUEST_FROZEN] = HISTORY_SEALED,
		[GUEST_RESUMING] = HISTORY_WAKES, [GUEST_FENCED] = HISTORY_FENCED, [GUEST_REVIVING] = HISTORY_STUB_DIED,
		[GUEST_STANDIN] = HISTORY_STANDIN, [GUEST_FAILED] = HISTORY_FAILED, [GUEST_CLOSING] = HISTORY_CLOSING,
		[GUEST_GONE] = HISTORY_CLOSED,
	};

	if (before == GUEST_SUSPENDING && now == GUEST_SEALING)
		return 0; /* it sleeps still */
	return of[now];
}

void noting_detail(const struct guest *g, enum guest_state before, enum history_event event, char detail[HISTORY_DETAIL])
{
	detail[0] = '\0';
	if (event == HISTORY_OPENED)
		snprintf(detail, HISTORY_DETAIL, "lease %" PRIu64 ", state %" PRIu64 "%s%s", g->lease.epoch, g->lease.state_version,
			 g->machine.restored ? ", from an image" : "", g->grace ? ", without a KMC" : "");
	else if (event == HISTORY_SERVING)
		snprintf(detail, HISTORY_DETAIL, "stub domain %u, lease %" PRIu64 "%s", g->ids.stub, g->lease.epoch,
			 before == GUEST_RESUMING ? ", the guest runs on" : before == GUEST_COMMITTING ? ", the guest came with an image"
			 : before == GUEST_ADOPTING ? ", as before" : "");
	else if (event == HISTORY_RESERVED || event == HISTORY_STANDIN || event == HISTORY_FOUND)
		snprintf(detail, HISTORY_DETAIL, "stub domain %u", g->ids.stub);
	else if (event == HISTORY_FAILED || event == HISTORY_FENCED || event == HISTORY_STUB_DIED)
		snprintf(detail, HISTORY_DETAIL, "%.*s", HISTORY_DETAIL - 1, g->reason);
}

void noting(struct link *disk, const struct guest *g, enum history_event event, const char *detail)
{
	link_send(disk, STATE_NOTE, 0, &(const struct state_note){
		.uuid = g->uuid, .guest = g->ids.guest, .dev = g->ids.dev, .event = event,
		.detail = detail && detail[0] ? view_text(detail) : (struct view){0}});
}

void noting_state(struct link *disk, const struct guest *g, enum guest_state before)
{
	const enum history_event event = noting_event(before, g->machine.state);
	char detail[HISTORY_DETAIL];

	if (!event)
		return;
	noting_detail(g, before, event, detail);
	noting(disk, g, event, detail);
}
