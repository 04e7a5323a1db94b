/* Named backends: who gets which domain, that a name always goes to the next one, and what is tried again. */
#include "dom0-relay/named.h"

#include <stdio.h>
#include <string.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/handoff.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/spares.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"
#include "tests/unit/unit.h"

#define STUBS 100 /* domain numbers of the tests are below */

static const struct uuid one = {{1}}, two = {{2}};

static struct world {
	struct loop *loop;
	struct named *n;
	uint64_t last_ticket;
	char names[STUBS][XENSTORE_NAME_MAX + 1];
	struct uuid prepared[STUBS];
	char recorded[STUBS][XENSTORE_NAME_MAX + 1];
	unsigned int recorded_guest[STUBS];
	bool destroyed[STUBS], libxl_knows[STUBS], removed[STUBS], spare, calls;
	int state;
	unsigned int builds, checks, hurries, stays, kept, next_stub;
	uint64_t build_ticket, keep_ticket, rename_ticket, check_ticket;
	uint64_t parted, let_go;
	const struct stublink_ops *ops;
	void *ops_arg;
	char row_state[16], row_reason[NAMED_WHY];
	unsigned int row_stub, rows;
} w;

/* --- the world --- */

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	const struct builder_name *name = fields;
	const struct builder_destroy *destroy = fields;

	(void)l;
	if (type == BUILDER_BUILD) {
		w.builds++;
		w.build_ticket = id >> 2;
	} else if (type == BUILDER_NAME) {
		assert_true(name->domid > 0 && name->domid < STUBS && !w.destroyed[name->domid]);
		for (unsigned int i = 0; i < STUBS; i++)
			if (i != name->domid && strlen(w.names[i]) == name->name.n && memcmp(w.names[i], name->name.p, name->name.n) == 0)
				return; /* libxl refuses */
		assert_int_equal(view_copy_text(name->name, w.names[name->domid], sizeof(w.names[0])), 0);
		w.rename_ticket = id >> 2;
	} else if (type == BUILDER_DESTROY) {
		assert_false(w.destroyed[destroy->domid]);
		w.destroyed[destroy->domid] = true;
		w.names[destroy->domid][0] = '\0';
	} else if (type == BUILDER_KEEP) {
		w.kept++;
		w.keep_ticket = id >> 2;
	}
}

int kmclink_send(struct kmclink *k, enum kmc_type type, uint64_t id, const void *fields)
{
	(void)k, (void)fields;
	assert_int_equal(type, KMC_CHECK);
	w.checks++;
	w.check_ticket = KMC_ID_TICKET(id);
	return 0;
}

void kmclink_hurry(struct kmclink *k) { (void)k; w.hurries++; }

int xenstore_watch(struct xenstore *x, const char *path, const char *token)
{
	(void)x, (void)path, (void)token;
	return 0;
}

void xenstore_unwatch(struct xenstore *x, const char *path, const char *token) { (void)x, (void)path, (void)token; }

bool xenstore_has(struct xenstore *x, const char *path)
{
	(void)x, (void)path;
	return w.calls;
}

int xenstore_find_domain(struct xenstore *x, const char *name, unsigned int *domid)
{
	(void)x;
	for (*domid = 1; *domid < STUBS; (*domid)++)
		if (strcmp(w.names[*domid], name) == 0)
			return 0;
	return E_NOTFOUND;
}

bool xenstore_has_domain(struct xenstore *x, unsigned int domid)
{
	(void)x;
	return domid >= STUBS || !w.destroyed[domid];
}

int xenstore_prepare(struct xenstore *x, unsigned int stub, const struct uuid *uuid, const char *name)
{
	(void)x;
	w.prepared[stub] = *uuid;
	snprintf(w.recorded[stub], sizeof(w.recorded[0]), "%s", name);
	w.recorded_guest[stub] = 0;
	return 0;
}

int xenstore_prepared_for(struct xenstore *x, struct node_ids ids)
{
	(void)x;
	w.recorded_guest[ids.stub] = ids.guest;
	return 0;
}

void xenstore_unprepare(struct xenstore *x, unsigned int stub)
{
	(void)x;
	w.recorded[stub][0] = '\0';
}

