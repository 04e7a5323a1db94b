/* kmcctl: what an administrator asks of the KMC. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/results.h"
#include "kmc/ctl_client.h"
#include "kmc/ctl_audit.h"
#include "kmc/ctl_authority.h"
#include "kmc/ctl_backup.h"
#include "kmc/ctl_ca.h"
#include "kmc/ctl_check.h"
#include "kmc/ctl_host.h"
#include "kmc/ctl_init.h"
#include "kmc/ctl_life.h"
#include "kmc/ctl_move.h"
#include "kmc/ctl_replica.h"
#include "kmc/ctl_server.h"
#include "kmc/ctl_show.h"
#include "kmc/ctl_trust.h"
#include "kmc/ctl_wrapping.h"
#include "kmc/kmcconf.h"

#define DAY 86400
#define SERVER_DAYS 1825
#define HOST_DAYS 825
#define CA_DAYS (20 * 365)

struct options {
	const char *config, *pool, *out, *not_after, *policy, *head, *key, *format, *version, *ttl, *ek, *image, *authority;
	const char *recovery, *shares_dir;
	struct ctl_recover_options recover;
	struct ctl_policy_options trust;
	char names[1024]; /* of --san */
	unsigned int days; /* 0: not given */
	const char *grace, *to, *fingerprint, *state;
	bool json, all, der, yes, cancel, check, force, share_keys;
	unsigned int number; /* 0: not given */
};

struct invocation {
	const struct options *o;
	const struct kmcconf *conf;
	struct ctl_client *client; /* NULL for init */
	const char *argument;	   /* NULL: none */
	const char *second;	   /* of TWO_ARGUMENTS */
};

