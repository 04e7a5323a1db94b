/* kmcctl replica: the keys of a KMC for a second machine with its own TPM. */
#ifndef KMC_CTL_REPLICA_H
#define KMC_CTL_REPLICA_H

#include "kmc/ctl_client.h"
#include "kmc/kmcconf.h"

/** ctl_replica_request() - on the new machine: say who its TPM is, into the file @out. Return: an exit code, as all here. */
int ctl_replica_request(const struct kmcconf *conf, const char *out);

struct ctl_replica_options {
	const char *request, *authority, *out; /* files: the request, the authority's private key, the package to be written */
	const char *ek; /* SHA-256 of the endorsement key, in hex, as the administrator read it off the new machine; NULL: its certificate must do */
};

/** ctl_replica_add() - on a machine that has the keys: have them copied for that TPM. */
int ctl_replica_add(const struct kmcconf *conf, struct ctl_client *c, const struct ctl_replica_options *o);

/** ctl_replica_join() - on the new machine again: take them into its TPM. @names, @days: as for ctl_init(). */
int ctl_replica_join(const struct kmcconf *conf, const char *package, const char *names, unsigned int days);

#endif
