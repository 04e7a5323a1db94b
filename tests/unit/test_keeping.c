/* Leases and state on their way: order, durability, broken links, fencing, restarts. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "tests/unit/keeping_world.h"

static void found(uint64_t version, const struct uuid *boot)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .boot = *boot, .guest = 7, .dev = 0, .stub = 8, .lease_epoch = 3, .version = version,
				       .state = version ? view_text("sealed") : (struct view){0}}};

	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
}

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

static void a_failed_write_forgets_no_stub_domain(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	keeping_serves(w.k, TICKET, 9);
	disk_says(STATE_FAILED);
	store(1);
	disk_says(STATE_SAVED);
	assert_int_equal(w.saved.stub, 9); /* or the next relay has it swept, under its guest */
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

/* Its relay died before it could say so. */
static void a_failed_write_of_what_the_disk_has_already_is_none(void **state)
{
	const struct uuid boot = {{9}};
	uint64_t ticket;

	(void)state;
	found(2, &boot);
	assert_non_null(keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket));
	store(2);
	disk_says(STATE_FAILED);
	assert_int_equal(w.told_version, 2);
	assert_int_equal(w.told, 0);
}

/* The record changes, for other reasons, while it is on its way. */
static void a_failed_write_of_what_is_written_again_is_not_told(void **state)
{
	(void)state;
	hold();
	disk_says(STATE_SAVED);
	store(1);
	assert_int_equal(keeping_grace(w.k, TICKET, view_text("copy")), 0);
	disk_says(STATE_FAILED);
	assert_int_equal(w.told_version, 0); /* or its guest's command is undone */
	assert_int_equal(w.saved_version, 1);
	disk_says(STATE_SAVED);
	assert_int_equal(w.told_version, 1);
	assert_int_equal(w.told, 0);
	assert_int_equal(w.pushed_version, 1);
}

static void a_newer_state_at_the_kmc_is_no_fencing(void **state)
{
	const struct uuid boot = {{9}};
	uint64_t ticket;

	(void)state;
	found(2, &boot);
	assert_non_null(keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket));
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

/* It may last for weeks: a quota, a host that was removed. */
static void what_the_kmc_refuses_all_the_time_is_logged_once(void **state)
{
	FILE *log = tmpfile();
	int was = dup(STDERR_FILENO), n = 0;
	char line[512];

	(void)state;
	assert_true(log && was >= 0);
	assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
	hold();
	disk_says(STATE_SAVED);
	store(1);
	disk_says(STATE_SAVED);
	for (int i = 0; i < 20; i++) {
		kmc_refuses(KMC_ID_STORE, i < 10 ? KMC_REFUSED_QUOTA : KMC_REFUSED_INTERNAL);
		keeping_up(w.k);
	}
	kmc_stored(1);
	keeping_release(w.k, TICKET);
	for (int i = 0; i < 10; i++) {
		kmc_refuses(KMC_ID_RELEASE, KMC_REFUSED_INTERNAL);
		keeping_up(w.k);
	}
	assert_int_equal(dup2(was, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(w.pushes, 21);
	assert_int_equal(w.releases, 11);
	rewind(log);
	while (fgets(line, sizeof(line), log))
		n += strstr(line, "the KMC ") != NULL;
	assert_int_equal(n, 3);
	close(was);
	fclose(log);
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

/* --- opens on record before they are asked for --- */

static void intend(void)
{
	const struct state_record r = {.uuid = vtpm, .guest = 7, .phase = PHASE_OPENING};

	assert_int_equal(keeping_intend(w.k, TICKET, &r), 0);
	assert_int_equal(w.saved.phase, PHASE_OPENING);
	assert_true(keeping_has(w.k, &vtpm, 0));
}

static void an_open_is_on_record_before_it_is_told(void **state)
{
	(void)state;
	intend();
	assert_int_equal(w.intended, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.intended, 1);
	assert_int_equal(w.stored, 0); /* it is no lease yet */
	hold();
	assert_int_equal(w.place, 0); /* in the same file */
	assert_true(w.saved.phase == PHASE_SERVING && w.saved.lease_epoch == 3);
	disk_says(STATE_SAVED);
	assert_int_equal(w.stored, 1);
	keeping_release(w.k, TICKET);
	assert_int_equal(w.releases, 1);
}

static void an_open_that_cannot_be_recorded_is_told_so(void **state)
{
	(void)state;
	intend();
	disk_says(STATE_FAILED);
	assert_int_equal(w.not_intended, 1);
	keeping_undone(w.k, &vtpm);
	assert_int_equal(w.drops, 1);
	disk_says(STATE_DROPPED);
	assert_false(keeping_has(w.k, &vtpm, 0));
}

static void an_open_that_gave_no_lease_leaves_no_record(void **state)
{
	(void)state;
	intend();
	keeping_undone(w.k, &vtpm); /* while it is being written */
	assert_int_equal(w.drops, 0);
	disk_says(STATE_SAVED);
	assert_int_equal(w.intended + w.stored, 0);
	assert_int_equal(w.drops, 1);
	disk_says(STATE_DROPPED);
	assert_int_equal(w.ended, 1);
	assert_int_equal(w.releases, 0);
}

static void a_lease_that_nobody_wants_any_more_goes_back_before_its_record(void **state)
{
	(void)state;
	intend();
	disk_says(STATE_SAVED);
	assert_int_equal(keeping_orphan(w.k, COMES_IN, &vtpm, 4, 0), 0);
	assert_int_equal(w.releases, 1);
	assert_int_equal(w.saves, 1); /* a relay that comes now finds the open, and asks once more */
	assert_int_equal(w.drops, 0);
	kmc_released();
	assert_int_equal(w.drops, 1);
}

static void an_open_of_an_earlier_run_is_asked_for_before_it_is_dropped(void **state)
{
	const struct uuid boot = {{9}};
	const struct state_placed p = {.record = {.uuid = vtpm, .boot = boot, .guest = 7, .phase = PHASE_OPENING}};
	uint64_t ticket;

	(void)state;
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	assert_null(keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket)); /* nothing was served */
	keeping_settle(w.k);
	assert_int_equal(w.undecided, 1);
	assert_int_equal(w.drops + w.releases, 0);
	assert_int_equal(keeping_orphan(w.k, COMES_IN, &vtpm, 4, 0), 0);
	assert_int_equal(w.releases, 1);
	kmc_released();
	disk_says(STATE_DROPPED);
	assert_int_equal(w.ended, 1);
}

static void an_open_of_an_earlier_run_that_was_refused_is_dropped(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm, .phase = PHASE_OPENING}};

	(void)state;
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	keeping_settle(w.k);
	keeping_undone(w.k, &vtpm);
	assert_int_equal(w.drops, 1);
	assert_int_equal(w.releases, 0);
}

