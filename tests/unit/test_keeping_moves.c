/* Leases of guests that sleep and move: what is on record before the KMC hears of it, and what ends when. */
#include "common/error.h"
#include "tests/unit/keeping_world.h"

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

/* It slept, the KMC knows, and it wakes up: RESUME is on its way. */
static void wakes_up(void)
{
	held();
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_SUSPENDED, 3);
	keeping_resume(w.k, TICKET, 12);
	disk_says(STATE_SAVED);
}

static void a_guest_that_runs_on_is_served_once_its_new_epoch_is_on_record(void **state)
{
	(void)state;
	wakes_up();
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

/* What its guest was told is safe goes to the KMC before the lease, also when that has missed the sleep and the stub domain dies as soon as it wakes. */
static void what_was_stored_before_a_sleep_that_the_kmc_missed_goes_there(void **state)
{
	(void)state;
	held();
	w.up = false;
	store(3);
	disk_says(STATE_SAVED);
	assert_true(w.told_version == 3 && w.told == 0);
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	keeping_resume(w.k, TICKET, 12);
	disk_says(STATE_SAVED);
	w.up = true;
	keeping_up(w.k);
	assert_int_equal(w.move_type, KMC_RESUME);
	kmc_moved(KMC_RESUMED, 4);
	disk_says(STATE_SAVED);
	assert_int_equal(w.move, MOVE_SERVES);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.pushed_version, 4);
	assert_int_equal(w.releases, 0);
	kmc_stored(4);
	assert_int_equal(w.releases, 1);
}

static void what_the_kmc_has_with_a_suspension_is_not_stored_once_more(void **state)
{
	(void)state;
	wakes_up();
	kmc_moved(KMC_RESUMED, 4);
	disk_says(STATE_SAVED);
	assert_int_equal(w.pushes, 0);
}

static void a_guest_that_sleeps_again_overtakes_its_own_resumption(void **state)
{
	(void)state;
	wakes_up();
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
	wakes_up();
	kmc_refuses(KMC_ID_MOVE, KMC_REFUSED_EPOCH);
	assert_int_equal(w.move, MOVE_FENCED);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 0);
	assert_int_equal(w.drops, 1);
}

/* What was acknowledged and is too large for the KMC, or of a host that is in another pool now, stays here until somebody sees to that. */
static void a_suspension_that_the_kmc_does_not_allow_is_not_dropped(void **state)
{
	static const enum kmc_refusal codes[] = {KMC_REFUSED_QUOTA, KMC_REFUSED_POLICY};

	(void)state;
	held();
	freeze_it(4, 10);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		kmc_refuses(KMC_ID_MOVE, codes[i]);
		assert_int_equal(w.drops, 0);
		w.moves = 0;
		keeping_up(w.k);
		assert_int_equal(w.moves, 1);
	}
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

/* A reservation that brought a state is committed, and the disk takes nothing. */
static void committed_while_the_disk_fails(void)
{
	const struct state_record came = {.uuid = vtpm, .version = 4, .state = view_text("sealed")};

	reserved();
	assert_int_equal(keeping_reserved(w.k, TICKET, &came), 0);
	keeping_commit(w.k, TICKET);
	kmc_moved(KMC_COMMITTED, 9);
	disk_says(STATE_FAILED);
	assert_true(w.move == MOVE_SERVES && w.move_epoch == 9);
}

/* Or the next relay would not know under which lease its guest is served. */
static void a_grant_that_the_disk_did_not_take_is_put_there_later(void **state)
{
	unsigned int saves;

	(void)state;
	committed_while_the_disk_fails();
	for (int i = 0; i < 2; i++) {
		saves = w.saves;
		w.saved = (struct state_record){.phase = 0};
		keeping_up(w.k);
		assert_int_equal(w.saves, saves + 1);
		assert_true(w.saved.phase == PHASE_SERVING && w.saved.lease_epoch == 9 && w.saved_version == 4);
		disk_says(i == 0 ? STATE_FAILED : STATE_SAVED);
	}
	saves = w.saves;
	keeping_up(w.k);
	assert_int_equal(w.saves, saves);
	assert_int_equal(w.moved, 1);
}

