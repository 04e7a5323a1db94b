/* Opening vTPMs: the order of steps, keys that expire, links that break, and leases that nobody wants any more. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/error.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relaymsg.h"
#include "tests/unit/unit.h"

enum { TICKET = 7, OTHER = 8 };
#define KEY_ID "0123456789abcdef"
static const struct uuid vtpm = {{1, 2, 3}};
static uint8_t bytes[256];

/* --- what opening.c talks to: everything that it sends is noted --- */

static struct world {
	struct openings *o;
	bool up;
	unsigned int hurried, protects, opens, wraps, believes, forgets;
	uint64_t open_id, wrap_ticket, believe_ticket, forget_ticket;
	char key_id[17]; /* that the last open named */
	uint64_t reserved_image; /* that the last one named; 0: it was an open */
	unsigned int not_yet, again;
	size_t transient_size;
	unsigned int opened, refused, orphaned, ended, unattested, intends, undone;
	bool slow_disk; /* the test calls openings_intended() */
	int no_intent; /* what intending comes to */
	uint64_t told_ticket, told_epoch;
	char why[OPENING_WHY];
	uint8_t seed;
	size_t state_size;
	struct view origin; /* to open or reserve with */
	uint8_t believed[20], told_origin[20]; /* zeroes: there was none */
} w;

bool kmclink_is_up(const struct kmclink *k)
{
	(void)k;
	return w.up;
}

const char *kmclink_why(const struct kmclink *k)
{
	(void)k;
	return w.up ? "" : "KMC kmc:7443: Connection refused";
}

void kmclink_hurry(struct kmclink *k)
{
	(void)k;
	w.hurried++;
}

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	(void)k;
	if (!w.up)
		return E_STATE;
	if (type == KMC_PROTECT) {
		assert_int_equal(KMC_ID_KIND(id), KMC_ID_PROTECT);
		w.protects++;
	} else {
		const struct kmc_open *open = fields;

		assert_true(type == KMC_OPEN || type == KMC_RESERVE);
		w.reserved_image = type == KMC_RESERVE ? ((const struct kmc_reserve *)fields)->image : 0;
		assert_int_equal(KMC_ID_KIND(id), KMC_ID_OPEN);
		memcpy(w.key_id, open->key_id.p, 16);
		w.opens++;
		w.open_id = id;
	}
	return 0;
}

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	const struct tpm_believe *believe = fields;

	(void)l;
	if (type == TPM_WRAP) {
		w.wraps++;
		w.wrap_ticket = id;
	} else if (type == TPM_BELIEVE) {
		w.believes++;
		if (believe->origin.p)
			memcpy(w.believed, believe->origin.p, sizeof(w.believed));
		w.believe_ticket = id;
	} else {
		assert_int_equal(type, TPM_FORGET);
		w.forgets++;
		w.forget_ticket = id;
	}
}

static void on_opened(void *arg, uint64_t ticket, const struct opening_result *r)
{
	(void)arg;
	assert_true(uuid_equal(&r->uuid, &vtpm));
	assert_memory_equal(r->tenant.p, "pool", 4);
	w.opened++;
	w.told_ticket = ticket;
	w.told_epoch = r->lease_epoch;
	w.seed = r->seed.p[0];
	w.state_size = r->state.n;
	w.transient_size = r->transient.n;
	if (r->origin.p)
		memcpy(w.told_origin, r->origin.p, sizeof(w.told_origin));
}

static void on_refused(void *arg, uint64_t ticket, const char *why)
{
	(void)arg;
	w.refused++;
	w.told_ticket = ticket;
	snprintf(w.why, sizeof(w.why), "%s", why);
}

static void on_not_yet(void *arg, uint64_t ticket, const char *why)
{
	(void)arg, (void)why;
	w.not_yet++;
	w.told_ticket = ticket;
}

static void on_parked(void *arg)
{
	(void)arg;
	w.again++;
}

static void on_unattested(void *arg)
{
	(void)arg;
	w.unattested++;
}

static void on_orphaned(void *arg, const struct uuid *uuid, uint64_t lease_epoch, uint64_t state_version)
{
	(void)arg, (void)state_version;
	assert_true(uuid_equal(uuid, &vtpm));
	w.orphaned++;
	w.told_epoch = lease_epoch;
}

