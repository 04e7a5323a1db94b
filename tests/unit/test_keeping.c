/* Leases and state on their way: order, durability, broken links, fencing, restarts. Disk and KMC are this file. */
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "tests/unit/unit.h"

enum { TICKET = 5, COMES_IN = 6 };
static const struct uuid vtpm = {{1, 2, 3}};

/* --- what keeping.c talks to: everything that it sends is noted --- */

static struct world {
	bool up;
	struct loop *loop;
	struct keeping *k;
	unsigned int parks, saves, drops, pushes, releases;
	uint64_t saved_version, pushed_version;
	uint64_t told_version; /* what the owner heard last */
	int told;
	unsigned int stored, fenced, released, ended;
	unsigned int moves, moved;
	enum kmc_type move_type; /* that was sent last */
	uint64_t move_image, move_epoch; /* in SUSPEND; as told */
	enum keeping_move move;
	struct state_record saved; /* without views */
	uint64_t place, dropped_place;
} w;

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	(void)l;
	assert_true(id == TICKET || id == COMES_IN);
	if (type == STATE_SAVE) {
		const struct state_placed *p = fields;

		w.saves++;
		w.saved = p->record;
		w.saved_version = w.saved.version;
		w.place = p->place;
	} else if (type == STATE_DROP) {
		w.drops++;
		w.dropped_place = ((const struct state_name *)fields)->place;
	}
}

bool kmclink_is_up(const struct kmclink *k)
{
	(void)k;
	return w.up;
}

void kmclink_hurry(struct kmclink *k)
{
	(void)k;
}

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	(void)k;
	if (!w.up)
		return E_STATE;
	assert_true(KMC_ID_TICKET(id) == TICKET || KMC_ID_TICKET(id) == COMES_IN);
	if (type == KMC_STORE) {
		w.pushes++;
		w.pushed_version = ((const struct kmc_store *)fields)->version;
	} else if (type == KMC_PARK) {
		w.parks++;
	} else if (type == KMC_RELEASE) {
		w.releases++;
	} else {
		assert_int_equal(KMC_ID_KIND(id), KMC_ID_MOVE);
		w.moves++;
		w.move_type = type;
		if (type == KMC_SUSPEND)
			w.move_image = ((const struct kmc_suspend *)fields)->image;
	}
	return 0;
}

static void on_stored(void *arg, uint64_t ticket, uint64_t version, int r, const char *why)
{
	(void)arg, (void)ticket, (void)why;
	w.stored++;
	w.told_version = version;
	w.told = r;
}

static void on_fenced(void *arg, uint64_t ticket, const char *why)
{
	(void)arg, (void)ticket;
	assert_non_null(strstr(why, "stale lease"));
	w.fenced++;
}

static void on_released(void *arg, uint64_t ticket)
{
	(void)arg, (void)ticket;
	w.released++;
}

static void on_ended(void *arg, const struct uuid *uuid)
{
	(void)arg;
	assert_true(uuid_equal(uuid, &vtpm));
	w.ended++;
}

static void on_moved(void *arg, uint64_t ticket, enum keeping_move what, uint64_t lease_epoch, const char *why)
{
	(void)arg, (void)why;
	assert_true(ticket == TICKET || ticket == COMES_IN);
	w.moved++;
	w.move = what;
	w.move_epoch = lease_epoch;
}

static const struct keeping_ops ops = {.moved = on_moved, .stored = on_stored, .fenced = on_fenced, .released = on_released, .ended = on_ended};

static void begin(enum durability durability)
{
	w = (struct world){.up = true};
	w.loop = loop_new();
	w.k = keeping_new(w.loop, NULL, NULL, durability, &ops, NULL);
	assert_non_null(w.k);
}

static int setup_host(void **state)
{
	(void)state;
	begin(DURABILITY_HOST);
	return 0;
}

static int setup_kmc(void **state)
{
	(void)state;
	begin(DURABILITY_KMC);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keeping_free(&w.k);
	loop_free(&w.loop);
	return 0;
}

