/* kmcctl key rewrap, key list, replica forget. */
#ifndef KMC_CTL_WRAPPING_H
#define KMC_CTL_WRAPPING_H

#include "kmc/ctl_client.h"

/** ctl_rewrap() - have the wrapping key replaced: begun, not done, when it returns. Return: an exit code. */
int ctl_rewrap(struct ctl_client *c);

/** ctl_key_list() - the wrapping key, how far its replacement is, and which machines have which keys. Return: an exit code. */
int ctl_key_list(struct ctl_client *c);

/** ctl_replica_forget() - a kmcd that will not come back. Return: an exit code. */
int ctl_replica_forget(struct ctl_client *c, const char *name);

#endif