static void on_ended(void *arg, const struct uuid *uuid)
{
	(void)arg;
	assert_true(uuid_equal(uuid, &vtpm));
	w.ended++;
}

static int on_intend(void *arg, uint64_t ticket, const struct uuid *uuid)
{
	(void)arg, (void)ticket;
	assert_true(uuid_equal(uuid, &vtpm));
	w.intends++;
	return w.no_intent;
}

static void on_undone(void *arg, const struct uuid *uuid)
{
	(void)arg;
	assert_true(uuid_equal(uuid, &vtpm));
	w.undone++;
}

static int setup(void **state)
{
	static const struct opening_ops ops = {
		.opened = on_opened, .parked = on_parked, .not_yet = on_not_yet, .refused = on_refused, .unattested = on_unattested, .orphaned = on_orphaned, .ended = on_ended,
		.intend = on_intend, .undone = on_undone};

	(void)state;
	w = (struct world){.up = true};
	w.o = openings_new(NULL, NULL, &ops, NULL);
	if (!w.o)
		return -1;
	openings_up(w.o);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	openings_free(&w.o);
	return 0;
}

/* --- what the others answer --- */

static void kmc_gives_key(const char *key_id, uint64_t seconds)
{
	const struct kmc_protected m = {.key_id = view_of(key_id, 16), .modulus = view_of(bytes, 256), .exponent = 65537,
					.expires = (uint64_t)time(NULL) + seconds};

	openings_kmc(w.o, KMC_PROTECTED, KMC_ID(KMC_ID_PROTECT, 0), &m);
}

static void tpm_wraps(void)
{
	const struct tpm_wrapped m = {.cipher = view_of(bytes, 256)};

	openings_tpm(w.o, TPM_WRAPPED, w.wrap_ticket, &m);
	if (!w.slow_disk)
		openings_intended(w.o, &vtpm, NULL);
}

static void kmc_opens(uint64_t epoch)
{
	const struct kmc_opened m = {.tenant = view_text("pool"), .generation = 1, .lease_epoch = epoch, .reply = view_of(bytes, 256),
				     .state = view_of(bytes, 100), .state_version = 3, .origin = w.origin};

	openings_kmc(w.o, KMC_OPENED, w.open_id, &m);
}

static void kmc_refuses(enum kmc_refusal code, uint64_t id)
{
	const struct kmc_refused m = {.code = code, .reason = view_text("because")};

	openings_kmc(w.o, KMC_REFUSED, id, &m);
}

static void tpm_believes(void)
{
	static const uint8_t seed[32] = {42};
	const struct tpm_seed m = {.seed = view_of(seed, 32)};

	openings_tpm(w.o, TPM_SEED, w.believe_ticket, &m);
}

static void tpm_fails(uint64_t ticket)
{
	const struct relay_failed m = {.reason = view_text("host TPM: gone")};

	openings_tpm(w.o, TPM_FAILED, ticket, &m);
}

static void start(void)
{
	assert_int_equal(openings_start(w.o, TICKET, &vtpm), 0);
}

/* Up to the step in which the KMC has been asked. */
static void start_and_ask(void)
{
	start();
	kmc_gives_key(KEY_ID, 3600);
	tpm_wraps();
	assert_int_equal(w.opens, 1);
}

static void reserve_and_ask(void)
{
	static const uint8_t request[KMC_REQUEST_ID_SIZE] = {7};

	assert_int_equal(openings_reserve(w.o, TICKET, &vtpm, 11, request), 0);
	kmc_gives_key(KEY_ID, 3600);
	tpm_wraps();
	assert_int_equal(w.reserved_image, 11);
}

static void kmc_reserves(void)
{
	const struct kmc_reserved m = {.tenant = view_text("pool"), .generation = 1, .lease_epoch = 5, .reply = view_of(bytes, 256),
				       .state = view_of(bytes, 100), .volatile_state = view_of(bytes, 50), .state_version = 3,
				       .origin = w.origin};

	openings_kmc(w.o, KMC_RESERVED, w.open_id, &m);
}