static int usage(void)
{
	fputs("usage: kmcctl [-c FILE] [--json] COMMAND\n"
	      "  init [--san NAME-OR-ADDRESS]... [--days N]   make keys, CA and database on this machine\n"
	      "      [--recovery M-of-N [--shares DIR]]         and N shares of a recovery key, of which M are needed\n"
	      "  backup --out DIR                             database and keys, while kmcd runs\n"
	      "  recover BACKUP [--share FILE]... [--san NAME-OR-ADDRESS]... [--days N]   on a new machine; without shares: on a machine with the old TPM\n"
	      "  status [--check]                             --check: look for what commonly is wrong, and say what to do\n"
	      "  pool add NAME [--policy auto|registered]     registered: vTPMs must be registered before they can be opened\n"
	      "  pool set NAME --policy auto|registered\n"
	      "  pool list\n"
	      "  host add NAME [--pool P] [--ttl 1h] [--ek SHA256]   print a token for 'vtpmctl enroll' on the host\n"
	      "  host add NAME --out DIR [--pool P] [--days N | --not-after YYYY-MM-DDTHH:MM:SSZ]   files instead (insecure-software-key)\n"
	      "  host list [--all]\n"
	      "  host remove NAME                             refuse it from now on; its connections are cut\n"
	      "  policy show POOL\n"
	      "  policy set POOL [--pcrs 0,1,2,3,7] [--interval 10m] [--require-attestation yes|no] [--ek first|listed|require]\n"
	      "      [--clock refuse|note] [--firmware refuse|note] [--stub-image DIGEST[,DIGEST...]|any]\n"
	      "  policy accept HOST                           its present PCRs, firmware and clock are right\n"
	      "  policy maintenance POOL --until 2h|YYYY-MM-DDTHH:MM:SSZ|off\n"
	      "  vtpm list\n"
	      "  vtpm show UUID\n"
	      "  vtpm register UUID [--pool P]\n"
	      "  vtpm takeover UUID                           end the lease of a host that is dead\n"
	      "  vtpm states UUID                             its stored states, the newest last\n"
	      "  vtpm restore UUID --version N                go back to an earlier one: later ones are dropped\n"
	      "  vtpm restore UUID --state FILE               forward to what 'vtpmctl state export' wrote on the host whose lease was taken over\n"
	      "  vtpm images UUID                             the saved guests whose TPM is kept, the latest last\n"
	      "  vtpm allow-image UUID --image N              let an earlier one be restored: what came later is dropped\n"
	      "  vtpm clone FROM TO                           register TO in FROM's pool, with a seed and identity of its own\n"
	      "  vtpm clone FROM TO --share-keys [--yes]      the same with the keys of FROM: to the world both are one\n"
	      "  vtpm rekey UUID [--yes]                      a new generation of the seed: what the guest sealed is lost\n"
	      "  vtpm retire UUID [--grace 7d] [--yes]        the end; its seed is destroyed after the grace\n"
	      "  vtpm retire UUID --cancel                    or not, within the grace\n"
	      "  move-key --out FILE                          who this KMC is, for another one: what moves between them is for and by that\n"
	      "  vtpm export UUID --to KEY --fingerprint SHA256 --out FILE      for the KMC with that key alone; nobody opens it here from now on\n"
	      "  vtpm export UUID --cancel [--yes]            it stays here: only if the other KMC has not imported it, and can't\n"
	      "  vtpm import FILE --fingerprint SHA256 --out RECEIPT [--pool P] from the KMC with that fingerprint\n"
	      "  vtpm moved RECEIPT                           the other KMC has it: destroy what is here\n"
	      "  key rotate [HOST]                            new protection keys at the next request\n"
	      "  key rewrap                                   a new wrapping key, and all seeds and keys under it, while kmcd serves\n"
	      "  key list                                     the wrapping key, and which machines have it\n"
	      "  replica request --out FILE                   on a new machine: who its TPM is\n"
	      "  replica add FILE --authority KEY --out PACKAGE [--ek SHA256]   the keys, for that TPM alone\n"
	      "  replica join PACKAGE [--san NAME-OR-ADDRESS]... [--days N]     on the new machine: take them\n"
	      "  replica forget NAME                          one that will not come back\n"
	      "  server renew [--san NAME-OR-ADDRESS]... [--days N]             a new key and certificate for this KMC's TLS\n"
	      "  ca show                                      the CA of servers, hosts and vTPMs' endorsement keys\n"
	      "  ca export [--der] [--number N]               its certificate, for who checks endorsement certificates; N: of an earlier one\n"
	      "  ca renew [--days N]                          make the next CA: hosts learn to trust it\n"
	      "  ca status                                    all of them, and whom a change waits for\n"
	      "  ca switch [--force]                          the next one signs from now on; on other KMCs: its files\n"
	      "  ca retire [--force]                          the former one is trusted no more\n"
	      "  audit show [N]                               records from number N on; without N the last ones\n"
	      "  audit verify [--head FILE] [--key FILE]      every record, and the heads that a host has kept\n"
	      "  audit export [N] [--format json|syslog]      records from number N on, a line each\n"
	      "All but init, ca, backup, recover, replica request and replica join need a running kmcd. Exit status: 0 done, 1 failed, 2 usage, 3 no kmcd, 4 no such thing, 5 exists already.\n",
	      stderr);
	return EXIT_USAGE;
}

static bool ignore(void *arg, uint64_t type, const void *fields)
{
	(void)arg;
	(void)type;
	(void)fields;
	return false;
}

static bool is_policy(const char *policy, uint64_t *registered_only)
{
	*registered_only = policy && strcmp(policy, "registered") == 0;
	return !policy || *registered_only || strcmp(policy, "auto") == 0;
}

static int run_init(const struct invocation *in)
{
	char dir[KMCCONF_PATH];
	struct recovery_options r = {.dir = in->o->shares_dir ? in->o->shares_dir : kmcconf_path(in->conf, "shares", dir)};
	int end = 0;

	/* NOLINTNEXTLINE(cert-err34-c): two digits fit */
	if (in->o->recovery && (sscanf(in->o->recovery, "%2u-of-%2u%n", &r.needed, &r.shares, &end) != 2 || in->o->recovery[end] || r.needed < 2 ||
				r.needed > r.shares || r.shares > CTL_SHARES_MAX))
		return usage();
	return ctl_init(in->conf, in->o->names[0] ? in->o->names : NULL, in->o->days ? in->o->days : SERVER_DAYS, &r);
}

static int run_backup(const struct invocation *in)
{
	return in->o->out ? ctl_backup(in->conf, in->o->config ? in->o->config : KMC_CONF, in->o->out) : usage();
}

