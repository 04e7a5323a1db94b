/* Domain facts through libxenctrl. */
#include "dom0-relay/hypervisor.h"

#include <stdlib.h>
#include <string.h>

#include <xenctrl.h>

#include "common/error.h"

struct hypervisor {
	xc_interface *xc;
};

struct hypervisor *hypervisor_open(void)
{
	struct hypervisor *h = calloc(1, sizeof(*h));

	if (h && !(h->xc = xc_interface_open(NULL, NULL, 0)))
		hypervisor_close(&h);
	return h;
}

void hypervisor_close(struct hypervisor **h)
{
	if (!*h)
		return;
	if ((*h)->xc)
		xc_interface_close((*h)->xc);
	free(*h);
	*h = NULL;
}

int hypervisor_inspect(struct hypervisor *h, uint32_t domid, struct domain_facts *facts)
{
	uint32_t tsc_mode, khz, incarnation;
	xc_dominfo_t info;
	uint64_t elapsed;
	int n;

	memset(facts, 0, sizeof(*facts));
	n = xc_domain_getinfo(h->xc, domid, 1, &info); /* the first domain at or after domid */
	if (n < 0)
		return E_XEN;
	if (n == 0 || info.domid != domid || info.dying)
		return 0;
	if (xc_domain_get_tsc_info(h->xc, domid, &tsc_mode, &elapsed, &khz, &incarnation) != 0)
		return E_XEN;
	facts->exists = true;
	memcpy(facts->handle.b, info.handle, sizeof(facts->handle.b));
	facts->incarnation = incarnation;
	facts->is_shutdown = info.shutdown;
	facts->shutdown_reason = info.shutdown_reason;
	return 0;
}
