/* kmcctl host add: what a host needs to connect, as files. */
#ifndef KMC_CTL_HOST_H
#define KMC_CTL_HOST_H

#include <stdint.h>

struct ctl_client;

struct ctl_host_options {
	const char *name, *pool;
	const char *out; /* directory, made if need be */
	int64_t not_after; /* seconds since 1970 */
};

/** ctl_host_add() - write host.key, host.crt, ca.crt and relay.conf; all or nothing. Return: an exit code. */
int ctl_host_add(struct ctl_client *c, const struct ctl_host_options *o);

#endif