static int run_recover(const struct invocation *in)
{
	struct ctl_recover_options o = in->o->recover;

	o.backup = in->argument;
	o.names = in->o->names[0] ? in->o->names : NULL;
	o.days = in->o->days ? in->o->days : SERVER_DAYS;
	return ctl_recover(in->conf, &o);
}

static int run_status(const struct invocation *in)
{
	return in->o->check ? ctl_check(in->conf, in->client) : ctl_status(in->client, in->o->json);
}

static int put_pool(const struct invocation *in, bool create)
{
	struct adm_pool_put m = {.name = view_text(in->argument), .create = create};

	if (!is_policy(in->o->policy, &m.registered_only) || (!create && !in->o->policy))
		return usage();
	return ctl_ask(in->client, ADM_POOL_PUT, &m, ignore, NULL);
}

static int run_pool_add(const struct invocation *in)
{
	return put_pool(in, true);
}

static int run_pool_set(const struct invocation *in)
{
	return put_pool(in, false);
}

static int run_pool_list(const struct invocation *in)
{
	return ctl_list(in->client, ADM_POOL_LIST, in->o->json, true);
}

static int run_host_add(const struct invocation *in)
{
	struct ctl_host_options o = {
		.name = in->argument, .pool = in->o->pool ? in->o->pool : "default", .out = in->o->out,
		.not_after = (int64_t)time(NULL) + (int64_t)(in->o->days ? in->o->days : HOST_DAYS) * DAY,
	};
	struct tm tm = {0};
	const char *end;

	if (!in->o->out && !in->o->not_after && !in->o->days)
		return ctl_token(in->client, in->argument, o.pool, in->o->ttl, in->o->ek);
	if (in->o->ttl || in->o->ek || !in->o->out)
		return usage();
	if (in->o->not_after) {
		end = strptime(in->o->not_after, "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (!end || *end)
			return usage();
		o.not_after = (int64_t)timegm(&tm);
	}
	return ctl_host_add(in->client, &o);
}

static int run_host_list(const struct invocation *in)
{
	return ctl_list(in->client, ADM_HOST_LIST, in->o->json, in->o->all);
}

static int run_host_remove(const struct invocation *in)
{
	const struct adm_name m = {.name = view_text(in->argument)};

	return ctl_ask(in->client, ADM_HOST_REMOVE, &m, ignore, NULL);
}

static int run_policy_show(const struct invocation *in)
{
	return ctl_policy_show(in->client, in->argument, in->o->json);
}

static int run_policy_set(const struct invocation *in)
{
	struct ctl_policy_options o = in->o->trust;

	o.ek = in->o->ek;
	return o.maintenance ? usage() : ctl_policy_set(in->client, in->argument, &o);
}

static int run_policy_maintenance(const struct invocation *in)
{
	const struct ctl_policy_options o = {.maintenance = in->o->trust.maintenance};

	return o.maintenance ? ctl_policy_set(in->client, in->argument, &o) : usage();
}

static int run_policy_accept(const struct invocation *in)
{
	return ctl_policy_accept(in->client, in->argument);
}

static int run_vtpm_list(const struct invocation *in)
{
	return ctl_list(in->client, ADM_VTPM_LIST, in->o->json, true);
}

static bool take_uuid(const struct invocation *in, struct uuid *uuid)
{
	if (uuid_parse(in->argument, uuid) == 0)
		return true;
	ctl_say("'%s' is not a UUID", in->argument);
	return false;
}

static int run_vtpm_show(const struct invocation *in)
{
	struct uuid uuid;

	return take_uuid(in, &uuid) ? ctl_show_vtpm(in->client, ADM_VTPM_SHOW, &uuid, in->o->json) : EXIT_USAGE;
}

static int run_vtpm_takeover(const struct invocation *in)
{
	struct uuid uuid;

	return take_uuid(in, &uuid) ? ctl_show_vtpm(in->client, ADM_VTPM_TAKEOVER, &uuid, in->o->json) : EXIT_USAGE;
}

static int run_vtpm_register(const struct invocation *in)
{
	struct adm_register m = {.pool = view_text(in->o->pool ? in->o->pool : "default")};

	return take_uuid(in, &m.uuid) ? ctl_ask(in->client, ADM_VTPM_REGISTER, &m, ignore, NULL) : EXIT_USAGE;
}

static int run_vtpm_states(const struct invocation *in)
{
	struct uuid uuid;

	return take_uuid(in, &uuid) ? ctl_list_states(in->client, &uuid, in->o->json) : EXIT_USAGE;
}

static int run_vtpm_images(const struct invocation *in)
{
	struct uuid uuid;

	return take_uuid(in, &uuid) ? ctl_list_images(in->client, &uuid, in->o->json) : EXIT_USAGE;
}

static int run_vtpm_allow_image(const struct invocation *in)
{
	struct adm_image_allow m;
	char *end;

	if (!in->o->image || *in->o->image < '0' || *in->o->image > '9')
		return usage();
	m.image = strtoull(in->o->image, &end, 10);
	if (*end || m.image > UINT32_MAX)
		return usage();
	return take_uuid(in, &m.uuid) ? ctl_ask(in->client, ADM_IMAGE_ALLOW, &m, ignore, NULL) : EXIT_USAGE;
}

static int run_vtpm_restore(const struct invocation *in)
{
	struct adm_state_restore m;
	char *end;

	if (in->o->state)
		return in->o->version ? usage() : take_uuid(in, &m.uuid) ? ctl_put_state(in->client, &m.uuid, in->o->state) : EXIT_USAGE;
	if (!in->o->version || *in->o->version < '0' || *in->o->version > '9')
		return usage();
	m.version = strtoull(in->o->version, &end, 10);
	if (*end || m.version > INT64_MAX)
		return usage();
	return take_uuid(in, &m.uuid) ? ctl_ask(in->client, ADM_STATE_RESTORE, &m, ignore, NULL) : EXIT_USAGE;
}

static int run_vtpm_clone(const struct invocation *in)
{
	struct uuid from;

	return take_uuid(in, &from) ? ctl_clone(in->client, &from, in->second, in->o->share_keys, in->o->yes) : EXIT_USAGE;
}

static int run_vtpm_rekey(const struct invocation *in)
{
	struct uuid uuid;

	return take_uuid(in, &uuid) ? ctl_rekey(in->client, &uuid, in->o->yes) : EXIT_USAGE;
}

static int run_vtpm_retire(const struct invocation *in)
{
	struct uuid uuid;

	if (in->o->cancel && (in->o->grace || in->o->yes))
		return usage();
	if (!take_uuid(in, &uuid))
		return EXIT_USAGE;
	return in->o->cancel ? ctl_retire_cancel(in->client, &uuid) : ctl_retire(in->client, &uuid, in->o->grace ? in->o->grace : "7d", in->o->yes);
}

static int run_move_key(const struct invocation *in)
{
	return in->o->out ? ctl_move_key(in->client, in->o->out) : usage();
}

static int run_vtpm_export(const struct invocation *in)
{
	const struct options *o = in->o;
	struct uuid uuid;

	if (o->cancel ? o->to || o->fingerprint || o->out : !o->to || !o->fingerprint || !o->out || o->yes)
		return usage();
	if (!take_uuid(in, &uuid))
		return EXIT_USAGE;
	return o->cancel ? ctl_export_cancel(in->client, &uuid, o->yes) : ctl_export(in->client, &uuid, o->to, o->fingerprint, o->out);
}

static int run_vtpm_import(const struct invocation *in)
{
	const struct options *o = in->o;

	return o->fingerprint && o->out ? ctl_import(in->client, in->argument, o->fingerprint, o->pool, o->out) : usage();
}

static int run_vtpm_moved(const struct invocation *in)
{
	return ctl_moved(in->client, in->argument);
}

static int run_key_rotate(const struct invocation *in)
{
	struct adm_name m = {0};

	if (in->argument)
		m.name = view_text(in->argument);
	return ctl_ask(in->client, ADM_KEY_ROTATE, &m, ignore, NULL);
}

static int run_key_rewrap(const struct invocation *in)
{
	return ctl_rewrap(in->client);
}

static int run_key_list(const struct invocation *in)
{
	return ctl_key_list(in->client);
}

static int run_replica_forget(const struct invocation *in)
{
	return ctl_replica_forget(in->client, in->argument);
}

static int run_replica_request(const struct invocation *in)
{
	return in->o->out ? ctl_replica_request(in->conf, in->o->out) : usage();
}

static int run_replica_add(const struct invocation *in)
{
	const struct ctl_replica_options o = {.request = in->argument, .authority = in->o->authority, .out = in->o->out, .ek = in->o->ek};

	return o.authority && o.out ? ctl_replica_add(in->conf, in->client, &o) : usage();
}

static int run_server_renew(const struct invocation *in)
{
	return ctl_server_renew(in->conf, in->client, in->o->names[0] ? in->o->names : NULL, in->o->days ? in->o->days : SERVER_DAYS);
}

static int run_replica_join(const struct invocation *in)
{
	return ctl_replica_join(in->conf, in->argument, in->o->names[0] ? in->o->names : NULL, in->o->days ? in->o->days : SERVER_DAYS);
}

static int run_ca_show(const struct invocation *in)
{
	return ctl_ca_show(in->conf, in->o->json);
}

static int run_ca_export(const struct invocation *in)
{
	struct ctl_client *c;
	int code = EXIT_NO_KMCD;

	if (in->o->der && in->o->json)
		return usage();
	if (!in->o->number)
		return ctl_ca_export(in->conf, in->o->der, in->o->json);
	c = ctl_connect(in->conf->control);
	if (c)
		code = ctl_ca_export_number(c, in->o->number, in->o->der, in->o->json);
	ctl_close(&c);
	return code;
}

static int run_ca_renew(const struct invocation *in)
{
	return ctl_ca_renew(in->client, in->o->days ? in->o->days : CA_DAYS);
}

static int run_ca_status(const struct invocation *in)
{
	return ctl_ca_status(in->client, in->o->json);
}

static int run_ca_switch(const struct invocation *in)
{
	return ctl_ca_switch(in->conf, in->client, in->o->force);
}

static int run_ca_retire(const struct invocation *in)
{
	return ctl_ca_retire(in->client, in->o->force);
}

static bool take_number(const struct invocation *in, uint64_t *n)
{
	char *end = NULL;

	*n = in->argument ? strtoull(in->argument, &end, 10) : 0;
	if (!in->argument || (*in->argument >= '0' && *in->argument <= '9' && !*end && *n <= INT64_MAX))
		return true;
	ctl_say("'%s' is not a record's number", in->argument);
	return false;
}

static int run_audit_show(const struct invocation *in)
{
	uint64_t from;

	return take_number(in, &from) ? ctl_audit_show(in->client, from, in->o->json) : EXIT_USAGE;
}

static int run_audit_verify(const struct invocation *in)
{
	char key[KMCCONF_PATH];

	return ctl_audit_verify(in->client, in->o->key ? in->o->key : kmcconf_path(in->conf, "audit.pub", key), in->o->head);
}

static int run_audit_export(const struct invocation *in)
{
	bool syslog = in->o->format && strcmp(in->o->format, "syslog") == 0;
	uint64_t from;

	if (in->o->json && syslog)
		return usage();
	if (in->o->format && !syslog && strcmp(in->o->format, "json") != 0)
		return usage();
	return take_number(in, &from) ? ctl_audit_export(in->client, from, syslog) : EXIT_USAGE;
}

enum argument { NO_ARGUMENT, ONE_ARGUMENT, MAYBE_ARGUMENT, ONE_FILE, TWO_ARGUMENTS };

static const struct command {
	const char *noun, *verb; /* verb NULL: the noun is the command */
	enum argument argument;
	int (*run)(const struct invocation *in);
} commands[] = {
	{"init", NULL, NO_ARGUMENT, run_init},
	{"status", NULL, NO_ARGUMENT, run_status},
	{"pool", "add", ONE_ARGUMENT, run_pool_add},
	{"pool", "set", ONE_ARGUMENT, run_pool_set},
	{"pool", "list", NO_ARGUMENT, run_pool_list},
	{"host", "add", ONE_ARGUMENT, run_host_add},
	{"host", "list", NO_ARGUMENT, run_host_list},
	{"host", "remove", ONE_ARGUMENT, run_host_remove},
	{"policy", "show", ONE_ARGUMENT, run_policy_show},
	{"policy", "set", ONE_ARGUMENT, run_policy_set},
	{"policy", "accept", ONE_ARGUMENT, run_policy_accept},
	{"policy", "maintenance", ONE_ARGUMENT, run_policy_maintenance},
	{"vtpm", "list", NO_ARGUMENT, run_vtpm_list},
	{"vtpm", "show", ONE_ARGUMENT, run_vtpm_show},
	{"vtpm", "register", ONE_ARGUMENT, run_vtpm_register},
	{"vtpm", "takeover", ONE_ARGUMENT, run_vtpm_takeover},
	{"vtpm", "states", ONE_ARGUMENT, run_vtpm_states},
	{"vtpm", "restore", ONE_ARGUMENT, run_vtpm_restore},
	{"vtpm", "images", ONE_ARGUMENT, run_vtpm_images},
	{"vtpm", "allow-image", ONE_ARGUMENT, run_vtpm_allow_image},
	{"vtpm", "clone", TWO_ARGUMENTS, run_vtpm_clone},
	{"vtpm", "rekey", ONE_ARGUMENT, run_vtpm_rekey},
	{"vtpm", "retire", ONE_ARGUMENT, run_vtpm_retire},
	{"move-key", NULL, NO_ARGUMENT, run_move_key},
	{"vtpm", "export", ONE_ARGUMENT, run_vtpm_export},
	{"vtpm", "import", ONE_FILE, run_vtpm_import},
	{"vtpm", "moved", ONE_FILE, run_vtpm_moved},
	{"key", "rotate", MAYBE_ARGUMENT, run_key_rotate},
	{"key", "rewrap", NO_ARGUMENT, run_key_rewrap},
	{"key", "list", NO_ARGUMENT, run_key_list},
	{"backup", NULL, NO_ARGUMENT, run_backup},
	{"recover", NULL, ONE_FILE, run_recover},
	{"replica", "request", NO_ARGUMENT, run_replica_request},
	{"replica", "add", ONE_FILE, run_replica_add},
	{"replica", "join", ONE_FILE, run_replica_join},
	{"replica", "forget", ONE_ARGUMENT, run_replica_forget},
	{"server", "renew", NO_ARGUMENT, run_server_renew},
	{"ca", "show", NO_ARGUMENT, run_ca_show},
	{"ca", "export", NO_ARGUMENT, run_ca_export},
	{"ca", "renew", NO_ARGUMENT, run_ca_renew},
	{"ca", "status", NO_ARGUMENT, run_ca_status},
	{"ca", "switch", NO_ARGUMENT, run_ca_switch},
	{"ca", "retire", NO_ARGUMENT, run_ca_retire},
	{"audit", "show", MAYBE_ARGUMENT, run_audit_show},
	{"audit", "verify", NO_ARGUMENT, run_audit_verify},
	{"audit", "export", MAYBE_ARGUMENT, run_audit_export},
};

/* Without kmcd: there is none yet, or files tell all. */
static bool works_alone(const struct command *c)
{
	return c->run == run_init || c->run == run_replica_request || c->run == run_replica_join ||
	       c->run == run_backup || c->run == run_recover || c->run == run_ca_show || c->run == run_ca_export;
}

/* By itself. The others tell results, see common/results.h. */
static bool prints_json(const struct command *c)
{
	static int (*const table[])(const struct invocation *in) = {
		run_pool_list, run_host_list, run_policy_show, run_vtpm_list, run_vtpm_show, run_vtpm_takeover, run_vtpm_states, run_vtpm_images,
		run_ca_show, run_ca_status, run_ca_export, run_audit_show, run_audit_export,
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (c->run == table[i])
			return true;
	return false;
}

static const struct command *find(char **argv, int argc, struct invocation *in)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];
		int words = c->verb ? 2 : 1, left = argc - words;

		if (left < 0 || strcmp(argv[0], c->noun) != 0 || (c->verb && strcmp(argv[1], c->verb) != 0))
			continue;
		in->argument = left ? argv[words] : NULL;
		in->second = left == 2 ? argv[words + 1] : NULL;
		if (c->argument == TWO_ARGUMENTS && left == 2)
			return c;
		if ((c->argument != TWO_ARGUMENTS && left == (c->argument == ONE_ARGUMENT || c->argument == ONE_FILE)) ||
		    (c->argument == MAYBE_ARGUMENT && left == 1))
			return c;
	}
	return NULL;
}