/* --- the tests --- */

static void a_reservation_brings_transient_state_too(void **state)
{
	(void)state;
	reserve_and_ask();
	kmc_reserves();
	tpm_believes();
	assert_int_equal(w.opened, 1);
	assert_true(w.told_ticket == TICKET && w.told_epoch == 5 && w.state_size == 100 && w.transient_size == 50);
}

static void whose_keys_a_vtpm_has_is_bound_and_told(void **state)
{
	static const uint8_t origin[20] = {1, 2, [19] = 3}, none[20];

	for (int reserve = 0; reserve < 2; reserve++) {
		w.origin = view_of(origin, sizeof(origin));
		if (reserve)
			reserve_and_ask(), kmc_reserves();
		else
			start_and_ask(), kmc_opens(9);
		assert_memory_equal(w.believed, origin, sizeof(origin));
		tpm_believes();
		assert_int_equal(w.opened, 1);
		assert_memory_equal(w.told_origin, origin, sizeof(origin));
		teardown(state);
		setup(state);
	}
	start_and_ask();
	kmc_opens(9);
	tpm_believes();
	assert_memory_equal(w.believed, none, sizeof(none));
	assert_memory_equal(w.told_origin, none, sizeof(none));
}

/* Of a generation that there can't be. */
static void an_answer_that_does_not_say_whose_gives_its_lease_back(void **state)
{
	static const uint8_t origin[20] = {1, 2};

	(void)state;
	w.origin = view_of(origin, sizeof(origin));
	start_and_ask();
	kmc_opens(9);
	assert_int_equal(w.believes, 0);
	assert_true(w.forgets == 1 && w.orphaned == 1 && w.told_epoch == 9 && w.refused == 1);
	assert_non_null(strstr(w.why, "whose keys"));
}

static void a_reservation_that_comes_before_its_suspension_may_be_asked_for_again(void **state)
{
	(void)state;
	reserve_and_ask();
	kmc_refuses(KMC_REFUSED_IMAGE, w.open_id);
	assert_int_equal(w.not_yet, 1);
	assert_int_equal(w.refused, 0);
	assert_int_equal(w.forgets, 1);
	assert_false(openings_has(w.o, &vtpm));
}

static void an_abandoned_reservation_is_its_owners_to_give_back(void **state)
{
	(void)state;
	reserve_and_ask();
	openings_abandon(w.o, TICKET);
	assert_int_equal(w.forgets, 1);
	assert_false(openings_has(w.o, &vtpm));
	kmc_reserves();
	assert_int_equal(w.opened + w.orphaned + w.ended, 0);
}

static void an_open_is_not_answered_by_a_reservation(void **state)
{
	(void)state;
	start_and_ask();
	kmc_reserves();
	assert_int_equal(w.believes, 0);
}

static void an_open_goes_from_key_to_seed(void **state)
{
	(void)state;
	start();
	assert_int_equal(w.protects, 1);
	assert_int_equal(w.wraps, 0);
	kmc_gives_key(KEY_ID, 3600);
	assert_int_equal(w.wraps, 1);
	tpm_wraps();
	assert_string_equal(w.key_id, KEY_ID);
	assert_int_equal(KMC_ID_TICKET(w.open_id), TICKET);
	kmc_opens(9);
	assert_int_equal(w.believe_ticket, w.wrap_ticket);
	assert_int_equal(w.opened, 0);
	tpm_believes();
	assert_int_equal(w.opened, 1);
	assert_true(w.told_ticket == TICKET && w.told_epoch == 9 && w.seed == 42 && w.state_size == 100);
	assert_int_equal(w.orphaned + w.refused + w.forgets, 0);
}

static void many_opens_share_one_key(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(openings_start(w.o, 100 + i, &vtpm), 0);
	assert_int_equal(w.protects, 1);
	kmc_gives_key(KEY_ID, 3600);
	assert_int_equal(w.wraps, 50);
	assert_int_equal(w.protects, 1);
}

