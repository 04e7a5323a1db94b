/*
 * Leases: one vTPM, two hosts, one KMC, and everything between them breaks.
 *
 * Theory of operation: each host is its guest, its stub domain, its relay's memory and its relay's record on disk; the KMC is one
 * row of its database. Each step below is atomic and leaves what is durable durable, so a crash between two steps is a restart that
 * comes there. What the KMC decides is generated from lease.table; what the relay does follows dom0-relay/keeping.c (disk before
 * KMC, state before release, release before drop) and opening.c.
 *
 * A connection carries one request at a time, in order. Sending a request, its execution and its answer are one step here: what a
 * host does between sending and being answered touches nothing of the KMC's, so it could as well have done it before or after. Or
 * the connection breaks under the request: nobody hears an answer, and the request stays in `stale`, to be executed later or never, in
 * any order with what the host's next connection carries. That covers loss, repetition, reordering between connections, and a
 * restart of the KMC, which is a break for both hosts: it remembers what it committed.
 *
 * Left out: seeds and cryptography, pools, hierarchies' epochs (the table has them), other vTPMs, time. A version stands for the
 * sealed state of that version; `acked` is what a guest was told is safe. Every event has a budget, so each run ends: pan -DNP finds
 * no cycle at all, which is progress without a fairness assumption; what must hold in the end is asserted at timeout.
 *
 * DURABILITY_KMC: a guest is told when the KMC has its state; else, when the host's disk has it.
 *
 * Rules that the design needs and did not have. Each BROKEN_ macro takes one away, and spin then shows the damage:
 *   NO_SESSIONS     A request is executed only if it came over the newest connection of its host. Otherwise an OPEN of a broken
 *                   connection, executed late, makes a new epoch under the feet of the guest that the repeated OPEN started.
 *   TWO_OPENINGS    One opening of a vTPM at a time on a host: a new guest waits for one that was abandoned. Otherwise the abandoned one
 *                   gets the newer epoch, gives it back, and the guest that runs has no lease.
 *   NO_INTENT       An OPEN is on the host's disk before it is sent. Otherwise a relay that restarts between OPENED and its record
 *                   leaves a lease that nobody gives back.
 *   FORGETS         A state that could not be written replaces nothing: the version on disk before it still goes to the KMC before
 *                   the lease does. Otherwise what was acknowledged under it is dropped with the record.
 *   ROLLBACK_FENCES "Roll-back" is no loss of the lease: the KMC has a newer state of this same lease (durability kmc: the disk lagged
 *                   behind when the relay restarted). Otherwise a running guest loses its vTPM.
 * And rules that it had: NO_FENCING (a write under an old epoch is refused), OVERTAKES (an open waits for what is still kept),
 * EARLY_RELEASE (the lease goes back after the state).
 */
#ifndef STARTS
#define STARTS 3 /* guests that start, on either host */
#endif
#ifndef WRITES
#define WRITES 2 /* changes of NV by guests */
#endif
#ifndef BREAKS
#define BREAKS 2 /* of connections */
#endif
#ifndef RESTARTS
#define RESTARTS 1 /* of relays */
#endif
#ifndef FAULTS
#define FAULTS 1 /* writes that a disk refuses */
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif

#define HOSTS 2
#define NOBODY 2
#define THE_OTHER (1 - h)

#define OPEN act_open
#define STORE act_store
#define RELEASE act_release
#define TAKEOVER act_takeover

/* The columns of lease.table that this model keeps fixed. */
#define vtpm vtpm_known
#define pool pool_own
#define policy policy_auto
#define counter counter_room
#define hierarchies hierarchies_same
#include "lease_table.pml"

typedef Request {
	byte what; /* 0: none */
	byte epoch, version;
}

typedef Host {
	/* the guest and its stub domain */
	bit wants, serves;
	byte lease;   /* the epoch that was handed over */
	byte version; /* the newest one that was sealed */
	bit unsaid;   /* and has not been answered */
	/* the relay's memory */
	bit opens, asked; /* asked: once at least */
	bit held, save, fresh, tell, release, drop;
	byte epoch, kept, pushed, given; /* versions: in memory, at the KMC as far as known, and opened with */
	bit orphan;	   /* TWO_OPENINGS: an abandoned opening besides */
	byte orphan_epoch; /* and the lease that it got */
	/* the relay's record on disk; epoch 0: the intent */
	bit d_has;
	byte d_epoch, d_version;
	/* the connection to the KMC, and what an earlier one left on the way */
	bit up;
	Request stale;
}