static bool add_name(struct options *o, const char *name)
{
	size_t n = strlen(o->names);

	if (strchr(name, ' ') || n + strlen(name) + 2 > sizeof(o->names))
		return false;
	snprintf(o->names + n, sizeof(o->names) - n, "%s%s", n ? " " : "", name);
	return true;
}

static bool add_share(struct options *o, const char *file)
{
	if (o->recover.n_shares == CTL_SHARES_MAX)
		return false;
	o->recover.shares[o->recover.n_shares++] = file;
	return true;
}

static bool set_number(struct options *o, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	o->number = (unsigned int)n;
	return *text >= '0' && *text <= '9' && !*end && n >= 1 && n <= 1000000;
}

static bool set_days(struct options *o, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	o->days = (unsigned int)n;
	return *text >= '0' && *text <= '9' && !*end && n >= 1 && n <= 36500;
}

enum { OPT_PCRS = 256, OPT_INTERVAL, OPT_REQUIRE, OPT_CLOCK, OPT_FIRMWARE, OPT_UNTIL, OPT_IMAGE, OPT_AUTHORITY, OPT_RECOVERY, OPT_SHARES, OPT_SHARE, OPT_DER, OPT_STUB_IMAGE, OPT_GRACE, OPT_YES, OPT_CANCEL, OPT_FORCE, OPT_NUMBER, OPT_SHARE_KEYS, OPT_TO, OPT_FINGERPRINT, OPT_STATE };

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'}, {"check", no_argument, NULL, 'C'}, {"all", no_argument, NULL, 'a'},
		{"pool", required_argument, NULL, 'p'}, {"out", required_argument, NULL, 'o'},
		       {"days", required_argument, NULL, 'd'},
		{"not-after", required_argument, NULL, 'n'}, {"san", required_argument, NULL, 's'},
		       {"policy", required_argument, NULL, 'P'},
		{"head", required_argument, NULL, 'H'}, {"key", required_argument, NULL, 'k'}, {"format", required_argument, NULL, 'f'}, 
		{"version", required_argument, NULL, 'v'}, {"ttl", required_argument, NULL, 't'},
		{"ek", required_argument, NULL, 'e'}, {"pcrs", required_argument, NULL, OPT_PCRS},
		{"interval", required_argument, NULL, OPT_INTERVAL}, {"require-attestation", required_argument, NULL, OPT_REQUIRE},
		{"clock", required_argument, NULL, OPT_CLOCK}, {"firmware", required_argument, NULL, OPT_FIRMWARE},
		{"until", required_argument, NULL, OPT_UNTIL}, {"image", required_argument, NULL, OPT_IMAGE},
		{"authority", required_argument, NULL, OPT_AUTHORITY},
		{"recovery", required_argument, NULL, OPT_RECOVERY}, {"shares", required_argument, NULL, OPT_SHARES},
		{"share", required_argument, NULL, OPT_SHARE}, {"der", no_argument, NULL, OPT_DER},
		{"stub-image", required_argument, NULL, OPT_STUB_IMAGE}, {"grace", required_argument, NULL, OPT_GRACE},
		{"yes", no_argument, NULL, OPT_YES}, {"cancel", no_argument, NULL, OPT_CANCEL}, {"force", no_argument, NULL, OPT_FORCE},
		{"number", required_argument, NULL, OPT_NUMBER}, {"share-keys", no_argument, NULL, OPT_SHARE_KEYS},
		{"to", required_argument, NULL, OPT_TO}, {"fingerprint", required_argument, NULL, OPT_FINGERPRINT},
		{"state", required_argument, NULL, OPT_STATE}, {0}};
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "c:", long_options, NULL)) != -1) {
		switch (c) {
		case 'c': o->config = optarg; break;
		case 'j': o->json = true; break;
		case 'C': o->check = true; break;
		case 'a': o->all = true; break;
		case 'p': o->pool = optarg; break;
		case 'o': o->out = optarg; break;
		case 'n': o->not_after = optarg; break;
		case 'P': o->policy = optarg; break;
		case 'H': o->head = optarg; break;
		case 'k': o->key = optarg; break;
		case 'f': o->format = optarg; break;
		case 'v': o->version = optarg; break;
		case 't': o->ttl = optarg; break;
		case 'e': o->ek = optarg; break;
		case OPT_PCRS: o->trust.pcrs = optarg; break;
		case OPT_INTERVAL: o->trust.interval = optarg; break;
		case OPT_REQUIRE: o->trust.require = optarg; break;
		case OPT_CLOCK: o->trust.clock = optarg; break;
		case OPT_FIRMWARE: o->trust.firmware = optarg; break;
		case OPT_DER: o->der = true; break;
		case OPT_GRACE: o->grace = optarg; break;
		case OPT_YES: o->yes = true; break;
		case OPT_SHARE_KEYS: o->share_keys = true; break;
		case OPT_CANCEL: o->cancel = true; break;
		case OPT_STATE: o->state = optarg; break;
		case OPT_TO: o->to = optarg; break;
		case OPT_FINGERPRINT: o->fingerprint = optarg; break;
		case OPT_FORCE: o->force = true; break;
		case OPT_NUMBER: ok = set_number(o, optarg); break;
		case OPT_UNTIL: o->trust.maintenance = optarg; break;
		case OPT_IMAGE: o->image = optarg; break;
		case OPT_RECOVERY: o->recovery = optarg; break;
		case OPT_SHARES: o->shares_dir = optarg; break;
		case OPT_SHARE: ok = add_share(o, optarg); break;
		case OPT_AUTHORITY: o->authority = optarg; break;
		case OPT_STUB_IMAGE: o->trust.images = optarg; break;
		case 'd': ok = set_days(o, optarg); break;
		case 's': ok = add_name(o, optarg); break;
		default: ok = false;
		}
	}
	return ok;
}