static void hold(void)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 3};

	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
}

static void store(uint64_t version)
{
	const struct handoff_store s = {.version = version, .state = view_text("sealed")};

	assert_int_equal(keeping_store(w.k, TICKET, &s), 0);
}

static void disk_says(enum state_type type)
{
	const struct state_failed failed = {.reason = view_text("disk full")};

	keeping_disk(w.k, type, TICKET, type == STATE_FAILED ? &failed : NULL);
}

static void kmc_stored(uint64_t version)
{
	const struct kmc_stored s = {.version = version};

	keeping_kmc(w.k, KMC_STORED, KMC_ID(KMC_ID_STORE, TICKET), &s);
}

static void kmc_refuses(enum kmc_id_kind kind, enum kmc_refusal code)
{
	const struct kmc_refused s = {.code = code, .reason = view_text("because")};

	keeping_kmc(w.k, KMC_REFUSED, KMC_ID(kind, TICKET), &s);
}

static void kmc_released(void)
{
	keeping_kmc(w.k, KMC_RELEASED, KMC_ID(KMC_ID_RELEASE, TICKET), NULL);
}

static void found(uint64_t version, const struct uuid *boot)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .boot = *boot, .guest = 7, .dev = 0, .stub = 8, .lease_epoch = 3, .version = version,
				       .state = version ? view_text("sealed") : (struct view){0}}};

	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
}

/* --- guests that sleep and move --- */

static void freeze_it(uint64_t version, uint64_t image)
{
	const struct handoff_frozen f = {.version = version, .state = view_text("sealed"), .transient = view_text("pcrs")};

	assert_int_equal(keeping_freeze(w.k, TICKET, image, &f), 0);
}

static void kmc_moved(enum kmc_type type, uint64_t lease_epoch)
{
	const struct kmc_suspended suspended = {.lease_epoch = lease_epoch};
	const struct kmc_resumed resumed = {.lease_epoch = lease_epoch};
	const struct kmc_committed committed = {.lease_epoch = lease_epoch};
	const void *fields = type == KMC_SUSPENDED ? (const void *)&suspended : type == KMC_RESUMED ? (const void *)&resumed : &committed;

	keeping_kmc(w.k, type, KMC_ID(KMC_ID_MOVE, TICKET), fields);
}

static void held(void)
{
	hold();
	disk_says(STATE_SAVED);
}

static void reserved(void)
{
	const struct state_record r = {.uuid = vtpm, .phase = PHASE_RESERVED, .request = view_text("0123456789abcdef")};

	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
	disk_says(STATE_SAVED);
}

static void what_is_frozen_is_on_record_before_the_kmc_hears_of_it(void **state)
{
	(void)state;
	held();
	freeze_it(4, 10);
	assert_int_equal(w.moves, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.saved.phase, PHASE_FROZEN);
	assert_int_equal(w.saved.image, 10);
	assert_int_equal(w.saved.transient.n, 4);
	assert_int_equal(w.move, MOVE_FROZEN);
	assert_int_equal(w.move_type, KMC_SUSPEND);
	assert_int_equal(w.move_image, 10);
	assert_int_equal(w.pushes, 0);
	kmc_moved(KMC_SUSPENDED, 3);
	assert_int_equal(w.move, MOVE_SUSPENDED);
	keeping_release(w.k, TICKET); /* its guest is gone: the lease stays where it is */
	assert_int_equal(w.releases, 0);
	assert_int_equal(w.released, 1);
	disk_says(STATE_DROPPED);
	assert_int_equal(w.ended, 1);
}

static void a_guest_that_goes_before_its_suspension_is_told_waits_for_the_answer(void **state)
{
	(void)state;
	held();
	w.up = false;
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.released, 0);
	w.up = true;
	keeping_up(w.k);
	assert_int_equal(w.move_type, KMC_SUSPEND);
	kmc_moved(KMC_SUSPENDED, 3);
	assert_int_equal(w.released, 1);
	assert_int_equal(w.drops, 1);
}

