/*
 * A guest is suspended, moved, resumed, restored twice, and xl goes any way it likes.
 *
 * Theory of operation: side 0 is the guest that runs first; sides 1 and 2 are domains that xl makes later, each from any image that
 * was saved, or as a cold start. Sides 0 and 2 are on host 0, side 1 is on host 1. xl is an adversary: it may resume the source while
 * the receiver runs, restore any image at any time, destroy any domain; it is only bound to its own window (a restored domain does not
 * run before its relay wrote state 2). With SANE it behaves as xl migrate does, and then the guest must have its vTPM in the end.
 *
 * `gen` counts the commands that a vTPM served, PCRs and sessions included: a side that serves has all of them (`latest`), and its
 * guest's memory has seen just them (`seen`). Requests, connections and sessions are those of lease.pml; what the KMC decides is
 * generated from migrate.table. A relay's memory of a side (phase, epoch, reservation) is on its disk before it acts on it, so a
 * restart of a relay is a broken connection. Durability is kmc here: lease.pml has the way of a state over the host's disk.
 *
 * Left out: time (each window may close at any moment), seeds, versions, pools, and what lease.pml shows.
 *
 * Rules that the design needs and did not have (each BROKEN_ macro takes one away):
 *   COUNTED_IMAGES   An image is known by a mark, not by a count. The relay gives the domain's incarnation a fresh even number
 *                    (xc_domain_set_tsc_info) while a new domain is in its window, and whenever it finds that a sleeping one runs again,
 *                    before it asks for the lease. SUSPEND says the mark; a restored domain comes with one more. Counting 1, 2, 3 is not
 *                    enough: the images of `xl save -c` and of a later `xl save` have the same count, so the old one would be
 *                    restored with the later TPM; and branches that a failed migration left count alike.
 *   MARKED_LATE      And it does so before it asks, not when it is granted: a domain may sleep again in between.
 *   MISSED_SUSPEND   What may have been a suspension is followed by a new mark, also when the domain ran on before the relay looked:
 *                    else an old image carries the mark of a later suspension. (Here the relay is assumed to look in time, SEEN.)
 *   RESUME_KEEPS     A source that resumes gets a new epoch, also where nobody told it that its SUSPEND arrived.
 *   RESUME_ABANDONED A domain may sleep again before its RESUME was answered. Its SUSPEND then names the epoch before that RESUME, and is
 *                    taken whether the RESUME was executed or not (the answer says the present epoch). To finish the RESUME first
 *                    would cancel the reservation of the second image; to refuse would cost the guest its vTPM.
 *   FORGETS_GRANT    And if that SUSPEND is not answered either, the source goes on naming the older epoch: the grant to the RESUME outlives
 *                    the suspension.
 *   NEW_GUEST        An OPEN (cold start) does not pass over a reservation, and RESERVE not over another's. Else the guest that
 *                    migrates loses its vTPM to a mistake elsewhere.
 *   FORGOTTEN        Whoever may have a reservation gives it back (CANCEL, also for one that was committed but whose answer was lost)
 *                    until it is answered. Else nobody else gets the vTPM.
 * SUSPEND of what is suspended already, with a new mark, replaces the old one and cancels its reservation; with the same mark it is a
 * repetition and cancels nothing.
 *
 * And rules that it had: NO_FREEZE (the stub domain is frozen and stored before anybody else may have it), NO_CANCEL (a source that
 * resumes cancels the reservation), SERVES_EARLY (no command before the commit), THAWS_ALWAYS (a source stays frozen when the
 * other side has committed).
 */
#ifndef SUSPENDS
#define SUSPENDS 2
#endif
#ifndef RESTORES
#define RESTORES 2 /* domains made later: restored or cold */
#endif
#ifndef COMMANDS
#define COMMANDS 2
#endif
#ifndef BREAKS
#define BREAKS 1
#endif
#ifndef LOSSES
#define LOSSES 0 /* hosts lost for good, each with a take-over */
#endif
#ifndef COLDS
#define COLDS 1 /* of the domains made later may be cold starts */
#endif
#ifndef DESTROYS
#define DESTROYS 2 /* of domains that ran */
#endif

#define SIDES 3
#define FILES 2
#define NOBODY 2

#define HOST(i) (i % 2)

/* The domain. */
#define ABSENT 0
#define WINDOW 1 /* paused: libxl waits for state 2 */
#define READY 2	 /* libxl may unpause it */
#define RUNS 3
#define ASLEEP 4 /* suspended */
#define GONE 5

