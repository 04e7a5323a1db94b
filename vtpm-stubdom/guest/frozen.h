/*
 * Did Linux give up a suspension because of a TPM command? Pure decisions; guestd.c tells what it sees and asks again.
 *
 * To be suspended (xl save, xl migrate), Linux freezes all processes, the daemon among them. A process that waits in the kernel for the
 * daemon's answer can't be frozen, so that a command under way in that instant keeps Linux from it; after its patience
 * (/sys/power/pm_freeze_timeout) it lets all go on and forgets the request. Whoever made it waits on: libxl 60 s from when the
 * guest took note of it. So the daemon, once the command is answered, makes the request anew, which succeeds as a rule: for
 * about a millisecond after an answer nobody can have sent the next command. Never so late that nobody might wait any more.
 */
#ifndef VTPM_STUBDOM_GUEST_FROZEN_H
#define VTPM_STUBDOM_GUEST_FROZEN_H

#include <stdbool.h>
#include <stdint.h>

#define FROZEN_TICK_MS 500 /* while commands come, the daemon looks at the clock at least that often: else no standstill is seen */

/* All zero but @patience_ms: nothing has happened. Times are milliseconds of CLOCK_MONOTONIC. */
struct frozen {
	uint64_t patience_ms; /* of Linux's freezer; 0: not known, and nothing is asked ever */
	uint64_t looked_ms;   /* at the clock, the last time while commands came; 0: they do not */
	uint64_t began_ms;    /* the standstill that was seen last; 0: none that matters */
	uint64_t ended_ms;    /* and when it ended */
	uint64_t written_ms;  /* the toolstack's request was seen to be written; 0: not */
	uint64_t first_ms;    /* when the first standstill of a request began; 0: no request that was made anew */
};

/**
 * frozen_looks() - the daemon has looked at the clock
 * @busy: it will again within FROZEN_TICK_MS
 * @under_way: a command awaits its answer: without one, nothing of ours has kept Linux from freezing
 *
 * Return: it stood still for as long as Linux's patience is, with a command under way.
 */
bool frozen_looks(struct frozen *f, uint64_t now_ms, bool busy, bool under_way);

/** frozen_written() - control/shutdown was written by somebody. */
void frozen_written(struct frozen *f, uint64_t now_ms);

/** frozen_ask() - should the suspension be asked for again, now? At most one yes for each standstill; not before the command is answered. */
bool frozen_ask(struct frozen *f, uint64_t now_ms, bool under_way);

#endif
