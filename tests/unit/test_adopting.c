/* A device that an earlier relay served: this one goes on with it, or gives its lease back. And one that comes again. */
#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/named.h"
#include "dom0-relay/noting.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"
#include "tests/unit/unit.h"

enum { TICKET = 7777, GUEST = 5, STUB = 9 };

static const struct uuid vtpm = {{1}};
static struct relay relay;
static bool has_record, unreadable;
static uint64_t released;
static unsigned int keeps, opens;
static int control_state;

/* --- the world --- */

const struct state_record *keeping_claim(struct keeping *k, uint64_t guest, uint64_t dev, const struct uuid *uuid, const struct uuid *boot, uint64_t *ticket)
{
	static const struct state_record record = {.uuid = {{1}}, .guest = GUEST, .stub = STUB, .lease_epoch = 3, .phase = PHASE_SERVING};

	(void)k, (void)boot;
	assert_true(uuid_equal(uuid, &vtpm));
	if (!has_record || guest != GUEST || dev != 0)
		return NULL;
	has_record = false;
	*ticket = TICKET;
	return &record;
}

void keeping_release(struct keeping *k, uint64_t ticket)
{
	(void)k;
	assert_int_equal(released, 0);
	released = ticket;
}

void relay_keep_stub(struct guest *g)
{
	assert_int_equal(g->ids.stub, STUB);
	keeps++;
}

void relay_identify(struct guest *g) { assert_int_equal(g->ids.guest, GUEST); }
void relay_watch_sleep(struct guest *g) { (void)g; }
void noting_state(struct link *disk, const struct guest *g, enum guest_state before) { (void)disk, (void)g, (void)before; }

/* What adopting must not do. */
#define NEVER(f) void f(struct guest *g) { (void)g; fail_msg(#f); }
NEVER(relay_build)
NEVER(relay_close_stub)
NEVER(relay_commit)
NEVER(relay_destroy_stub)
NEVER(relay_freeze)
NEVER(relay_hand_off)
NEVER(relay_look)
NEVER(relay_mark)
NEVER(relay_meet_stub)
NEVER(relay_rebuild)
NEVER(relay_reserve)
NEVER(relay_resume)
NEVER(relay_serve)
NEVER(relay_stand_in)
NEVER(relay_thaw)

void relay_on_look(void *arg, unsigned int what) { (void)arg, (void)what; fail_msg("relay_on_look"); }
bool keeping_has(const struct keeping *k, const struct uuid *uuid, uint64_t but) { (void)k, (void)uuid, (void)but; return false; }
bool keeping_is_unreadable(const struct keeping *k, const struct uuid *uuid) { (void)k, (void)uuid; return unreadable; }
int keeping_reserved(struct keeping *k, uint64_t ticket, const struct state_record *r) { (void)k, (void)ticket, (void)r; return E_NOMEM; }
int keeping_hold(struct keeping *k, uint64_t ticket, const struct state_record *r) { (void)k, (void)ticket, (void)r; return E_NOMEM; }
const char *kmclink_why(const struct kmclink *k) { (void)k; return ""; }
void named_kept(struct named *n, unsigned int stub, uint64_t ticket) { (void)n, (void)stub, (void)ticket; fail_msg("named_kept"); }
void named_leave(struct named *n, uint64_t ticket) { (void)n, (void)ticket; }
void noting(struct link *disk, const struct guest *g, enum history_event event, const char *detail) { (void)disk, (void)g, (void)event, (void)detail; }
void openings_abandon(struct openings *o, uint64_t ticket) { (void)o, (void)ticket; }
bool openings_has(const struct openings *o, const struct uuid *uuid) { (void)o, (void)uuid; return false; }
int openings_start(struct openings *o, uint64_t ticket, const struct uuid *uuid) { (void)o, (void)ticket, (void)uuid; opens++; return 0; }
int keeping_orphan(struct keeping *k, uint64_t ticket, const struct uuid *uuid, uint64_t lease_epoch, uint64_t state_version) { (void)k, (void)ticket, (void)uuid, (void)lease_epoch, (void)state_version; return E_NOMEM; }
void openings_why(const struct openings *o, uint64_t ticket, char why[OPENING_WHY]) { (void)o, (void)ticket; why[0] = '\0'; }
int xenstore_read_state(struct xenstore *x, const char *path) { (void)x, (void)path; return control_state; }
int xenstore_refuse(struct xenstore *x, struct node_ids ids) { (void)x, (void)ids; return 0; }
int xenstore_answer(struct xenstore *x, enum node node, struct node_ids ids, int state) { (void)x, (void)node, (void)ids, (void)state; return 0; }
int xenstore_read_uuid(struct xenstore *x, const char *path, struct uuid *uuid) { (void)x, (void)path; *uuid = vtpm; return 0; }
void stublink_free(struct stublink **l) { *l = NULL; }