static void an_open_waits_until_the_host_is_attested(void **state)
{
	char why[OPENING_WHY];

	(void)state;
	openings_down(w.o); /* the link is up, the attestation under way */
	w.protects = 0;
	start();
	assert_int_equal(w.protects + w.wraps, 0);
	openings_why(w.o, TICKET, why);
	assert_string_equal(why, "this host's attestation at the KMC is not done");
	openings_up(w.o);
	assert_int_equal(w.protects, 1);
}

static void a_refusal_for_want_of_attestation_asks_for_one(void **state)
{
	(void)state;
	start_and_ask();
	kmc_refuses(KMC_REFUSED_ATTESTATION, w.open_id);
	assert_int_equal(w.unattested, 1);
	assert_int_equal(w.refused, 1);
	assert_string_equal(w.why, "the KMC refused (attestation): because");
}

static void there_is_an_end_to_opens_at_once(void **state)
{
	uint64_t n = 0;

	(void)state;
	while (n < 100000 && openings_start(w.o, 1000 + n, &vtpm) == 0)
		n++;
	assert_int_equal(n, 256);
	openings_abandon(w.o, 1000);
	assert_int_equal(openings_start(w.o, 5, &vtpm), 0);
}

static void an_open_waits_for_the_kmc(void **state)
{
	char why[OPENING_WHY];

	(void)state;
	openings_down(w.o);
	w.up = false;
	w.protects = 0;
	start();
	assert_int_equal(w.protects, 0);
	assert_int_equal(w.hurried, 1);
	openings_why(w.o, TICKET, why);
	assert_string_equal(why, "KMC kmc:7443: Connection refused");
	w.up = true;
	openings_up(w.o);
	kmc_gives_key(KEY_ID, 3600);
	assert_int_equal(w.wraps, 1);
	openings_why(w.o, TICKET, why);
	assert_string_equal(why, "the host TPM has not answered");
	tpm_wraps();
	openings_why(w.o, TICKET, why);
	assert_string_equal(why, "the KMC has not answered");
}

static void a_link_that_breaks_asks_again_with_a_new_envelope(void **state)
{
	uint64_t first;

	(void)state;
	start_and_ask();
	first = w.wrap_ticket;
	w.up = false;
	openings_down(w.o);
	assert_int_equal(w.forget_ticket, first);
	w.up = true;
	openings_up(w.o);
	assert_int_equal(w.wraps, 2);
	assert_true(w.wrap_ticket != first);
	tpm_wraps();
	kmc_opens(4);
	tpm_believes();
	assert_int_equal(w.opened, 1);
}

static void a_link_that_breaks_while_the_tpm_works_asks_again(void **state)
{
	(void)state;
	start();
	kmc_gives_key(KEY_ID, 3600);
	w.up = false;
	openings_down(w.o);
	tpm_wraps(); /* nobody to send it to */
	assert_int_equal(w.forgets, 1);
	assert_int_equal(w.opens, 0);
	w.up = true;
	openings_up(w.o);
	tpm_wraps();
	assert_int_equal(w.opens, 1);
}

static void a_key_that_is_about_to_expire_is_replaced(void **state)
{
	(void)state;
	start_and_ask();
	kmc_opens(1);
	tpm_believes();
	kmc_gives_key("a key that ends ", 10);
	start();
	assert_int_equal(w.protects, 2);
	kmc_gives_key("another key ....", 3600);
	tpm_wraps();
	assert_string_equal(w.key_id, "another key ....");
}

static void a_key_that_expired_on_the_way_is_replaced_once(void **state)
{
	(void)state;
	start_and_ask();
	kmc_refuses(KMC_REFUSED_KEY, w.open_id);
	assert_int_equal(w.refused, 0);
	assert_int_equal(w.protects, 2);
	kmc_gives_key(KEY_ID, 3600);
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_KEY, w.open_id);
	assert_int_equal(w.refused, 1);
	assert_string_equal(w.why, "the KMC refused (protection key): because");
}

static void clocks_that_differ_are_named(void **state)
{
	char why[OPENING_WHY];

	(void)state;
	start();
	kmc_gives_key(KEY_ID, 0);
	assert_int_equal(w.wraps, 0);
	openings_why(w.o, TICKET, why);
	assert_non_null(strstr(why, "compare the clocks"));
}