typedef Row {
	byte holder, last, epoch, version, writer; /* writer: the epoch that the version was stored under */
}

Host host[HOSTS];
Row row;

byte starts = STARTS, writes = WRITES, breaks = BREAKS, restarts = RESTARTS, faults = FAULTS, takeovers = TAKEOVERS;

/* What is watched. lost: the lease that this host knows was taken over. */
byte acked;
bit lost[HOSTS];

#define me host[h]

/* --- the KMC --- */

byte act, holder, epoch, version, bytes, result, code, becomes; /* the table's columns */

#define COMPARE(column, mine, present) \
	column = (mine == 0 -> column##_none : (mine < present -> column##_older : (mine == present -> column##_present : column##_newer)))

inline commit(x, at_epoch, at_version)
{
	if
	:: becomes == becomes_held ->
		row.holder = x;
		row.epoch++;
		lost[x] = 0
	:: becomes == becomes_stored ->
		assert(at_epoch == row.epoch && x == row.holder); /* never a write under an old epoch */
		assert(at_version > row.version);
		row.version = at_version;
		row.writer = at_epoch
	:: becomes == becomes_free ->
		row.last = row.holder;
		row.holder = NOBODY
	:: becomes == becomes_taken ->
		lost[row.holder] = 1;
#ifdef DURABILITY_KMC
		assert(row.version >= acked); /* not even then */
#else
		acked = (acked > row.version -> row.version : acked); /* the administrator said so */
#endif
		row.last = row.holder;
		row.holder = NOBODY;
		row.epoch++
	:: else
	fi
}

/* Decide and commit: no answer can be lost before that is durable, and none is given before. */
inline execute(x, request, at_epoch, at_version)
{
	act = request;
	holder = (row.holder == x -> holder_asker : (row.holder != NOBODY -> holder_other : (row.last == x -> holder_former : holder_nobody)));
	COMPARE(epoch, at_epoch, row.epoch);
	COMPARE(version, at_version, row.version);
	bytes = (at_version == row.version && at_epoch == row.writer -> bytes_same : bytes_differ);
#ifdef BROKEN_NO_FENCING
	if
	:: act == STORE -> epoch = epoch_present; holder = holder_asker
	:: else
	fi;
#endif
	decide();
	commit(x, at_epoch, at_version)
}

/* The columns are no state: nothing of them is left after a step. */
inline forget_columns()
{
	act = 0; holder = 0; epoch = 0; version = 0; bytes = 0; result = 0; code = 0; becomes = 0
}

/* A host that serves, and whose lease nobody took over, has it at the KMC. */
inline check_servers()
{
	assert(!host[0].serves || lost[0] || (row.holder == 0 && row.epoch == host[0].lease));
	assert(!host[1].serves || lost[1] || (row.holder == 1 && row.epoch == host[1].lease))
}

inline executed()
{
	forget_columns();
	check_servers()
}

active proctype Administrator()
{
end:
	do
	:: d_step { takeovers && row.holder != NOBODY ->
		takeovers--;
		act = TAKEOVER;
		holder = holder_asker;
		decide();
		commit(NOBODY, 0, 0);
		executed() }
	od
}

/* --- a host --- */

#define UNPUSHED (me.kept && me.kept != me.pushed)
#define ENTRY_RESTS (me.held && !me.release && !me.drop)
#ifdef BROKEN_OVERTAKES
#define NOTHING_KEPT (!ENTRY_RESTS)
#else
#define NOTHING_KEPT (!me.held && !me.d_has)
#endif
#ifdef DURABILITY_KMC
#define SAVED_ENOUGH true
#else
#define SAVED_ENOUGH (!me.save)
#endif
#ifdef BROKEN_EARLY_RELEASE
#define STORED_ENOUGH true
#else
#define STORED_ENOUGH (!UNPUSHED)
#endif

#define MAY_OPEN (me.up && me.opens)
#define MAY_STORE (me.up && me.held && UNPUSHED && !me.drop && SAVED_ENOUGH)
#define MAY_RELEASE (me.up && me.held && me.release && !me.save && STORED_ENOUGH)

inline forget_entry()
{
	me.held = 0; me.save = 0; me.fresh = 0; me.tell = 0; me.release = 0; me.drop = 0;
	me.epoch = 0; me.kept = 0; me.pushed = 0; me.given = 0
}

inline guest_ends()
{
	me.wants = 0; me.serves = 0; me.lease = 0; me.version = 0; me.unsaid = 0; me.fresh = 0; me.tell = 0
}

/* The record may go: there is nothing to give back any more. */
inline want_drop()
{
	me.release = 0;
	me.drop = 1
}

inline opened_or_refused()
{
	me.opens = 0;
	me.asked = 0;
	if
	:: result == result_refused ->
		me.d_has = 0;
		guest_ends()
	:: else ->
		me.held = 1;
		me.epoch = row.epoch;
		me.given = row.version;
		me.save = me.wants;
		me.release = !me.wants
	fi
}

inline stored_or_refused()
{
	if
	:: result != result_refused ->
		me.pushed = me.kept;
#ifdef DURABILITY_KMC
		me.tell = me.serves && me.unsaid && me.pushed == me.version
#endif
#ifndef BROKEN_ROLLBACK_FENCES
	:: result == result_refused && code == code_rollback ->
		me.pushed = me.kept
#endif
	:: else -> /* the lease is another's */
		assert(lost[h] || !me.serves);
		guest_ends();
		me.save = 0;
		me.pushed = me.kept;
		want_drop()
	fi
}

/* The request goes out, and the connection breaks. */
inline breaks_under(request, at_epoch, at_version)
{
	breaks--;
	me.up = 0;
	me.stale.what = request;
	me.stale.epoch = at_epoch;
	me.stale.version = at_version
}

inline nothing_is_on_the_way()
{
	me.stale.what = 0;
	me.stale.epoch = 0;
	me.stale.version = 0
}

/* The guest can't wait any longer. What was asked may have been granted, so its opening goes on, to give the lease back. */
inline give_up_waiting()
{
	me.wants = 0;
	if
	:: me.opens && !me.asked ->
		me.opens = 0;
		me.d_has = 0
#ifdef BROKEN_TWO_OPENINGS
	:: me.opens && me.asked && !me.orphan && !me.orphan_epoch ->
		me.orphan = 1;
		me.opens = 0;
		me.asked = 0;
		me.d_has = 0
#endif
	:: else ->
		me.save = 0;
		me.release = me.held && !me.drop
	fi
}

/* The disk refuses a record. */
inline not_saved()
{
	me.save = 0;
	if
	:: me.wants -> /* no record, no guest */
		me.wants = 0;
		me.release = 1
#ifndef DURABILITY_KMC
	:: me.serves && me.unsaid && me.kept == me.version -> /* the guest is told so, and its stub domain undoes it */
		me.unsaid = 0;
#ifdef BROKEN_FORGETS
		me.pushed = me.kept
#else
		me.kept = me.d_version
#endif
#endif
	:: else
	fi
}

/* A relay that restarts has its record, and what its stub domain says: the newest state, if nobody answered it. */
inline restart()
{
	me.up = 0;
	forget_entry();
	me.opens = 0;
	me.asked = 0;
	me.orphan = 0;
	me.orphan_epoch = 0;
	me.wants = 0;
	if
	:: me.d_has && me.d_epoch == 0 ->
		me.opens = 1;
		me.asked = 1
	:: me.d_has && me.d_epoch ->
		me.held = 1;
		me.epoch = me.d_epoch;
		me.kept = me.d_version;
		me.release = !me.serves
	:: else
	fi;
	me.fresh = me.serves && me.unsaid
}

proctype Relay(byte h)
{
end:
	do
	/* a guest starts (the first one on host 0: they are alike); its opening waits until nothing is kept for its vTPM */
	:: d_step { starts && !me.wants && !me.serves && (starts < STARTS || h == 0) -> starts--; me.wants = 1 }
	:: d_step { me.wants && !me.opens && NOTHING_KEPT ->
#ifdef BROKEN_OVERTAKES
		forget_entry();
#endif
#ifndef BROKEN_NO_INTENT
		me.d_has = 1;
		me.d_epoch = 0;
		me.d_version = 0;
#endif
		me.opens = 1 }
	:: d_step { MAY_OPEN -> execute(h, OPEN, 0, 0); opened_or_refused(); executed() }
	:: d_step { MAY_OPEN && breaks -> breaks_under(OPEN, 0, 0); me.asked = 1 }
	:: d_step { me.wants -> give_up_waiting() }
#ifdef BROKEN_TWO_OPENINGS
	:: d_step { me.up && me.orphan -> execute(h, OPEN, 0, 0); me.orphan = 0; me.orphan_epoch = row.epoch; executed() }
	:: d_step { me.up && me.orphan_epoch -> execute(h, RELEASE, me.orphan_epoch, 0); me.orphan_epoch = 0; executed() }
#endif

	/* it is served */
	:: d_step { me.wants && ENTRY_RESTS && !me.save && me.d_has && me.d_epoch == me.epoch ->
		assert(!host[THE_OTHER].serves || lost[THE_OTHER] || lost[h]); /* never two, unless one was said to be dead */
		assert(me.given >= acked || lost[h]); /* never an older state than a guest was told is safe */
		me.wants = 0;
		me.serves = 1;
		me.lease = me.epoch;
		me.version = me.given;
		check_servers() }
	:: d_step { me.serves && !me.unsaid && writes -> writes--; me.version++; me.unsaid = 1; me.fresh = 1 }
	:: d_step { me.serves && me.fresh -> me.fresh = 0; me.kept = me.version; me.save = 1 }
	:: d_step { me.tell ->
		me.tell = 0;
		me.unsaid = 0;
		acked = (lost[h] || me.version < acked -> acked : me.version) }
	:: d_step { me.serves -> guest_ends(); me.release = 1 }

	/* its record on the disk */
	:: d_step { me.save ->
		me.save = 0;
		me.d_has = 1;
		me.d_epoch = me.epoch;
		me.d_version = me.kept;
#ifndef DURABILITY_KMC
		me.tell = me.serves && me.unsaid && me.kept == me.version
#endif
		}
	:: d_step { me.save && faults -> faults--; not_saved() }
	:: d_step { me.drop -> me.d_has = 0; me.d_epoch = 0; me.d_version = 0; lost[h] = 0; forget_entry() }

	/* its state and its lease at the KMC; that a release is refused is as good: the lease is not ours */
	:: d_step { MAY_STORE -> execute(h, STORE, me.epoch, me.kept); stored_or_refused(); executed() }
	:: d_step { MAY_STORE && breaks -> breaks_under(STORE, me.epoch, me.kept) }
	:: d_step { MAY_RELEASE -> execute(h, RELEASE, me.epoch, 0); want_drop(); executed() }
	:: d_step { MAY_RELEASE && breaks -> breaks_under(RELEASE, me.epoch, 0) }

	/* what an earlier connection left, a new connection (HELLO), a new relay */
	:: d_step { me.stale.what ->
		execute(h, me.stale.what, me.stale.epoch, me.stale.version);
		nothing_is_on_the_way();
		executed() }
	:: d_step { !me.up ->
#ifndef BROKEN_NO_SESSIONS
		nothing_is_on_the_way();
#endif
		me.up = 1 }
	:: d_step { restarts -> restarts--; restart() }
	od
}

/* When nothing can happen any more, nobody holds anything, and all that was acknowledged is there. */
init
{
	row.holder = NOBODY;
	row.last = NOBODY;
	atomic {
		run Relay(0);
		run Relay(1)
	}
	timeout;
	assert(row.holder == NOBODY && row.version >= acked);
	assert(!host[0].wants && !host[0].serves && !host[0].opens && !host[0].held && !host[0].d_has);
	assert(!host[1].wants && !host[1].serves && !host[1].opens && !host[1].held && !host[1].d_has)
}
