/* Who may open, write and give back a vTPM: each rule by itself, and all short histories against what must never happen. */
#include <stdio.h>
#include <string.h>

#include "kmc/lease.h"
#include "tests/unit/unit.h"

static struct lease held(const char *holder, uint64_t epoch)
{
	struct lease l = {.pool = "p", .epoch = epoch, .state_version = 5, .owner_epoch = 1, .endorsement_epoch = 1,
		.platform_epoch = 1};

	snprintf(l.holder, sizeof(l.holder), "%s", holder);
	if (!*holder)
		snprintf(l.last_holder, sizeof(l.last_holder), "a");
	return l;
}

static struct lease_request ask(enum lease_act act, const char *host, uint64_t epoch)
{
	return (struct lease_request){.act = act, .host = host, .pool = "p", .epoch = epoch, .version = 6, .owner_epoch = 1,
		.endorsement_epoch = 1,
				      .platform_epoch = 1};
}

static void is_refused(const struct lease *l, const struct lease_request *q, enum kmc_refusal code)
{
	const struct lease_verdict v = lease_decide(l, q);

	assert_int_equal(v.result, LEASE_REFUSED);
	assert_int_equal(v.code, code);
}

static void is(const struct lease *l, const struct lease_request *q, enum lease_result result)
{
	assert_int_equal(lease_decide(l, q).result, result);
}

static void an_unknown_vtpm_is_created_by_an_open_only(void **state)
{
	struct lease_request q = ask(LEASE_OPEN, "a", 0);

	(void)state;
	is(NULL, &q, LEASE_CREATE);
	q.act = LEASE_STORE;
	is_refused(NULL, &q, KMC_REFUSED_EPOCH);
	q.act = LEASE_RELEASE;
	is_refused(NULL, &q, KMC_REFUSED_EPOCH);
	q.act = LEASE_TAKEOVER;
	is_refused(NULL, &q, KMC_REFUSED_POLICY);
}

static void a_pool_may_ask_for_registration(void **state)
{
	struct lease_request q = ask(LEASE_OPEN, "a", 0);
	const struct lease registered = {.pool = "p"};

	(void)state;
	q.registered_only = true;
	is_refused(NULL, &q, KMC_REFUSED_POLICY);
	is(&registered, &q, LEASE_APPLY);
}

static void another_pool_may_do_nothing(void **state)
{
	static const enum lease_act acts[] = {LEASE_OPEN, LEASE_STORE, LEASE_RELEASE};
	const struct lease l = held("a", 3);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct lease_request q = ask(acts[i], "a", 3);

		q.pool = "q";
		is_refused(&l, &q, KMC_REFUSED_POLICY);
	}
}

static void an_open_makes_a_new_epoch(void **state)
{
	const struct lease_request q = ask(LEASE_OPEN, "a", 0);
	struct lease l = held("", 3);

	(void)state;
	is(&l, &q, LEASE_APPLY);
	lease_apply(&l, &q);
	assert_string_equal(l.holder, "a");
	assert_string_equal(l.last_holder, "");
	assert_int_equal(l.epoch, 4);
	assert_int_equal(l.state_version, 5);
}

static void the_holder_may_open_again_and_nobody_else(void **state)
{
	const struct lease_request mine = ask(LEASE_OPEN, "a", 0), other = ask(LEASE_OPEN, "b", 0);
	struct lease l = held("a", 3);

	(void)state;
	is_refused(&l, &other, KMC_REFUSED_HELD);
	is(&l, &mine, LEASE_APPLY);
	lease_apply(&l, &mine);
	assert_int_equal(l.epoch, 4);
}

static void epochs_do_not_wrap(void **state)
{
	const struct lease_request q = ask(LEASE_OPEN, "a", 0);
	const struct lease l = held("", INT64_MAX);

	(void)state;
	is_refused(&l, &q, KMC_REFUSED_INTERNAL);
}

