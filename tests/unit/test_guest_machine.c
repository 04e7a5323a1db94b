/* The guest state machine, walked through every state that any sequence of events can reach. */
#include <stdbool.h>
#include <string.h>

#include "dom0-relay/guest_machine.h"
#include "tests/unit/unit.h"

static unsigned int run(struct guest_machine *g, const enum guest_event *events, size_t n)
{
	unsigned int all = guest_start(g);

	for (size_t i = 0; i < n; i++)
		all |= guest_step(g, events[i]);
	return all;
}
#define RUN(g, ...) run(g, (const enum guest_event[]){__VA_ARGS__}, sizeof((enum guest_event[]){__VA_ARGS__}) / sizeof(enum guest_event))

static void a_guest_lives_from_request_to_gone(void **state)
{
	struct guest_machine g;

	(void)state;
	assert_int_equal(guest_start(&g), GACT_IDENTIFY);
	assert_int_equal(guest_step(&g, GEV_IDENTIFIED), GACT_MARK | GACT_BUILD | GACT_OPEN);
	assert_int_equal(guest_step(&g, GEV_MARKED), 0);
	assert_int_equal(guest_step(&g, GEV_STUB), 0);
	assert_int_equal(guest_step(&g, GEV_SEED), 0);
	assert_int_equal(guest_step(&g, GEV_KEPT), GACT_HANDOFF);
	assert_int_equal(guest_step(&g, GEV_READY), GACT_SERVE);
	assert_int_equal(g.state, GUEST_SERVING);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_CLOSE_STUB);
	assert_int_equal(guest_step(&g, GEV_CLOSED), GACT_DESTROY | GACT_RELEASE);
	assert_int_equal(guest_step(&g, GEV_RELEASED), 0);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), GACT_ANSWER);
	assert_int_equal(g.state, GUEST_GONE);
}

static void a_refused_guest_waits_for_libxl(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, GEV_IDENTIFIED, GEV_STUB);
	assert_int_equal(guest_step(&g, GEV_OPEN_FAILED), GACT_DESTROY | GACT_REFUSE);
	assert_int_equal(g.state, GUEST_FAILED);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_ANSWER);
}

static void an_open_that_takes_too_long_is_abandoned(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, GEV_IDENTIFIED);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_ABANDON | GACT_DESTROY | GACT_REFUSE);
	assert_int_equal(g.state, GUEST_FAILED);
	assert_int_equal(guest_step(&g, GEV_SEED), 0);
	assert_int_equal(guest_step(&g, GEV_CLOSE), 0);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), GACT_ANSWER);
}

static void serve(struct guest_machine *g)
{
	RUN(g, GEV_IDENTIFIED, GEV_MARKED, GEV_STUB, GEV_SEED, GEV_KEPT, GEV_READY);
	assert_int_equal(g->state, GUEST_SERVING);
}

static void a_dead_stub_domain_gets_a_stand_in_and_the_lease_stays(void **state)
{
	struct guest_machine g;

	(void)state;
	serve(&g);
	assert_int_equal(guest_step(&g, GEV_BROKEN), GACT_DESTROY);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), 0); /* its number is not free yet */
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_REBUILD);
	assert_int_equal(guest_step(&g, GEV_STUB), GACT_STAND_IN);
	assert_int_equal(g.state, GUEST_STANDIN);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_DESTROY | GACT_RELEASE);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_RELEASED), GACT_ANSWER);
}

static void a_stand_in_that_cant_be_had_is_tried_for_a_while(void **state)
{
	struct guest_machine g;
	int tries = 0;

	(void)state;
	serve(&g);
	guest_step(&g, GEV_BROKEN);
	guest_step(&g, GEV_STUB_DESTROYED);
	for (; guest_step(&g, GEV_DEADLINE) == GACT_REBUILD; tries++)
		if (guest_step(&g, GEV_BUILD_FAILED) != 0)
			break;
	assert_in_range(tries, 3, 10);
	assert_int_equal(g.state, GUEST_FAILED);
	assert_int_equal(guest_step(&g, GEV_CLOSE), 0);
	assert_int_equal(guest_step(&g, GEV_RELEASED), GACT_ANSWER);
}

static void a_stand_in_that_does_not_call_is_replaced(void **state)
{
	struct guest_machine g;
	int waits = 0;

	(void)state;
	serve(&g);
	guest_step(&g, GEV_BROKEN);
	guest_step(&g, GEV_STUB_DESTROYED);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_REBUILD);
	while (guest_step(&g, GEV_DEADLINE) == 0)
		assert_true(waits++ < 100);
	assert_true(g.destroying);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_REBUILD);
}

