/* Certificates for stub domains, the relay's side: one question at a time, patience, and an end of it. */
#include "dom0-relay/certifying.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/kmclink.h"
#include "tests/unit/unit.h"

static struct world {
	struct loop *loop;
	struct certifying *c;
	unsigned int asked, got;
	uint64_t epoch, got_ticket;
} w;

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	(void)k, (void)id;
	assert_int_equal(type, KMC_CERTIFY);
	w.epoch = ((const struct kmc_certify *)fields)->lease_epoch;
	w.asked++;
	return 0;
}

static void on_certificates(void *arg, uint64_t ticket, const struct handoff_certificates *c)
{
	(void)arg;
	assert_int_equal(c->rsa.n, 3);
	w.got_ticket = ticket;
	w.got++;
}

static int setup(void **state)
{
	(void)state;
	w = (struct world){.loop = loop_new()};
	w.c = certifying_new(w.loop, NULL, on_certificates, NULL);
	return w.c ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	certifying_free(&w.c);
	loop_free(&w.loop);
	return 0;
}

static void want(uint64_t ticket)
{
	const struct kmc_certify q = {.uuid = {{(uint8_t)ticket}}, .lease_epoch = ticket * 10, .endorsement_epoch = 1};

	certifying_want(w.c, ticket, &q);
}

static void answer(uint64_t later)
{
	const struct kmc_certified m = {.later = later, .rsa = view_text("rsa"), .ecc = view_text("ecc")};

	certifying_kmc(w.c, KMC_CERTIFIED, &m);
}

static void refuse(enum kmc_refusal code)
{
	const struct kmc_refused m = {.code = code, .reason = view_text("no")};

	certifying_kmc(w.c, KMC_REFUSED, &m);
}

static void nothing_is_asked_while_the_kmc_is_away(void **state)
{
	(void)state;
	want(1);
	assert_int_equal(w.asked, 0);
	certifying_up(w.c);
	assert_int_equal(w.asked, 1);
}

static void one_is_asked_for_at_a_time_and_gets_its_own(void **state)
{
	(void)state;
	certifying_up(w.c);
	want(1);
	want(2);
	assert_int_equal(w.asked, 1);
	assert_int_equal(w.epoch, 10);
	answer(0);
	assert_int_equal(w.got_ticket, 1);
	assert_int_equal(w.asked, 2);
	assert_int_equal(w.epoch, 20);
	answer(0);
	assert_int_equal(w.got_ticket, 2);
	assert_int_equal(w.asked, 2);
}

static void later_lets_others_go_first(void **state)
{
	(void)state;
	certifying_up(w.c);
	want(1);
	want(2);
	answer(60);
	assert_int_equal(w.got, 0);
	assert_int_equal(w.epoch, 20);
	answer(0);
	assert_int_equal(w.got_ticket, 2);
	assert_int_equal(w.asked, 2); /* the first one is not due yet */
}

static void a_broken_connection_asks_again(void **state)
{
	(void)state;
	certifying_up(w.c);
	want(1);
	certifying_down(w.c);
	certifying_up(w.c);
	assert_int_equal(w.asked, 2);
	answer(0);
	assert_int_equal(w.got, 1);
}

static void a_refusal_ends_it_and_trouble_does_not(void **state)
{
	(void)state;
	certifying_up(w.c);
	want(1);
	refuse(KMC_REFUSED_POLICY);
	want(2);
	refuse(KMC_REFUSED_INTERNAL);
	assert_int_equal(w.asked, 2);
	certifying_down(w.c);
	certifying_up(w.c);
	assert_int_equal(w.asked, 2); /* it is tried again after a while */
	want(2);
	assert_int_equal(w.asked, 3); /* or when it is asked for anew */
	answer(0);
	assert_int_equal(w.got_ticket, 2);
}

static void a_guest_that_went_gets_nothing(void **state)
{
	(void)state;
	certifying_up(w.c);
	want(1);
	certifying_forget(w.c, 1);
	answer(0);
	assert_int_equal(w.got, 0);
	want(2);
	assert_int_equal(w.asked, 2);
}

static void what_is_wanted_without_a_lease_waits_for_one(void **state)
{
	const struct kmc_certify reserved = {.uuid = {{1}}, .endorsement_epoch = 1};

	(void)state;
	certifying_up(w.c);
	certifying_want(w.c, 1, &reserved);
	assert_int_equal(w.asked, 0);
	certifying_lease(w.c, 1, 11);
	assert_int_equal(w.epoch, 11);
	refuse(KMC_REFUSED_EPOCH); /* its guest fell asleep */
	certifying_down(w.c);
	certifying_up(w.c);
	assert_int_equal(w.asked, 1);
	certifying_lease(w.c, 1, 12);
	certifying_lease(w.c, 1, 13); /* woken up twice before the answer came */
	refuse(KMC_REFUSED_EPOCH);
	assert_int_equal(w.asked, 3);
	assert_int_equal(w.epoch, 13);
	answer(0);
	assert_int_equal(w.got_ticket, 1);
	certifying_lease(w.c, 1, 14);
	assert_int_equal(w.asked, 3); /* it has what it wanted */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_asked_while_the_kmc_is_away), TEST(one_is_asked_for_at_a_time_and_gets_its_own),
		TEST(later_lets_others_go_first), TEST(a_broken_connection_asks_again),
		TEST(a_refusal_ends_it_and_trouble_does_not), TEST(a_guest_that_went_gets_nothing),
		TEST(what_is_wanted_without_a_lease_waits_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
