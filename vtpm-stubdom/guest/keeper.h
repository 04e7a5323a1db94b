/*
 * The keeper: a process that holds event channels which must never be closed.
 *
 * After a restore or a migration the domain has an empty table of event channels, and Linux forgets which of its interrupts belonged
 * to which port. A /dev/xen/evtchn that was opened before still lists its old ports; closing it, or ending the process that has it
 * open, then makes the kernel look for the interrupt of a port that has none (BUG_ON in evtchn_unbind_from_user(), in Linux 6.1 and
 * its successors alike), or, if the number was given out again, take down somebody else's channel. Nothing from user space repairs
 * such a descriptor; it has to stay open until the kernel ends. So our daemon, which may be restarted, gives it to this process,
 * which does not end once it has one: it takes no signal, and its name begins with '@', by which systemd-shutdown(8)
 * knows the processes to spare. Without such a descriptor it ends with the daemon.
 */
#ifndef VTPM_STUBDOM_GUEST_KEEPER_H
#define VTPM_STUBDOM_GUEST_KEEPER_H

struct keeper;

/**
 * keeper_new() - start the process. To be called early: it inherits what is open.
 * @argv0: the program's name in memory, whose first byte becomes '@' in the keeper
 *
 * Return: the daemon's end, or NULL; errno says why.
 */
struct keeper *keeper_new(char *argv0);

/** keeper_keep() - hand over a copy of @fd, which the caller may then close: 0, or E_IO: it must stay open here. */
int keeper_keep(struct keeper *k, int fd);

/** keeper_free() - let it go; it ends if it keeps nothing. *@k may be NULL. */
void keeper_free(struct keeper **k);

#endif