void xenstore_each_prepared(struct xenstore *x, void (*fn)(void *arg, struct node_ids ids, const struct uuid *uuid, const char *name), void *arg)
{
	(void)x;
	for (unsigned int i = 1; i < STUBS; i++)
		if (w.recorded[i][0])
			fn(arg, (struct node_ids){.stub = i, .guest = w.recorded_guest[i]}, &w.prepared[i], w.recorded[i]);
}

int xenstore_named_state(struct xenstore *x, struct node_ids ids)
{
	(void)x;
	return w.libxl_knows[ids.stub] ? w.state : -1;
}

void xenstore_remove_backend(struct xenstore *x, struct node_ids ids)
{
	(void)x;
	w.removed[ids.stub] = true;
}

bool spares_take(struct spares *s, struct spare_taken *taken)
{
	(void)s;
	if (!w.spare)
		return false;
	w.spare = false;
	*taken = (struct spare_taken){.ticket = ++w.last_ticket, .stub = w.next_stub++, .link = (void *)&w, .ready = true};
	snprintf(w.names[taken->stub], sizeof(w.names[0]), "vtpm-spare-%u", taken->stub);
	return true;
}

void spares_fill(struct spares *s) { (void)s; }

struct channel *channel_vchan_client(unsigned int domid, const char *path)
{
	(void)domid, (void)path;
	return (void *)&w;
}

struct stublink *stublink_new(struct loop *loop, struct channel *channel, const struct stublink_ops *ops, void *arg)
{
	(void)loop, (void)channel;
	w.ops = ops;
	w.ops_arg = arg;
	return (void *)&w;
}

int stublink_send(struct stublink *l, enum handoff_type type, const void *fields)
{
	(void)l, (void)fields;
	assert_int_equal(type, HANDOFF_STAY);
	w.stays++;
	return 0;
}

void stublink_rebind(struct stublink *l, const struct stublink_ops *ops, void *arg)
{
	(void)l;
	w.ops = ops;
	w.ops_arg = arg;
}

void stublink_free(struct stublink **l) { *l = NULL; }

/* --- what the relay does --- */

static void on_parted(void *arg, uint64_t ticket)
{
	(void)arg;
	w.parted = ticket;
}

static void on_let_go(void *arg, struct node_ids ids)
{
	(void)arg;
	w.let_go = ids.guest;
}

static int setup(void **state)
{
	static const struct named_ops ops = {.parted = on_parted, .let_go = on_let_go};

	(void)state;
	w = (struct world){.loop = loop_new(), .next_stub = 10, .state = 5};
	w.n = named_new(w.loop, NULL, NULL, NULL, NULL, &w.last_ticket, &ops, NULL);
	return w.n ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	named_free(&w.n);
	loop_free(&w.loop);
	return 0;
}