static void a_refusal_is_told_with_its_reason(void **state)
{
	(void)state;
	start_and_ask();
	kmc_refuses(KMC_REFUSED_HELD, w.open_id);
	assert_int_equal(w.refused, 1);
	assert_int_equal(w.told_ticket, TICKET);
	assert_string_equal(w.why, "the KMC refused (in use): because");
	assert_int_equal(w.forget_ticket, w.wrap_ticket); /* the response key goes */
	assert_int_equal(w.orphaned, 0);
}

static void without_a_key_all_that_wait_are_refused(void **state)
{
	(void)state;
	start();
	assert_int_equal(openings_start(w.o, OTHER, &vtpm), 0);
	kmc_refuses(KMC_REFUSED_UNKNOWN_HOST, KMC_ID(KMC_ID_PROTECT, 0));
	assert_int_equal(w.refused, 2);
	assert_string_equal(w.why, "the KMC gave no protection key (unknown host): because");
}

static void a_tpm_that_fails_before_the_kmc_was_asked_leaves_no_lease(void **state)
{
	(void)state;
	start();
	kmc_gives_key(KEY_ID, 3600);
	tpm_fails(w.wrap_ticket);
	assert_int_equal(w.refused, 1);
	assert_string_equal(w.why, "host TPM: gone");
	assert_int_equal(w.orphaned, 0);
}

static void a_reply_that_is_not_believed_gives_its_lease_back(void **state)
{
	(void)state;
	start_and_ask();
	kmc_opens(6);
	tpm_fails(w.believe_ticket);
	assert_int_equal(w.refused, 1);
	assert_int_equal(w.orphaned, 1);
	assert_int_equal(w.told_epoch, 6);
	assert_int_equal(w.opened, 0);
}

static void who_is_abandoned_before_the_kmc_was_asked_is_forgotten(void **state)
{
	(void)state;
	start();
	kmc_gives_key(KEY_ID, 3600);
	openings_abandon(w.o, TICKET);
	tpm_wraps();
	assert_int_equal(w.opens, 0);
	assert_int_equal(w.forget_ticket, w.wrap_ticket);
}

static void who_is_abandoned_afterwards_has_its_lease_given_back(void **state)
{
	(void)state;
	start_and_ask();
	openings_abandon(w.o, TICKET);
	kmc_opens(5);
	tpm_believes();
	assert_int_equal(w.opened, 0);
	assert_int_equal(w.orphaned, 1);
	assert_int_equal(w.told_epoch, 5);
}

/* The KMC may have opened before the link broke: only asking again tells. */
static void who_is_abandoned_while_the_link_is_broken_is_asked_for_again(void **state)
{
	(void)state;
	start_and_ask();
	w.up = false;
	openings_down(w.o);
	openings_abandon(w.o, TICKET);
	w.up = true;
	openings_up(w.o);
	tpm_wraps();
	kmc_opens(5);
	tpm_believes();
	assert_int_equal(w.opened, 0);
	assert_int_equal(w.orphaned, 1);
}

/* Two openings of one vTPM could pass each other: the next waits until what the first got is known. */
static void an_abandoned_opening_is_in_the_way_until_it_ends(void **state)
{
	const struct uuid other = {{9}};

	(void)state;
	start_and_ask();
	openings_abandon(w.o, TICKET);
	assert_true(openings_has(w.o, &vtpm));
	assert_false(openings_has(w.o, &other));
	kmc_refuses(KMC_REFUSED_HELD, w.open_id);
	assert_int_equal(w.refused, 0);
	assert_int_equal(w.ended, 1);
	assert_false(openings_has(w.o, &vtpm));
}

/* Return: after how many calls. */
static unsigned int ask_again(void)
{
	unsigned int wraps = w.wraps, calls = 0;

	for (; w.wraps == wraps && calls < 100; calls++)
		openings_again(w.o);
	return calls;
}

