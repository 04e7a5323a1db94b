/* kmcctl init: a new KMC on this machine. */
#ifndef KMC_CTL_INIT_H
#define KMC_CTL_INIT_H

#include "kmc/ctl_recovery.h"

/**
 * ctl_init() - make the state directory, TPM keys, CA, server certificate and database, a line for each step
 * @names: of the server's certificate, separated by spaces; NULL: those in the configuration
 * @days: how long the server's certificate is good
 *
 * Refuses to overwrite; what it made itself is removed again if a later step fails. Return: an exit code.
 */
int ctl_init(const struct kmcconf *conf, const char *names, unsigned int days, const struct recovery_options *recovery);

/*
 * Parts of it, for a machine that gets its keys from elsewhere (replica, recovery).
 */

/** ctl_init_refuse_old() - that there is no KMC on this machine yet: EXIT_FINE, or EXIT_EXISTS after it was said. */
int ctl_init_refuse_old(const struct kmcconf *conf);

/** ctl_init_machine() - make the directories. 0 or an error with @why filled in. */
int ctl_init_machine(const struct kmcconf *conf, char why[KEYRING_WHY]);

/** ctl_init_server() - make the server's key and certificate with the CA in @keyring, @names and @days as for ctl_init(). Likewise. */
int ctl_init_server(const struct kmcconf *conf, const char *names, unsigned int days, const struct keyring *keyring, char why[KEYRING_WHY]);

/** ctl_init_remove() - remove what was made. */
void ctl_init_remove(const struct kmcconf *conf);

#endif
