/*
 * The domains of a host without hypervisor: a directory of files, one a domain, which tests and fakes write.
 *
 * $RING2_DIR is the host: domains/N holds "HANDLE INCARNATION SHUTDOWN PAUSED" (SHUTDOWN: - or a reason's number; PAUSED: 1 or 0), virq is the
 * FIFO through which xenstored learns that a domain changed, stub-N.sock and stub-N.pid belong to stub domains.
 */
#ifndef TESTS_RING2_DOMAINS_H
#define TESTS_RING2_DOMAINS_H

#include <stddef.h>

#define DOMAIN_PATH 200 /* bytes of a path below $RING2_DIR */

struct domain {
	char handle[37];
	unsigned int incarnation;
	int shutdown; /* reason, or -1 while it runs */
	int paused;   /* by the toolstack */
};

/** ring2_path() - format a path below $RING2_DIR, which must be set. Return: @out. */
char *ring2_path(char out[DOMAIN_PATH], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** domain_read() - 0, or -1 if there is no such domain. Domain 0 is always there. */
int domain_read(unsigned int domid, struct domain *d);

/** domain_write() - make or change one and ring the bell; @exclusive: -1 if it is there already. */
int domain_write(unsigned int domid, const struct domain *d, int exclusive);

/** domain_remove() - it is gone; and ring the bell. */
void domain_remove(unsigned int domid);

#endif