static void only_the_present_epoch_of_the_holder_writes(void **state)
{
	const struct lease l = held("a", 3), nobody = held("", 3);
	struct lease_request q = ask(LEASE_STORE, "a", 3);

	(void)state;
	is(&l, &q, LEASE_APPLY);
	is_refused(&nobody, &q, KMC_REFUSED_EPOCH);
	q.epoch = 2;
	is_refused(&l, &q, KMC_REFUSED_EPOCH);
	q.epoch = 4;
	is_refused(&l, &q, KMC_REFUSED_EPOCH);
	q = ask(LEASE_STORE, "b", 3);
	is_refused(&l, &q, KMC_REFUSED_EPOCH);
}

static void a_version_must_grow(void **state)
{
	const struct lease l = held("a", 3);
	struct lease_request q = ask(LEASE_STORE, "a", 3);

	(void)state;
	q.version = 5;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q.version = 4;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q.version = 0;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q.version = 1000;
	is(&l, &q, LEASE_APPLY);
}

static void the_same_state_twice_is_one_store(void **state)
{
	const struct lease l = held("a", 3), fresh = {.pool = "p", .holder = "a", .epoch = 3};
	struct lease_request q = ask(LEASE_STORE, "a", 3);

	(void)state;
	q.version = 5;
	q.same_state = true;
	is(&l, &q, LEASE_ALREADY);
	q.owner_epoch = 2;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q = ask(LEASE_STORE, "a", 3);
	q.version = 0;
	q.same_state = true;
	q.owner_epoch = q.endorsement_epoch = q.platform_epoch = 0;
	is_refused(&fresh, &q, KMC_REFUSED_ROLLBACK);
}

static void the_hierarchies_epochs_do_not_go_back(void **state)
{
	const struct lease l = held("a", 3);
	struct lease_request q = ask(LEASE_STORE, "a", 3);

	(void)state;
	q.owner_epoch = 0;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q = ask(LEASE_STORE, "a", 3);
	q.endorsement_epoch = 0;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q = ask(LEASE_STORE, "a", 3);
	q.platform_epoch = 0;
	is_refused(&l, &q, KMC_REFUSED_ROLLBACK);
	q.platform_epoch = 7;
	is(&l, &q, LEASE_APPLY);
}

static void a_release_frees_and_may_be_repeated(void **state)
{
	const struct lease_request q = ask(LEASE_RELEASE, "a", 3), other = ask(LEASE_RELEASE, "b", 3);
	struct lease l = held("a", 3);

	(void)state;
	is_refused(&l, &other, KMC_REFUSED_EPOCH);
	is(&l, &q, LEASE_APPLY);
	lease_apply(&l, &q);
	assert_string_equal(l.holder, "");
	assert_string_equal(l.last_holder, "a");
	assert_int_equal(l.epoch, 3);
	is(&l, &q, LEASE_ALREADY);
	is_refused(&l, &other, KMC_REFUSED_EPOCH);
}

static void an_old_epoch_releases_nothing(void **state)
{
	const struct lease_request old = ask(LEASE_RELEASE, "a", 2), none = ask(LEASE_RELEASE, "a", 0);
	const struct lease l = held("a", 3), registered = {.pool = "p"};

	(void)state;
	is_refused(&l, &old, KMC_REFUSED_EPOCH);
	is_refused(&registered, &none, KMC_REFUSED_EPOCH);
}

static void a_takeover_shuts_the_holder_out(void **state)
{
	const struct lease_request take = {.act = LEASE_TAKEOVER}, store = ask(LEASE_STORE, "a", 3),
	       release = ask(LEASE_RELEASE, "a", 3),
				   open = ask(LEASE_OPEN, "b", 0);
	struct lease l = held("a", 3);

	(void)state;
	is(&l, &take, LEASE_APPLY);
	lease_apply(&l, &take);
	assert_int_equal(l.epoch, 4);
	assert_string_equal(l.last_holder, "a");
	is(&l, &take, LEASE_ALREADY);
	is_refused(&l, &store, KMC_REFUSED_EPOCH);
	is_refused(&l, &release, KMC_REFUSED_EPOCH);
	is(&l, &open, LEASE_APPLY);
}