/* The vTPM on its host. */
#define NOTHING 0
#define RESERVED 1
#define SERVES 2
#define FROZEN 3
#define ENDS 4	  /* the lease or reservation is to be given back */
#define REFUSED 5 /* with a reason, for good */

typedef Side {
	byte domain;
	bit cold;
	byte mark; /* the domain's incarnation */
	bit marked; /* since it woke up */
	byte seen;
	byte tpm;
	byte gen, epoch;
	bit asked;  /* the KMC may have granted what this side wants */
	bit stored; /* its suspension is at the KMC */
	byte stale; /* a request that a broken connection left */
	byte stale_epoch, stale_mark;
}

typedef File {
	bit there;
	byte mark, seen;
}

typedef Row {
	byte lease, holder, epoch;
	byte mark;		 /* of the image that belongs to what is suspended */
	byte reservation, grant; /* of which request */
	byte gen;		 /* of the stored state */
	bit whole;		 /* with volatile state */
}

Side side[SIDES];
File file[FILES];
Row row;
bit up[2];

byte suspends = SUSPENDS, restores = RESTORES, commands = COMMANDS, breaks = BREAKS, losses = LOSSES, colds = COLDS, destroys = DESTROYS;
byte files;
byte marks; /* given */
byte latest, acked; /* commands served; NV as acknowledged */
bit lost[2];

#define it side[i]

/* --- the KMC --- */

byte act, lease, holder, reservation, grant, epoch, image, result, code, becomes;

#include "migrate_table.pml"

/* A request's id: a reservation's is its side's; a resume's is the epoch that it names. */
#define IDENTITY(i, request, at) ((request == act_resume || request == act_suspend) -> 100 + at : 1 + i)

inline hold(i)
{
	row.lease = lease_held;
	row.holder = HOST(i);
	row.epoch++;
	row.grant = 0;
#ifdef BROKEN_NO_CANCEL
	row.reservation = (becomes == becomes_resumed -> row.reservation : 0);
#else
	row.reservation = 0;
#endif
	row.whole = 0;
	row.mark = 0
}

inline commit_row(i, request, at, at_mark)
{
	if
	:: becomes == becomes_held || becomes == becomes_resumed || becomes == becomes_committed ->
		hold(i);
		row.grant = IDENTITY(i, request, at)
	:: becomes == becomes_suspended ->
		row.lease = lease_suspended;
#ifdef BROKEN_FORGETS_GRANT
		row.grant = 0;
#else
		row.grant = (at == row.epoch -> 0 : row.grant);
#endif
		row.reservation = 0;
		row.gen = it.gen;
		row.whole = 1;
		row.mark = at_mark
	:: becomes == becomes_reserved -> row.reservation = 1 + i
	:: becomes == becomes_cancelled -> row.reservation = 0
	:: becomes == becomes_stored -> row.gen = it.gen
	:: becomes == becomes_free -> row.lease = lease_free; row.holder = NOBODY; row.grant = 0
	:: becomes == becomes_taken -> row.epoch++; row.lease = lease_free; row.holder = NOBODY; row.grant = 0
	:: becomes == becomes_unreserved -> row.epoch++; row.reservation = 0; row.holder = NOBODY
	:: else
	fi
}

/* SUSPEND says the mark of its own image; RESERVE comes with one more than that of the image it was restored from. */
inline execute(i, request, at, at_mark)
{
	act = request;
	lease = row.lease;
	holder = (row.holder == HOST(i) -> holder_asker : holder_other);
	reservation = (row.reservation == 0 -> reservation_none : (row.reservation == 1 + i -> reservation_own : reservation_other));
	grant = (row.grant == IDENTITY(i, request, at) -> grant_own : grant_other);
	epoch = (at == row.epoch -> epoch_present : epoch_other);
	image = (row.whole && at_mark == row.mark + (act == act_reserve) -> image_match : image_other);
#ifdef BROKEN_NEW_GUEST
	reservation = (reservation == reservation_other && (act == act_open || act == act_reserve) -> reservation_none : reservation);
#endif
#ifdef BROKEN_RESUME_ABANDONED
	grant = (act == act_suspend -> grant_other : grant);
#endif
#ifdef BROKEN_NO_CANCEL
	lease = (act == act_commit && reservation == reservation_own -> lease_suspended : lease);
#endif
	decide();
	commit_row(i, request, at, at_mark)
}

inline executed()
{
	act = 0; lease = 0; holder = 0; reservation = 0; grant = 0; epoch = 0; image = 0; result = 0; code = 0; becomes = 0
}

#define GRANTED (result != result_refused)

/* --- a side --- */