static void on_stop(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

static void run_ms(uint64_t ms)
{
	struct source *stop = source_timer(w.loop, on_stop, w.loop);

	source_set_ms(stop, ms);
	assert_int_equal(loop_run(w.loop), 0);
	source_free(&stop);
}

static void on_row(void *arg, const struct named_row *row)
{
	(void)arg;
	w.rows++;
	w.row_stub = row->stub;
	snprintf(w.row_state, sizeof(w.row_state), "%s", row->state);
	snprintf(w.row_reason, sizeof(w.row_reason), "%s", row->reason);
}

static const char *listed(void)
{
	w.rows = 0;
	strcpy(w.row_state, "none");
	named_each(w.n, on_row, NULL);
	return w.row_state;
}

static void kmc_agrees(void)
{
	named_kmc(w.n, KMC_CHECKED, w.check_ticket, NULL);
}

/* A backend "alpha" for vTPM one, from a spare: domain 10. */
static void prepare(void)
{
	char why[NAMED_WHY];

	named_up(w.n);
	w.spare = true;
	assert_int_equal(named_prepare(w.n, &one, "alpha", why), 0);
	kmc_agrees();
	named_renamed(w.n, w.rename_ticket);
	assert_string_equal(listed(), "prepared");
	assert_int_equal(w.row_stub, 10);
	assert_string_equal(w.names[10], "alpha");
}

static const struct node_ids guest = {.guest = 5, .stub = 10};

static void take(void)
{
	struct spare_taken taken;

	assert_true(named_take(w.n, guest, 500, &taken));
	assert_int_equal(taken.stub, 10);
	assert_true(taken.ready);
	w.libxl_knows[10] = true;
}

/* --- the tests --- */

static void a_backend_is_prepared_once_the_kmc_agrees(void **state)
{
	char why[NAMED_WHY];

	(void)state;
	assert_int_equal(named_prepare(w.n, &one, "alpha", why), 0);
	assert_int_equal(w.checks, 0); /* it can't be asked yet */
	assert_string_equal(listed(), "preparing");
	assert_true(strstr(w.row_reason, "waits for the KMC"));
	for (int i = 0; i < 5; i++)
		named_down(w.n); /* each try that fails says so */
	assert_int_equal(w.hurries, 1); /* an order does not take the pauses from all tries after it */
	named_up(w.n);
	assert_int_equal(w.checks, 1);
	named_down(w.n); /* and the answer is lost */
	named_up(w.n);
	assert_int_equal(w.checks, 2);
	kmc_agrees();
	kmc_agrees(); /* an answer too many */
	assert_int_equal(w.builds, 1);
	assert_true(named_built(w.n, w.build_ticket, 20));
	assert_string_equal(w.recorded[20], "alpha");
	assert_string_equal(listed(), "preparing"); /* it has not called */
}

static void what_the_kmc_refuses_is_listed_and_may_be_tried_again(void **state)
{
	const struct kmc_refused no = {.code = KMC_REFUSED_POLICY, .reason = view_text("not registered")};
	char why[NAMED_WHY];

	(void)state;
	named_up(w.n);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(named_prepare(w.n, &one, "alpha", why), 0);
		named_kmc(w.n, KMC_REFUSED, w.check_ticket, &no);
		assert_string_equal(listed(), "refused");
		assert_true(strstr(w.row_reason, "not registered"));
		assert_int_equal(w.rows, 1);
	}
	assert_int_equal(w.builds, 0);
	assert_int_equal(named_allows(w.n, 0, &one, why), 0);
}

static void a_domain_that_cant_be_built_is_the_end_of_the_first_try(void **state)
{
	char why[NAMED_WHY];

	(void)state;
	named_up(w.n);
	assert_int_equal(named_prepare(w.n, &one, "alpha", why), 0);
	kmc_agrees();
	assert_true(named_failed(w.n, w.build_ticket, "no memory for the stub domain"));
	assert_string_equal(listed(), "refused");
	assert_string_equal(w.row_reason, "no memory for the stub domain");
	run_ms(600);
	assert_int_equal(w.builds, 1);
}