static void a_guest_that_runs_on_is_served_once_its_new_epoch_is_on_record(void **state)
{
	(void)state;
	held();
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_SUSPENDED, 3);
	keeping_resume(w.k, TICKET, 12);
	disk_says(STATE_SAVED);
	assert_int_equal(w.saved.image, 12);
	assert_int_equal(w.move_type, KMC_RESUME);
	w.moved = 0;
	kmc_moved(KMC_RESUMED, 4);
	assert_int_equal(w.moved, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.saved.phase, PHASE_SERVING);
	assert_int_equal(w.saved.lease_epoch, 4);
	assert_int_equal(w.saved.transient.n, 0);
	assert_int_equal(w.move, MOVE_SERVES);
	assert_int_equal(w.move_epoch, 4);
}

static void a_guest_that_sleeps_again_overtakes_its_own_resumption(void **state)
{
	(void)state;
	held();
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_SUSPENDED, 3);
	keeping_resume(w.k, TICKET, 12);
	disk_says(STATE_SAVED);
	freeze_it(5, 12);
	disk_says(STATE_SAVED);
	assert_int_equal(w.move_type, KMC_SUSPEND);
	w.moved = 0;
	kmc_moved(KMC_RESUMED, 4); /* too late */
	assert_int_equal(w.moved, 0);
	kmc_moved(KMC_SUSPENDED, 4);
	assert_int_equal(w.move, MOVE_SUSPENDED);
	assert_int_equal(w.move_epoch, 4);
}

static void a_source_whose_vtpm_went_elsewhere_gives_nothing_back(void **state)
{
	(void)state;
	held();
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_SUSPENDED, 3);
	keeping_resume(w.k, TICKET, 12);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_MOVE, KMC_REFUSED_EPOCH);
	assert_int_equal(w.move, MOVE_FENCED);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 0);
	assert_int_equal(w.drops, 1);
}

static void a_move_that_the_kmc_cant_do_now_is_asked_for_again(void **state)
{
	(void)state;
	held();
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_MOVE, KMC_REFUSED_BUSY);
	w.moves = 0;
	keeping_up(w.k);
	assert_int_equal(w.moves, 1);
	keeping_down(w.k); /* the answer is lost */
	keeping_up(w.k);
	assert_int_equal(w.moves, 2);
	kmc_moved(KMC_SUSPENDED, 3);
	assert_int_equal(w.move, MOVE_SUSPENDED);
}

static void a_reservation_is_committed_or_cancelled(void **state)
{
	(void)state;
	reserved();
	assert_int_equal(w.stored, 1);
	assert_int_equal(w.moves, 0);
	keeping_commit(w.k, TICKET);
	assert_int_equal(w.move_type, KMC_COMMIT);
	keeping_release(w.k, TICKET); /* its guest went before the answer */
	assert_int_equal(w.move_type, KMC_CANCEL);
	kmc_moved(KMC_COMMITTED, 9);
	assert_int_equal(w.released, 0);
	kmc_moved(KMC_CANCELLED, 0);
	assert_int_equal(w.released, 1);
	assert_int_equal(w.releases, 0);
}

static void a_committed_reservation_is_a_lease(void **state)
{
	(void)state;
	reserved();
	keeping_commit(w.k, TICKET);
	kmc_moved(KMC_COMMITTED, 9);
	disk_says(STATE_SAVED);
	assert_int_equal(w.saved.lease_epoch, 9);
	assert_int_equal(w.saved.phase, PHASE_SERVING);
	assert_int_equal(w.move, MOVE_SERVES);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 1);
}

