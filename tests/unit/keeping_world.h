/* A host's kept leases with a disk and a KMC that are the test's: everything that they are sent is noted, and they say what the test wants. */
#ifndef TESTS_UNIT_KEEPING_WORLD_H
#define TESTS_UNIT_KEEPING_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "dom0-relay/keeping.h"
#include "dom0-relay/opening.h"
#include "tests/unit/unit.h"

enum { TICKET = 5, COMES_IN = 6 };

#define WORLD_ORDER 64
extern const struct uuid vtpm;

extern struct world {
	bool up;
	struct loop *loop;
	struct keeping *k;
	unsigned int parks, saves, drops, pushes, releases, verifies;
	uint64_t verified_epoch; /* asked about last */
	uint64_t saved_version, pushed_version;
	uint64_t told_version; /* what the owner heard last */
	int told;
	unsigned int stored, fenced, released, ended;
	unsigned int intended, not_intended, undecided; /* not_intended: the disk refused it */
	unsigned int moves, moved;
	enum kmc_type move_type; /* that was sent last */
	uint64_t move_image, move_epoch; /* in SUSPEND; as told */
	enum keeping_move move;
	struct state_record saved; /* without views */
	uint64_t place, dropped_place;
	bool crowd; /* tickets are any */
	uint64_t order[WORLD_ORDER]; /* tickets of the last SAVEs */
	unsigned int answered; /* of them, by a test that keeps count */
} w;

/* Setup and teardown, for each durability. */
int keeping_world_host(void **state);
int keeping_world_kmc(void **state);
int keeping_world_end(void **state);

#define HOST(t) cmocka_unit_test_setup_teardown(t, keeping_world_host, keeping_world_end)
#define KMC(t) cmocka_unit_test_setup_teardown(t, keeping_world_kmc, keeping_world_end)

/* What the relay does, with TICKET: it has a lease, stores a state, its guest sleeps. */
void hold(void);
void store(uint64_t version);
void freeze_it(uint64_t version, uint64_t image);

/* What the state process and the KMC answer. */
void disk_says(enum state_type type);
void kmc_stored(uint64_t version);
void kmc_refuses(enum kmc_id_kind kind, enum kmc_refusal code);
void kmc_released(void);
void kmc_verified(void);
void kmc_moved(enum kmc_type type, uint64_t lease_epoch);

#endif
