/* Leases that stay on a host for a start without the KMC. */
#include "common/error.h"
#include "dom0-relay/kept.h"
#include "tests/unit/keeping_world.h"

static void hold_with_state(void)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 3, .version = 1, .state = view_text("sealed")};

	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
}

/* A record that a start without the KMC would take has to have what the guest was told. */
static void with_a_copy_durability_kmc_waits_for_the_disk_too(void **state)
{
	(void)state;
	keeping_park_leases(w.k);
	hold_with_state();
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
	store(2);
	kmc_stored(2);
	assert_int_equal(w.told_version, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 2);
	store(3);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 2);
	kmc_stored(3);
	assert_int_equal(w.told_version, 3);
	assert_int_equal(w.told, 0);
	store(4);
	disk_says(STATE_FAILED);
	kmc_stored(4);
	assert_int_equal(w.told_version, 3);
}

static void what_only_the_kmc_took_is_parked_all_the_same(void **state)
{
	(void)state;
	keeping_park_leases(w.k);
	hold_with_state();
	disk_says(STATE_SAVED);
	store(2);
	disk_says(STATE_FAILED);
	kmc_stored(2);
	assert_int_equal(w.told_version, 2);
	assert_int_equal(w.told, 0);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_parked(w.k, &vtpm)->version, 2);
}

static void nobody_starts_from_a_record_that_the_kmc_has_a_newer_one_of(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .guest = 7, .stub = 8, .lease_epoch = 3, .version = 1, .state = view_text("sealed"),
				       .grace = view_text("copy")}};

	(void)state;
	keeping_park_leases(w.k);
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_settle(w.k);
	disk_says(STATE_SAVED);
	assert_non_null(keeping_parked(w.k, &vtpm));
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_ROLLBACK);
	assert_null(keeping_parked(w.k, &vtpm));
	disk_says(STATE_SAVED);
	assert_null(keeping_parked(w.k, &vtpm));
	assert_null(w.saved.grace.p);
}

/* The KMC has said so, and is away before it can say once more that the lease does not stay here. */
static void nobody_starts_from_a_lease_that_is_anothers(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .guest = 7, .stub = 8, .lease_epoch = 3, .version = 1, .state = view_text("sealed"),
				       .grace = view_text("copy")}};

	(void)state;
	keeping_park_leases(w.k);
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_settle(w.k);
	disk_says(STATE_SAVED);
	assert_non_null(keeping_parked(w.k, &vtpm));
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_EPOCH);
	keeping_down(w.k);
	assert_null(w.saved.grace.p); /* nor after the next start of this host */
	disk_says(STATE_FAILED);
	assert_null(keeping_parked(w.k, &vtpm));
}

static void hold_with_copy(void)
{
	keeping_park_leases(w.k);
	hold_with_state();
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
}

/* Its guest goes on, and the host may lose its power before the KMC is back. */
static void of_a_lease_that_was_taken_over_no_copy_stays(void **state)
{
	(void)state;
	hold_with_copy();
	store(2);
	disk_says(STATE_SAVED);
	assert_non_null(w.saved.grace.p);
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_EPOCH);
	assert_int_equal(w.fenced, 1);
	assert_null(w.saved.grace.p);
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), E_NOTFOUND);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.parks + w.releases, 0);
	assert_int_equal(w.drops, 1);
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

/* It is opened: on the disk it can't be started from any more, before the KMC is asked. */
static void park_and_intend(void)
{
	const struct state_record r = {.uuid = vtpm, .guest = 9, .phase = PHASE_OPENING};

	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	w.saves = w.intended = 0;
	assert_int_equal(keeping_intend(w.k, TICKET + 1, &r), 0);
	assert_int_equal(w.saves, 1);
	assert_true(w.saved.phase == PHASE_OPENING && w.saved.lease_epoch == 3);
	assert_int_equal(w.intended, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.intended, 1);
	assert_null(keeping_parked(w.k, &vtpm));
	assert_true(keeping_has(w.k, &vtpm, 0));
	keeping_recall(w.k, &vtpm);
	assert_int_equal(w.releases, 0);
	w.ended = 0;
}

static void a_parked_lease_that_is_opened_is_a_guests_again(void **state)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 4, .version = 1, .state = view_text("sealed")};

	(void)state;
	park_and_intend();
	w.stored = 0;
	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
	assert_true(w.saved.phase == PHASE_SERVING && w.saved.lease_epoch == 4 && w.saved.grace.n == 4);
	disk_says(STATE_SAVED);
	assert_int_equal(w.stored, 1);
}

static void a_parked_lease_whose_open_is_refused_is_parked_as_before(void **state)
{
	(void)state;
	park_and_intend();
	keeping_undone(w.k, &vtpm);
	assert_true(w.saved.phase == PHASE_SERVING && w.saved.lease_epoch == 3 && w.saved.grace.n == 4);
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_parked(w.k, &vtpm)->lease_epoch, 3);
	assert_int_equal(w.parks, 2); /* if it is not ours any more, the KMC says so */
	assert_int_equal(w.drops + w.releases, 0);
}