static void what_slept_when_the_host_went_down_is_told_at_the_next_start(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .lease_epoch = 3, .version = 4, .phase = PHASE_FROZEN, .image = 10,
				       .state = view_text("sealed"), .transient = view_text("pcrs")}};

	(void)state;
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_settle(w.k);
	assert_int_equal(w.pushes, 0);
	assert_int_equal(w.move_type, KMC_SUSPEND);
	kmc_moved(KMC_SUSPENDED, 3);
	assert_int_equal(w.drops, 1);
}

/* --- a guest that migrates to its own host --- */

static void reserve_beside(void)
{
	const struct state_record r = {.uuid = vtpm, .phase = PHASE_RESERVED, .request = view_text("0123456789abcdef")};

	assert_true(keeping_has(w.k, &vtpm, 0));
	assert_false(keeping_has(w.k, &vtpm, TICKET));
	assert_int_equal(keeping_hold(w.k, COMES_IN, &r), 0);
}

static void a_guest_that_comes_in_beside_its_source_has_a_record_of_its_own(void **state)
{
	const struct kmc_committed committed = {.lease_epoch = 4};

	(void)state;
	hold();
	disk_says(STATE_SAVED);
	assert_int_equal(w.place, 0);
	freeze_it(1, 10);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_SUSPENDED, 3);
	reserve_beside();
	assert_int_equal(w.place, 1);
	keeping_disk(w.k, STATE_SAVED, COMES_IN, NULL);
	keeping_commit(w.k, COMES_IN);
	assert_int_equal(w.move_type, KMC_COMMIT);
	keeping_kmc(w.k, KMC_COMMITTED, KMC_ID(KMC_ID_MOVE, COMES_IN), &committed);
	assert_int_equal(w.place, 1);
	keeping_disk(w.k, STATE_SAVED, COMES_IN, NULL);
	assert_int_equal(w.move, MOVE_SERVES);
	keeping_release(w.k, TICKET); /* the source is destroyed: nothing but its own record goes */
	assert_int_equal(w.drops, 1);
	assert_int_equal(w.dropped_place, 0);
	disk_says(STATE_DROPPED);
	assert_int_equal(w.releases, 0);
	assert_true(keeping_has(w.k, &vtpm, TICKET));
	keeping_release(w.k, COMES_IN);
	assert_int_equal(w.releases, 1);
}

static void a_source_that_runs_on_keeps_its_record(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	freeze_it(1, 10);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_SUSPENDED, 3);
	reserve_beside();
	keeping_disk(w.k, STATE_SAVED, COMES_IN, NULL);
	keeping_resume(w.k, TICKET, 12);
	disk_says(STATE_SAVED);
	keeping_release(w.k, COMES_IN);
	assert_int_equal(w.move_type, KMC_CANCEL);
	keeping_kmc(w.k, KMC_CANCELLED, KMC_ID(KMC_ID_MOVE, COMES_IN), NULL);
	assert_int_equal(w.dropped_place, 1);
	keeping_disk(w.k, STATE_DROPPED, COMES_IN, NULL);
	assert_true(keeping_has(w.k, &vtpm, 0));
	kmc_moved(KMC_RESUMED, 4);
	assert_int_equal(w.place, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.move, MOVE_SERVES);
}

static void two_records_of_a_vtpm_are_found_where_they_were(void **state)
{
	const struct state_placed source = {.record = {.uuid = vtpm, .guest = 7, .lease_epoch = 3, .phase = PHASE_FROZEN, .image = 10, .version = 4}, .place = 1};
	const struct state_placed incoming = {.record = {.uuid = vtpm, .guest = 8, .phase = PHASE_RESERVED, .request = view_text("0123456789abcdef")}};
	const struct state_record third = {.uuid = vtpm, .phase = PHASE_RESERVED};
	const struct uuid boot = {{0}};
	uint64_t ticket;

	(void)state;
	assert_int_equal(keeping_found(w.k, TICKET, &source), 0);
	assert_int_equal(keeping_found(w.k, COMES_IN, &incoming), 0);
	assert_int_equal(keeping_hold(w.k, 77, &third), E_EXISTS); /* there is room for two */
	assert_non_null(keeping_claim(w.k, 8, 0, &boot, &ticket));
	assert_int_equal(ticket, COMES_IN);
	keeping_settle(w.k); /* the source is gone */
	assert_int_equal(w.move_type, KMC_SUSPEND);
	kmc_moved(KMC_SUSPENDED, 3);
	assert_int_equal(w.drops, 1);
	assert_int_equal(w.dropped_place, 1);
}

