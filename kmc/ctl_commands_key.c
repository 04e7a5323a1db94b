/* kmcctl key, replica, server, ca: the KMC's own keys and certificates. */
#include "kmc/ctl_authority.h"
#include "kmc/ctl_ca.h"
#include "kmc/ctl_command.h"
#include "kmc/ctl_replica.h"
#include "kmc/ctl_server.h"
#include "kmc/ctl_wrapping.h"

#define CA_DAYS (20 * 365)

/* --- key --- */

static int run_key_rotate(const struct ctl_line *line)
{
	struct adm_name m = {0};

	if (line->argument)
		m.name = view_text(line->argument);
	return ctl_order(line->client, ADM_KEY_ROTATE, &m);
}

static int run_key_rewrap(const struct ctl_line *line)
{
	return ctl_rewrap(line->client);
}

static int run_key_list(const struct ctl_line *line)
{
	return ctl_key_list(line->client);
}

/* --- replica --- */

static int run_replica_request(const struct ctl_line *line)
{
	return line->o->out ? ctl_replica_request(line->conf, line->o->out) : CTL_MISUSED;
}

static int run_replica_add(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	const struct ctl_replica_options replica = {.request = line->argument, .authority = o->authority, .out = o->out, .ek = o->ek};

	return o->authority && o->out ? ctl_replica_add(line->conf, line->client, &replica) : CTL_MISUSED;
}

static int run_replica_join(const struct ctl_line *line)
{
	return ctl_replica_join(line->conf, line->argument, ctl_options_names(line->o), ctl_options_days(line->o, CTL_SERVER_DAYS));
}

static int run_replica_forget(const struct ctl_line *line)
{
	return ctl_replica_forget(line->client, line->argument);
}

/* --- server --- */

static int run_server_renew(const struct ctl_line *line)
{
	return ctl_server_renew(line->conf, line->client, ctl_options_names(line->o), ctl_options_days(line->o, CTL_SERVER_DAYS));
}

/* --- ca --- */

static int run_ca_show(const struct ctl_line *line)
{
	return ctl_ca_show(line->conf, line->o->json);
}

/* The present one's is a file; kmcd knows the others. */
static int run_ca_export(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	struct ctl_client *c;
	int code = EXIT_NO_KMCD;

	if (o->der && o->json)
		return CTL_MISUSED;
	if (!o->number)
		return ctl_ca_export(line->conf, o->der, o->json);
	c = ctl_connect(line->conf->control);
	if (c)
		code = ctl_ca_export_number(c, o->number, o->der, o->json);
	ctl_close(&c);
	return code;
}

static int run_ca_renew(const struct ctl_line *line)
{
	return ctl_ca_renew(line->client, ctl_options_days(line->o, CA_DAYS));
}

static int run_ca_status(const struct ctl_line *line)
{
	return ctl_ca_status(line->client, line->o->json);
}

static int run_ca_switch(const struct ctl_line *line)
{
	return ctl_ca_switch(line->conf, line->client, line->o->force);
}

static int run_ca_retire(const struct ctl_line *line)
{
	return ctl_ca_retire(line->client, line->o->force);
}

const struct ctl_command ctl_commands_key[] = {
	{"key", "rotate", MAYBE_ARGUMENT, run_key_rotate, 0,
	 "  key rotate [HOST]                            new protection keys at the next request\n"},
	{"key", "rewrap", NO_ARGUMENT, run_key_rewrap, 0,
	 "  key rewrap                                   a new wrapping key, and all seeds and keys under it, while kmcd serves\n"},
	{"key", "list", NO_ARGUMENT, run_key_list, 0,
	 "  key list                                     the wrapping key, and which machines have it\n"},
	{"replica", "request", NO_ARGUMENT, run_replica_request, ALONE,
	 "  replica request --out FILE                   on a new machine: who its TPM is\n"},
	{"replica", "add", ONE_FILE, run_replica_add, 0,
	 "  replica add FILE --authority KEY --out PACKAGE [--ek SHA256]   the keys, for that TPM alone\n"},
	{"replica", "join", ONE_FILE, run_replica_join, ALONE,
	 "  replica join PACKAGE [--san NAME-OR-ADDRESS]... [--days N]     on the new machine: take them\n"},
	{"replica", "forget", ONE_ARGUMENT, run_replica_forget, 0,
	 "  replica forget NAME                          one that will not come back\n"},
	{"server", "renew", NO_ARGUMENT, run_server_renew, 0,
	 "  server renew [--san NAME-OR-ADDRESS]... [--days N]             a new key and certificate for this KMC's TLS\n"},
	{"ca", "show", NO_ARGUMENT, run_ca_show, ALONE | PRINTS,
	 "  ca show                                      the CA of servers, hosts and vTPMs' endorsement keys\n"},
	{"ca", "export", NO_ARGUMENT, run_ca_export, ALONE | PRINTS,
	 "  ca export [--der] [--number N]               its certificate, for who checks endorsement certificates; N: of an earlier one\n"},
	{"ca", "renew", NO_ARGUMENT, run_ca_renew, 0,
	 "  ca renew [--days N]                          make the next CA: hosts learn to trust it\n"},
	{"ca", "status", NO_ARGUMENT, run_ca_status, PRINTS,
	 "  ca status                                    all of them, and whom a change waits for\n"},
	{"ca", "switch", NO_ARGUMENT, run_ca_switch, 0,
	 "  ca switch [--force]                          the next one signs from now on; on other KMCs: its files\n"},
	{"ca", "retire", NO_ARGUMENT, run_ca_retire, 0,
	 "  ca retire [--force]                          the former one is trusted no more\n"},
	{0}};