static void a_parked_lease_whose_open_the_disk_refuses_is_as_before(void **state)
{
	const struct state_record r = {.uuid = vtpm, .phase = PHASE_OPENING};

	(void)state;
	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	assert_int_equal(keeping_intend(w.k, TICKET + 1, &r), 0);
	disk_says(STATE_FAILED);
	assert_int_equal(w.not_intended, 1);
	keeping_undone(w.k, &vtpm);
	disk_says(STATE_FAILED);
	assert_non_null(keeping_parked(w.k, &vtpm));
	assert_int_equal(w.drops + w.releases, 0);
}

static void a_parked_lease_that_is_being_given_back_is_not_opened(void **state)
{
	const struct state_record r = {.uuid = vtpm, .phase = PHASE_OPENING};

	(void)state;
	a_lease_with_a_copy_is_parked_and_not_released(NULL);
	keeping_recall(w.k, &vtpm);
	assert_int_equal(keeping_intend(w.k, TICKET + 1, &r), E_EXISTS);
}

static void find_an_open_of_what_was_parked(void)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .lease_epoch = 3, .version = 1, .state = view_text("sealed"),
				       .grace = view_text("copy"), .phase = PHASE_OPENING}};

	keeping_park_leases(w.k);
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_settle(w.k);
	assert_int_equal(w.undecided, 1);
	assert_null(keeping_parked(w.k, &vtpm));
	assert_true(keeping_has(w.k, &vtpm, 0));
	assert_int_equal(w.parks + w.releases + w.pushes, 0);
}

/* Its epoch may be an older one: nobody starts from it before the KMC has said. */
static void after_a_restart_nobody_starts_from_what_was_being_opened(void **state)
{
	(void)state;
	find_an_open_of_what_was_parked();
	assert_int_equal(keeping_orphan(w.k, TICKET + 1, &vtpm, 4, 1), 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.parks, 1);
	assert_int_equal(keeping_parked(w.k, &vtpm)->lease_epoch, 4);
	keeping_kmc(w.k, KMC_PARKED, KMC_ID(KMC_ID_RELEASE, TICKET), NULL);
	assert_false(keeping_has(w.k, &vtpm, 0));
}

static void after_a_restart_what_was_not_opened_is_parked_as_before(void **state)
{
	(void)state;
	find_an_open_of_what_was_parked();
	keeping_undone(w.k, &vtpm);
	disk_says(STATE_SAVED);
	assert_int_equal(w.parks, 1);
	assert_int_equal(keeping_parked(w.k, &vtpm)->lease_epoch, 3);
}

/* Taken over, used elsewhere and given back: what is here is older. */
static void a_lease_of_a_newer_state_is_not_parked_with_the_older(void **state)
{
	(void)state;
	park_and_intend();
	assert_int_equal(keeping_orphan(w.k, TICKET + 1, &vtpm, 4, 2), 0);
	assert_int_equal(w.releases, 1);
	assert_null(keeping_parked(w.k, &vtpm));
	kmc_released();
	assert_int_equal(w.drops, 1);
}

static void an_orphan_of_a_parked_lease_is_parked_with_it(void **state)
{
	(void)state;
	park_and_intend();
	w.parks = 1;
	assert_int_equal(keeping_orphan(w.k, TICKET + 1, &vtpm, 4, 1), 0);
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

/* TPM_SEALED comes after its guest has gone. */
static void a_copy_that_comes_too_late_is_not_kept(void **state)
{
	(void)state;
	keeping_park_leases(w.k);
	hold_with_state();
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 1);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), E_NOTFOUND);
	assert_int_equal(w.saves, 1);
}

static void nothing_is_saved_behind_a_drop(void **state)
{
	(void)state;
	keeping_park_leases(w.k);
	hold_with_state();
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	kmc_released();
	assert_int_equal(w.drops, 1);
	keeping_grace(w.k, TICKET, view_text("copy"));
	assert_int_equal(w.saves, 1); /* else fatal() at STATE_SAVED, and the file is there again */
}

/* The disk refuses to say that the guest sleeps, and has the copy: after a crash it could start the guest, and so could the next host. */
static void what_can_be_started_from_the_disk_is_not_suspended(void **state)
{
	(void)state;
	hold_with_copy();
	freeze_it(4, 10);
	disk_says(STATE_FAILED);
	assert_int_equal(w.moves, 0);
}

static void hold_one(uint64_t ticket)
{
	const struct state_record r = {.uuid = {{9, [14] = (uint8_t)(ticket >> 8), [15] = (uint8_t)ticket}}, .lease_epoch = 3, .version = 1, .state = view_text("sealed")};

	assert_int_equal(keeping_hold(w.k, ticket, &r), 0);
	keeping_disk(w.k, STATE_SAVED, ticket, NULL);
	assert_int_equal(keeping_grace(w.k, ticket, view_text("copy")), 0);
	keeping_disk(w.k, STATE_SAVED, ticket, NULL);
}

