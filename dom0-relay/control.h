/* The control socket of vtpm-relayd. */
#ifndef DOM0_RELAY_CONTROL_H
#define DOM0_RELAY_CONTROL_H

struct buf;
struct control;
struct loop;

/** control_fill_fn - write STATUS and every ENTRY into @out; what does not fit is left out. */
typedef void control_fill_fn(void *arg, struct buf *out);

/** control_renew_fn - vtpmctl wants a new certificate for this host; STATUS follows. */
typedef void control_renew_fn(void *arg);

/** control_listen() - bind @path for root alone, replacing a dead socket. Return: a listening descriptor, or E_IO with errno. */
int control_listen(const char *path);

/** control_new() - answer on the listening @fd, which the control owns from now on; NULL if there is no memory. */
struct control *control_new(struct loop *loop, int fd, control_fill_fn *fill, control_renew_fn *renew, void *arg);
void control_free(struct control **c);

#endif
