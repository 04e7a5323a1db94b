/*
 * A suspension that Linux gives up because of a TPM command: when to ask for it again. Pure decisions; guestd.c tells what it sees, freezer.h acts.
 *
 * To be suspended (xl save, xl migrate), Linux freezes all processes, the daemon among them. A process that waits in the kernel for the
 * daemon's answer can't be frozen, so that a command under way in that instant keeps Linux from it; after its patience
 * (/sys/power/pm_freeze_timeout) it lets all go on, says so in its log, and forgets the request. Whoever made it waits on: libxl 60 s from when the
 * guest took note of it. So the daemon answers the command and makes the request anew, with little patience for Linux, since another
 * command may be under way by then, and again until it succeeds. Never so late that nobody might wait any more.
 */
#ifndef VTPM_STUBDOM_GUEST_FROZEN_H
#define VTPM_STUBDOM_GUEST_FROZEN_H

#include <stdbool.h>
#include <stdint.h>

#define FROZEN_TICK_MS 500 /* while commands come, the daemon looks at the clock at least that often: else no standstill is seen */

/* All zero but @patience_ms: nothing has happened. Times are milliseconds of CLOCK_MONOTONIC. */
struct frozen {
	uint64_t patience_ms; /* of Linux's freezer, as it was found; 0: not known, and nothing is asked ever */
	uint64_t looked_ms;   /* at the clock, the last time while commands came; 0: they do not */
	uint64_t doubt_ms;    /* when it had stood still: Linux's log may say why; 0: it has not, or long ago */
	uint64_t first_ms;    /* when the request was made, at the latest; 0: none was given up */
	uint64_t asked_ms;    /* when it was made anew the last time; 0: it was not, and the freezer's patience is its own */
	bool refused;	      /* Linux has given up, and was not asked anew since */
};

/**
 * frozen_looks() - the daemon has looked at the clock
 * @busy: it will again within FROZEN_TICK_MS
 * @under_way: a command awaits its answer: without one, nothing of ours has kept Linux from freezing
 *
 * Return: it stood still lately: look into Linux's log whether a suspension was given up.
 */
bool frozen_looks(struct frozen *f, uint64_t now_ms, bool busy, bool under_way);

/** frozen_refused() - Linux's log says that it has just given up a suspension. */
void frozen_refused(struct frozen *f, uint64_t now_ms);

/**
 * frozen_ask() - should the suspension be asked for again, now?
 * @under_way: a command awaits its answer, and would be in the way again
 *
 * Return: the patience in ms that the freezer is to have for it, 0: no.
 */
uint64_t frozen_ask(struct frozen *f, uint64_t now_ms, bool under_way);

/** frozen_is_over() - what was asked for has come to pass, or will not any more: true once, to give the freezer its own patience back. */
bool frozen_is_over(struct frozen *f, uint64_t now_ms);

#endif
