/* A host's kept leases with a disk and a KMC that are the test's. */
#include "tests/unit/keeping_world.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "dom0-relay/kmclink.h"

const struct uuid vtpm = {{1, 2, 3}};

/* --- what keeping.c talks to: everything that it sends is noted --- */

struct world w;

void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields)
{
	(void)l;
	assert_true(w.crowd || id == TICKET || id == COMES_IN);
	if (type == STATE_SAVE) {
		const struct state_placed *p = fields;

		w.order[w.saves++ % WORLD_ORDER] = id;
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
	assert_true(w.crowd || KMC_ID_TICKET(id) == TICKET || KMC_ID_TICKET(id) == COMES_IN);
	if (type == KMC_STORE) {
		w.pushes++;
		w.pushed_version = ((const struct kmc_store *)fields)->version;
	} else if (type == KMC_PARK) {
		w.parks++;
	} else if (type == KMC_RELEASE) {
		w.releases++;
	} else if (type == KMC_VERIFY) {
		w.verifies++;
		w.verified_epoch = ((const struct kmc_verify *)fields)->lease_epoch;
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
	assert_true(w.crowd || uuid_equal(uuid, &vtpm));
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

static void on_intended(void *arg, const struct uuid *uuid, const char *why)
{
	(void)arg;
	assert_true(uuid_equal(uuid, &vtpm));
	w.intended += !why;
	w.not_intended += why != NULL;
}

static void on_undecided(void *arg, uint64_t ticket, const struct uuid *uuid)
{
	(void)arg;
	assert_true(ticket == TICKET && uuid_equal(uuid, &vtpm));
	w.undecided++;
}

static const struct keeping_ops ops = {.moved = on_moved, .stored = on_stored, .fenced = on_fenced, .released = on_released, .ended = on_ended,
				       .intended = on_intended, .undecided = on_undecided};

static void begin(enum durability durability)
{
	w = (struct world){.up = true};
	w.loop = loop_new();
	w.k = keeping_new(w.loop, NULL, NULL, durability, &ops, NULL);
	assert_non_null(w.k);
}

int keeping_world_host(void **state)
{
	(void)state;
	begin(DURABILITY_HOST);
	return 0;
}

int keeping_world_kmc(void **state)
{
	(void)state;
	begin(DURABILITY_KMC);
	return 0;
}

int keeping_world_end(void **state)
{
	(void)state;
	keeping_free(&w.k);
	loop_free(&w.loop);
	return 0;
}

void hold(void)
{
	const struct state_record r = {.uuid = vtpm, .lease_epoch = 3};

	assert_int_equal(keeping_hold(w.k, TICKET, &r), 0);
}

void store(uint64_t version)
{
	const struct handoff_store s = {.version = version, .state = view_text("sealed")};

	assert_int_equal(keeping_store(w.k, TICKET, &s), 0);
}

void disk_says(enum state_type type)
{
	const struct state_failed failed = {.reason = view_text("disk full")};

	keeping_disk(w.k, type, TICKET, type == STATE_FAILED ? &failed : NULL);
}

void kmc_stored(uint64_t version)
{
	const struct kmc_stored s = {.version = version};

	keeping_kmc(w.k, KMC_STORED, KMC_ID(KMC_ID_STORE, TICKET), &s);
}

void kmc_refuses(enum kmc_id_kind kind, enum kmc_refusal code)
{
	const struct kmc_refused s = {.code = code, .reason = view_text("because")};

	keeping_kmc(w.k, KMC_REFUSED, KMC_ID(kind, TICKET), &s);
}

void kmc_released(void)
{
	keeping_kmc(w.k, KMC_RELEASED, KMC_ID(KMC_ID_RELEASE, TICKET), NULL);
}

void kmc_verified(void)
{
	keeping_kmc(w.k, KMC_VERIFIED, KMC_ID(KMC_ID_VERIFY, TICKET), NULL);
}

void freeze_it(uint64_t version, uint64_t image)
{
	const struct handoff_frozen f = {.version = version, .state = view_text("sealed"), .transient = view_text("pcrs")};

	assert_int_equal(keeping_freeze(w.k, TICKET, image, &f), 0);
}

void kmc_moved(enum kmc_type type, uint64_t lease_epoch)
{
	const struct kmc_suspended suspended = {.lease_epoch = lease_epoch};
	const struct kmc_resumed resumed = {.lease_epoch = lease_epoch};
	const struct kmc_committed committed = {.lease_epoch = lease_epoch};
	const void *fields = type == KMC_SUSPENDED ? (const void *)&suspended : type == KMC_RESUMED ? (const void *)&resumed : &committed;

	keeping_kmc(w.k, type, KMC_ID(KMC_ID_MOVE, TICKET), fields);
}
