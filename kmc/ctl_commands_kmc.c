/* kmcctl init, backup, recover, status: the KMC of this machine as a whole. */
#include <stdio.h>

#include "kmc/ctl_backup.h"
#include "kmc/ctl_check.h"
#include "kmc/ctl_command.h"
#include "kmc/ctl_init.h"
#include "kmc/ctl_show.h"

/* M-of-N. */
static bool read_recovery(const char *text, struct recovery_options *r)
{
	int end = 0;

	/* NOLINTNEXTLINE(cert-err34-c): two digits fit */
	return sscanf(text, "%2u-of-%2u%n", &r->needed, &r->shares, &end) == 2 && !text[end] && r->needed >= 2 && r->needed <= r->shares &&
	       r->shares <= CTL_SHARES_MAX;
}

static int run_init(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	char dir[KMCCONF_PATH];
	struct recovery_options r = {.dir = o->shares_dir ? o->shares_dir : kmcconf_path(line->conf, "shares", dir)};

	if (o->recovery && !read_recovery(o->recovery, &r))
		return CTL_MISUSED;
	return ctl_init(line->conf, ctl_options_names(o), ctl_options_days(o, CTL_SERVER_DAYS), &r);
}

static int run_backup(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;

	return o->out ? ctl_backup(line->conf, o->config ? o->config : KMC_CONF, o->out) : CTL_MISUSED;
}

static int run_recover(const struct ctl_line *line)
{
	struct ctl_recover_options r = line->o->recover;

	r.backup = line->argument;
	r.names = ctl_options_names(line->o);
	r.days = ctl_options_days(line->o, CTL_SERVER_DAYS);
	return ctl_recover(line->conf, &r);
}

static int run_status(const struct ctl_line *line)
{
	return line->o->check ? ctl_check(line->conf, line->client) : ctl_status(line->client, line->o->json);
}

const struct ctl_command ctl_commands_kmc[] = {
	{"init", NULL, NO_ARGUMENT, run_init, ALONE,
	 "  init [--san NAME-OR-ADDRESS]... [--days N]   make keys, CA and database on this machine\n"
	 "      [--recovery M-of-N [--shares DIR]]         and N shares of a recovery key, of which M are needed\n"},
	{"backup", NULL, NO_ARGUMENT, run_backup, ALONE,
	 "  backup --out DIR                             database and keys, while kmcd runs\n"},
	{"recover", NULL, ONE_FILE, run_recover, ALONE,
	 "  recover BACKUP [--share FILE]... [--san NAME-OR-ADDRESS]... [--days N]   on a new machine; without shares: on a machine with the old TPM\n"},
	{"status", NULL, NO_ARGUMENT, run_status, PRINTS | CHECKS,
	 "  status [--check]                             --check: look for what commonly is wrong, and say what to do\n"},
	{0}};
