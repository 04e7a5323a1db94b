/* kmcctl audit: the trail. */
#include <string.h>

#include "kmc/ctl_audit.h"
#include "kmc/ctl_command.h"

/* The record to begin with; 0 where none is named. */
static bool take_number(const struct ctl_line *line, uint64_t *n)
{
	*n = 0;
	if (!line->argument || ctl_options_number(line->argument, INT64_MAX, n))
		return true;
	ctl_say("'%s' is not a record's number", line->argument);
	return false;
}

static int run_audit_show(const struct ctl_line *line)
{
	uint64_t from;

	return take_number(line, &from) ? ctl_audit_show(line->client, from, line->o->json) : EXIT_USAGE;
}

static int run_audit_verify(const struct ctl_line *line)
{
	char key[KMCCONF_PATH];

	return ctl_audit_verify(line->client, line->o->key ? line->o->key : kmcconf_path(line->conf, "audit.pub", key), line->o->head);
}

static int run_audit_export(const struct ctl_line *line)
{
	const char *format = line->o->format ? line->o->format : "json";
	bool syslog = strcmp(format, "syslog") == 0;
	uint64_t from;

	if (syslog ? line->o->json : strcmp(format, "json") != 0)
		return CTL_MISUSED;
	return take_number(line, &from) ? ctl_audit_export(line->client, from, syslog) : EXIT_USAGE;
}

const struct ctl_command ctl_commands_audit[] = {
	{"audit", "show", MAYBE_ARGUMENT, run_audit_show, PRINTS,
	 "  audit show [N]                               records from number N on; without N the last ones\n"},
	{"audit", "verify", NO_ARGUMENT, run_audit_verify, 0,
	 "  audit verify [--head FILE] [--key FILE]      every record, and the heads that a host has kept\n"},
	{"audit", "export", MAYBE_ARGUMENT, run_audit_export, PRINTS,
	 "  audit export [N] [--format json|syslog]      records from number N on, a line each\n"},
	{0}};
