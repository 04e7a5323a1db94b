/* kmcctl move-key, vtpm export, import and moved: a vTPM goes to another KMC. Exit codes of ctl_client.h. */
#ifndef KMC_CTL_MOVE_H
#define KMC_CTL_MOVE_H

#include <stdbool.h>

#include "common/uuid.h"

struct ctl_client;

/** ctl_move_key() - who this KMC is, into the new file @out. */
int ctl_move_key(struct ctl_client *c, const char *out);

/** ctl_export() - a vTPM for the KMC whose key is in the file @to and has @fingerprint, into the new file @out. */
int ctl_export(struct ctl_client *c, const struct uuid *uuid, const char *to, const char *fingerprint, const char *out);

/** ctl_export_cancel() - it stays here after all; @yes: don't ask. */
int ctl_export_cancel(struct ctl_client *c, const struct uuid *uuid, bool yes);

/** ctl_import() - the vTPM in @file, by the KMC with @fingerprint; @pool: NULL for the same name as there; the receipt into the new file @out. */
int ctl_import(struct ctl_client *c, const char *file, const char *fingerprint, const char *pool, const char *out);

/** ctl_put_state() - the state that 'vtpmctl state export' has written into @file on a host. */
int ctl_put_state(struct ctl_client *c, const struct uuid *uuid, const char *file);

/** ctl_moved() - the other KMC's receipt. */
int ctl_moved(struct ctl_client *c, const char *receipt);

#endif
