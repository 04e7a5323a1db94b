/* Channels offered to dom0, through libxenstore. */
#include "kmc/offers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <xenstore.h>

#include "common/channel.h"
#include "xenstore-schema/nodes.h"

struct offers {
	struct xs_handle *xs;
	struct node_ids ids; /* guest: this domain; dev: number of the last offer */
	bool offered;
};

static bool read_domid(struct offers *o)
{
	char path[NODE_PATH_MAX], *end, *value;
	unsigned int n;
	unsigned long v;

	value = xs_read(o->xs, XBT_NULL, node_path(path, NODE_OWN_DOMID, o->ids), &n);
	if (!value)
		return false;
	v = strtoul(value, &end, 10);
	o->ids.guest = (unsigned int)v;
	if (end == value || *end || v > 0x7fef)
		errno = EINVAL;
	else
		errno = 0;
	free(value);
	return errno == 0;
}

static bool remove_node(struct offers *o, enum node node)
{
	char path[NODE_PATH_MAX];

	return xs_rm(o->xs, XBT_NULL, node_path(path, node, o->ids)) || errno == ENOENT;
}

struct offers *offers_open(void)
{
	struct offers *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->xs = xs_open(0);
	if (o->xs && read_domid(o) && remove_node(o, NODE_KMC_OFFERS))
		return o;
	offers_close(&o);
	return NULL;
}

struct channel *offers_next(struct offers *o)
{
	char path[NODE_PATH_MAX];
	struct channel *c;

	o->ids.dev++;
	c = channel_vchan_server(node_path(path, NODE_KMC_OFFER, o->ids));
	o->offered = c != NULL;
	if (!c)
		remove_node(o, NODE_KMC_OFFER); /* half of it may be there */
	return c;
}

void offers_withdraw(struct offers *o)
{
	if (o->offered)
		remove_node(o, NODE_KMC_OFFER);
	o->offered = false;
}

void offers_close(struct offers **o)
{
	if (!*o)
		return;
	if ((*o)->xs) {
		offers_withdraw(*o);
		xs_close((*o)->xs);
	}
	free(*o);
	*o = NULL;
}
