/* What vtpmctl asks of the relay, @arg; the socket is control.c's. */
#ifndef DOM0_RELAY_RELAY_VTPMCTL_H
#define DOM0_RELAY_RELAY_VTPMCTL_H

#include "dom0-relay/ctlmsg.h"

struct buf;

/** relay_vtpmctl_list() - STATUS, then an ENTRY for each vTPM, each backend that is prepared and each refusal that is remembered. */
void relay_vtpmctl_list(void *arg, struct buf *out);

/** relay_vtpmctl_order() - do what it wants: 0, or an error with @why. */
int relay_vtpmctl_order(void *arg, enum ctl_type type, const void *fields, char why[CTL_REASON_MAX]);

#endif
