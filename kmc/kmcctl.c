/* kmcctl: what an administrator asks of the KMC. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/results.h"
#include "kmc/ctl_command.h"

/* All commands, as help shows them. */
static const struct ctl_command *const tables[] = {
	ctl_commands_kmc, ctl_commands_host, ctl_commands_vtpm, ctl_commands_key, ctl_commands_audit,
};

#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static int usage(void)
{
	fputs("usage: kmcctl [-c FILE] [--json] COMMAND\n", stderr);
	for (size_t i = 0; i < N_TABLES; i++)
		for (const struct ctl_command *c = tables[i]; c->noun; c++)
			fputs(c->help, stderr);
	fputs("All but init, ca, backup, recover, replica request and replica join need a running kmcd. Exit status: 0 done, 1 failed, 2 usage, 3 no kmcd, 4 no such thing, 5 exists already.\n",
	      stderr);
	return EXIT_USAGE;
}

static bool is_count(enum ctl_arguments arguments, int n)
{
	switch (arguments) {
	case NO_ARGUMENT: return n == 0;
	case ONE_ARGUMENT:
	case ONE_FILE: return n == 1;
	case MAYBE_ARGUMENT: return n == 0 || n == 1;
	case TWO_ARGUMENTS: return n == 2;
	}
	return false;
}

/* Whether @words are @c with the arguments that it takes, which go into @line. */
static bool is_command(const struct ctl_command *c, char **words, int n, struct ctl_line *line)
{
	int own = c->verb ? 2 : 1;

	if (n < own || strcmp(words[0], c->noun) != 0 || (c->verb && strcmp(words[1], c->verb) != 0) || !is_count(c->arguments, n - own))
		return false;
	line->argument = n > own ? words[own] : NULL;
	line->second = n > own + 1 ? words[own + 1] : NULL;
	return true;
}

static const struct ctl_command *find(char **words, int n, struct ctl_line *line)
{
	for (size_t i = 0; i < N_TABLES; i++)
		for (const struct ctl_command *c = tables[i]; c->noun; c++)
			if (is_command(c, words, n, line))
				return c;
	return NULL;
}

static bool checks(const struct ctl_command *c, const struct ctl_options *o)
{
	return (c->how & CHECKS) && o->check;
}

/* With kmcd, if it needs that. */
static int run(const struct ctl_command *c, struct ctl_line *line)
{
	int code = EXIT_NO_KMCD;

	if (!(c->how & ALONE))
		line->client = ctl_connect(line->conf->control);
	if (line->client || (c->how & ALONE) || checks(c, line->o))
		code = c->run(line);
	ctl_close(&line->client);
	return code == CTL_MISUSED ? usage() : code;
}

/* What was done, to what, and what came of it. What failed has said so on standard error, and gives no object but for what it found. */
static void end_results(const struct ctl_command *c, const struct ctl_line *line, int code)
{
	bool printed = (c->how & PRINTS) && !checks(c, line->o);
	char words[64];

	if (!results_are_json() || printed || (code != EXIT_FINE && !results_any()))
		return;
	snprintf(words, sizeof(words), "%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
	results_text("command", words);
	if (line->argument)
		results_text("subject", line->argument);
	if (line->second)
		results_text("second", line->second);
	results_truth("done", code == EXIT_FINE);
	results_end();
}

static bool fits(const char *name)
{
	return !name || (*name && strlen(name) <= KMC_NAME_MAX);
}

int main(int argc, char **argv)
{
	struct ctl_options o = {0};
	struct ctl_line line = {.o = &o};
	const struct ctl_command *command = NULL;
	char why[CONFIG_WHY];
	struct kmcconf conf;
	int code;

	log_open("kmcctl", LOG_LV_INFO);
	umask(077);
	if (ctl_options_read(argc, argv, &o))
		command = find(argv + optind, argc - optind, &line);
	if (!command)
		return usage();
	if ((command->arguments != ONE_FILE && !fits(line.argument)) || !fits(o.pool)) {
		ctl_say("a name has 1 to %d characters", KMC_NAME_MAX);
		return EXIT_USAGE;
	}
	if (kmcconf_read(o.config ? o.config : KMC_CONF, &conf, why) != 0) {
		ctl_say("%s", why);
		return EXIT_ERROR;
	}
	line.conf = &conf;
	if (o.json)
		results_as_json();
	code = run(command, &line);
	end_results(command, &line, code);
	kmcconf_free(&conf);
	return code;
}