/* --- the tests --- */

static void a_lease_is_on_record_before_it_is_told(void **state)
{
	(void)state;
	hold();
	assert_int_equal(w.saves, 1);
	assert_int_equal(w.stored, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.stored, 1);
	assert_int_equal(w.told_version, 0);
	assert_int_equal(w.told, 0);
}

static void a_lease_that_cannot_be_recorded_is_told_so(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_FAILED);
	assert_int_equal(w.told, E_IO);
}

static void durability_host_tells_when_the_disk_has_it_and_the_kmc_later(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	assert_int_equal(w.pushes, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 1);
	assert_int_equal(w.pushes, 1);
	kmc_stored(1);
	assert_int_equal(w.stored, 2);
}

static void durability_host_does_not_need_the_kmc(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	w.up = false;
	store(1);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 1);
	w.up = true;
	keeping_up(w.k);
	assert_int_equal(w.pushed_version, 1);
}

static void durability_kmc_tells_when_the_kmc_has_it(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	disk_says(STATE_SAVED);
	assert_int_equal(w.stored, 1); /* the lease's own */
	kmc_stored(1);
	assert_int_equal(w.told_version, 1);
}

static void a_failed_write_is_told_and_not_pushed(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	disk_says(STATE_FAILED);
	assert_int_equal(w.told_version, 1);
	assert_int_equal(w.told, E_IO);
	assert_int_equal(w.pushes, 0);
}

static void a_failed_write_does_not_lose_the_one_before(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	w.up = false;
	store(1);
	disk_says(STATE_SAVED);
	store(2);
	disk_says(STATE_FAILED);
	keeping_release(w.k, TICKET);
	w.up = true;
	keeping_up(w.k);
	assert_int_equal(w.pushed_version, 1);
	assert_int_equal(w.releases, 0);
	kmc_stored(1);
	assert_int_equal(w.releases, 1);
}

static void a_failed_write_in_between_is_made_good_by_the_next(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	store(2);
	disk_says(STATE_FAILED);
	assert_int_equal(w.saved_version, 2);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 2);
	assert_int_equal(w.told, 0);
	assert_int_equal(w.pushed_version, 2);
}

static void a_newer_state_at_the_kmc_is_no_fencing(void **state)
{
	const struct uuid boot = {{9}};
	uint64_t ticket;

	(void)state;
	found(2, &boot);
	assert_non_null(keeping_claim(w.k, 7, 0, &boot, &ticket));
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_ROLLBACK);
	assert_int_equal(w.fenced, 0);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 1);
}

static void changes_in_flight_are_written_together(void **state)
{
	(void)state;
	hold();
	store(1);
	store(2);
	store(3);
	assert_int_equal(w.saves, 1);
	disk_says(STATE_SAVED);
	assert_int_equal(w.saves, 2);
	assert_int_equal(w.saved_version, 3);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 3);
}

static void a_release_waits_for_the_last_state_and_drops_the_record_last(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.releases, 0);
	kmc_stored(1);
	assert_int_equal(w.releases, 1);
	assert_int_equal(w.drops, 0);
	assert_true(keeping_has(w.k, &vtpm, 0));
	kmc_released();
	assert_int_equal(w.released, 1);
	assert_int_equal(w.drops, 1);
	assert_int_equal(w.ended, 0);
	disk_says(STATE_DROPPED);
	assert_int_equal(w.ended, 1);
	assert_false(keeping_has(w.k, &vtpm, 0));
}

