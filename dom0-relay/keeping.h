/*
 * Leases that this host holds, from open to release, and what must survive: the newest sealed state and the fact
 * itself.
 *
 *   intend -> record on the disk -> OPEN   told `intended`, before the KMC is asked
 *   hold --> record on the disk            (state process), told `stored` with version 0
 *   store -> record on the disk -> KMC     told `stored` where the configured durability says: host or kmc
 *   release: last state to the KMC, lease back to the KMC, record off the disk, told `ended`
 *   freeze   -> record on the disk -> SUSPEND; resume -> RESUME; reserve -> record on the disk; commit -> COMMIT: told `moved`
 *   release of what is frozen: SUSPEND; of what is reserved: CANCEL; then as above
 *
 * All of it waits for the KMC as long as it takes, in that order, over restarts of the relay and of the host: a lease
 * is never opened again before its last state has arrived. Entries go by the guest's ticket.
 */
#ifndef DOM0_RELAY_KEEPING_H
#define DOM0_RELAY_KEEPING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/uuid.h"
#include "dom0-relay/keeping_ops.h"
#include "dom0-relay/statemsg.h"

struct keeping;
struct kmclink;
struct link;
struct loop;

enum durability { DURABILITY_HOST, DURABILITY_KMC };

/** keeping_new() - nothing is kept yet; @kmc and @disk stay the caller's. NULL if there is no memory. */
struct keeping *keeping_new(struct loop *loop, struct kmclink *kmc, struct link *disk, enum durability durability,
			    const struct keeping_ops *ops, void *arg);
void keeping_free(struct keeping **k);

/**
 * keeping_hold() - a lease is ours from now on, or a reservation may be (phase)
 *
 * @r may have the state that came with it. The record of the intent becomes its own; a lease that was parked is a guest's again. A reservation may
 * stand beside the lease of the guest that sleeps here and is to come in, as long as the KMC sees to it that one of both ends. 0, E_EXISTS (its vTPM
 * is kept already) or E_NOMEM.
 */
int keeping_hold(struct keeping *k, uint64_t ticket, const struct state_record *r);

/** keeping_serves() - note which stub domain serves it, for a relay that comes after this one. */
void keeping_serves(struct keeping *k, uint64_t ticket, unsigned int stub);

/** keeping_store() - the newest sealed state, copied; it replaces an older one that is still on its way. 0 or E_NOMEM. */
int keeping_store(struct keeping *k, uint64_t ticket, const struct handoff_store *store);

/** keeping_freeze() - the guest sleeps, and this is all of its TPM, for the image @image. 0 or an error. */
int keeping_freeze(struct keeping *k, uint64_t ticket, uint64_t image, const struct handoff_frozen *frozen);

/** keeping_resume() - it runs on, under the mark @image: ask for the lease. */
void keeping_resume(struct keeping *k, uint64_t ticket, uint64_t image);

/**
 * keeping_reserved() - the reservation of keeping_hold() brought the state of @r: it is on record with the lease that comes of it
 *
 * Return: 0 or E_NOMEM.
 */
int keeping_reserved(struct keeping *k, uint64_t ticket, const struct state_record *r);

/** keeping_commit() - it runs here: make the reservation @r of keeping_hold() a lease. */
void keeping_commit(struct keeping *k, uint64_t ticket);

/** keeping_release() - give the lease back, after what is still to be stored. */
void keeping_release(struct keeping *k, uint64_t ticket);

/** keeping_has() - is anything kept for @uuid but what goes by the ticket @but? Then it must not be opened yet. */
bool keeping_has(const struct keeping *k, const struct uuid *uuid, uint64_t but);

/* What is kept, for people. */
struct keeping_count {
	uint64_t leases;  /* entries */
	uint64_t waiting; /* of those whose newest state the KMC does not have */
};

void keeping_count(const struct keeping *k, struct keeping_count *c);

/* --- opens under way (keeping_intents.c) --- */