/* Never two, and never an older state. */
inline check_serving(i)
{
	assert(side[0].tpm != SERVES || i == 0 || lost[0]);
	assert(side[1].tpm != SERVES || i == 1 || lost[1]);
	assert(side[2].tpm != SERVES || i == 2 || lost[0])
}

/* What this host still has of the vTPM comes first: only a suspension that is stored may be passed over. */
#define KEPT(j) (side[j].tpm != NOTHING && side[j].tpm != REFUSED && !(side[j].tpm == FROZEN && side[j].stored))
#define LOCAL_OK(i) (i == 1 || !KEPT(2 - i))

#define CAN_ASK (up[HOST(i)] && !lost[HOST(i)])

inline breaks_under(request, at)
{
	breaks--;
	up[HOST(i)] = 0;
	it.stale = request;
	it.stale_epoch = at;
	it.stale_mark = it.mark;
	it.asked = 1
}

inline nothing_on_the_way(j)
{
	side[j].stale = 0;
	side[j].stale_epoch = 0;
	side[j].stale_mark = 0
}

inline forget()
{
	it.tpm = NOTHING; it.gen = 0; it.epoch = 0; it.stored = 0; it.asked = 0; it.marked = 0
}

inline refused()
{
	forget();
	it.tpm = REFUSED
}

inline serve(z)
{
	check_serving(i);
	it.tpm = SERVES;
	it.epoch = z;
	it.asked = 0;
	it.stored = 0;
	it.marked = 0
}

/* The domain gets a mark that none had. */
inline mark_it()
{
#ifndef BROKEN_COUNTED_IMAGES
	marks = marks + 2;
	it.mark = marks;
#endif
	it.marked = 1
}

/* An answer to OPEN: the volatile state is gone, the guest starts with what is stored. */
inline opened()
{
	if
	:: GRANTED ->
		serve(row.epoch);
		assert(row.gen >= acked);
		it.gen = row.gen;
		it.seen = row.gen;
		latest = row.gen;
		mark_it();
		it.marked = 0;
		it.domain = READY
	:: else -> refused()
	fi
}

inline reserved()
{
	if
	:: GRANTED ->
		it.tpm = RESERVED;
		it.gen = row.gen;
#ifndef BROKEN_MARKED_LATE
		mark_it();
#endif
		it.domain = READY
	:: else -> refused()
	fi
}

inline committed()
{
	if
	:: GRANTED ->
#ifdef BROKEN_MARKED_LATE
		mark_it();
#endif
		serve(row.epoch)
	:: else -> refused()
	fi
}

inline suspended()
{
	if
	:: GRANTED ->
		it.stored = 1;
		it.marked = 0;
		it.epoch = row.epoch
	:: else -> refused()
	fi
}

inline resumed()
{
	if
	:: GRANTED ->
#ifdef BROKEN_MARKED_LATE
		mark_it();
#endif
		serve(row.epoch)
	:: else -> refused()
	fi
}

#ifdef BROKEN_RESUME_KEEPS
#define NEEDS_RESUME (it.asked)
#else
#define NEEDS_RESUME true
#endif

#ifdef BROKEN_MARKED_LATE
#define MARKED true
#else
#define MARKED (it.marked)
#endif

/* "held" and "image" may change while the window is open, so RESERVE is repeated until it closes. */
#define MAY_BE_RESERVED (row.lease == lease_suspended && row.mark + 1 == it.mark)

#define MAY_HAVE_RESERVED (it.tpm == RESERVED || ((it.tpm == NOTHING || it.tpm == REFUSED) && it.asked))

/* A request is executed and answered, or the connection breaks under it; until it is answered it is asked again. */
#define ASKS(condition, request, at, answered) \
	:: d_step { condition && CAN_ASK -> execute(i, request, at, it.mark); answered; executed() } \
	:: d_step { condition && CAN_ASK && breaks -> breaks_under(request, at) }

