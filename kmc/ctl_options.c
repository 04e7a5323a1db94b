/* What follows a command of kmcctl on its line. */
#include "kmc/ctl_options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_MAX 36500
#define AUTHORITIES_MAX 1000000

bool ctl_options_number(const char *text, uint64_t max, uint64_t *n)
{
	char *end;

	*n = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *n <= max;
}

static bool add_name(struct ctl_options *o, const char *name)
{
	size_t n = strlen(o->names);

	if (strchr(name, ' ') || n + strlen(name) + 2 > sizeof(o->names))
		return false;
	snprintf(o->names + n, sizeof(o->names) - n, "%s%s", n ? " " : "", name);
	return true;
}

static bool add_share(struct ctl_options *o, const char *file)
{
	if (o->recover.n_shares == CTL_SHARES_MAX)
		return false;
	o->recover.shares[o->recover.n_shares++] = file;
	return true;
}

static bool set_days(struct ctl_options *o, const char *text)
{
	uint64_t n;
	bool ok = ctl_options_number(text, DAYS_MAX, &n) && n >= 1;

	o->days = ok ? (unsigned int)n : 0;
	return ok;
}

static bool set_number(struct ctl_options *o, const char *text)
{
	uint64_t n;
	bool ok = ctl_options_number(text, AUTHORITIES_MAX, &n) && n >= 1;

	o->number = ok ? (unsigned int)n : 0;
	return ok;
}

/* Where an option goes: its text, the fact that it was given, or a function that takes the text. */
static const struct row {
	const char *name;
	enum { TEXT, FACT, TAKEN } kind;
	size_t at; /* of the field in struct ctl_options */
	bool (*take)(struct ctl_options *o, const char *text);
} rows[] = {
#define AT(field) offsetof(struct ctl_options, field)
	{"config", TEXT, AT(config), NULL},
	{"json", FACT, AT(json), NULL},
	{"check", FACT, AT(check), NULL},
	{"all", FACT, AT(all), NULL},
	{"pool", TEXT, AT(pool), NULL},
	{"out", TEXT, AT(out), NULL},
	{"days", TAKEN, 0, set_days},
	{"not-after", TEXT, AT(not_after), NULL},
	{"san", TAKEN, 0, add_name},
	{"policy", TEXT, AT(policy), NULL},
	{"head", TEXT, AT(head), NULL},
	{"key", TEXT, AT(key), NULL},
	{"format", TEXT, AT(format), NULL},
	{"version", TEXT, AT(version), NULL},
	{"ttl", TEXT, AT(ttl), NULL},
	{"ek", TEXT, AT(ek), NULL},
	{"pcrs", TEXT, AT(trust.pcrs), NULL},
	{"interval", TEXT, AT(trust.interval), NULL},
	{"require-attestation", TEXT, AT(trust.require), NULL},
	{"clock", TEXT, AT(trust.clock), NULL},
	{"firmware", TEXT, AT(trust.firmware), NULL},
	{"until", TEXT, AT(trust.maintenance), NULL},
	{"image", TEXT, AT(image), NULL},
	{"authority", TEXT, AT(authority), NULL},
	{"recovery", TEXT, AT(recovery), NULL},
	{"shares", TEXT, AT(shares_dir), NULL},
	{"share", TAKEN, 0, add_share},
	{"der", FACT, AT(der), NULL},
	{"stub-image", TEXT, AT(trust.images), NULL},
	{"grace", TEXT, AT(grace), NULL},
	{"yes", FACT, AT(yes), NULL},
	{"cancel", FACT, AT(cancel), NULL},
	{"force", FACT, AT(force), NULL},
	{"number", TAKEN, 0, set_number},
	{"share-keys", FACT, AT(share_keys), NULL},
	{"to", TEXT, AT(to), NULL},
	{"fingerprint", TEXT, AT(fingerprint), NULL},
	{"state", TEXT, AT(state), NULL},
#undef AT
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))
#define FIRST 256 /* getopt's value for rows[0]: beyond what a letter may be */

static bool take(struct ctl_options *o, const struct row *row, const char *text)
{
	char *field = (char *)o + row->at;

	switch (row->kind) {
	case TEXT: *(const char **)(void *)field = text; return true;
	case FACT: *(bool *)field = true; return true;
	case TAKEN: break;
	}
	return row->take(o, text);
}

bool ctl_options_read(int argc, char **argv, struct ctl_options *o)
{
	struct option names[N_ROWS + 1] = {0};
	int c;

	for (size_t i = 0; i < N_ROWS; i++) {
		names[i].name = rows[i].name;
		names[i].has_arg = rows[i].kind == FACT ? no_argument : required_argument;
		names[i].val = FIRST + (int)i;
	}
	while ((c = getopt_long(argc, argv, "c:", names, NULL)) != -1) {
		if (c == 'c') /* the first row's letter */
			c = FIRST;
		if (c < FIRST || !take(o, &rows[c - FIRST], optarg))
			return false;
	}
	return true;
}

const char *ctl_options_names(const struct ctl_options *o)
{
	return o->names[0] ? o->names : NULL;
}

unsigned int ctl_options_days(const struct ctl_options *o, unsigned int usual)
{
	return o->days ? o->days : usual;
}