/* What was done, to what, and what came of it. What failed has said so on standard error, and gives no object but for what it found. */
static void end_results(const struct command *command, const struct invocation *in, int code)
{
	char words[64];

	if (!results_are_json() || prints_json(command) || (code != EXIT_FINE && !results_any()))
		return;
	snprintf(words, sizeof(words), "%s%s%s", command->noun, command->verb ? " " : "", command->verb ? command->verb : "");
	results_text("command", words);
	if (in->argument)
		results_text("subject", in->argument);
	if (in->second)
		results_text("second", in->second);
	results_truth("done", code == EXIT_FINE);
	results_end();
}

static bool fits(const char *name)
{
	return !name || (*name && strlen(name) <= KMC_NAME_MAX);
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct invocation in = {.o = &o};
	const struct command *command;
	char why[CONFIG_WHY];
	struct kmcconf conf;
	int code = EXIT_NO_KMCD;

	log_open("kmcctl", LOG_LV_INFO);
	umask(077);
	command = parse(argc, argv, &o) && optind < argc ? find(argv + optind, argc - optind, &in) : NULL;
	if (!command)
		return usage();
	if ((command->argument != ONE_FILE && !fits(in.argument)) || !fits(o.pool)) {
		ctl_say("a name has 1 to %d characters", KMC_NAME_MAX);
		return EXIT_USAGE;
	}
	if (kmcconf_read(o.config ? o.config : KMC_CONF, &conf, why) != 0) {
		ctl_say("%s", why);
		return EXIT_ERROR;
	}
	in.conf = &conf;
	if (o.json)
		results_as_json();
	if (!works_alone(command))
		in.client = ctl_connect(conf.control);
	if (in.client || works_alone(command) || (command->run == run_status && o.check))
		code = command->run(&in);
	if (command->run != run_status || o.check)
		end_results(command, &in, code);
	ctl_close(&in.client);
	kmcconf_free(&conf);
	return code;
}