static void an_orphan_leaves_the_record_of_its_vtpm_alone(void **state)
{
	(void)state;
	assert_int_equal(keeping_orphan(w.k, TICKET, &vtpm, 3, 1), 0);
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
	assert_null(keeping_claim(w.k, 7, 0, &vtpm, &other, &ticket));
	assert_null(keeping_claim(w.k, 7, 1, &vtpm, &boot, &ticket));
	assert_null(keeping_claim(w.k, 6, 0, &vtpm, &boot, &ticket));
	r = keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket);
	assert_non_null(r);
	assert_int_equal(r->stub, 8);
	assert_int_equal(ticket, TICKET);
	assert_int_equal(w.pushed_version, 2);
	assert_null(keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket));
	keeping_settle(w.k);
	kmc_stored(2);
	assert_int_equal(w.releases, 0);
}

/* Domain numbers come again, and a lease may wait for the KMC for as long as that takes. */
static void what_waits_to_be_given_back_is_no_later_guests_of_that_number(void **state)
{
	const struct uuid boot = {{9}}, gone = {{7}}, none = {{0}};
	const struct state_placed left = {.record = {.uuid = gone, .boot = boot, .guest = 7, .stub = 6, .lease_epoch = 3}};
	const struct state_record *r;
	uint64_t ticket = 0;

	(void)state;
	w.up = false;
	assert_int_equal(keeping_found(w.k, COMES_IN, &left), 0);
	found(2, &boot);
	r = keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket);
	assert_non_null(r);
	assert_int_equal(ticket, TICKET);
	assert_int_equal(r->stub, 8);
	assert_null(keeping_claim(w.k, 7, 0, &vtpm, &boot, &ticket));
	assert_non_null(keeping_claim(w.k, 7, 0, &none, &boot, &ticket)); /* libxl has forgotten its device already */
	assert_int_equal(ticket, COMES_IN);
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

/* It may have what the guest was told is safe, and the KMC an older state. */
static void what_can_not_be_read_is_left_alone_and_not_opened(void **state)
{
	const struct state_placed p = {.record = {.uuid = vtpm}, .place = 1, .unreadable = 1};
	const struct uuid boot = {{0}}, other = {{7}};
	uint64_t ticket;

	(void)state;
	assert_false(keeping_is_unreadable(w.k, &vtpm));
	assert_int_equal(keeping_found(w.k, TICKET, &p), 0);
	assert_true(keeping_is_unreadable(w.k, &vtpm));
	assert_false(keeping_is_unreadable(w.k, &other));
	assert_true(keeping_has(w.k, &vtpm, 0));
	assert_null(keeping_claim(w.k, 0, 0, &vtpm, &boot, &ticket));
	keeping_settle(w.k);
	keeping_up(w.k);
	assert_int_equal(w.saves + w.drops + w.pushes + w.releases + w.moves, 0);
}

static void a_vtpm_is_kept_once(void **state)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 4};

	(void)state;
	hold();
	assert_int_equal(keeping_hold(w.k, TICKET + 1, &r), E_EXISTS);
}