/* What the KMC did before the link broke nobody knows, and "busy" does not say. */
static void what_may_have_been_opened_is_asked_for_until_the_kmc_says(void **state)
{
	(void)state;
	start_and_ask();
	openings_down(w.o);
	openings_up(w.o);
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_BUSY, w.open_id);
	assert_int_equal(w.refused, 1);
	assert_true(openings_has(w.o, &vtpm));
	assert_int_equal(w.again, 1);
	ask_again();
	tpm_fails(w.wrap_ticket);
	ask_again();
	tpm_wraps();
	kmc_opens(5);
	tpm_believes();
	assert_int_equal(w.orphaned, 1);
	assert_int_equal(w.refused, 1);
	assert_false(openings_has(w.o, &vtpm));
}

static void an_open_is_asked_for_once_the_host_tpm_and_the_disk_are_done(void **state)
{
	(void)state;
	for (int disk_first = 0; disk_first < 2; disk_first++) {
		w.slow_disk = true;
		start();
		assert_int_equal(w.intends, 0); /* without a KMC it may be started from what is parked here */
		kmc_gives_key(KEY_ID, 3600);
		assert_true(w.intends == 1 && w.wraps == 1);
		if (disk_first)
			openings_intended(w.o, &vtpm, NULL);
		else
			tpm_wraps();
		assert_int_equal(w.opens, 0);
		if (disk_first)
			tpm_wraps();
		else
			openings_intended(w.o, &vtpm, NULL);
		assert_int_equal(w.opens, 1);
		openings_down(w.o);
		openings_up(w.o);
		tpm_wraps();
		assert_int_equal(w.opens, 2);
		assert_int_equal(w.intends, 1);
		kmc_opens(9);
		tpm_believes();
		assert_true(w.opened == 1 && w.undone == 0);
		teardown(state);
		setup(state);
	}
}

static void what_the_disk_does_not_take_is_not_asked_for(void **state)
{
	(void)state;
	w.slow_disk = true;
	start();
	kmc_gives_key(KEY_ID, 3600);
	tpm_wraps();
	openings_intended(w.o, &vtpm, "disk full");
	assert_true(w.opens == 0 && w.refused == 1 && w.forgets == 1 && w.undone == 1);
	assert_string_equal(w.why, "disk full");
	w.no_intent = E_NOMEM;
	start();
	assert_int_equal(w.refused, 2);
	assert_non_null(strstr(w.why, "can't put on record that it is opened"));
	assert_int_equal(w.undone, 1);
	assert_false(openings_has(w.o, &vtpm));
}

static void what_was_not_asked_for_is_undone_with_its_opening(void **state)
{
	(void)state;
	w.slow_disk = true;
	start();
	kmc_gives_key(KEY_ID, 3600);
	tpm_wraps();
	openings_abandon(w.o, TICKET);
	assert_true(w.undone == 1 && w.forgets == 1 && w.opens == 0);
	openings_intended(w.o, &vtpm, NULL); /* the disk has it after all */
	assert_int_equal(w.opens, 0);
}

/* Undone by what decides, and by nothing else. */
static void what_was_asked_for_stays_on_record_until_the_kmc_says(void **state)
{
	(void)state;
	start_and_ask();
	openings_down(w.o);
	openings_abandon(w.o, TICKET);
	openings_up(w.o);
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_BUSY, w.open_id);
	assert_int_equal(w.undone, 0);
	ask_again();
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_HELD, w.open_id);
	assert_true(w.undone == 1 && w.ended == 1);
	teardown(state);
	setup(state);
	start_and_ask();
	kmc_opens(6);
	tpm_fails(w.believe_ticket);
	assert_true(w.orphaned == 1 && w.undone == 0); /* who gives it back has its record */
}

static void what_an_earlier_relay_was_to_open_is_asked_for_and_given_back(void **state)
{
	(void)state;
	kmc_gives_key(KEY_ID, 3600);
	assert_int_equal(openings_settle(w.o, TICKET, &vtpm), 0);
	assert_true(openings_has(w.o, &vtpm));
	tpm_fails(w.wrap_ticket);
	ask_again();
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_INTERNAL, w.open_id);
	assert_true(openings_has(w.o, &vtpm));
	ask_again();
	tpm_wraps();
	kmc_opens(5);
	tpm_believes();
	assert_true(w.orphaned == 1 && w.told_epoch == 5 && w.undone == 0);
	assert_int_equal(w.opened + w.refused + w.intends, 0);
	assert_int_equal(openings_settle(w.o, TICKET, &vtpm), 0);
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_HELD, w.open_id);
	assert_true(w.undone == 1 && w.ended == 1);
}

