/* The guest state machine: no I/O, no clock. */
#include "dom0-relay/guest_machine.h"

/*
 * libxl waits 10 s for 2 and 10 s for 6 (LIBXL_INIT_TIMEOUT, LIBXL_DESTROY_TIMEOUT): what is not there well before
 * that is a failure that we explain, instead of one that libxl does not.
 */
enum { OPEN_MS = 9000, SEAL_MS = 4000, CLOSE_MS = 5000, CLEAN_MS = 3500, ADOPT_MS = 5000 };

/* libxl's own guard against the reuse of a domain's number works in whole seconds, and a dead domain may take some to go. */
enum { REVIVE_MS = 1500, REVIVE_TRIES = 6, REVIVE_WAITS = 30 };

unsigned int guest_start(struct guest_machine *g)
{
	*g = (struct guest_machine){.state = GUEST_PREPARING};
	return GACT_IDENTIFY;
}

unsigned int guest_adopt(struct guest_machine *g, bool reserved)
{
	*g = (struct guest_machine){
		.state = GUEST_ADOPTING, .stub_exists = true, .lease_held = true, .marked = true, .restored = reserved};
	return GACT_ADOPT | GACT_IDENTIFY;
}

static bool is_clean(const struct guest_machine *g)
{
	return !g->stub_exists && !g->lease_held;
}

/* Nothing of ours is left, or nobody can wait any longer: libxl may go on. */
static unsigned int finish(struct guest_machine *g)
{
	g->state = GUEST_GONE;
	return GACT_ANSWER;
}

static unsigned int lose_stub(struct guest_machine *g)
{
	if (!g->stub_exists || g->destroying)
		return 0;
	g->destroying = true;
	return GACT_DESTROY;
}

static bool has_living_stub(const struct guest_machine *g)
{
	return g->stub_exists && !g->destroying;
}

/* Let go of stub domain and lease; FAILED rests there until libxl closes, CLEANING goes on to GONE. */
static unsigned int clean(struct guest_machine *g, enum guest_state state)
{
	unsigned int actions = 0;

	g->state = state;
	g->has_seed = g->has_stub = false;
	if (g->open_pending)
		actions |= GACT_ABANDON;
	g->open_pending = false;
	actions |= lose_stub(g);
	if (g->lease_held)
		actions |= GACT_RELEASE;
	if (state == GUEST_CLEANING && is_clean(g))
		actions |= finish(g);
	return actions;
}

/* libxl still waits for the device: the guest does not run. */
static unsigned int refuse(struct guest_machine *g)
{
	return clean(g, GUEST_FAILED) | GACT_REFUSE;
}

/* The stub domain is of no use any more, but the guest runs: a stand-in it is, unless those die, too. */
static unsigned int revive(struct guest_machine *g)
{
	if (g->restored || g->tries++ >= REVIVE_TRIES) /* who was resumed and never served here has lost nothing here */
		return clean(g, GUEST_FAILED);
	g->state = GUEST_REVIVING;
	g->has_stub = false;
	g->waits = 0;
	return lose_stub(g);
}

static unsigned int preparing(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_IDENTIFIED:
	case GEV_RESTORED:
		if (g->stub_exists || g->open_pending || g->lease_held)
			return 0;
		g->stub_exists = g->open_pending = true;
		g->restored = g->lease_held = event == GEV_RESTORED;
		return GACT_MARK | GACT_BUILD | (g->restored ? GACT_RESERVE : GACT_OPEN);
	case GEV_STUB:
		g->has_stub = true;
		break;
	case GEV_KEPT:
		g->has_seed = true;
		break;
	case GEV_BUILD_FAILED:
	case GEV_OPEN_FAILED:
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
	case GEV_DEADLINE:
		return refuse(g);
	case GEV_CLOSE:
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
	if (!g->has_stub || !g->has_seed)
		return 0;
	g->state = GUEST_HANDOFF;
	return GACT_HANDOFF;
}

static unsigned int handing_off(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_READY:
		g->ready = true;
		break;
	case GEV_MARKED:
		break;
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
	case GEV_DEADLINE:
		return refuse(g);
	case GEV_CLOSE:
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
	if (!g->ready || !g->marked)
		return 0;
	g->state = g->restored ? GUEST_RESERVED : GUEST_SERVING;
	return GACT_SERVE;
}

/* --- guests that sleep and move --- */

static unsigned int close_stub(struct guest_machine *g)
{
	g->state = GUEST_CLOSING;
	return GACT_CLOSE_STUB;
}

static unsigned int freeze(struct guest_machine *g)
{
	g->state = GUEST_SUSPENDING;
	return GACT_FREEZE;
}