/* --- many guests at once --- */

enum { CROWD = 12, EAGER = 5 }; /* guests, and those of them that store again as soon as they may */

static struct {
	uint64_t version[CROWD];
	unsigned int told[CROWD];
} crowd;

static void store_of(uint64_t ticket)
{
	const struct handoff_store s = {.version = ++crowd.version[ticket], .state = view_text("sealed")};

	assert_int_equal(keeping_store(w.k, ticket + 1, &s), 0);
}

/* The disk is done with what it was sent first. */
static uint64_t disk_goes_on(void)
{
	uint64_t ticket = w.order[w.answered++ % WORLD_ORDER];

	keeping_disk(w.k, STATE_SAVED, ticket, NULL);
	return ticket - 1;
}

static void guests_that_store_all_the_time_keep_no_other_from_the_disk(void **state)
{
	(void)state;
	w.crowd = true;
	for (uint64_t i = 0; i < CROWD; i++) {
		const struct state_record r = {.uuid = {{(uint8_t)(i + 1)}}, .lease_epoch = 3};

		assert_int_equal(keeping_hold(w.k, i + 1, &r), 0);
	}
	while (w.answered < w.saves)
		disk_goes_on();
	for (uint64_t i = 0; i < CROWD; i++)
		store_of(i);
	for (int i = 0; i < 4 * CROWD; i++) {
		uint64_t done = disk_goes_on();

		crowd.told[done]++;
		if (done < EAGER)
			store_of(done);
	}
	for (uint64_t i = 0; i < CROWD; i++)
		assert_true(crowd.told[i] > 0);
}

/* A stub domain need not wait for its answer: a hostile one has the next state there whenever one is on the disk. */
static void a_stub_domain_that_stores_without_waiting_keeps_no_other_from_the_disk(void **state)
{
	(void)state;
	w.crowd = true;
	for (uint64_t i = 0; i < CROWD; i++) {
		const struct state_record r = {.uuid = {{(uint8_t)(i + 1)}}, .lease_epoch = 3};

		crowd.told[i] = 0;
		assert_int_equal(keeping_hold(w.k, i + 1, &r), 0);
	}
	while (w.answered < w.saves)
		disk_goes_on();
	for (uint64_t i = 0; i < CROWD; i++)
		store_of(i);
	for (int i = 0; i < 4 * CROWD; i++) {
		for (uint64_t j = 0; j < EAGER; j++)
			store_of(j);
		crowd.told[disk_goes_on()]++;
	}
	for (uint64_t i = 0; i < CROWD; i++)
		assert_true(crowd.told[i] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST(a_lease_is_on_record_before_it_is_told),
		HOST(a_lease_that_cannot_be_recorded_is_told_so),
		HOST(durability_host_tells_when_the_disk_has_it_and_the_kmc_later),
		HOST(durability_host_does_not_need_the_kmc),
		KMC(durability_kmc_tells_when_the_kmc_has_it),
		HOST(a_failed_write_is_told_and_not_pushed),
		HOST(a_failed_write_does_not_lose_the_one_before),
		HOST(a_failed_write_forgets_no_stub_domain),
		HOST(a_failed_write_in_between_is_made_good_by_the_next),
		HOST(a_failed_write_of_what_the_disk_has_already_is_none),
		HOST(a_failed_write_of_what_is_written_again_is_not_told),
		HOST(a_newer_state_at_the_kmc_is_no_fencing),
		HOST(changes_in_flight_are_written_together),
		HOST(a_release_waits_for_the_last_state_and_drops_the_record_last),
		HOST(a_broken_link_makes_it_ask_again),
		HOST(what_the_kmc_refuses_all_the_time_is_logged_once),
		HOST(a_fenced_lease_is_told_and_never_released),
		HOST(a_busy_kmc_is_asked_again_later),
		HOST(a_lease_that_was_taken_over_needs_no_release),
		HOST(an_orphan_leaves_the_record_of_its_vtpm_alone),
		HOST(an_open_is_on_record_before_it_is_told),
		HOST(an_open_that_cannot_be_recorded_is_told_so),
		HOST(an_open_that_gave_no_lease_leaves_no_record),
		HOST(a_lease_that_nobody_wants_any_more_goes_back_before_its_record),
		HOST(an_open_of_an_earlier_run_is_asked_for_before_it_is_dropped),
		HOST(an_open_of_an_earlier_run_that_was_refused_is_dropped),
		HOST(a_found_record_is_claimed_by_its_guest_in_the_same_boot_only),
		HOST(what_waits_to_be_given_back_is_no_later_guests_of_that_number),
		HOST(what_nobody_claims_is_stored_and_given_back),
		HOST(what_can_not_be_read_is_left_alone_and_not_opened),
		HOST(a_vtpm_is_kept_once),
		HOST(guests_that_store_all_the_time_keep_no_other_from_the_disk),
		HOST(a_stub_domain_that_stores_without_waiting_keeps_no_other_from_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
