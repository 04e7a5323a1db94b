/* kmcctl host add without --out, and kmcctl policy. */
#ifndef KMC_CTL_TRUST_H
#define KMC_CTL_TRUST_H

#include <stdbool.h>
#include <stdint.h>

struct ctl_client;

/** ctl_token() - make a token and print it; @ek: hex SHA-256 of the only endorsement key that may use it, or NULL. An exit code. */
int ctl_token(struct ctl_client *c, const char *host, const char *pool, const char *ttl, const char *ek);

/** ctl_policy_show() - print what a pool asks of its hosts. An exit code. */
int ctl_policy_show(struct ctl_client *c, const char *pool, bool json);

/* As given on the command line; NULL: stays as it is. */
struct ctl_policy_options {
	const char *pcrs, *interval, *require, *ek, *clock, *firmware, *maintenance, *images;
};

/** ctl_policy_set() - change what is given. An exit code. */
int ctl_policy_set(struct ctl_client *c, const char *pool, const struct ctl_policy_options *o);

/** ctl_policy_accept() - take a host's present PCRs as its reference. An exit code. */
int ctl_policy_accept(struct ctl_client *c, const char *host);

/** ctl_parse_pcrs() - a list such as 0,1,7 or 0-3,7, or "none", into a mask; false: it is no such list. */
bool ctl_parse_pcrs(const char *text, uint64_t *mask);

/** ctl_parse_duration() - such as 90, 90s, 15m, 24h, 30d, in seconds; false: it is none. */
bool ctl_parse_duration(const char *text, uint64_t *seconds);

#endif
