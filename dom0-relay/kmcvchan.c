/* The way to a KMC over vchan. */
#include "dom0-relay/kmcvchan.h"

#include <stdio.h>

#include "common/channel.h"
#include "common/error.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/xenstore.h"

/* The domain and the path of what it offers: 0 or E_NOTFOUND. */
static int find(struct xenstore *x, const struct kmc_address *a, unsigned int *domid, char path[NODE_PATH_MAX], char why[KMCVCHAN_WHY])
{
	if (xenstore_find_domain(x, a->domain, domid) != 0) {
		snprintf(why, KMCVCHAN_WHY, "there is no domain '%s' on this host", a->domain);
		return E_NOTFOUND;
	}
	if (xenstore_find_offer(x, *domid, path) == 0)
		return 0;
	snprintf(why, KMCVCHAN_WHY, "domain '%s' offers no way to a KMC: is vtpm-vchan-forward running there?", a->domain);
	return E_NOTFOUND;
}

struct channel *kmcvchan_connect(struct xenstore *x, const struct kmc_address *a, unsigned int *domid, char why[KMCVCHAN_WHY])
{
	char path[NODE_PATH_MAX];
	struct channel *c;

	if (find(x, a, domid, path, why) != 0)
		return NULL;
	c = channel_vchan_client(*domid, path);
	if (!c) /* what a forwarder that died leaves in xenstore, or another client was quicker */
		snprintf(why, KMCVCHAN_WHY, "domain '%s' does not take the connection that it offered", a->domain);
	return c;
}

int kmcvchan_look(struct xenstore *x, const struct kmc_address *a, char why[KMCVCHAN_WHY])
{
	char path[NODE_PATH_MAX];
	unsigned int domid;

	return find(x, a, &domid, path, why);
}
