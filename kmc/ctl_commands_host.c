/* kmcctl pool, host, policy: whom the KMC serves, and what it asks of them. */
#include <string.h>
#include <time.h>

#include "kmc/ctl_command.h"
#include "kmc/ctl_host.h"
#include "kmc/ctl_show.h"
#include "kmc/ctl_trust.h"

#define DAY 86400
#define HOST_DAYS 825

/* --- pool --- */

static bool read_policy(const char *policy, uint64_t *registered_only)
{
	*registered_only = policy && strcmp(policy, "registered") == 0;
	return !policy || *registered_only || strcmp(policy, "auto") == 0;
}

static int put_pool(const struct ctl_line *line, bool create)
{
	struct adm_pool_put m = {.name = view_text(line->argument), .create = create};

	if (!read_policy(line->o->policy, &m.registered_only) || (!create && !line->o->policy))
		return CTL_MISUSED;
	return ctl_order(line->client, ADM_POOL_PUT, &m);
}

static int run_pool_add(const struct ctl_line *line)
{
	return put_pool(line, true);
}

static int run_pool_set(const struct ctl_line *line)
{
	return put_pool(line, false);
}

static int run_pool_list(const struct ctl_line *line)
{
	return ctl_list(line->client, ADM_POOL_LIST, line->o->json, true);
}

/* --- host --- */

static bool read_time(const char *text, int64_t *at)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	*at = (int64_t)timegm(&tm);
	return end && !*end;
}

/* A token, or with --out the host's files. */
static int run_host_add(const struct ctl_line *line)
{
	const struct ctl_options *o = line->o;
	struct ctl_host_options host = {
		.name = line->argument, .pool = o->pool ? o->pool : "default", .out = o->out,
		.not_after = (int64_t)time(NULL) + (int64_t)ctl_options_days(o, HOST_DAYS) * DAY,
	};

	if (!o->out && !o->not_after && !o->days)
		return ctl_token(line->client, host.name, host.pool, o->ttl, o->ek);
	if (o->ttl || o->ek || !o->out)
		return CTL_MISUSED;
	if (o->not_after && !read_time(o->not_after, &host.not_after))
		return CTL_MISUSED;
	return ctl_host_add(line->client, &host);
}

static int run_host_list(const struct ctl_line *line)
{
	return ctl_list(line->client, ADM_HOST_LIST, line->o->json, line->o->all);
}

static int run_host_remove(const struct ctl_line *line)
{
	const struct adm_name m = {.name = view_text(line->argument)};

	return ctl_order(line->client, ADM_HOST_REMOVE, &m);
}

/* --- policy --- */

static int run_policy_show(const struct ctl_line *line)
{
	return ctl_policy_show(line->client, line->argument, line->o->json);
}

static int run_policy_set(const struct ctl_line *line)
{
	struct ctl_policy_options policy = line->o->trust;

	policy.ek = line->o->ek;
	return policy.maintenance ? CTL_MISUSED : ctl_policy_set(line->client, line->argument, &policy);
}

static int run_policy_accept(const struct ctl_line *line)
{
	return ctl_policy_accept(line->client, line->argument);
}

static int run_policy_maintenance(const struct ctl_line *line)
{
	const struct ctl_policy_options policy = {.maintenance = line->o->trust.maintenance};

	return policy.maintenance ? ctl_policy_set(line->client, line->argument, &policy) : CTL_MISUSED;
}

const struct ctl_command ctl_commands_host[] = {
	{"pool", "add", ONE_ARGUMENT, run_pool_add, 0,
	 "  pool add NAME [--policy auto|registered]     registered: vTPMs must be registered before they can be opened\n"},
	{"pool", "set", ONE_ARGUMENT, run_pool_set, 0,
	 "  pool set NAME --policy auto|registered\n"},
	{"pool", "list", NO_ARGUMENT, run_pool_list, PRINTS,
	 "  pool list\n"},
	{"host", "add", ONE_ARGUMENT, run_host_add, 0,
	 "  host add NAME [--pool P] [--ttl 1h] [--ek SHA256]   print a token for 'vtpmctl enroll' on the host\n"
	 "  host add NAME --out DIR [--pool P] [--days N | --not-after YYYY-MM-DDTHH:MM:SSZ]   files instead (insecure-software-key)\n"},
	{"host", "list", NO_ARGUMENT, run_host_list, PRINTS,
	 "  host list [--all]\n"},
	{"host", "remove", ONE_ARGUMENT, run_host_remove, 0,
	 "  host remove NAME                             refuse it from now on; its connections are cut\n"},
	{"policy", "show", ONE_ARGUMENT, run_policy_show, PRINTS,
	 "  policy show POOL\n"},
	{"policy", "set", ONE_ARGUMENT, run_policy_set, 0,
	 "  policy set POOL [--pcrs 0,1,2,3,7] [--interval 10m] [--require-attestation yes|no] [--ek first|listed|require]\n"
	 "      [--clock refuse|note] [--firmware refuse|note] [--stub-image DIGEST[,DIGEST...]|any]\n"},
	{"policy", "accept", ONE_ARGUMENT, run_policy_accept, 0,
	 "  policy accept HOST                           its present PCRs, firmware and clock are right\n"},
	{"policy", "maintenance", ONE_ARGUMENT, run_policy_maintenance, 0,
	 "  policy maintenance POOL --until 2h|YYYY-MM-DDTHH:MM:SSZ|off\n"},
	{0}};
