/* kmcctl server renew. */
#ifndef KMC_CTL_SERVER_H
#define KMC_CTL_SERVER_H

#include "kmc/ctl_client.h"

struct kmcconf;

/**
 * ctl_server_renew() - a new key and certificate for this KMC's TLS, in place of the files that @conf names
 * @names: DNS names and addresses, separated by spaces; NULL: those of the present certificate
 *
 * The key is made here, the vault signs its public half; kmcd goes on with the old pair until it is started anew.
 * Return: an exit code.
 */
int ctl_server_renew(const struct kmcconf *conf, struct ctl_client *c, const char *names, unsigned int days);

#endif