static void a_restarted_relay_makes_the_stand_in_that_is_missing(void **state)
{
	struct guest_machine g;

	(void)state;
	guest_adopt(&g, false);
	assert_int_equal(guest_step(&g, GEV_BUILD_FAILED), 0); /* the builder can't keep what is not there */
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_REBUILD);
}

/* The builder has no luck with libxl: the stand-in must not wait for that for ever, nor is it tried for ever. */
static void a_stub_domain_that_cant_be_destroyed_is_tried_again(void **state)
{
	struct guest_machine g;
	unsigned int tries = 1;

	(void)state;
	RUN(&g, GEV_IDENTIFIED, GEV_STUB, GEV_SEED, GEV_KEPT, GEV_MARKED, GEV_READY);
	assert_int_equal(guest_step(&g, GEV_BROKEN), GACT_DESTROY);
	assert_int_equal(guest_step(&g, GEV_NOT_DESTROYED), GACT_DESTROY);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_NOT_DESTROYED), 0); /* of nothing */
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_REBUILD);
	assert_int_equal(guest_step(&g, GEV_BROKEN), GACT_DESTROY);
	while (g.state == GUEST_REVIVING && tries++ < 20)
		guest_step(&g, GEV_NOT_DESTROYED);
	assert_int_equal(g.state, GUEST_FAILED);
	assert_int_equal(guest_step(&g, GEV_NOT_DESTROYED), 0);
	RUN(&g, GEV_IDENTIFIED, GEV_STUB, GEV_SEED, GEV_KEPT, GEV_MARKED, GEV_READY, GEV_CLOSE, GEV_CLOSED);
	assert_int_equal(guest_step(&g, GEV_NOT_DESTROYED), 0);
	assert_int_equal(g.state, GUEST_CLEANING); /* libxl's patience is the deadline */
}

static void a_restarted_relay_adopts_a_stand_in(void **state)
{
	struct guest_machine g;

	(void)state;
	guest_adopt(&g, false);
	assert_int_equal(guest_step(&g, GEV_STANDS_IN), 0);
	assert_int_equal(g.state, GUEST_STANDIN);
	assert_int_equal(guest_step(&g, GEV_BROKEN), GACT_DESTROY);
	assert_int_equal(g.state, GUEST_REVIVING);
}

static void a_stranger_gets_no_stand_in(void **state)
{
	struct guest_machine g;

	(void)state;
	guest_adopt(&g, false);
	assert_int_equal(guest_step(&g, GEV_STRANGER), GACT_DESTROY | GACT_RELEASE);
	assert_int_equal(g.state, GUEST_FAILED);
}

static void an_unidentified_guest_gets_nothing(void **state)
{
	struct guest_machine g;
	unsigned int all = RUN(&g, GEV_BROKEN, GEV_STUB, GEV_SEED, GEV_KEPT, GEV_READY);

	(void)state;
	assert_false(all & (GACT_BUILD | GACT_OPEN | GACT_HANDOFF | GACT_SERVE));
}

static void a_lease_that_is_not_on_record_is_not_handed_off(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, GEV_IDENTIFIED, GEV_STUB, GEV_SEED);
	assert_int_equal(g.state, GUEST_PREPARING);
	assert_int_equal(guest_step(&g, GEV_BROKEN), GACT_DESTROY | GACT_RELEASE | GACT_REFUSE);
}

static void a_restarted_relay_adopts_what_served(void **state)
{
	struct guest_machine g;

	(void)state;
	assert_int_equal(guest_adopt(&g, false), GACT_ADOPT | GACT_IDENTIFY);
	assert_int_equal(guest_step(&g, GEV_IDENTIFIED), 0);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), 0);
	assert_int_equal(guest_step(&g, GEV_STUB), 0);
	assert_int_equal(g.state, GUEST_SERVING);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_CLOSE_STUB);
}

static void a_device_that_closes_before_it_is_adopted_is_cleaned_up(void **state)
{
	struct guest_machine g;

	(void)state;
	guest_adopt(&g, false);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_DESTROY | GACT_RELEASE);
	assert_int_equal(guest_step(&g, GEV_RELEASED), 0);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), GACT_ANSWER);
}

/* --- guests that sleep and move --- */

#define SERVES GEV_IDENTIFIED, GEV_MARKED, GEV_STUB, GEV_SEED, GEV_KEPT, GEV_READY

