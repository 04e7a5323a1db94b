/* What the hypervisor says of a domain. Only hypervisor.c sees libxenctrl. */
#ifndef DOM0_RELAY_HYPERVISOR_H
#define DOM0_RELAY_HYPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/uuid.h"

struct hypervisor;

struct domain_facts {
	bool exists; /* false: no such domain, or only a dying rest of it */
	struct uuid handle;
	uint32_t incarnation; /* 1 for a created domain, +1 for each restore or migration, or what hypervisor_mark() set */
	bool is_paused; /* by a toolstack */
	bool is_shutdown;
	unsigned int shutdown_reason; /* SHUTDOWN_* of xen/sched.h: 0 poweroff, 1 reboot, 2 suspend, 3 crash */
};

/** hypervisor_open() - a handle on the running Xen, or NULL with errno set. */
struct hypervisor *hypervisor_open(void);
void hypervisor_close(struct hypervisor **h);

/** hypervisor_inspect() - facts of @domid: 0 or E_XEN; a domain that is not there is no error. */
int hypervisor_inspect(struct hypervisor *h, uint32_t domid, struct domain_facts *facts);

/**
 * hypervisor_mark() - make @incarnation the domain's, all else of its clock as it is
 *
 * An image of the domain carries it, and a domain restored from that image has one more. The domain stands still for the call, so its
 * clock goes on without a jump. Return: 0 or E_XEN.
 */
int hypervisor_mark(struct hypervisor *h, uint32_t domid, uint32_t incarnation);

/** hypervisor_find() - the domain whose own UUID is @handle: 0 with *domid, E_NOTFOUND or E_XEN. */
int hypervisor_find(struct hypervisor *h, const struct uuid *handle, uint32_t *domid);

#endif