/* It may never: each try costs the host's TPM and the KMC something. */
static void what_the_kmc_does_not_decide_is_asked_for_less_and_less_often(void **state)
{
	unsigned int calls = 0, told;

	(void)state;
	kmc_gives_key(KEY_ID, 3600);
	assert_int_equal(openings_settle(w.o, TICKET, &vtpm), 0);
	for (unsigned int tries = 0; tries < 10; tries++) {
		tpm_wraps();
		kmc_refuses(KMC_REFUSED_INTERNAL, w.open_id);
		told = w.again;
		calls += ask_again();
	}
	assert_true(calls > 150 && calls < 200);
	assert_int_equal(w.again - told, 31); /* told to call each time that it was not asked for yet */
	tpm_wraps();
	kmc_refuses(KMC_REFUSED_INTERNAL, w.open_id);
	openings_down(w.o);
	openings_up(w.o);
	calls = w.wraps;
	openings_again(w.o); /* another connection: at once */
	assert_int_equal(w.wraps, calls + 1);
}

static void answers_that_nobody_asked_for_change_nothing(void **state)
{
	(void)state;
	w.open_id = KMC_ID(KMC_ID_OPEN, 99);
	kmc_opens(1);
	kmc_refuses(KMC_REFUSED_HELD, w.open_id);
	start();
	w.open_id = KMC_ID(KMC_ID_OPEN, TICKET);
	kmc_opens(1); /* before it was asked */
	assert_int_equal(w.opened + w.refused + w.orphaned + w.believes, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reservation_brings_transient_state_too),
		TEST(whose_keys_a_vtpm_has_is_bound_and_told),
		TEST(an_answer_that_does_not_say_whose_gives_its_lease_back),
		TEST(a_reservation_that_comes_before_its_suspension_may_be_asked_for_again),
		TEST(an_abandoned_reservation_is_its_owners_to_give_back),
		TEST(an_open_is_not_answered_by_a_reservation),
		TEST(an_open_goes_from_key_to_seed),
		TEST(many_opens_share_one_key),
		TEST(an_open_waits_until_the_host_is_attested),
		TEST(a_refusal_for_want_of_attestation_asks_for_one),
		TEST(there_is_an_end_to_opens_at_once),
		TEST(an_open_waits_for_the_kmc),
		TEST(a_link_that_breaks_asks_again_with_a_new_envelope),
		TEST(a_link_that_breaks_while_the_tpm_works_asks_again),
		TEST(a_key_that_is_about_to_expire_is_replaced),
		TEST(a_key_that_expired_on_the_way_is_replaced_once),
		TEST(clocks_that_differ_are_named),
		TEST(a_refusal_is_told_with_its_reason),
		TEST(without_a_key_all_that_wait_are_refused),
		TEST(a_tpm_that_fails_before_the_kmc_was_asked_leaves_no_lease),
		TEST(a_reply_that_is_not_believed_gives_its_lease_back),
		TEST(what_may_have_been_opened_is_asked_for_until_the_kmc_says),
		TEST(who_is_abandoned_before_the_kmc_was_asked_is_forgotten),
		TEST(who_is_abandoned_afterwards_has_its_lease_given_back),
		TEST(who_is_abandoned_while_the_link_is_broken_is_asked_for_again),
		TEST(an_abandoned_opening_is_in_the_way_until_it_ends),
		TEST(an_open_is_asked_for_once_the_host_tpm_and_the_disk_are_done),
		TEST(what_the_disk_does_not_take_is_not_asked_for),
		TEST(what_was_not_asked_for_is_undone_with_its_opening),
		TEST(what_was_asked_for_stays_on_record_until_the_kmc_says),
		TEST(what_an_earlier_relay_was_to_open_is_asked_for_and_given_back),
		TEST(what_the_kmc_does_not_decide_is_asked_for_less_and_less_often),
		TEST(answers_that_nobody_asked_for_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