static void a_guest_that_is_saved_leaves_its_lease_suspended(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, SERVES);
	assert_int_equal(guest_step(&g, GEV_ASLEEP), GACT_FREEZE);
	assert_int_equal(guest_step(&g, GEV_FROZEN), 0);
	assert_int_equal(g.state, GUEST_FROZEN);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_CLOSE_STUB);
	assert_int_equal(guest_step(&g, GEV_CLOSED), GACT_DESTROY | GACT_RELEASE);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_RELEASED), GACT_ANSWER);
}

static void a_guest_that_is_destroyed_before_it_is_sealed_waits_for_the_seal(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, SERVES, GEV_ASLEEP);
	assert_int_equal(guest_step(&g, GEV_CLOSE), 0);
	assert_int_equal(guest_step(&g, GEV_FROZEN), GACT_CLOSE_STUB);
}

static void a_guest_that_runs_on_gets_a_new_mark_and_then_its_lease(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, SERVES, GEV_ASLEEP, GEV_FROZEN);
	assert_int_equal(guest_step(&g, GEV_AWAKE), GACT_MARK);
	assert_int_equal(guest_step(&g, GEV_MARKED), GACT_RESUME);
	assert_int_equal(guest_step(&g, GEV_GRANTED), GACT_THAW);
	assert_int_equal(g.state, GUEST_SERVING);
}

static void a_guest_that_sleeps_again_before_the_answer_is_frozen_again(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, SERVES, GEV_ASLEEP, GEV_FROZEN, GEV_AWAKE, GEV_MARKED);
	assert_int_equal(guest_step(&g, GEV_ASLEEP), GACT_FREEZE);
	assert_int_equal(guest_step(&g, GEV_GRANTED), 0);
	assert_int_equal(guest_step(&g, GEV_FROZEN), 0);
	assert_int_equal(g.state, GUEST_FROZEN);
}

static void a_source_whose_vtpm_went_elsewhere_stays_frozen(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, SERVES, GEV_ASLEEP, GEV_FROZEN, GEV_AWAKE, GEV_MARKED);
	assert_int_equal(guest_step(&g, GEV_FENCED), 0);
	assert_int_equal(g.state, GUEST_FENCED);
	assert_int_equal(guest_step(&g, GEV_ASLEEP) | guest_step(&g, GEV_AWAKE) | guest_step(&g, GEV_GRANTED), 0);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_CLOSE_STUB);
}

static void a_resumed_guest_is_served_after_the_commit(void **state)
{
	struct guest_machine g;

	(void)state;
	guest_start(&g);
	assert_int_equal(guest_step(&g, GEV_RESTORED), GACT_MARK | GACT_BUILD | GACT_RESERVE);
	guest_step(&g, GEV_STUB);
	guest_step(&g, GEV_SEED);
	assert_int_equal(guest_step(&g, GEV_KEPT), GACT_HANDOFF);
	assert_int_equal(guest_step(&g, GEV_READY), 0); /* not before it has its mark */
	assert_int_equal(guest_step(&g, GEV_MARKED), GACT_SERVE);
	assert_int_equal(g.state, GUEST_RESERVED);
	assert_int_equal(guest_step(&g, GEV_CONNECTED), GACT_COMMIT);
	assert_int_equal(guest_step(&g, GEV_GRANTED), GACT_THAW);
}

static void a_receiver_that_fails_gives_the_reservation_back(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, GEV_RESTORED, GEV_MARKED, GEV_STUB);
	assert_int_equal(guest_step(&g, GEV_DEADLINE), GACT_ABANDON | GACT_DESTROY | GACT_RELEASE | GACT_REFUSE);
}

static void a_stub_domain_that_dies_while_its_guest_sleeps_costs_nothing(void **state)
{
	struct guest_machine g;

	(void)state;
	RUN(&g, SERVES, GEV_ASLEEP, GEV_FROZEN);
	assert_int_equal(guest_step(&g, GEV_BROKEN), GACT_DESTROY);
	assert_int_equal(guest_step(&g, GEV_STUB_DESTROYED), 0);
	assert_int_equal(guest_step(&g, GEV_CLOSE), GACT_RELEASE);
	assert_int_equal(guest_step(&g, GEV_RELEASED), GACT_ANSWER);
}

static void a_restarted_relay_asks_whether_a_frozen_guest_still_sleeps(void **state)
{
	struct guest_machine g;

	(void)state;
	guest_adopt(&g, false);
	assert_int_equal(guest_step(&g, GEV_STUB_HELD), GACT_FREEZE);
	assert_int_equal(guest_step(&g, GEV_AWAKE), 0);
	assert_int_equal(guest_step(&g, GEV_FROZEN), GACT_MARK);
	guest_adopt(&g, true);
	assert_int_equal(guest_step(&g, GEV_STUB_HELD), 0);
	assert_int_equal(g.state, GUEST_RESERVED);
}

