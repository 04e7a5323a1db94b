/*
 * A command of kmcctl: its words, what help says of it, and what runs it.
 *
 * Each kind of thing has a table of its own (ctl_commands_*.c), in the order in which help shows them. What a command does with kmcd or
 * with files stands in the ctl_ file of its name; here only its line is looked at.
 */
#ifndef KMC_CTL_COMMAND_H
#define KMC_CTL_COMMAND_H

#include "kmc/ctl_client.h"
#include "kmc/ctl_options.h"
#include "kmc/kmcconf.h"

/* Instead of an exit code: the line's options don't go together. Help is to be shown, and the code is EXIT_USAGE. */
#define CTL_MISUSED (-1)

#define CTL_SERVER_DAYS 1825 /* of a KMC's own certificate */

/* The line that was given. */
struct ctl_line {
	const struct ctl_options *o;
	const struct kmcconf *conf;
	struct ctl_client *client; /* NULL for a command that works ALONE, or CHECKS */
	const char *argument;	   /* NULL: none */
	const char *second;	   /* of TWO_ARGUMENTS */
};

enum ctl_arguments { NO_ARGUMENT, ONE_ARGUMENT, MAYBE_ARGUMENT, ONE_FILE, TWO_ARGUMENTS };

/* How a command goes about it. */
enum {
	ALONE = 1,  /* without kmcd: there is none yet, or files tell all */
	PRINTS = 2, /* its JSON by itself; the others tell results, see common/results.h */
	CHECKS = 4, /* with --check: kmcd or not, and tells results */
};

struct ctl_command {
	const char *noun, *verb; /* verb NULL: the noun is the command. noun NULL: the table's end */
	enum ctl_arguments arguments;
	int (*run)(const struct ctl_line *line); /* an exit code, what failed was said; or CTL_MISUSED */
	unsigned int how;
	const char *help; /* lines */
};

extern const struct ctl_command ctl_commands_kmc[], ctl_commands_host[], ctl_commands_vtpm[], ctl_commands_key[], ctl_commands_audit[];

#endif