/* What was frozen belongs to an image that another host may have by now: a new mark first, then the lease. */
static unsigned int wake(struct guest_machine *g)
{
	g->state = GUEST_RESUMING;
	g->marked = false;
	return GACT_MARK;
}

/* The lease is ours: serve, unless the guest sleeps (again). */
static unsigned int granted(struct guest_machine *g)
{
	g->restored = false;
	if (g->asleep)
		return freeze(g);
	g->state = GUEST_SERVING;
	return GACT_THAW;
}

static unsigned int reserved(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_CONNECTED:
	case GEV_ASLEEP: /* that it sleeps proves that it ran */
		g->state = GUEST_COMMITTING;
		return GACT_COMMIT;
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
		return clean(g, GUEST_FAILED);
	case GEV_CLOSE:
		return close_stub(g);
	default:
		return 0;
	}
}

static unsigned int committing(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_GRANTED:
		return granted(g);
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
	case GEV_FENCED:
		return clean(g, GUEST_FAILED);
	case GEV_CLOSE:
		return close_stub(g);
	default:
		return 0;
	}
}

static unsigned int suspending(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_FROZEN:
		g->state = GUEST_FROZEN;
		return g->asleep ? 0 : wake(g);
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
		return clean(g, GUEST_FAILED);
	case GEV_CLOSE:
		g->state = GUEST_SEALING;
		return 0;
	default:
		return 0;
	}
}

