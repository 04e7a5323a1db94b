/* kmcctl init: a new KMC on this machine. */
#ifndef KMC_CTL_INIT_H
#define KMC_CTL_INIT_H

struct kmcconf;

/**
 * ctl_init() - make the state directory, TPM keys, CA, server certificate and database, a line for each step
 * @names: of the server's certificate, separated by spaces; NULL: those in the configuration
 * @days: how long the server's certificate is good
 *
 * Refuses to overwrite; what it made itself is removed again if a later step fails. Return: an exit code.
 */
int ctl_init(const struct kmcconf *conf, const char *names, unsigned int days);

#endif