static void end_one(uint64_t ticket)
{
	keeping_release(w.k, ticket);
	keeping_disk(w.k, STATE_SAVED, ticket, NULL);
	keeping_kmc(w.k, KMC_PARKED, KMC_ID(KMC_ID_RELEASE, ticket), NULL);
}

static void park_one(uint64_t ticket)
{
	hold_one(ticket);
	end_one(ticket);
}

static uint64_t last_saved(void)
{
	return w.order[(w.saves - 1) % WORLD_ORDER];
}

/* A host has more vTPMs in its life than the table has places: else the next one would not be started here. */
static void of_too_many_that_are_parked_the_oldest_goes_back(void **state)
{
	uint64_t ticket = 0, oldest;

	(void)state;
	w.crowd = true;
	keeping_park_leases(w.k);
	while (last_saved() == ticket && ticket < KEEPING_MAX)
		park_one(++ticket);
	oldest = last_saved();
	assert_true(oldest == 1 && ticket <= KEEPING_MAX / 2 + 1);
	assert_true(w.saved.uuid.b[15] == 1 && !w.saved.grace.p); /* erased before it goes */
	assert_int_equal(w.releases, 0);
	keeping_disk(w.k, STATE_SAVED, oldest, NULL);
	assert_int_equal(w.releases, 1);
	for (int i = 0; i < 300; i++) {
		park_one(++ticket);
		assert_int_equal(last_saved(), ++oldest);
		keeping_disk(w.k, STATE_SAVED, oldest, NULL);
		keeping_kmc(w.k, KMC_RELEASED, KMC_ID(KMC_ID_RELEASE, oldest - 1), NULL);
		keeping_disk(w.k, STATE_DROPPED, oldest - 1, NULL);
	}
	assert_int_equal(w.releases, 301);
}

static void who_ran_until_now_is_not_the_oldest(void **state)
{
	uint64_t ticket = 1;

	(void)state;
	w.crowd = true;
	keeping_park_leases(w.k);
	hold_one(1);
	while (ticket < KEEPING_MAX / 2 + 1)
		park_one(++ticket);
	assert_int_equal(last_saved(), ticket);
	end_one(1);
	assert_int_equal(last_saved(), 2);
}

/* What is here may be all that can be started, and nothing that is new can be. */
static void without_the_kmc_all_of_them_stay(void **state)
{
	uint64_t ticket = 0;

	(void)state;
	w.crowd = true;
	keeping_park_leases(w.k);
	while (ticket < KEEPING_MAX / 2)
		park_one(++ticket);
	assert_int_equal(last_saved(), ticket++);
	hold_one(ticket);
	w.up = false;
	keeping_release(w.k, ticket);
	keeping_disk(w.k, STATE_SAVED, ticket, NULL);
	assert_int_equal(last_saved(), ticket);
	w.up = true;
	keeping_up(w.k);
	assert_int_equal(last_saved(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KMC(with_a_copy_durability_kmc_waits_for_the_disk_too),
		KMC(what_only_the_kmc_took_is_parked_all_the_same),
		KMC(nobody_starts_from_a_record_that_the_kmc_has_a_newer_one_of),
		HOST(nobody_starts_from_a_lease_that_is_anothers),
		HOST(of_a_lease_that_was_taken_over_no_copy_stays),
		HOST(a_lease_with_a_copy_is_parked_and_not_released),
		HOST(what_a_reservation_brought_is_parked_with_it),
		HOST(a_lease_without_its_state_is_not_parked),
		HOST(a_parked_lease_is_a_guests_again),
		HOST(a_recalled_lease_is_erased_before_it_is_released),
		HOST(a_recalled_lease_whose_copy_stays_on_the_disk_is_not_released),
		HOST(a_guest_that_runs_is_not_recalled),
		HOST(a_lease_that_was_taken_over_is_not_kept),
		HOST(an_orphan_of_a_parked_lease_is_parked_with_it),
		HOST(a_parked_lease_that_is_opened_is_a_guests_again),
		HOST(a_parked_lease_whose_open_is_refused_is_parked_as_before),
		HOST(a_parked_lease_whose_open_the_disk_refuses_is_as_before),
		HOST(a_parked_lease_that_is_being_given_back_is_not_opened),
		HOST(after_a_restart_nobody_starts_from_what_was_being_opened),
		HOST(after_a_restart_what_was_not_opened_is_parked_as_before),
		HOST(a_lease_of_a_newer_state_is_not_parked_with_the_older),
		HOST(a_copy_that_comes_too_late_is_not_kept),
		HOST(nothing_is_saved_behind_a_drop),
		HOST(what_can_be_started_from_the_disk_is_not_suspended),
		HOST(without_a_copy_a_lease_is_released),
		HOST(of_too_many_that_are_parked_the_oldest_goes_back),
		HOST(who_ran_until_now_is_not_the_oldest),
		HOST(without_the_kmc_all_of_them_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