int named_allows(const struct named *n, unsigned int backend, const struct uuid *uuid, char why[NAMED_WHY])
{
	(void)n, (void)backend, (void)uuid;
	why[0] = '\0';
	return 0;
}

/* --- the tests --- */

static const struct node_ids device = {.guest = GUEST};

static int setup(void **state)
{
	(void)state;
	memset(&relay, 0, sizeof(relay));
	relay.loop = loop_new();
	has_record = true;
	unreadable = false;
	released = keeps = opens = 0;
	control_state = -1;
	return relay.loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (relay.guests.table[i].ticket)
			guests_drop(&relay.guests.table[i]);
	loop_free(&relay.loop);
	return 0;
}

/* xl vtpm-attach, refused, and at once again. */
static void a_device_that_comes_again_before_the_end_of_the_one_before_is_requested(void **state)
{
	struct guest *g;
	uint64_t first;

	(void)state;
	relay_request(&relay, device);
	g = guests_find(&relay.guests, device);
	assert_non_null(g);
	first = g->ticket;
	relay_fail(g, GEV_BROKEN, "no luck");
	assert_int_equal(g->machine.state, GUEST_FAILED);
	control_state = 1;
	relay_event(g, GEV_CLOSE);
	g = guests_find(&relay.guests, device);
	assert_non_null(g);
	assert_int_not_equal(g->ticket, first);
	assert_int_equal(g->machine.state, GUEST_PREPARING);
	control_state = -1;
	relay_fail(g, GEV_BROKEN, "no luck again");
	relay_event(g, GEV_CLOSE);
	assert_null(guests_find(&relay.guests, device));
}

/* All places but @left are other guests'. */
static void fill(unsigned int left)
{
	for (unsigned int i = left; i < GUESTS_MAX; i++)
		assert_non_null(guests_add(&relay.guests, (struct node_ids){.guest = 1000 + i}));
}

static void what_an_earlier_relay_served_is_gone_on_with(void **state)
{
	struct guest *g;

	(void)state;
	fill(1);
	g = relay_adopt(&relay, device);
	assert_non_null(g);
	assert_int_equal(g->ticket, TICKET);
	assert_int_equal(g->ids.stub, STUB);
	assert_int_equal(g->machine.state, GUEST_ADOPTING);
	assert_int_equal(keeps, 1);
	assert_int_equal(released, 0);
}

static void a_device_without_record_is_nobodys(void **state)
{
	(void)state;
	has_record = false;
	fill(1);
	assert_null(relay_adopt(&relay, device));
	assert_int_equal(released, 0);
	assert_int_equal(keeps, 0);
}

static void a_lease_that_finds_no_place_is_given_back(void **state)
{
	(void)state;
	fill(0);
	assert_null(relay_adopt(&relay, device));
	assert_int_equal(released, TICKET);
	assert_int_equal(keeps, 0);
	assert_null(relay_adopt(&relay, device)); /* asked once more: it is not there any more */
}

static void on_nothing(void *arg, unsigned int what)
{
	(void)arg, (void)what;
}

/* A start without the KMC was refused while its last state was still on its way: when that has arrived, nobody asks for the guest any more. */
static void what_has_failed_is_not_opened(void **state)
{
	struct guest *g = guests_add(&relay.guests, device);

	(void)state;
	g->relay = &relay;
	g->open_waits = true;
	g->machine = (struct guest_machine){.state = GUEST_PREPARING, .open_pending = true};
	relay_retry_open(&relay, &g->uuid);
	assert_int_equal(opens, 1);
	g->open_waits = true;
	g->machine = (struct guest_machine){.state = GUEST_FAILED};
	relay_retry_open(&relay, &g->uuid);
	assert_int_equal(opens, 1);
}

/* It may have what the guest was told is safe, and the KMC an older state: with that it must not be started. */
static void what_has_a_record_that_can_not_be_read_is_refused(void **state)
{
	const struct builder_domain d = {.paused = true, .incarnation = 1};
	struct guest *g = guests_add(&relay.guests, device);

	(void)state;
	g->relay = &relay;
	g->uuid = vtpm;
	g->machine = (struct guest_machine){.state = GUEST_PREPARING};
	g->deadline = source_timer(relay.loop, on_nothing, NULL);
	unreadable = true;
	relay_identified(g, &d);
	assert_int_equal(g->machine.state, GUEST_FAILED);
	assert_non_null(strstr(g->reason, "can't be read"));
	assert_int_equal(opens, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_an_earlier_relay_served_is_gone_on_with),
		TEST(a_device_without_record_is_nobodys),
		TEST(a_lease_that_finds_no_place_is_given_back),
		TEST(a_device_that_comes_again_before_the_end_of_the_one_before_is_requested),
		TEST(what_has_failed_is_not_opened),
		TEST(what_has_a_record_that_can_not_be_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