/* The machine as a number, for the walk below. */
static unsigned int pack(const struct guest_machine *g)
{
	const bool flags[] = {g->has_seed, g->has_stub, g->stub_exists, g->open_pending, g->lease_held,
			      g->ready,	   g->marked,	g->restored,	g->asleep,	 g->destroying};
	unsigned int n = (unsigned int)g->state;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		n |= (unsigned int)flags[i] << (4 + i);
	assert_true(g->tries < 8 && g->waits < 32);
	return n | g->tries << 14 | g->waits << 17;
}

#define PACKED (1 << 22)

struct walk {
	bool seen[PACKED];
	struct guest_machine queue[1 << 18];
	unsigned int n;
};

static void reach(struct walk *w, const struct guest_machine *g)
{
	if (w->seen[pack(g)])
		return;
	w->seen[pack(g)] = true;
	assert_true(w->n < sizeof(w->queue) / sizeof(w->queue[0]));
	w->queue[w->n++] = *g;
}

static void check_step(const struct guest_machine *before, const struct guest_machine *after, enum guest_event e, unsigned int actions)
{
	bool was_over = before->state == GUEST_GONE;

	assert_true(!was_over || (actions == 0 && after->state == GUEST_GONE));
	assert_true(!(actions & GACT_HANDOFF) || (before->state == GUEST_PREPARING && (after->has_seed && after->has_stub)));
	assert_true(!(actions & GACT_SERVE) || (before->state == GUEST_HANDOFF && after->ready && after->marked));
	assert_true(!(actions & GACT_BUILD) || (!before->stub_exists && after->stub_exists));
	assert_true(!(actions & (GACT_OPEN | GACT_RESERVE)) || (!before->open_pending && !before->lease_held));
	/* nobody serves a resumed or woken guest before the lease is ours, nor one that sleeps; and the lease is asked for under a new mark */
	assert_true(!(actions & GACT_THAW) || (e == GEV_GRANTED && !after->asleep && after->state == GUEST_SERVING));
	assert_true(!(after->state == GUEST_SERVING && before->restored) || e == GEV_GRANTED || e == GEV_STUB);
	assert_true(!(actions & GACT_RESUME) || (after->marked && before->state == GUEST_RESUMING));
	assert_true(!(actions & GACT_FREEZE) || after->state == GUEST_SUSPENDING);
	/* libxl is told to give up whenever it waits for a device that will not come, and never about a guest that runs */
	assert_true(!(actions & GACT_REFUSE) == !(after->state == GUEST_FAILED && (before->state == GUEST_PREPARING || before->state == GUEST_HANDOFF)));
	/* a stub domain is destroyed once */
	assert_true(!(actions & GACT_DESTROY) || (before->stub_exists && (!before->destroying || e == GEV_NOT_DESTROYED)));
	/* 6 is only said at the end, and, but for the deadline, when nothing of ours is left */
	assert_true(!(actions & GACT_ANSWER) || after->state == GUEST_GONE);
	assert_true(!(actions & GACT_ANSWER) || e == GEV_DEADLINE || (!after->stub_exists && !after->lease_held && !after->open_pending));
	/* a machine that ends without deadline has nothing left to give back */
	assert_true(after->state != GUEST_GONE || was_over || (actions & GACT_ANSWER));
	/* a stand-in is only built for a guest that was served, when nothing is where it is to be, and the lease stays */
	assert_true(!(actions & GACT_REBUILD) || (before->state == GUEST_REVIVING && !before->stub_exists && after->stub_exists));
	assert_true(!(actions & GACT_STAND_IN) || (before->state == GUEST_REVIVING && e == GEV_STUB));
	assert_true((after->state != GUEST_REVIVING && after->state != GUEST_STANDIN) || (after->lease_held == before->lease_held || e == GEV_RELEASED));
	assert_true((after->state != GUEST_REVIVING && after->state != GUEST_STANDIN) || !(actions & GACT_RELEASE));
	/* nothing is destroyed twice: to the builder that would be another's domain */
	assert_true(!(actions & GACT_DESTROY) || (before->stub_exists && (!before->destroying || e == GEV_NOT_DESTROYED)));
	/* nobody rests or ends with an open under way */
	assert_true(!after->open_pending || after->state == GUEST_PREPARING);
	/* whoever leaves the serving side lets go of the stub domain at once */
	assert_true(!(after->state == GUEST_FAILED && before->state != GUEST_FAILED && after->stub_exists) || after->destroying);
	assert_true(!(after->state == GUEST_FAILED && before->state != GUEST_FAILED && after->lease_held) || (actions & GACT_RELEASE));
}

