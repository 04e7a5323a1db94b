/* Domain facts through libxenctrl. */
#include "dom0-relay/hypervisor.h"

#include <errno.h>
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

#define DOMIDS 0x7ff0 /* beyond are Xen's own */

/* Facts of up to @n domains at or after @first: how many there are, 0 if there is none, or E_XEN. */
static int get_info(struct hypervisor *h, uint32_t first, unsigned int n, xc_dominfo_t *info)
{
	int found = first < DOMIDS ? xc_domain_getinfo(h->xc, first, n, info) : 0;

	if (found < 0) /* that is how the library says that there is none */
		return errno == ESRCH ? 0 : E_XEN;
	return found;
}

int hypervisor_inspect(struct hypervisor *h, uint32_t domid, struct domain_facts *facts)
{
	uint32_t tsc_mode, khz, incarnation;
	xc_dominfo_t info;
	uint64_t elapsed;
	int n;

	memset(facts, 0, sizeof(*facts));
	n = get_info(h, domid, 1, &info);
	if (n < 0)
		return n;
	if (n == 0 || info.domid != domid || info.dying)
		return 0;
	if (xc_domain_get_tsc_info(h->xc, domid, &tsc_mode, &elapsed, &khz, &incarnation) != 0)
		return E_XEN;
	facts->exists = true;
	memcpy(facts->handle.b, info.handle, sizeof(facts->handle.b));
	facts->incarnation = incarnation;
	facts->is_paused = info.paused;
	facts->is_shutdown = info.shutdown || info.crashed; /* the library says either, never both */
	facts->shutdown_reason = info.shutdown_reason;
	return 0;
}

int hypervisor_mark(struct hypervisor *h, uint32_t domid, uint32_t incarnation)
{
	uint32_t tsc_mode, khz, before;
	uint64_t elapsed;
	int r;

	if (xc_domain_pause(h->xc, domid) != 0)
		return E_XEN;
	r = xc_domain_get_tsc_info(h->xc, domid, &tsc_mode, &elapsed, &khz, &before);
	if (r == 0) /* Xen adds one, as for a domain that is restored */
		r = xc_domain_set_tsc_info(h->xc, domid, tsc_mode, elapsed, khz, incarnation - 1);
	if (xc_domain_unpause(h->xc, domid) != 0)
		r = -1;
	return r == 0 ? 0 : E_XEN;
}

#define BATCH 64 /* domains asked for at once */

int hypervisor_find(struct hypervisor *h, const struct uuid *handle, uint32_t *domid)
{
	xc_dominfo_t info[BATCH];
	uint32_t first = 0;
	int n;

	while ((n = get_info(h, first, BATCH, info)) > 0) {
		for (int i = 0; i < n; i++)
			if (!info[i].dying && memcmp(info[i].handle, handle->b, sizeof(handle->b)) == 0) {
				*domid = info[i].domid;
				return 0;
			}
		first = info[n - 1].domid + 1;
	}
	return n < 0 ? n : E_NOTFOUND;
}
