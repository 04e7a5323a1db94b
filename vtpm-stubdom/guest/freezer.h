/* Linux's freezer of processes, as far as the daemon can see and move it. */
#ifndef VTPM_STUBDOM_GUEST_FREEZER_H
#define VTPM_STUBDOM_GUEST_FREEZER_H

#include <stdbool.h>
#include <stdint.h>

struct freezer {
	int log;	  /* Linux's, from now on; -1: it can't be read */
	const char *path; /* of its patience, ms */
	const char *kept; /* of its own patience, while it has another: whoever is killed then can't set it back */
	uint64_t own_ms;
};

/**
 * freezer_open() - the kernel's own with NULL, or (tests) the files @twin.log, @twin.timeout and @twin.kept
 *
 * What a daemon that was killed has left changed is set back first.
 * Return: its patience in ms, 0: it is not known, or the log can't be read.
 */
uint64_t freezer_open(struct freezer *f, const char *twin);

/** freezer_forget() - what its log says so far is of no interest. */
void freezer_forget(const struct freezer *f);

/** freezer_gave_up() - has Linux given up a suspension since the last call of this or freezer_forget()? */
bool freezer_gave_up(const struct freezer *f);

/** freezer_set_patience() - another than its own (freezer_open() has told it), or that again: 0, or E_IO and it is as it was. */
int freezer_set_patience(const struct freezer *f, uint64_t ms);

#endif
