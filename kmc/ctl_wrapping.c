/* kmcctl key rewrap, key list, replica forget. */
#include "kmc/ctl_wrapping.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/results.h"

#define TIME_TEXT 24

struct listing {
	uint64_t number, done;
};

static const char *when(uint64_t t, char text[TIME_TEXT])
{
	const time_t seconds = (time_t)t;
	struct tm tm;

	if (t == 0 || !gmtime_r(&seconds, &tm))
		return "-";
	strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

int ctl_rewrap(struct ctl_client *c)
{
	int code = ctl_order(c, ADM_KEY_REWRAP, NULL);

	if (code == EXIT_FINE)
		results_tell("a new wrapping key is made; kmcd wraps seeds and keys anew while it serves: see 'kmcctl key list'\n");
	return code;
}

static void show_key(const struct adm_wrapping *m)
{
	char a[TIME_TEXT], b[TIME_TEXT];

	results_number("wrapping_key", m->number);
	results_number("wrapped", m->all);
	results_number("rewrap_left", m->left);
	results_truth("settled", m->number == 1 || m->done_at);
	if (m->number == 1) {
		results_tell("wrapping key 1: the first one, %" PRIu64 " seeds and keys are under it\n", m->all);
	} else if (m->done_at) {
		results_tell("wrapping key %" PRIu64 ": in use since %s, replaced key %" PRIu64 " by %s; %" PRIu64 " seeds and keys are under it\n", m->number,
		       when(m->used_at, a), m->number - 1, when(m->done_at, b), m->all);
	} else if (!m->used_at) {
		results_tell("wrapping key %" PRIu64 ": made at %s to replace key %" PRIu64 ", which is in use until all machines that run have the new one\n", m->number,
		       when(m->made_at, a), m->number - 1);
	} else {
		results_tell("wrapping key %" PRIu64 ": in use since %s, replaces key %" PRIu64 ": %" PRIu64 " of %" PRIu64 " seeds and keys are under it, %" PRIu64
		       " are left\n", m->number, when(m->used_at, a), m->number - 1, m->all - m->left, m->all, m->left);
	}
	if (m->damaged)
		results_tell("%" PRIu64 " can't be wrapped anew, and the old key stays for them: see kmcd's log\n", m->damaged);
}

static void show_kmc(const struct listing *l, const struct adm_wrapping_kmc *m)
{
	char more[ADM_REASON_MAX + 60] = "";

	if (m->trouble.p)
		snprintf(more, sizeof(more), ", can't take key %" PRIu64 ": %.*s", l->number, (int)m->trouble.n, (const char *)m->trouble.p);
	else if (m->newest < l->number)
		snprintf(more, sizeof(more), ", gets key %" PRIu64 " when it runs", l->number);
	else if (m->oldest < m->newest)
		snprintf(more, sizeof(more), ", and still key %" PRIu64 "%s", m->oldest, l->done ? ", which it destroys when it runs" : "");
	results_tell("%-20.*s  key %" PRIu64 "%s\n", (int)m->name.n, (const char *)m->name.p, m->newest, more);
}

static bool on_entry(void *arg, uint64_t type, const void *fields)
{
	struct listing *l = arg;

	if (type == ADM_WRAPPING) {
		l->number = ((const struct adm_wrapping *)fields)->number;
		l->done = ((const struct adm_wrapping *)fields)->done_at;
		show_key(fields);
	} else if (type == ADM_WRAPPING_KMC) {
		show_kmc(l, fields);
	}
	return type == ADM_WRAPPING || type == ADM_WRAPPING_KMC;
}

int ctl_key_list(struct ctl_client *c)
{
	struct listing l = {0};

	return ctl_ask(c, ADM_KEY_LIST, NULL, on_entry, &l);
}

int ctl_replica_forget(struct ctl_client *c, const char *name)
{
	const struct adm_name m = {.name = view_text(name)};

	return ctl_order(c, ADM_REPLICA_FORGET, &m);
}
