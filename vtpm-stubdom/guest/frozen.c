/* A suspension that Linux has given up. */
#include "vtpm-stubdom/guest/frozen.h"

#define LIBXL_WAITS_MS 60000 /* libxl_dom_suspend.c: from when the guest has taken note of the request */
#define MARGIN_MS 10000	     /* of which for what a try takes beyond the freezer's patience */
#define TRY_MS 1000	     /* the freezer's patience in a try: processes that do not wait for us are frozen in some milliseconds */
#define LATE_MS 300	     /* by which a look at the clock may be late without a standstill */
#define DOUBT_MS 1000	     /* the log says why a moment after all go on */
#define OVER_MS 5000	     /* after a try without a word that it failed */

bool frozen_looks(struct frozen *f, uint64_t now_ms, bool busy, bool under_way)
{
	if (under_way && f->looked_ms && now_ms - f->looked_ms > FROZEN_TICK_MS + LATE_MS)
		f->doubt_ms = now_ms;
	else if (f->doubt_ms && now_ms - f->doubt_ms > DOUBT_MS)
		f->doubt_ms = 0;
	f->looked_ms = busy || f->doubt_ms ? now_ms : 0;
	return f->patience_ms && f->doubt_ms;
}

void frozen_refused(struct frozen *f, uint64_t now_ms)
{
	if (!f->first_ms || now_ms - f->first_ms > LIBXL_WAITS_MS)
		f->first_ms = now_ms - f->patience_ms - FROZEN_TICK_MS;
	f->refused = true;
	f->doubt_ms = 0;
}

uint64_t frozen_ask(struct frozen *f, uint64_t now_ms, bool under_way)
{
	if (!f->refused || under_way)
		return 0;
	f->refused = false;
	if (now_ms - f->first_ms + TRY_MS + MARGIN_MS > LIBXL_WAITS_MS)
		return 0;
	f->asked_ms = now_ms;
	return f->patience_ms < TRY_MS ? f->patience_ms : TRY_MS;
}

bool frozen_is_over(struct frozen *f, uint64_t now_ms)
{
	if (!f->asked_ms || f->refused || now_ms - f->asked_ms < TRY_MS + OVER_MS)
		return false;
	f->asked_ms = 0;
	f->first_ms = 0;
	return true;
}