static unsigned int sealing(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_FROZEN:
		return close_stub(g);
	case GEV_BROKEN:
	case GEV_STUB_DESTROYED:
	case GEV_DEADLINE:
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

/* All of it is on record: the stub domain's death costs nothing unless the guest wakes up. */
static unsigned int frozen(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_AWAKE:
		return has_living_stub(g) ? wake(g) : clean(g, GUEST_FAILED);
	case GEV_BROKEN: /* no loss for now */
		return lose_stub(g);
	case GEV_FENCED:
		g->state = GUEST_FENCED;
		return 0;
	case GEV_CLOSE:
		return has_living_stub(g) ? close_stub(g) : clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

static unsigned int resuming(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_MARKED:
		return g->asleep ? freeze(g) : GACT_RESUME;
	case GEV_ASLEEP: /* again, before the answer came */
		return g->marked ? freeze(g) : 0;
	case GEV_GRANTED:
		return granted(g);
	case GEV_FENCED:
		g->state = GUEST_FENCED;
		return 0;
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
		return clean(g, GUEST_FAILED);
	case GEV_CLOSE:
		return close_stub(g);
	default:
		return 0;
	}
}

static unsigned int fenced(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_BROKEN:
		return lose_stub(g);
	case GEV_CLOSE:
		return has_living_stub(g) ? close_stub(g) : clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

/* What was held for a guest that sleeps is sealed (again, the same); whether it still sleeps is asked meanwhile. */
static unsigned int adopt_held(struct guest_machine *g)
{
	if (g->restored) {
		g->state = GUEST_RESERVED;
		return 0;
	}
	g->asleep = true;
	return freeze(g);
}

static unsigned int adopting(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_STUB:
		g->state = GUEST_SERVING;
		g->restored = false;
		return 0;
	case GEV_STUB_HELD:
		return adopt_held(g);
	case GEV_STANDS_IN:
		g->state = GUEST_STANDIN;
		return 0;
	case GEV_BUILD_FAILED:
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
		return revive(g);
	case GEV_STRANGER:
		return clean(g, GUEST_FAILED);
	case GEV_CLOSE:
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

static unsigned int serving(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
		return revive(g);
	case GEV_ASLEEP:
		return freeze(g);
	case GEV_CLOSE:
		return close_stub(g);
	default:
		return 0;
	}
}

static unsigned int reviving(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_DEADLINE:
		if (g->destroying)
			return 0;
		if (g->stub_exists) /* it is on its way */
			return ++g->waits < REVIVE_WAITS ? 0 : revive(g);
		g->stub_exists = true;
		return GACT_REBUILD;
	case GEV_STUB:
		g->state = GUEST_STANDIN;
		return GACT_STAND_IN;
	case GEV_BUILD_FAILED:
	case GEV_BROKEN:
	case GEV_NOT_DESTROYED: /* once more, or nothing would take its place */
		return revive(g);
	case GEV_STRANGER:
		return clean(g, GUEST_FAILED);
	case GEV_CLOSE:
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

static unsigned int standing_in(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_STUB_DESTROYED:
	case GEV_BROKEN:
		return revive(g);
	case GEV_CLOSE: /* there is no TPM that could be shut down in good order */
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

static unsigned int closing(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_CLOSED:
	case GEV_BROKEN:
	case GEV_STUB_DESTROYED:
	case GEV_DEADLINE:
		return clean(g, GUEST_CLEANING);
	default:
		return 0;
	}
}

static unsigned int cleaning(struct guest_machine *g, enum guest_event event)
{
	if (event == GEV_DEADLINE)
		return finish(g);
	return is_clean(g) ? finish(g) : 0;
}

static unsigned int failed(struct guest_machine *g, enum guest_event event)
{
	if (event != GEV_CLOSE)
		return 0;
	g->state = GUEST_CLEANING;
	return is_clean(g) ? finish(g) : 0;
}

/* What an event says about the world, whatever the state. */
static void learn(struct guest_machine *g, enum guest_event event)
{
	switch (event) {
	case GEV_BUILD_FAILED:
	case GEV_STUB_DESTROYED:
		g->stub_exists = g->has_stub = g->destroying = false;
		break;
	case GEV_NOT_DESTROYED:
		g->destroying = false;
		break;
	case GEV_SEED:
		g->open_pending = false;
		g->lease_held = true;
		break;
	case GEV_OPEN_FAILED:
		g->open_pending = false;
		break;
	case GEV_RELEASED:
		g->lease_held = false;
		break;
	case GEV_MARKED:
		g->marked = true;
		break;
	case GEV_ASLEEP:
	case GEV_AWAKE:
		g->asleep = event == GEV_ASLEEP;
		break;
	default:
		break;
	}
}

/* An answer that nobody waits for (any more). */
static bool is_unasked(const struct guest_machine *g, enum guest_event event)
{
	return (event == GEV_SEED && !g->open_pending) || (event == GEV_NOT_DESTROYED && !g->destroying) || (event == GEV_KEPT && (!g->lease_held || g->open_pending)) ||
	       ((event == GEV_STUB || event == GEV_STANDS_IN) && !has_living_stub(g));
}

unsigned int guest_step(struct guest_machine *g, enum guest_event event)
{
	if (g->state == GUEST_GONE || is_unasked(g, event))
		return 0;
	learn(g, event);
	switch (g->state) {
	case GUEST_PREPARING:
		return preparing(g, event);
	case GUEST_HANDOFF:
		return handing_off(g, event);
	case GUEST_ADOPTING:
		return adopting(g, event);
	case GUEST_SERVING:
		return serving(g, event);
	case GUEST_RESERVED:
		return reserved(g, event);
	case GUEST_COMMITTING:
		return committing(g, event);
	case GUEST_SUSPENDING:
		return suspending(g, event);
	case GUEST_SEALING:
		return sealing(g, event);
	case GUEST_FROZEN:
		return frozen(g, event);
	case GUEST_RESUMING:
		return resuming(g, event);
	case GUEST_FENCED:
		return fenced(g, event);
	case GUEST_REVIVING:
		return reviving(g, event);
	case GUEST_STANDIN:
		return standing_in(g, event);
	case GUEST_CLOSING:
		return closing(g, event);
	case GUEST_CLEANING:
		return cleaning(g, event);
	case GUEST_FAILED:
		return failed(g, event);
	default:
		return 0;
	}
}

unsigned int guest_deadline_ms(enum guest_state state)
{
	switch (state) {
	case GUEST_PREPARING:
	case GUEST_HANDOFF:
		return OPEN_MS;
	case GUEST_ADOPTING:
		return ADOPT_MS;
	case GUEST_SEALING:
		return SEAL_MS;
	case GUEST_REVIVING:
		return REVIVE_MS;
	case GUEST_CLOSING:
		return CLOSE_MS;
	case GUEST_CLEANING:
		return CLEAN_MS;
	default:
		return 0;
	}
}

const char *guest_state_text(enum guest_state state)
{
	static const char *const texts[] = {
		[GUEST_PREPARING] = "preparing", [GUEST_HANDOFF] = "hand-off",	[GUEST_ADOPTING] = "adopting", [GUEST_SERVING] = "serving",
		[GUEST_RESERVED] = "reserved",	 [GUEST_COMMITTING] = "resuming", [GUEST_SUSPENDING] = "freezing", [GUEST_SEALING] = "freezing",
		[GUEST_FROZEN] = "suspended",	 [GUEST_RESUMING] = "resuming", [GUEST_FENCED] = "frozen",
		[GUEST_REVIVING] = "reviving", [GUEST_STANDIN] = "stand-in",
		[GUEST_CLOSING] = "closing",	 [GUEST_CLEANING] = "cleaning", [GUEST_FAILED] = "failed",     [GUEST_GONE] = "gone",
	};
	_Static_assert(sizeof(texts) / sizeof(texts[0]) == GUEST_STATES, "a text for each state");

	return texts[state];
}