/* The guest was told that it has not happened, and what it stores next may lack it. */
static void a_store_that_fails_under_such_a_grant_has_not_happened(void **state)
{
	(void)state;
	committed_while_the_disk_fails();
	store(5);
	disk_says(STATE_FAILED);
	assert_true(w.told_version == 5 && w.told == E_IO);
	assert_int_equal(w.pushes, 0);
	keeping_up(w.k);
	assert_int_equal(w.saved_version, 4);
	disk_says(STATE_SAVED);
	assert_int_equal(w.pushes, 0);
	store(6);
	disk_says(STATE_SAVED);
	assert_true(w.told_version == 6 && w.told == 0);
	assert_int_equal(w.pushed_version, 6);
}

static void what_was_served_under_a_lease_that_is_not_on_record_is_put_there(void **state)
{
	static const enum state_phase phases[] = {PHASE_RESERVED, PHASE_FROZEN};

	for (size_t i = 0; i < 2; i++) {
		const struct state_placed p = {.record = {.uuid = vtpm, .guest = 7, .stub = 8, .phase = phases[i], .request = view_text("0123456789abcdef"),
					       .lease_epoch = i * 3, .version = i * 4, .state = i ? view_text("sealed") : (struct view){0}}};
		const struct uuid boot = {{0}};
		uint64_t ticket;

		assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
		assert_non_null(keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket));
		keeping_served(w.k, ticket, 9);
		assert_true(w.saved.phase == PHASE_SERVING && w.saved.lease_epoch == 9 && !w.saved.request.p && w.saved.stub == 8);
		disk_says(STATE_SAVED);
		assert_int_equal(w.pushed_version, i * 4); /* does the KMC know that lease? */
		if (i)
			kmc_stored(4);
		keeping_release(w.k, TICKET);
		assert_true(w.releases == 1 && w.moves == 0);
		keeping_world_end(state);
		keeping_world_host(state);
	}
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
	assert_non_null(keeping_claim(w.k, 8, 0, &vtpm, &boot, &ticket));
	assert_int_equal(ticket, COMES_IN);
	keeping_settle(w.k); /* the source is gone */
	assert_int_equal(w.move_type, KMC_SUSPEND);
	kmc_moved(KMC_SUSPENDED, 3);
	assert_int_equal(w.drops, 1);
	assert_int_equal(w.dropped_place, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST(what_is_frozen_is_on_record_before_the_kmc_hears_of_it),
		HOST(a_guest_that_goes_before_its_suspension_is_told_waits_for_the_answer),
		HOST(a_guest_that_runs_on_is_served_once_its_new_epoch_is_on_record),
		HOST(what_was_stored_before_a_sleep_that_the_kmc_missed_goes_there),
		HOST(what_the_kmc_has_with_a_suspension_is_not_stored_once_more),
		HOST(a_guest_that_sleeps_again_overtakes_its_own_resumption),
		HOST(a_source_whose_vtpm_went_elsewhere_gives_nothing_back),
		HOST(a_suspension_that_the_kmc_does_not_allow_is_not_dropped),
		HOST(a_move_that_the_kmc_cant_do_now_is_asked_for_again),
		HOST(a_reservation_is_committed_or_cancelled),
		HOST(a_committed_reservation_is_a_lease),
		HOST(a_grant_that_the_disk_did_not_take_is_put_there_later),
		HOST(a_store_that_fails_under_such_a_grant_has_not_happened),
		HOST(what_was_served_under_a_lease_that_is_not_on_record_is_put_there),
		HOST(what_slept_when_the_host_went_down_is_told_at_the_next_start),
		HOST(a_guest_that_comes_in_beside_its_source_has_a_record_of_its_own),
		HOST(a_source_that_runs_on_keeps_its_record),
		HOST(two_records_of_a_vtpm_are_found_where_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