static void a_recovery_is_as_a_takeover_of_every_lease(void **state)
{
	const struct lease_request open = ask(LEASE_OPEN, "b", 0);
	struct lease l = {.pool = "p", .epoch = lease_recovered(3)};

	(void)state;
	assert_true(l.epoch > UINT32_MAX && lease_recovered(l.epoch + 5) > l.epoch + 5);
	assert_true(lease_is_latest(&l, 3));
	assert_true(lease_is_latest(&l, 7)); /* given out after the backup */
	assert_false(lease_is_latest(&l, l.epoch));
	is(&l, &open, LEASE_APPLY);
	lease_apply(&l, &open);
	assert_false(lease_is_latest(&l, 7));
	assert_false(lease_is_latest(&l, l.epoch - 1)); /* it is held */
	l.epoch = lease_recovered(l.epoch);
	l.holder[0] = '\0';
	assert_false(lease_is_latest(&l, 7)); /* two recoveries ago: somebody may have had it between them */
}

/* Everything that two hosts with any epoch they may have seen can do in @depth steps. */
#define EPOCHS 4

/* NOLINTNEXTLINE(misc-no-recursion): @depth deep */
static void walk(const struct lease *l, int depth)
{
	static const char *const hosts[] = {"a", "b"};
	unsigned int writers = 0;

	for (size_t h = 0; h < 2; h++)
		for (uint64_t epoch = 0; epoch < EPOCHS + 4; epoch++) {
			struct lease_request q = ask(LEASE_STORE, hosts[h], epoch);

			q.version = l->state_version + 1;
			writers += lease_decide(l, &q).result == LEASE_APPLY;
		}
	assert_true(writers <= 1); /* never two */
	assert_int_equal(writers, l->holder[0] != '\0');
	if (depth == 0)
		return;
	for (size_t h = 0; h < 2; h++)
		for (enum lease_act act = LEASE_OPEN; act <= LEASE_TAKEOVER; act++)
			for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
				struct lease_request q = ask(act, hosts[h], epoch);
				struct lease next = *l;

				q.version = l->state_version + (epoch & 1);
				if (lease_decide(l, &q).result != LEASE_APPLY)
					continue;
				lease_apply(&next, &q);
				assert_true(next.epoch >= l->epoch && next.state_version >= l->state_version);
				if (strcmp(next.holder, l->holder) != 0 && next.holder[0])
					assert_true(next.epoch > l->epoch);
				if (l->holder[0] && next.holder[0] && strcmp(next.holder, l->holder) != 0)
					fail_msg("a lease went from host to host without an end");
				walk(&next, depth - 1);
			}
}

static void no_history_has_two_writers_or_goes_back(void **state)
{
	const struct lease fresh = {.pool = "p"};

	(void)state;
	walk(&fresh, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unknown_vtpm_is_created_by_an_open_only),
		cmocka_unit_test(a_pool_may_ask_for_registration),
		cmocka_unit_test(another_pool_may_do_nothing),
		cmocka_unit_test(an_open_makes_a_new_epoch),
		cmocka_unit_test(the_holder_may_open_again_and_nobody_else),
		cmocka_unit_test(epochs_do_not_wrap),
		cmocka_unit_test(only_the_present_epoch_of_the_holder_writes),
		cmocka_unit_test(a_version_must_grow),
		cmocka_unit_test(the_same_state_twice_is_one_store),
		cmocka_unit_test(the_hierarchies_epochs_do_not_go_back),
		cmocka_unit_test(a_release_frees_and_may_be_repeated),
		cmocka_unit_test(an_old_epoch_releases_nothing),
		cmocka_unit_test(a_takeover_shuts_the_holder_out),
		cmocka_unit_test(a_recovery_is_as_a_takeover_of_every_lease),
		cmocka_unit_test(no_history_has_two_writers_or_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
