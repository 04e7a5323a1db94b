/* kmcctl ca renew, status, switch, retire: from one certificate authority to the next. */
#ifndef KMC_CTL_AUTHORITY_H
#define KMC_CTL_AUTHORITY_H

#include "kmc/ctl_client.h"

struct kmcconf;

/* Each returns an exit code; what failed was said. */
int ctl_ca_renew(struct ctl_client *c, unsigned int days);
int ctl_ca_status(struct ctl_client *c, bool json);

/** ctl_ca_switch() - the next one signs from now on; if it does already, only this machine's files are brought up to that. */
int ctl_ca_switch(const struct kmcconf *conf, struct ctl_client *c, bool force);
int ctl_ca_retire(struct ctl_client *c, bool force);

/** ctl_ca_export_number() - that authority's certificate to standard output, PEM or DER. */
int ctl_ca_export_number(struct ctl_client *c, uint64_t number, bool der, bool json);

#endif
