/* A suspension that Linux has given up. */
#include "vtpm-stubdom/guest/frozen.h"

#define LIBXL_WAITS_MS 60000 /* libxl_dom_suspend.c: from when the guest has taken note of the request */
#define MARGIN_MS 5000	     /* for what a second try takes beyond the freezer's patience */
#define EARLY_MS 100	     /* the freezer counts in jiffies, from a moment before it stops us */
#define LATE_MS 2000	     /* and we are scheduled a moment after it let us go */
#define NOTICE_MS 1000	     /* xenstore's word comes a moment later than the deed */

static bool within(uint64_t t, uint64_t from, uint64_t until)
{
	return t >= from && t <= until;
}

bool frozen_looks(struct frozen *f, uint64_t now_ms, bool busy, bool under_way)
{
	uint64_t last = f->looked_ms, still = now_ms - last;
	bool refused = f->patience_ms > FROZEN_TICK_MS && last && under_way &&
		       within(still + EARLY_MS, f->patience_ms, f->patience_ms + FROZEN_TICK_MS + LATE_MS + EARLY_MS);

	f->looked_ms = busy ? now_ms : 0;
	if (refused) {
		f->began_ms = last;
		f->ended_ms = now_ms;
	}
	return refused;
}

void frozen_written(struct frozen *f, uint64_t now_ms)
{
	f->written_ms = now_ms;
}

/* It was written when the standstill began, and noticed before or after it. */
static bool was_asked_for(const struct frozen *f)
{
	return f->written_ms && within(f->written_ms, f->began_ms - LATE_MS, f->ended_ms + NOTICE_MS);
}

bool frozen_ask(struct frozen *f, uint64_t now_ms, bool under_way)
{
	uint64_t first;

	if (!f->began_ms || under_way || !was_asked_for(f))
		return false;
	first = f->first_ms && f->began_ms - f->first_ms < LIBXL_WAITS_MS ? f->first_ms : f->began_ms;
	f->began_ms = 0;
	f->written_ms = 0;
	f->first_ms = first;
	return now_ms - first + f->patience_ms + MARGIN_MS <= LIBXL_WAITS_MS;
}
