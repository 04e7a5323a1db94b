/* What follows a command of kmcctl on its line: the options of all commands, for who runs one to look at what concerns it. */
#ifndef KMC_CTL_OPTIONS_H
#define KMC_CTL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "kmc/ctl_backup.h"
#include "kmc/ctl_trust.h"

/* NULL, false and 0: not given. */
struct ctl_options {
	const char *config, *pool, *out, *not_after, *policy, *head, *key, *format, *version, *ttl, *ek, *image, *authority;
	const char *grace, *to, *fingerprint, *state;
	const char *recovery, *shares_dir;
	char names[1024]; /* of every --san, separated by spaces; "": none */
	struct ctl_recover_options recover; /* its shares only */
	struct ctl_policy_options trust;    /* all but ek */
	unsigned int days, number;
	bool json, all, der, yes, cancel, check, force, share_keys;
};

/** ctl_options_read() - the options in @argv, whose other words getopt moves to its end, from optind on. False: they are wrong; which one may have been said. */
bool ctl_options_read(int argc, char **argv, struct ctl_options *o);

/** ctl_options_names() - those of --san, or NULL. */
const char *ctl_options_names(const struct ctl_options *o);

/** ctl_options_days() - --days, or @usual. */
unsigned int ctl_options_days(const struct ctl_options *o, unsigned int usual);

/** ctl_options_number() - digits that say a number up to @max into @n; false: @text is something else. */
bool ctl_options_number(const char *text, uint64_t max, uint64_t *n);

#endif