static void a_broken_link_makes_it_ask_again(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	disk_says(STATE_SAVED);
	w.up = false;
	keeping_down(w.k);
	w.up = true;
	keeping_up(w.k);
	assert_int_equal(w.pushes, 2);
	kmc_stored(1);
	keeping_release(w.k, TICKET);
	keeping_down(w.k);
	keeping_up(w.k);
	assert_int_equal(w.releases, 2);
}

static void a_fenced_lease_is_told_and_never_released(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_EPOCH);
	assert_int_equal(w.fenced, 1);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 0);
	assert_int_equal(w.released, 1);
	assert_int_equal(w.drops, 1);
}

static void a_busy_kmc_is_asked_again_later(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_BUSY);
	assert_int_equal(w.fenced, 0);
	keeping_up(w.k);
	assert_true(w.pushes >= 2);
}

static void a_lease_that_was_taken_over_needs_no_release(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	kmc_refuses(KMC_ID_RELEASE, KMC_REFUSED_EPOCH);
	assert_int_equal(w.released, 1);
	assert_int_equal(w.drops, 1);
}

static void an_orphan_leaves_the_record_of_its_vtpm_alone(void **state)
{
	(void)state;
	assert_int_equal(keeping_orphan(w.k, TICKET, &vtpm, 3), 0);
	assert_int_equal(w.saves, 0);
	assert_int_equal(w.releases, 1);
	kmc_released();
	assert_int_equal(w.drops, 0);
	assert_int_equal(w.ended, 1);
}

static void a_found_record_is_claimed_by_its_guest_in_the_same_boot_only(void **state)
{
	const struct uuid boot = {{9}}, other = {{8}};
	const struct state_record *r;
	uint64_t ticket = 0;

	(void)state;
	found(2, &boot);
	assert_null(keeping_claim(w.k, 7, 0, &other, &ticket));
	assert_null(keeping_claim(w.k, 7, 1, &boot, &ticket));
	assert_null(keeping_claim(w.k, 6, 0, &boot, &ticket));
	r = keeping_claim(w.k, 7, 0, &boot, &ticket);
	assert_non_null(r);
	assert_int_equal(r->stub, 8);
	assert_int_equal(ticket, TICKET);
	assert_int_equal(w.pushed_version, 2);
	assert_null(keeping_claim(w.k, 7, 0, &boot, &ticket));
	keeping_settle(w.k);
	kmc_stored(2);
	assert_int_equal(w.releases, 0);
}

static void what_nobody_claims_is_stored_and_given_back(void **state)
{
	const struct uuid boot = {{9}};

	(void)state;
	found(2, &boot);
	keeping_settle(w.k);
	assert_int_equal(w.pushes, 1);
	assert_int_equal(w.releases, 0);
	kmc_stored(2);
	assert_int_equal(w.releases, 1);
	kmc_released();
	assert_int_equal(w.drops, 1);
}

static void a_vtpm_is_kept_once(void **state)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 4};

	(void)state;
	hold();
	assert_int_equal(keeping_hold(w.k, TICKET + 1, &r), E_EXISTS);
}

/* --- parked leases --- */

static void hold_with_state(void)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 3, .version = 1, .state = view_text("sealed")};

	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
}

static void hold_with_copy(void)
{
	keeping_park_leases(w.k);
	hold_with_state();
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
}

static void a_lease_with_a_copy_is_parked_and_not_released(void **state)
{
	(void)state;
	hold_with_copy();
	assert_null(keeping_parked(w.k, &vtpm)); /* a guest has it */
	keeping_release(w.k, TICKET);
	assert_int_equal(w.released, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.released, 1); /* the guest may go */
	assert_int_equal(w.parks, 1);
	assert_true(keeping_has(w.k, &vtpm, 0)); /* the KMC does not know yet */
	assert_non_null(keeping_parked(w.k, &vtpm));
	keeping_kmc(w.k, KMC_PARKED, KMC_ID(KMC_ID_RELEASE, TICKET), NULL);
	assert_int_equal(w.ended, 1);
	assert_false(keeping_has(w.k, &vtpm, 0));
	assert_true(keeping_has_parked(w.k));
	assert_int_equal(w.releases + w.drops, 0);
}