proctype Relay(byte i)
{
end:
	do
	/* a domain in its window; libxl may lose its patience with it, see Xl */
	ASKS(it.domain == WINDOW && it.tpm == NOTHING && it.cold && LOCAL_OK(i), act_open, 0, opened())
	ASKS(it.domain == WINDOW && it.tpm == NOTHING && !it.cold && LOCAL_OK(i) && MAY_BE_RESERVED, act_reserve, 0, reserved())
	:: d_step { it.domain == WINDOW && it.tpm == NOTHING -> it.tpm = REFUSED }
	/* frontend state 3, or that it sleeps: it has run */
#ifdef BROKEN_SERVES_EARLY
	:: d_step { it.domain == RUNS && it.tpm == RESERVED -> serve(it.epoch) }
#endif
	ASKS((it.domain == RUNS || it.domain == ASLEEP) && it.tpm == RESERVED, act_commit, 0, committed())

	/* commands: without and with a change of NV */
	:: d_step { it.domain == RUNS && it.tpm == SERVES && commands && !lost[HOST(i)] ->
		assert(it.gen == latest && it.gen == it.seen);
		commands--;
		latest++;
		it.gen = latest;
		it.seen = latest }
	:: d_step { it.domain == RUNS && it.tpm == SERVES && commands && CAN_ASK ->
		assert(it.gen == latest && it.gen == it.seen);
		commands--;
		latest++;
		it.gen = latest;
		it.seen = latest;
		execute(i, act_store, it.epoch, 0);
		acked = (GRANTED -> latest : acked);
		executed() }

	/* the domain was suspended, and perhaps resumed or destroyed since */
#ifndef BROKEN_NO_FREEZE
	:: d_step { it.domain == ASLEEP && it.tpm == SERVES && !lost[HOST(i)] -> it.tpm = FROZEN }
#else
	ASKS(it.domain == ASLEEP && it.tpm == SERVES && !it.stored, act_suspend, it.epoch, it.stored = 1)
#endif
	ASKS(it.tpm == FROZEN && it.domain != RUNS && !it.stored, act_suspend, it.epoch, suspended())
	:: d_step { it.tpm == FROZEN && it.stored && it.domain == GONE -> forget() }
#ifdef BROKEN_THAWS_ALWAYS
	ASKS(it.tpm == FROZEN && it.domain == RUNS, act_resume, it.epoch, serve(it.epoch))
#else
#ifdef BROKEN_RESUME_KEEPS
	:: d_step { it.tpm == FROZEN && it.domain == RUNS && !it.stored && !it.asked -> serve(it.epoch) }
#endif
#ifndef BROKEN_MARKED_LATE
	:: d_step { it.tpm == FROZEN && it.domain == RUNS && !it.marked -> mark_it(); it.stored = 0 }
#endif
	ASKS(it.tpm == FROZEN && it.domain == RUNS && MARKED && NEEDS_RESUME, act_resume, it.epoch, resumed())
#endif

	/* the domain is gone: what it had, or may have, goes back */
	:: d_step { it.domain == GONE && it.tpm == SERVES && !lost[HOST(i)] -> it.tpm = ENDS; it.cold = 1 }
	ASKS(it.domain == GONE && it.tpm == ENDS && it.cold, act_release, it.epoch, forget())
#ifdef BROKEN_FORGOTTEN
	:: d_step { it.domain == GONE && (it.tpm == RESERVED || it.asked) -> forget() }
#else
	:: d_step { it.domain == GONE && MAY_HAVE_RESERVED && !lost[HOST(i)] -> it.tpm = ENDS; it.cold = 0 }
	ASKS(it.domain == GONE && it.tpm == ENDS && !it.cold, act_cancel, 0, forget())
#endif
	:: d_step { it.domain == GONE && it.tpm == REFUSED && !it.asked -> forget() }

	/* connections: a new one of the host ends what its old ones left */
	:: d_step { it.stale -> execute(i, it.stale, it.stale_epoch, it.stale_mark); nothing_on_the_way(i); executed() }
	:: d_step { !up[HOST(i)] && !lost[HOST(i)] ->
		nothing_on_the_way(i);
		if
		:: i != 1 -> nothing_on_the_way(2 - i)
		:: else
		fi;
		up[HOST(i)] = 1 }
	od
}

/* --- xl, and the end of hosts --- */

#define ALIVE(j) (side[j].domain != ABSENT && side[j].domain != GONE)
#define HAS_RUN(j) (side[j].domain == RUNS || side[j].domain == ASLEEP)

#ifdef SANE
/* One migration after the other: the receiver is made while the source sleeps, the source resumes only when the receiver is gone
 * without having run, and goes only when the receiver has. */
#define OTHERS_GONE(i) ((i == 0 || !ALIVE(0)) && (i == 1 || !ALIVE(1)) && (i == 2 || !ALIVE(2)))
#define OTHERS_SLEEP(i) \
	((i == 0 || !ALIVE(0) || side[0].domain == ASLEEP) && (i == 1 || !ALIVE(1) || side[1].domain == ASLEEP) && \
	 (i == 2 || !ALIVE(2) || side[2].domain == ASLEEP))
