/* Whether a lease is this host's still: asked of the KMC where nothing that is stored would tell. */
#include "common/error.h"
#include "dom0-relay/kept.h"
#include "tests/unit/keeping_world.h"

/* With a lease on record. */
static void held(void)
{
	hold();
	disk_says(STATE_SAVED);
}

/* The same, to be parked when its guest ends. */
static void held_with_a_copy(void)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 3, .version = 1, .state = view_text("sealed")};

	keeping_park_leases(w.k);
	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_SAVED);
}

static void held_and_stored(void)
{
	held();
	store(1);
	disk_says(STATE_SAVED);
}

static void reconnect(void)
{
	keeping_down(w.k);
	keeping_up(w.k);
}

static void a_lease_is_asked_for_at_each_connection(void **state)
{
	(void)state;
	held();
	assert_int_equal(w.verifies, 0);
	reconnect();
	assert_int_equal(w.verifies, 1);
	assert_int_equal(w.verified_epoch, 3);
	kmc_verified();
	reconnect();
	assert_int_equal(w.verifies, 2);
	kmc_verified();
	assert_int_equal(w.fenced, 0);
}

static void a_lease_that_was_taken_over_is_told_though_nothing_is_stored(void **state)
{
	(void)state;
	held();
	reconnect();
	kmc_refuses(KMC_ID_VERIFY, KMC_REFUSED_EPOCH);
	assert_int_equal(w.fenced, 1);
	assert_int_equal(w.released, 0);
	reconnect();
	assert_int_equal(w.verifies, 1); /* there is nothing left to ask */
}

static void what_the_kmc_can_not_say_is_asked_again(void **state)
{
	(void)state;
	held();
	reconnect();
	kmc_refuses(KMC_ID_VERIFY, KMC_REFUSED_INTERNAL);
	assert_int_equal(w.fenced, 0);
	reconnect();
	assert_int_equal(w.verifies, 2);
}

static void what_is_being_stored_tells_by_itself(void **state)
{
	(void)state;
	held_and_stored();
	reconnect();
	assert_int_equal(w.pushes, 2);
	assert_int_equal(w.verifies, 0);
	kmc_stored(1);
	reconnect();
	assert_int_equal(w.verifies, 1);
}

static void what_the_kmc_does_not_take_just_now_does_not_hide_a_take_over(void **state)
{
	(void)state;
	held_and_stored();
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_QUOTA);
	keeping_up(w.k);
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_QUOTA);
	kept_verify_all(w.k);
	assert_int_equal(w.verifies, 1);
	kmc_refuses(KMC_ID_VERIFY, KMC_REFUSED_EPOCH);
	assert_int_equal(w.fenced, 1);
}

static void the_answer_counts_for_the_lease_that_was_asked_for_only(void **state)
{
	(void)state;
	held();
	reconnect();
	freeze_it(1, 6);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_VERIFY, KMC_REFUSED_EPOCH); /* the suspension overtook it */
	assert_int_equal(w.fenced, 0);
	kmc_moved(KMC_SUSPENDED, 3);
	reconnect();
	assert_int_equal(w.verifies, 1); /* nobody has it */
	keeping_resume(w.k, TICKET, 8);
	disk_says(STATE_SAVED);
	kmc_moved(KMC_RESUMED, 4);
	disk_says(STATE_SAVED);
	reconnect();
	assert_int_equal(w.verifies, 2);
	assert_int_equal(w.verified_epoch, 4);
}

static void a_lease_of_an_earlier_run_is_asked_for_once_its_guest_is_found(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .guest = 7, .stub = 8, .lease_epoch = 3}};
	const struct uuid any = {{0}}, boot = {{0}};
	uint64_t ticket;

	(void)state;
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_up(w.k);
	assert_int_equal(w.verifies, 0);
	assert_non_null(keeping_claim(w.k, 7, 0, &any, &boot, &ticket));
	reconnect();
	assert_int_equal(w.verifies, 1);
	kmc_refuses(KMC_ID_VERIFY, KMC_REFUSED_EPOCH);
	assert_int_equal(w.fenced, 1);
}

static void what_can_not_be_read_is_nobodys_to_ask_for(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm}, .unreadable = true};

	(void)state;
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_up(w.k);
	assert_int_equal(w.verifies, 0);
}

static void nobody_is_started_from_a_parked_lease_that_was_taken_over(void **state)
{
	(void)state;
	held_with_a_copy();
	keeping_release(w.k, TICKET);
	disk_says(STATE_SAVED);
	keeping_kmc(w.k, KMC_PARKED, KMC_ID(KMC_ID_RELEASE, TICKET), NULL);
	assert_non_null(keeping_parked(w.k, &vtpm));
	reconnect();
	assert_int_equal(w.verifies, 1);
	kmc_refuses(KMC_ID_VERIFY, KMC_REFUSED_EPOCH);
	assert_null(keeping_parked(w.k, &vtpm));
	assert_int_equal(w.drops, 1);
	disk_says(STATE_DROPPED);
	assert_int_equal(w.ended, 2); /* when it was parked, and now */
}

/* What was not sent is not thrown away: it may be wanted by hand. */
static void a_parked_lease_that_was_lost_and_comes_back_is_like_any_other(void **state)
{
	const struct state_record next = {.uuid = vtpm, .lease_epoch = 5, .version = 4};

	(void)state;
	held_with_a_copy();
	store(2);
	disk_says(STATE_SAVED);
	keeping_release(w.k, TICKET);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_STORE, KMC_REFUSED_EPOCH);
	assert_null(keeping_parked(w.k, &vtpm));
	assert_int_equal(w.drops, 0);
	disk_says(STATE_SAVED);
	kmc_refuses(KMC_ID_RELEASE, KMC_REFUSED_BUSY); /* its parking */
	assert_int_equal(keeping_hold(w.k, TICKET, &next), 0);
	disk_says(STATE_SAVED);
	reconnect();
	assert_int_equal(w.verified_epoch, 5);
	kmc_verified();
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST(a_lease_is_asked_for_at_each_connection),
		HOST(a_lease_that_was_taken_over_is_told_though_nothing_is_stored),
		HOST(what_the_kmc_can_not_say_is_asked_again),
		HOST(what_is_being_stored_tells_by_itself),
		HOST(the_answer_counts_for_the_lease_that_was_asked_for_only),
		HOST(a_lease_of_an_earlier_run_is_asked_for_once_its_guest_is_found),
		HOST(what_can_not_be_read_is_nobodys_to_ask_for),
		HOST(nobody_is_started_from_a_parked_lease_that_was_taken_over),
		HOST(a_parked_lease_that_was_lost_and_comes_back_is_like_any_other),
		HOST(what_the_kmc_does_not_take_just_now_does_not_hide_a_take_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