static void no_sequence_of_events_breaks_a_rule(void **state)
{
	static struct walk w;
	struct guest_machine g;

	(void)state;
	guest_start(&g);
	reach(&w, &g);
	guest_adopt(&g, false);
	reach(&w, &g);
	guest_adopt(&g, true);
	reach(&w, &g);
	for (unsigned int i = 0; i < w.n; i++)
		for (int e = 0; e < GUEST_EVENTS; e++) {
			unsigned int actions;

			g = w.queue[i];
			actions = guest_step(&g, (enum guest_event)e);
			check_step(&w.queue[i], &g, (enum guest_event)e, actions);
			reach(&w, &g);
		}
	assert_true(w.n > 20);
}

static void every_state_ends_when_libxl_closes(void **state)
{
	static struct walk w;
	struct guest_machine g;

	(void)state;
	guest_start(&g);
	reach(&w, &g);
	guest_adopt(&g, false);
	reach(&w, &g);
	guest_adopt(&g, true);
	reach(&w, &g);
	for (unsigned int i = 0; i < w.n; i++)
		for (int e = 0; e < GUEST_EVENTS; e++) {
			g = w.queue[i];
			guest_step(&g, (enum guest_event)e);
			reach(&w, &g);
		}
	for (unsigned int i = 0; i < w.n; i++) {
		g = w.queue[i];
		guest_step(&g, GEV_CLOSE);
		for (int n = 0; n < 3 && g.state != GUEST_GONE; n++) {
			assert_true(guest_deadline_ms(g.state) > 0);
			guest_step(&g, GEV_DEADLINE);
		}
		assert_int_equal(g.state, GUEST_GONE);
	}
	/* libxl's 10 s hold for the whole way down */
	assert_true(guest_deadline_ms(GUEST_CLOSING) + guest_deadline_ms(GUEST_CLEANING) < 10000);
	assert_true(guest_deadline_ms(GUEST_SEALING) + guest_deadline_ms(GUEST_CLEANING) < 10000);
	assert_true(guest_deadline_ms(GUEST_PREPARING) < 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_lives_from_request_to_gone),
		cmocka_unit_test(a_refused_guest_waits_for_libxl),
		cmocka_unit_test(an_open_that_takes_too_long_is_abandoned),
		cmocka_unit_test(a_dead_stub_domain_gets_a_stand_in_and_the_lease_stays),
		cmocka_unit_test(a_stand_in_that_cant_be_had_is_tried_for_a_while),
		cmocka_unit_test(a_stand_in_that_does_not_call_is_replaced),
		cmocka_unit_test(a_restarted_relay_makes_the_stand_in_that_is_missing),
		cmocka_unit_test(a_stub_domain_that_cant_be_destroyed_is_tried_again),
		cmocka_unit_test(a_restarted_relay_adopts_a_stand_in),
		cmocka_unit_test(a_stranger_gets_no_stand_in),
		cmocka_unit_test(an_unidentified_guest_gets_nothing),
		cmocka_unit_test(a_lease_that_is_not_on_record_is_not_handed_off),
		cmocka_unit_test(a_restarted_relay_adopts_what_served),
		cmocka_unit_test(a_device_that_closes_before_it_is_adopted_is_cleaned_up),
		cmocka_unit_test(a_guest_that_is_saved_leaves_its_lease_suspended),
		cmocka_unit_test(a_guest_that_is_destroyed_before_it_is_sealed_waits_for_the_seal),
		cmocka_unit_test(a_guest_that_runs_on_gets_a_new_mark_and_then_its_lease),
		cmocka_unit_test(a_guest_that_sleeps_again_before_the_answer_is_frozen_again),
		cmocka_unit_test(a_source_whose_vtpm_went_elsewhere_stays_frozen),
		cmocka_unit_test(a_resumed_guest_is_served_after_the_commit),
		cmocka_unit_test(a_receiver_that_fails_gives_the_reservation_back),
		cmocka_unit_test(a_stub_domain_that_dies_while_its_guest_sleeps_costs_nothing),
		cmocka_unit_test(a_restarted_relay_asks_whether_a_frozen_guest_still_sleeps),
		cmocka_unit_test(no_sequence_of_events_breaks_a_rule),
		cmocka_unit_test(every_state_ends_when_libxl_closes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
