/* The control socket of vtpm-relayd. */
#ifndef DOM0_RELAY_CONTROL_H
#define DOM0_RELAY_CONTROL_H

#include "dom0-relay/ctlmsg.h"

struct buf;
struct control;
struct loop;

/** control_fill_fn - write STATUS and every ENTRY into @out; what does not fit is left out. */
typedef void control_fill_fn(void *arg, struct buf *out);

/** control_order_fn - vtpmctl wants something done, see ctlmsg.h: 0, or an error with @why for REFUSED. */
typedef int control_order_fn(void *arg, enum ctl_type type, const void *fields, char why[CTL_REASON_MAX]);

/** control_listen() - bind @path for root alone, replacing a dead socket. Return: a listening descriptor, or E_IO with errno. */
int control_listen(const char *path);

/** control_new() - answer on the listening @fd, which the control owns from now on; NULL if there is no memory. */
struct control *control_new(struct loop *loop, int fd, control_fill_fn *fill, control_order_fn *order, void *arg);
void control_free(struct control **c);

#endif
