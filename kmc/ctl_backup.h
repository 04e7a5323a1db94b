/*
 * kmcctl backup and recover.
 *
 * A backup is a directory: kmc.db (the whole database, an SQLite file whatever the engine), keys.kmc (the key files below the parent, and
 * the recovery file), parent.tpm (the parent, for the TPM of this machine), kmc.conf. All keys in it are encrypted.
 */
#ifndef KMC_CTL_BACKUP_H
#define KMC_CTL_BACKUP_H

#include "kmc/kmcconf.h"

/** ctl_backup() - into the new directory @out, while kmcd may run. @config: the configuration's path. Return: an exit code. */
int ctl_backup(const struct kmcconf *conf, const char *config, const char *out);

#define CTL_SHARES_MAX 16

struct ctl_recover_options {
	const char *backup;		    /* the directory */
	const char *shares[CTL_SHARES_MAX]; /* files; none: this machine has the backup's TPM */
	unsigned int n_shares;
	const char *names; /* as for ctl_init() */
	unsigned int days;
};

/** ctl_recover() - a KMC on this machine from a backup. Every lease is over afterwards. Return: an exit code. */
int ctl_recover(const struct kmcconf *conf, const struct ctl_recover_options *o);

#endif