/* A guest that came with its TPM and has stored nothing here: what came is what a start without the KMC begins with. */
static void what_a_reservation_brought_is_parked_with_it(void **state)
{
	const struct state_record reservation = {.uuid = vtpm, .phase = PHASE_RESERVED, .request = view_text("0123456789abcdef")};
	const struct state_record brought = {.version = 7, .owner_epoch = 2, .state = view_text("sealed")};

	(void)state;
	keeping_park_leases(w.k);
	assert_int_equal(keeping_hold(w.k, TICKET, &reservation), 0);
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_reserved(w.k, TICKET, &brought), 0);
	keeping_commit(w.k, TICKET);
	kmc_moved(KMC_COMMITTED, 4);
	assert_true(w.saved.version == 7 && w.saved.owner_epoch == 2 && w.saved.lease_epoch == 4 && w.saved.phase == PHASE_SERVING);
	disk_says(STATE_SAVED);
	assert_int_equal(w.pushes, 0); /* it came from there */
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	disk_says(STATE_SAVED);
	assert_int_equal(w.parks, 1);
	assert_int_equal(keeping_parked(w.k, &vtpm)->version, 7);
}

/* A relay that took over in between has the lease and not the state: an empty TPM must not come of that. */
static void a_lease_without_its_state_is_not_parked(void **state)
{
	const struct state_record reservation = {.uuid = vtpm, .phase = PHASE_RESERVED, .request = view_text("0123456789abcdef")};

	(void)state;
	keeping_park_leases(w.k);
	assert_int_equal(keeping_hold(w.k, TICKET, &reservation), 0);
	disk_says(STATE_SAVED);
	keeping_commit(w.k, TICKET);
	kmc_moved(KMC_COMMITTED, 4);
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.parks, 0);
	assert_int_equal(w.releases, 1);
	assert_null(keeping_parked(w.k, &vtpm));
}

static void a_parked_lease_is_a_guests_again(void **state)
{
	(void)state;
	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	hold_with_state();
	assert_null(keeping_parked(w.k, &vtpm));
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 0);
	keeping_release(w.k, TICKET); /* the copy of before is good */
	disk_says(STATE_SAVED);
	assert_non_null(keeping_parked(w.k, &vtpm));
}

static void a_recalled_lease_is_erased_before_it_is_released(void **state)
{
	(void)state;
	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	keeping_recall(w.k, &vtpm);
	assert_null(keeping_parked(w.k, &vtpm));
	assert_int_equal(w.releases, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.releases, 1);
	kmc_released();
	disk_says(STATE_DROPPED);
	assert_false(keeping_has_parked(w.k));
}

static void a_recalled_lease_whose_copy_stays_on_the_disk_is_not_released(void **state)
{
	(void)state;
	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	keeping_recall(w.k, &vtpm);
	disk_says(STATE_FAILED);
	assert_int_equal(w.releases, 0); /* it could start the guest after a crash, and so could the other host */
	assert_non_null(keeping_parked(w.k, &vtpm));
	keeping_recall(w.k, &vtpm); /* the other host asks again */
	disk_says(STATE_SAVED);
	assert_int_equal(w.releases, 1);
}

static void a_guest_that_runs_is_not_recalled(void **state)
{
	(void)state;
	hold_with_copy();
	keeping_recall(w.k, &vtpm);
	assert_int_equal(w.releases, 0);
}

static void a_lease_that_was_taken_over_is_not_kept(void **state)
{
	(void)state;
	hold_with_copy();
	keeping_release(w.k, TICKET);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_RELEASE, KMC_REFUSED_EPOCH);
	assert_int_equal(w.drops, 1);
}