static void names_and_vtpms_that_clash_are_refused(void **state)
{
	static const char *const bad[] = {"", "7", "a b", "a,b", "a/b", "-a", "vtpm-x", "Domain-0", "a=b",
					  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	char why[NAMED_WHY];

	(void)state;
	prepare();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(named_prepare(w.n, &two, bad[i], why), E_ARG);
	assert_int_equal(named_prepare(w.n, &two, "alpha", why), E_EXISTS);
	assert_int_equal(named_prepare(w.n, &one, "beta", why), E_EXISTS);
	strcpy(w.names[50], "beta");
	assert_int_equal(named_prepare(w.n, &two, "beta", why), E_EXISTS);
	assert_true(strstr(why, "domain 50"));
}

static void a_guest_gets_what_is_prepared_for_it_and_nothing_else(void **state)
{
	char why[NAMED_WHY];

	(void)state;
	prepare();
	assert_int_equal(named_allows(w.n, 0, &one, why), E_DENIED);
	assert_int_equal(named_allows(w.n, 0, &two, why), 0);
	assert_int_equal(named_allows(w.n, 10, &two, why), E_DENIED);
	assert_int_equal(named_allows(w.n, 11, &one, why), E_DENIED);
	assert_int_equal(named_allows(w.n, 10, &one, why), 0);
	take();
	assert_int_equal(named_allows(w.n, 10, &one, why), E_DENIED);
	assert_string_equal(named_name(w.n, 500), "alpha");
	assert_string_equal(listed(), "none");
	assert_int_equal(named_unprepare(w.n, "alpha", why), E_BUSY);
	assert_int_equal(w.recorded_guest[10], 5);
}

static void the_next_domain_has_the_name_before_the_guest_parts_from_its_own(void **state)
{
	(void)state;
	prepare();
	take();
	named_leave(w.n, 500);
	named_leave(w.n, 500); /* once more does no harm */
	assert_string_equal(w.names[10], "vtpm-5-0");
	assert_int_equal(w.builds, 1);
	assert_false(named_retire(w.n, guest, 500, false));
	assert_string_equal(w.recorded[10], "alpha"); /* a relay that comes now finds the guest */
	assert_true(named_built(w.n, w.build_ticket, 11));
	assert_int_equal(w.parted, 0);
	named_renamed(w.n, w.rename_ticket);
	assert_int_equal(w.parted, 500);
	assert_string_equal(w.names[11], "alpha");
	assert_string_equal(w.recorded[11], "alpha");
	assert_string_equal(w.recorded[10], "");
	run_ms(700);
	assert_false(w.destroyed[10] || w.removed[10]); /* libxl waits below it for 6 */
	w.state = 6;
	for (int i = 0; i < 30 && !w.removed[10]; i++)
		run_ms(500);
	assert_true(w.removed[10]); /* then for the directory to go */
	assert_false(w.destroyed[10]);
	w.libxl_knows[10] = false;
	run_ms(1200);
	assert_true(w.destroyed[10]);
	assert_int_equal(w.let_go, 5);
}

static void a_guest_does_not_wait_for_a_domain_that_cant_be_had(void **state)
{
	(void)state;
	prepare();
	take();
	assert_false(named_retire(w.n, guest, 500, false));
	assert_true(named_failed(w.n, w.build_ticket, "no memory"));
	assert_int_equal(w.parted, 500);
	assert_string_equal(listed(), "preparing");
	assert_string_equal(w.row_reason, "no memory");
	for (int i = 0; i < 30 && w.builds < 2; i++)
		run_ms(500);
	assert_int_equal(w.builds, 2); /* it is tried again */
}

static void a_domain_that_dies_waiting_is_replaced(void **state)
{
	const struct builder_domain dead = {.domid = 10, .exists = 1, .shutdown = 4};

	(void)state;
	prepare();
	named_inspected(w.n, w.rename_ticket, &dead);
	assert_true(w.destroyed[10]);
	assert_string_equal(w.recorded[10], "alpha");
	w.destroyed[10] = false;
	assert_true(named_built(w.n, w.build_ticket, 10)); /* even by one with its number */
	assert_string_equal(w.recorded[10], "alpha");
}

static void one_that_is_ended_leaves_nothing(void **state)
{
	char why[NAMED_WHY];

	(void)state;
	prepare();
	assert_int_equal(named_unprepare(w.n, "beta", why), E_NOTFOUND);
	assert_int_equal(named_unprepare(w.n, "alpha", why), 0);
	assert_true(w.destroyed[10]);
	assert_string_equal(w.recorded[10], "");
	assert_string_equal(listed(), "none");
	assert_int_equal(named_prepare(w.n, &one, "alpha", why), 0);
	kmc_agrees();
	assert_int_equal(named_unprepare(w.n, "alpha", why), 0);
	assert_false(named_built(w.n, w.build_ticket, 12)); /* nobody's: the relay destroys it */
}

static void on_found(void *arg, struct node_ids ids)
{
	(void)arg;
	if (ids.guest == 5)
		named_kept(w.n, ids.stub, 500);
}

static void on_waiting(void *arg, unsigned int stub)
{
	*(unsigned int *)arg = stub;
}

static void the_next_relay_goes_on_with_what_was_prepared(void **state)
{
	unsigned int waiting = 0;
	char why[NAMED_WHY];

	(void)state;
	xenstore_prepare(NULL, 10, &one, "alpha"); /* serves guest 5 */
	w.recorded_guest[10] = 5;
	xenstore_prepare(NULL, 11, &two, "beta"); /* waits */
	xenstore_prepare(NULL, 12, &(struct uuid){{3}}, "gamma"); /* its guest is gone: it held a TPM */
	w.recorded_guest[12] = 6;
	xenstore_prepare(NULL, 13, &one, "alpha"); /* the relay ended while the name went from one to the other */
	named_found(w.n, on_found, NULL);
	assert_string_equal(w.recorded[13], "");
	assert_string_equal(named_name(w.n, 500), "alpha");
	named_settle(w.n, on_waiting, &waiting);
	assert_int_equal(waiting, 11);
	assert_int_equal(w.kept, 1);
	assert_int_equal(w.builds, 1); /* for gamma */
	assert_false(w.destroyed[12]); /* it is the builder's to sweep */
	assert_int_equal(named_allows(w.n, 12, &(struct uuid){{3}}, why), E_DENIED);
	assert_int_equal(named_allows(w.n, 11, &two, why), 0);
}

static void what_an_earlier_relay_made_is_not_ended_before_it_is_ours_to_destroy(void **state)
{
	unsigned int waiting = 0;
	char why[NAMED_WHY];

	(void)state;
	xenstore_prepare(NULL, 11, &two, "beta");
	named_found(w.n, on_found, NULL);
	named_settle(w.n, on_waiting, &waiting);
	assert_int_equal(named_unprepare(w.n, "beta", why), E_BUSY);
	assert_string_equal(w.recorded[11], "beta");
	assert_true(named_builder_kept(w.n, w.keep_ticket));
	assert_int_equal(named_unprepare(w.n, "beta", why), 0);
	assert_true(w.destroyed[11]);
}

/* Domain 11, of an earlier relay: the builder was asked to keep it, and before it answers the domain says what it must not. */
static void give_up_before_it_is_kept(void)
{
	const struct handoff_hello hello = {.vtpm = view_text("0123456789abcdef")};
	unsigned int waiting = 0;

	strcpy(w.names[11], "beta");
	xenstore_prepare(NULL, 11, &two, "beta");
	named_found(w.n, on_found, NULL);
	named_settle(w.n, on_waiting, &waiting);
	assert_int_equal(waiting, 11);
	w.calls = true;
	named_meet(w.n);
	assert_non_null(w.ops);
	w.ops->message(w.ops_arg, HANDOFF_HELLO, &hello);
	assert_string_equal(listed(), "preparing");
	assert_int_equal(w.row_stub, 0);
	assert_false(w.destroyed[11]); /* it may be gone, and the number be another's */
}

static void what_is_given_up_before_the_builder_keeps_it_is_destroyed_then(void **state)
{
	(void)state;
	give_up_before_it_is_kept();
	assert_true(named_builder_kept(w.n, w.keep_ticket)); /* domain 0 gets no name: see link_send() */
	assert_true(w.destroyed[11]);
	assert_string_equal(w.names[11], ""); /* the name is free for the next one */
	assert_string_equal(w.recorded[11], "beta"); /* a relay that comes now has that built */
}

static void what_is_unprepared_before_the_builder_keeps_it_is_destroyed_then(void **state)
{
	char why[NAMED_WHY];

	(void)state;
	give_up_before_it_is_kept();
	assert_int_equal(named_unprepare(w.n, "beta", why), 0);
	assert_string_equal(w.recorded[11], "");
	assert_true(named_builder_kept(w.n, w.keep_ticket));
	assert_true(w.destroyed[11]);
	assert_false(named_builder_kept(w.n, w.keep_ticket));
}

static void what_is_given_up_and_was_gone_is_not_destroyed(void **state)
{
	(void)state;
	give_up_before_it_is_kept();
	assert_true(named_failed(w.n, w.keep_ticket, "its stub domain is gone"));
	assert_false(w.destroyed[11]);
	assert_false(named_builder_kept(w.n, 0));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_backend_is_prepared_once_the_kmc_agrees), TEST(what_the_kmc_refuses_is_listed_and_may_be_tried_again),
		TEST(a_domain_that_cant_be_built_is_the_end_of_the_first_try), TEST(names_and_vtpms_that_clash_are_refused),
		TEST(a_guest_gets_what_is_prepared_for_it_and_nothing_else),
		TEST(the_next_domain_has_the_name_before_the_guest_parts_from_its_own), TEST(a_guest_does_not_wait_for_a_domain_that_cant_be_had),
		TEST(a_domain_that_dies_waiting_is_replaced), TEST(one_that_is_ended_leaves_nothing),
		TEST(the_next_relay_goes_on_with_what_was_prepared), TEST(what_an_earlier_relay_made_is_not_ended_before_it_is_ours_to_destroy),
		TEST(what_is_given_up_before_the_builder_keeps_it_is_destroyed_then),
		TEST(what_is_unprepared_before_the_builder_keeps_it_is_destroyed_then), TEST(what_is_given_up_and_was_gone_is_not_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
