/* Asking vtpm-relayd over its control socket, for vtpmctl. */
#ifndef DOM0_RELAY_CTLASK_H
#define DOM0_RELAY_CTLASK_H

#include "dom0-relay/ctlmsg.h"

/* What is called for each message of the answer. Views are valid during the call only. */
struct ctlask_ops {
	void (*status)(void *arg, const struct ctl_status *s);
	void (*entry)(void *arg, const struct ctl_entry *e);
	void (*refused)(void *arg, const struct ctl_refused *r); /* NULL: for what can't be refused */
};

/** ctlask_connect() - the control socket at @path. Return: a descriptor of the caller's, or E_IO (errno says why) or E_RANGE. */
int ctlask_connect(const char *path);

/** ctlask() - the answer to @request with @fields (NULL: it has none), over a fresh connection @fd, which stays the caller's: one request for each. Return: 0 or an error. */
int ctlask(int fd, enum ctl_type request, const void *fields, const struct ctlask_ops *ops, void *arg);

/** ctlask_list() - likewise, for CTL_LIST. */
int ctlask_list(int fd, const struct ctlask_ops *ops, void *arg);

#endif
