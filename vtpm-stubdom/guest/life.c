/* The frontend's life on the bus. */
#include "vtpm-stubdom/guest/life.h"

#include "vtpm-stubdom/port.h"

static struct life_step step(enum life next, enum life_action action)
{
	return (struct life_step){.next = next, .action = action};
}

bool life_ours(const struct life_offer *offer, const struct life_seen *seen)
{
	return seen->there && seen->offer.ring_ref == offer->ring_ref && seen->offer.event_channel == offer->event_channel;
}

/* InitWait, or whatever it still says about the frontend that was here before us. */
static bool backend_is_ready(int theirs)
{
	return theirs == XENBUS_INIT_WAIT || theirs == XENBUS_INITIALISED || theirs == XENBUS_CONNECTED;
}

static bool intact(enum life now, const struct life_offer *offer, const struct life_seen *seen)
{
	return life_ours(offer, seen) && seen->offer.backend == offer->backend &&
	       seen->ours == (now == LIFE_OFFERED ? XENBUS_INITIALISED : XENBUS_CONNECTED);
}

struct life_step life_step(enum life now, const struct life_offer *offer, const struct life_seen *seen)
{
	if (now == LIFE_YIELDED)
		return step(LIFE_YIELDED, LIFE_STAY);
	if (seen->there && seen->driver)
		return step(LIFE_YIELDED, LIFE_YIELD);
	if (now == LIFE_AWAY) {
		if (seen->there && backend_is_ready(seen->theirs))
			return step(LIFE_OFFERED, LIFE_OFFER);
		return step(LIFE_AWAY, LIFE_STAY);
	}
	/* A backend that starts anew in its domain says Initialising, then InitWait, and takes what is offered: that is no loss. */
	if (!intact(now, offer, seen) || seen->theirs == XENBUS_GONE || seen->theirs == XENBUS_CLOSING || seen->theirs == XENBUS_CLOSED)
		return step(LIFE_AWAY, LIFE_DROP);
	if (now == LIFE_OFFERED && seen->theirs == XENBUS_CONNECTED && seen->protocol_v2)
		return step(LIFE_CONNECTED, LIFE_CONFIRM);
	return step(now, LIFE_STAY);
}
