/* A stub domain in the place of one that died. */
#include "dom0-relay/standin.h"

#include <stdio.h>
#include <string.h>

#include "common/handoff.h"
#include "dom0-relay/guests.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

int standin_begin(struct guest *g, struct xenstore *xs)
{
	const struct handoff_stand_in q = {.uuid = g->uuid, .guest_domid = g->ids.guest, .devid = g->ids.dev};
	int r = g->backend ? xenstore_rehome_named(xs, g->ids, true) : xenstore_rehome(xs, g->ids, false);

	return r == 0 ? stublink_send(g->stub, HANDOFF_STAND_IN, &q) : r;
}

void standin_explain(struct guest *g)
{
	static const char advice[] = "; start the guest anew to get its TPM back";
	size_t n = strlen(g->reason);

	if (strstr(g->reason, advice))
		return;
	if (n == 0) /* that was told to an earlier relay */
		n = (size_t)snprintf(g->reason, sizeof(g->reason), "its stub domain died");
	if (n + sizeof(advice) <= sizeof(g->reason))
		memcpy(g->reason + n, advice, sizeof(advice));
}