/**
 * keeping_intend() - the vTPM of @r, PHASE_OPENING, is to be opened, and ops->intended tells when that is on record
 *
 * What is parked of it can't be started from any more. Return: 0, E_EXISTS (it is being given back) or E_NOMEM. keeping_hold() follows, or one of the next two.
 */
int keeping_intend(struct keeping *k, uint64_t ticket, const struct state_record *r);

/** keeping_undone() - no lease came of that, and none can come any more: all is as before. */
void keeping_undone(struct keeping *k, const struct uuid *uuid);

/** keeping_orphan() - a lease came that nobody wants any more: give it back, or park it; @ticket: one that nobody has, if @uuid has no intent. 0 or E_NOMEM. */
int keeping_orphan(struct keeping *k, uint64_t ticket, const struct uuid *uuid, uint64_t lease_epoch, uint64_t state_version);

/* --- after a restart --- */

/** keeping_found() - @p stands in the state directory since an earlier run. 0 or E_NOMEM. */
int keeping_found(struct keeping *k, uint64_t ticket, const struct state_placed *p);

/**
 * keeping_is_unreadable() - is one of those of @uuid, and can't be read?
 *
 * It may have a state that was acknowledged and that the KMC does not have: its vTPM must not be opened here before somebody has looked.
 */
bool keeping_is_unreadable(const struct keeping *k, const struct uuid *uuid);

/**
 * keeping_claim() - the found record of a guest's device written since @boot, or NULL; it goes by *ticket from now on
 * @uuid: the vTPM's; nil: not known. Numbers come again: what waits to be given back may have those of another guest.
 */
const struct state_record *keeping_claim(struct keeping *k, uint64_t guest, uint64_t dev, const struct uuid *uuid, const struct uuid *boot, uint64_t *ticket);

/** keeping_served() - a claimed record is older than what serves: the KMC gave the lease @lease_epoch for it, and the disk did not take that. */
void keeping_served(struct keeping *k, uint64_t ticket, uint64_t lease_epoch);

/** keeping_settle() - what was found and not claimed belongs to guests that are gone: give it back, once ops->undecided was answered where an open is on record. */
void keeping_settle(struct keeping *k);

/* --- starting without the KMC (gracing.h) --- */

/**
 * keeping_park_leases() - from now on keeping_release() keeps leases for which keeping_grace() gave a copy and that have a state, and settling likewise
 *
 * So many that there is room for as many guests: beyond that the one that was parked the longest goes back.
 */
void keeping_park_leases(struct keeping *k);

/** keeping_grace() - what a later start needs instead of the KMC, copied: 0, E_NOTFOUND or E_NOMEM. */
int keeping_grace(struct keeping *k, uint64_t ticket, struct view grace);

/** keeping_parked() - the record of a parked lease with such a copy, until the next call of anything here; or NULL. */
const struct state_record *keeping_parked(struct keeping *k, const struct uuid *uuid);
bool keeping_has_parked(const struct keeping *k);

/** keeping_recall() - another host wants @uuid: the copy is erased, then the lease given back. Nothing happens while a guest runs. */
void keeping_recall(struct keeping *k, const struct uuid *uuid);

/** keeping_forget_grace() - this host is not to start anything by itself any more: erase all copies. */
void keeping_forget_grace(struct keeping *k);

/* --- answers (keeping_answers.c) --- */

/** keeping_up() - the KMC can be asked: send what waits, and ask of each lease, now and every minute, whether it is this host's still. */
void keeping_up(struct keeping *k);

/** keeping_down() - it can't any more: what was asked will be asked again. */
void keeping_down(struct keeping *k);

/** keeping_kmc() - an answer of the KMC to a message with KMC_ID_STORE, KMC_ID_RELEASE, KMC_ID_MOVE or KMC_ID_VERIFY. */
void keeping_kmc(struct keeping *k, enum kmc_type type, uint64_t id, const void *fields);

/** keeping_disk() - an answer of the state process to SAVE or DROP. */
void keeping_disk(struct keeping *k, uint64_t type, uint64_t id, const void *fields);

#endif
