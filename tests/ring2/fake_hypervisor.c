/* dom0-relay/hypervisor.h without Xen: facts from the directory of domains that the test writes. */
#include "dom0-relay/hypervisor.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "tests/ring2/domains.h"

struct hypervisor {
	char unused;
};

struct hypervisor *hypervisor_open(void)
{
	return calloc(1, sizeof(struct hypervisor));
}

void hypervisor_close(struct hypervisor **h)
{
	free(*h);
	*h = NULL;
}

int hypervisor_inspect(struct hypervisor *h, uint32_t domid, struct domain_facts *facts)
{
	struct domain d;

	(void)h;
	memset(facts, 0, sizeof(*facts));
	if (domain_read(domid, &d) != 0)
		return 0;
	if (uuid_parse(d.handle, &facts->handle) != 0)
		return E_XEN;
	facts->exists = true;
	facts->incarnation = d.incarnation;
	facts->is_paused = d.paused;
	facts->is_shutdown = d.shutdown >= 0;
	facts->shutdown_reason = d.shutdown >= 0 ? (unsigned int)d.shutdown : 0;
	return 0;
}

int hypervisor_mark(struct hypervisor *h, uint32_t domid, uint32_t incarnation)
{
	struct domain d;

	(void)h;
	if (domid == 0 || domain_read(domid, &d) != 0)
		return E_XEN;
	d.incarnation = incarnation;
	return domain_write(domid, &d, false) == 0 ? 0 : E_XEN;
}

int hypervisor_find(struct hypervisor *h, const struct uuid *handle, uint32_t *domid)
{
	char path[DOMAIN_PATH];
	DIR *dir = opendir(ring2_path(path, "domains"));
	struct dirent *e;
	int r = E_NOTFOUND;

	while (r != 0 && dir && (e = readdir(dir)) != NULL) {
		uint32_t id = (uint32_t)strtoul(e->d_name, NULL, 10);
		struct domain_facts facts;

		if (id == 0 || hypervisor_inspect(h, id, &facts) != 0 || !facts.exists || !uuid_equal(&facts.handle, handle))
			continue;
		*domid = id;
		r = 0;
	}
	if (dir)
		closedir(dir);
	return r;
}
