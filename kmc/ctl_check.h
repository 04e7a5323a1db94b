/* `kmcctl status --check`: what commonly is wrong on the KMC's machine, and what to do. */
#ifndef KMC_CTL_CHECK_H
#define KMC_CTL_CHECK_H

struct ctl_client;
struct kmcconf;

/** ctl_check() - look at everything and say it; @client: NULL if kmcd does not answer. Return: an exit code. */
int ctl_check(const struct kmcconf *conf, struct ctl_client *client);

#endif
