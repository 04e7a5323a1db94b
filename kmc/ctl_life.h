/* kmcctl vtpm clone, rekey, retire: what can't be undone, or makes keys worth less, asks first. Exit codes of ctl_client.h. */
#ifndef KMC_CTL_LIFE_H
#define KMC_CTL_LIFE_H

#include <stdbool.h>

#include "common/uuid.h"

struct ctl_client;

/** ctl_agreed() - "yes" from a person who has read @warning; a script has to say --yes. */
bool ctl_agreed(const char *warning, bool yes);

/** ctl_clone() - register @to in the pool of @from; @share: with the keys of @from, @yes: and don't ask. */
int ctl_clone(struct ctl_client *c, const struct uuid *from, const char *to, bool share, bool yes);

/** ctl_rekey() - @yes: don't ask. */
int ctl_rekey(struct ctl_client *c, const struct uuid *uuid, bool yes);

/** ctl_retire() - @grace: such as "7d"; @yes: don't ask. */
int ctl_retire(struct ctl_client *c, const struct uuid *uuid, const char *grace, bool yes);

/** ctl_retire_cancel() - within the grace. */
int ctl_retire_cancel(struct ctl_client *c, const struct uuid *uuid);

#endif