static void an_orphan_of_a_parked_lease_is_parked_with_it(void **state)
{
	(void)state;
	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	assert_int_equal(keeping_orphan(w.k, TICKET + 1, &vtpm, 4), 0);
	assert_int_equal(keeping_parked(w.k, &vtpm) ? keeping_parked(w.k, &vtpm)->lease_epoch : 0, 0); /* not before it is safe */
	disk_says(STATE_SAVED);
	assert_int_equal(w.releases, 0);
	assert_int_equal(w.parks, 2);
	assert_int_equal(keeping_parked(w.k, &vtpm)->lease_epoch, 4);
}

static void without_a_copy_a_lease_is_released(void **state)
{
	(void)state;
	hold_with_copy();
	keeping_forget_grace(w.k);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 1);
}

#define HOST(t) cmocka_unit_test_setup_teardown(t, setup_host, teardown)
#define KMC(t) cmocka_unit_test_setup_teardown(t, setup_kmc, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_frozen_is_on_record_before_the_kmc_hears_of_it, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_goes_before_its_suspension_is_told_waits_for_the_answer, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_runs_on_is_served_once_its_new_epoch_is_on_record, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_sleeps_again_overtakes_its_own_resumption, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_source_whose_vtpm_went_elsewhere_gives_nothing_back, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_move_that_the_kmc_cant_do_now_is_asked_for_again, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_reservation_is_committed_or_cancelled, setup_host, teardown),
		cmocka_unit_test_setup_teardown(a_committed_reservation_is_a_lease, setup_host, teardown),
		cmocka_unit_test_setup_teardown(what_slept_when_the_host_went_down_is_told_at_the_next_start, setup_host, teardown),
		HOST(a_guest_that_comes_in_beside_its_source_has_a_record_of_its_own),
		HOST(a_source_that_runs_on_keeps_its_record),
		HOST(two_records_of_a_vtpm_are_found_where_they_were),
		HOST(a_lease_with_a_copy_is_parked_and_not_released),
		HOST(what_a_reservation_brought_is_parked_with_it),
		HOST(a_lease_without_its_state_is_not_parked),
		HOST(a_parked_lease_is_a_guests_again),
		HOST(a_recalled_lease_is_erased_before_it_is_released),
		HOST(a_recalled_lease_whose_copy_stays_on_the_disk_is_not_released),
		HOST(a_guest_that_runs_is_not_recalled),
		HOST(a_lease_that_was_taken_over_is_not_kept),
		HOST(an_orphan_of_a_parked_lease_is_parked_with_it),
		HOST(without_a_copy_a_lease_is_released),
		HOST(a_lease_is_on_record_before_it_is_told),
		HOST(a_lease_that_cannot_be_recorded_is_told_so),
		HOST(durability_host_tells_when_the_disk_has_it_and_the_kmc_later),
		HOST(durability_host_does_not_need_the_kmc),
		KMC(durability_kmc_tells_when_the_kmc_has_it),
		HOST(a_failed_write_is_told_and_not_pushed),
		HOST(a_failed_write_does_not_lose_the_one_before),
		HOST(a_failed_write_in_between_is_made_good_by_the_next),
		HOST(a_newer_state_at_the_kmc_is_no_fencing),
		HOST(changes_in_flight_are_written_together),
		HOST(a_release_waits_for_the_last_state_and_drops_the_record_last),
		HOST(a_broken_link_makes_it_ask_again),
		HOST(a_fenced_lease_is_told_and_never_released),
		HOST(a_busy_kmc_is_asked_again_later),
		HOST(a_lease_that_was_taken_over_needs_no_release),
		HOST(an_orphan_leaves_the_record_of_its_vtpm_alone),
		HOST(a_found_record_is_claimed_by_its_guest_in_the_same_boot_only),
		HOST(what_nobody_claims_is_stored_and_given_back),
		HOST(a_vtpm_is_kept_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
