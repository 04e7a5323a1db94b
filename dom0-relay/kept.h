/*
 * One lease that this host keeps: its record, its errands, and which of them may go. keeping.h says what is wanted of it.
 *
 * Theory of operation: what is to be done at the disk and at the KMC is an errand, wanted, then sent, then done; kept_send() sends what may go, after
 * whatever changed. An entry that ends is cleared and may be another's from then on: nobody uses one after kept_send().
 */
#ifndef DOM0_RELAY_KEPT_H
#define DOM0_RELAY_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/uuid.h"
#include "dom0-relay/keeping_ops.h"
#include "dom0-relay/record_copy.h"
#include "dom0-relay/statemsg.h"

struct kmclink;
struct link;
struct source;

#define KEEPING_MAX 512

struct errand {
	bool wanted, sent;
	bool later; /* was refused for now: not before some time has passed */
	uint64_t version; /* that was sent */
};

struct kept {
	uint64_t ticket; /* 0: free */
	uint64_t place;	 /* of its record among those of its vTPM; STATE_PLACES: there is none left, and it is not to be saved */
	struct record_copy now;	   /* the newest */
	struct record_copy saving; /* on its way to the disk */
	struct record_copy safe;   /* as the disk has it, or would if it had taken what the KMC granted: what a failed save goes back to */
	uint64_t pushed;    /* newest version that the KMC confirmed */
	struct errand save, push, park, release, drop;
	struct errand verify;	 /* is it ours still; version: the lease's epoch */
	struct errand move;	 /* of move_type; the newest counts */
	enum kmc_type move_type;
	unsigned int move_answers; /* to come: all but the last are to moves that were overtaken */
	enum keeping_move tell;	 /* once the record is on the disk, if tells */
	bool tells;
	bool suspended;		 /* the KMC has what is frozen */
	bool leaving;		 /* nobody is served any more: after the move, the end */
	uint64_t base;	    /* version that came with the lease: nobody waits to hear that it is stored */
	bool intends; /* who opens it waits to hear that this is on record */
	bool fresh;   /* the record of the lease itself is not safe yet */
	uint64_t parked; /* 0, or which one it is, counted on: no guest, the lease is kept for a start without the KMC */
	bool closing; /* parked, and its owner was not told yet that it may go */
	bool on_disk; /* there is a record, or may be */
	bool unsaved; /* but it says something else of lease or guest: the disk refused it */
	bool found;  /* by an earlier run, and not claimed */
	bool fenced; /* the lease is another's: nothing more to tell the KMC */
	bool unreadable; /* nothing is known of it but that there is such a file */
	uint64_t refused; /* the KMC's last refusal that was logged; 0: none since it last agreed */
};

/* All of them. */
struct keeping {
	struct kmclink *kmc;
	struct link *disk;
	bool waits_for_kmc; /* durability: what is stored counts once the KMC has it, not the disk */
	const struct keeping_ops *ops;
	void *arg;
	struct source *retry, *verify;
	unsigned int saves; /* under way */
	size_t turn;	    /* behind whose save was the last to go: the others have theirs first */
	uint64_t parkings;
	bool parks;	    /* leases of guests that ended stay here, if there is a copy to start them from */
	struct kept table[KEEPING_MAX];
};

/** kept_add() - a fresh entry, with a place where no other record of its vTPM is, or NULL if there is no room or no memory; kept_clear() - free it; kept_end() - and tell the owner. */
struct kept *kept_add(struct keeping *k, uint64_t ticket, const struct state_record *r);
void kept_clear(struct kept *e);
void kept_end(struct keeping *k, struct kept *e);

/** kept_begin() - kept_add() for what is to be saved: 0, E_EXISTS (both places are taken) or E_NOMEM. */
int kept_begin(struct keeping *k, uint64_t ticket, const struct state_record *r, struct kept **out);

struct kept *kept_find(struct keeping *k, uint64_t ticket);
struct kept *kept_find_parked(struct keeping *k, const struct uuid *uuid);
bool kept_is_of(const struct kept *e, const struct uuid *uuid);

bool errand_is_idle(const struct errand *a);

/** errand_ask_again() - it was not answered; kept_ask_later() - or with "not now". */
void errand_ask_again(struct errand *a);
void kept_ask_later(struct keeping *k, struct errand *a);

/** kept_later() - kept_try_again() after some time. */
void kept_later(struct keeping *k);

/** kept_want_move() - SUSPEND, RESUME, COMMIT or CANCEL, instead of an earlier one. */
void kept_want_move(struct kept *e, enum kmc_type type);

/** kept_send() - send what may go now. */
void kept_send(struct keeping *k, struct kept *e);
void kept_send_all(struct keeping *k);

/** kept_try_again() - what was refused for now, too. */
void kept_try_again(struct keeping *k);

/** kept_verify_all() - ask of each lease whether it is ours still, now and every minute from now on. */
void kept_verify_all(struct keeping *k);

/** kept_give_up_lease() - it is nobody's of this host any more: tell the owner, and forget the record. */
void kept_give_up_lease(struct keeping *k, struct kept *e);

/** kept_leave() - give back what the record says that there is, or park it where the guest can be started from it. */
void kept_leave(struct keeping *k, struct kept *e);

/** kept_may_unpark() - what is parked is not being saved, or given back. */
bool kept_may_unpark(const struct kept *e);

/** kept_set_grace() - what a start without the KMC needs, copied; absent: there is to be none. 0, E_NOTFOUND (its record goes) or E_NOMEM. */
int kept_set_grace(struct keeping *k, struct kept *e, struct view grace);

/** kept_recall() - give back what is parked, once its copy is erased. False: there is no memory for that, all is as before. */
bool kept_recall(struct keeping *k, struct kept *e);

/** kept_make_room() - of too many that are parked, give back those that were parked the longest. */
void kept_make_room(struct keeping *k);

#endif