#define SOMEBODY_RUNS (side[0].domain == RUNS || side[1].domain == RUNS || side[2].domain == RUNS)
#define MAY_RESUME(i) OTHERS_GONE(i)
#define MAY_MAKE(i) (OTHERS_SLEEP(i) && !OTHERS_GONE(i))
#define MAY_DESTROY(i) (it.domain == ASLEEP && SOMEBODY_RUNS)
#define MAY_SUSPEND(i) OTHERS_GONE(i)
#define THE_FILE(f) (f + 1 == files)
#else
#define MAY_RESUME(i) true
#define MAY_MAKE(i) true
#define MAY_DESTROY(i) true
#define MAY_SUSPEND(i) true
#define THE_FILE(f) true
#endif

/* The source must not run on before its relay has seen that it slept. */
#ifdef BROKEN_MISSED_SUSPEND
#define SEEN(i) true
#else
#define SEEN(i) (it.tpm != SERVES || lost[HOST(i)])
#endif

inline restore(i, f)
{
	restores--;
	it.domain = WINDOW;
	it.cold = 0;
	it.mark = file[f].mark + 1;
	it.seen = file[f].seen
}

proctype Xl(byte i)
{
end:
	do
	:: d_step { it.domain == RUNS && suspends && files < FILES && MAY_SUSPEND(i) ->
		suspends--;
		it.domain = ASLEEP;
		file[files].there = 1;
		file[files].mark = it.mark;
		file[files].seen = it.seen;
		files++ }
	:: d_step { it.domain == ASLEEP && MAY_RESUME(i) && SEEN(i) -> it.domain = RUNS }
	:: d_step { it.domain == ABSENT && restores && file[0].there && MAY_MAKE(i) && THE_FILE(0) -> restore(i, 0) }
	:: d_step { it.domain == ABSENT && restores && file[1].there && MAY_MAKE(i) && THE_FILE(1) -> restore(i, 1) }
#ifndef SANE
	:: d_step { it.domain == ABSENT && restores && colds -> restores--; colds--; it.domain = WINDOW; it.cold = 1; it.mark = 1 }
#endif
	:: d_step { it.domain == READY -> it.domain = RUNS }
	:: d_step { it.domain == WINDOW || it.domain == READY -> it.domain = GONE }
	:: d_step { HAS_RUN(i) && destroys && MAY_DESTROY(i) -> destroys--; it.domain = GONE }
	od
}

/* A host is lost for good: its domains, its relay and what it had. The administrator says so to the KMC. */
inline lose(x)
{
	losses--;
	lost[x] = 1;
	up[x] = 0
}

active proctype Administrator()
{
end:
	do
	:: d_step { losses && !lost[0] && !lost[1] -> lose(0) }
	:: d_step { losses && !lost[0] && !lost[1] -> lose(1) }
	:: d_step { (lost[0] && row.lease == lease_held && row.holder == 0) || (lost[1] && row.lease == lease_held && row.holder == 1) ||
		    (row.reservation && lost[HOST((row.reservation - 1))]) ->
		act = act_takeover;
		lease = row.lease;
		decide();
		commit_row(0, act_takeover, 0, 0);
		executed() }
	od
}

#define SETTLED(j) (side[j].domain == ABSENT || side[j].domain == GONE || lost[HOST(j)] || side[j].tpm == SERVES || side[j].tpm == REFUSED || \
		    (side[j].domain == ASLEEP && side[j].tpm == FROZEN && side[j].stored))
#define CLEAN(j) (side[j].domain != GONE || lost[HOST(j)] || side[j].tpm == NOTHING)
#define HAS(j) (row.lease == lease_held && side[j].tpm == SERVES && row.epoch == side[j].epoch)

init
{
	row.lease = lease_held;
	row.epoch = 1;
	side[0].domain = RUNS;
	side[0].tpm = SERVES;
	side[0].epoch = 1;
	side[0].mark = 2;
	marks = 2;
	up[0] = 1;
	up[1] = 1;
	atomic {
		run Relay(0); run Relay(1); run Relay(2);
		run Xl(0); run Xl(1); run Xl(2)
	}
	timeout;
	/* each domain has its vTPM, or a reason why not; nothing is left of those that are gone */
	assert(SETTLED(0) && SETTLED(1) && SETTLED(2));
	assert(CLEAN(0) && CLEAN(1) && CLEAN(2));
	assert(row.lease != lease_held || HAS(0) || HAS(1) || HAS(2));
	assert(row.reservation == 0)
#ifdef SANE
	; assert(HAS(0) || HAS(1) || HAS(2) || !SOMEBODY_RUNS)
#endif
}
