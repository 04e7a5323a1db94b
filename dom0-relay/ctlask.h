/* Asking vtpm-relayd over its control socket, for vtpmctl. */
#ifndef DOM0_RELAY_CTLASK_H
#define DOM0_RELAY_CTLASK_H

#include "dom0-relay/ctlmsg.h"

/* Exit codes of vtpmctl, as in the manual page. */
enum { EXIT_FINE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NO_RELAY = 3 };

/* What is called for each message of the answer; NULL: nobody wants to know. Views are valid during the call only. */
struct ctlask_ops {
	void (*status)(void *arg, const struct ctl_status *s);
	void (*entry)(void *arg, const struct ctl_entry *e);
	void (*refused)(void *arg, const struct ctl_refused *r);
};

/** ctlask_connect() - the control socket at @path. Return: a descriptor of the caller's, or E_IO (errno says why) or E_RANGE. */
int ctlask_connect(const char *path);

/** ctlask() - the answer to @request with @fields (NULL: it has none), over a fresh connection @fd, which stays the caller's: one request for each. Return: 0 or an error. */
int ctlask(int fd, enum ctl_type request, const void *fields, const struct ctlask_ops *ops, void *arg);

/** ctlask_list() - what there is, of the relay at @path. Return: 0 or an error; E_IO: errno says why. */
int ctlask_list(const char *path, const struct ctlask_ops *ops, void *arg);

/** ctlask_run() - @request of the relay at @path, with a line on standard error if there is no answer. Return: EXIT_FINE, EXIT_ERROR or EXIT_NO_RELAY. */
int ctlask_run(const char *path, enum ctl_type request, const void *fields, const struct ctlask_ops *ops, void *arg);

#endif
