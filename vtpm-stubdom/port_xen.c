/*
 * A guest's device through xenstore, gntdev and evtchn: the only file of the stub domain that sees their libraries.
 *
 * The handles are opened by port_xen_prepare(), before system calls are filtered; libxenstore's thread, too, starts there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "common/error.h"
#include "vtpm-stubdom/port.h"
#include "xenstore-schema/nodes.h"

#define EVENTS_PER_TURN 16 /* of xenstore: a guest that rewrites its nodes all the time gets no more of ours */

struct xen_port {
	struct node_ids ids;
	char watched[NODE_PATH_MAX];
	bool unread;		   /* there is something new that could not be read */
	void *page;		   /* NULL: not mapped */
	xenevtchn_port_or_error_t local; /* -1: not bound */
};

static struct {
	struct xs_handle *xs;
	xengnttab_handle *gnttab;
	xenevtchn_handle *evtchn;
} xen;

int port_xen_prepare(void)
{
	struct node_ids none = {0};
	char path[NODE_PATH_MAX];

	xen.xs = xs_open(0);
	xen.gnttab = xengnttab_open(NULL, 0);
	xen.evtchn = xenevtchn_open(NULL, 0);
	if (!xen.xs || !xen.gnttab || !xen.evtchn || fcntl(xenevtchn_fd(xen.evtchn), F_SETFL, O_NONBLOCK) != 0)
		return E_XEN;
	/* The first watch starts the thread. */
	node_path(path, NODE_STUB_DOMID, none);
	if (!xs_watch(xen.xs, path, "start") || !xs_unwatch(xen.xs, path, "start"))
		return E_XEN;
	return 0;
}

/* A decimal number, and nothing else: 0, E_NOTFOUND (there is none) or E_XEN (nobody knows). */
static int read_number(const char *path, uint32_t *v)
{
	unsigned int n;
	char *text = xs_read(xen.xs, XBT_NULL, path, &n), *end;
	unsigned long number;
	bool ok;

	if (!text) /* xenstored says EACCES of what is gone, where we may not see what is above it */
		return errno == ENOENT || errno == EACCES ? E_NOTFOUND : E_XEN;
	errno = 0;
	number = strtoul(text, &end, 10);
	ok = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number <= UINT32_MAX;
	free(text);
	*v = ok ? (uint32_t)number : 0;
	return ok ? 0 : E_NOTFOUND;
}

int port_xen_domid(unsigned int *domid)
{
	struct node_ids none = {0};
	char path[NODE_PATH_MAX];

	return read_number(node_path(path, NODE_STUB_DOMID, none), domid) == 0 ? 0 : E_XEN;
}

static int control_fd(void *world)
{
	(void)world;
	return xs_fileno(xen.xs);
}

static int read_frontend(const struct xen_port *x, struct port_frontend *f)
{
	char path[NODE_PATH_MAX];
	uint32_t state;
	int r = read_number(node_path(path, NODE_FRONTEND_STATE, x->ids), &state), channel;

	*f = (struct port_frontend){.state = XENBUS_GONE};
	if (r != 0)
		return r == E_NOTFOUND ? 0 : r;
	f->state = state > XENBUS_CLOSED ? XENBUS_CLOSED + 1 : (int)state;
	if (state != XENBUS_INITIALISED && state != XENBUS_CONNECTED)
		return 0;
	r = read_number(node_path(path, NODE_FRONTEND_RING_REF, x->ids), &f->ring_ref);
	channel = read_number(node_path(path, NODE_FRONTEND_EVENT_CHANNEL, x->ids), &f->event_channel);
	if (r == E_XEN || channel == E_XEN)
		return E_XEN;
	if (r != 0 || channel != 0)
		f->state = XENBUS_INITIALISING; /* it claims to be ready and is not */
	return 0;
}

static int frontend(void *world, struct port_frontend *f)
{
	struct xen_port *x = world;
	char **event;
	int events = 0, r;

	while (events < EVENTS_PER_TURN && (event = xs_check_watch(xen.xs)) != NULL) {
		free(event);
		events++;
	}
	if (events == 0 && !x->unread)
		return E_AGAIN_IN;
	r = read_frontend(x, f);
	x->unread = r != 0;
	return r;
}

static bool put(struct xen_port *x, enum node node, const char *value)
{
	char path[NODE_PATH_MAX];

	return xs_write(xen.xs, XBT_NULL, node_path(path, node, x->ids), value, (unsigned int)strlen(value));
}

static int set_state(void *world, enum xenbus state)
{
	char text[12];

	snprintf(text, sizeof(text), "%d", (int)state);
	return put(world, NODE_BACKEND_PROTOCOL_V2, "1") && put(world, NODE_BACKEND_STATE, text) ? 0 : E_XEN;
}

static void disconnect(void *world)
{
	struct xen_port *x = world;

	if (x->local >= 0)
		xenevtchn_unbind(xen.evtchn, (evtchn_port_t)x->local);
	/* Each port that is bound gets an event at once. Linux keeps 64 that nobody takes, and none ever after. */
	while (x->local >= 0 && xenevtchn_pending(xen.evtchn) >= 0)
		;
	if (x->page)
		xengnttab_unmap(xen.gnttab, x->page, 1);
	x->local = -1;
	x->page = NULL;
}

static int connect_page(void *world, const struct port_frontend *f, void **page, int *event_fd)
{
	struct xen_port *x = world;

	disconnect(x);
	x->page = xengnttab_map_grant_ref(xen.gnttab, x->ids.guest, f->ring_ref, PROT_READ | PROT_WRITE);
	if (!x->page)
		return E_XEN;
	x->local = xenevtchn_bind_interdomain(xen.evtchn, x->ids.guest, f->event_channel);
	if (x->local < 0) {
		disconnect(x);
		return E_XEN;
	}
	*page = x->page;
	*event_fd = xenevtchn_fd(xen.evtchn);
	return 0;
}

static int take_event(void *world)
{
	struct xen_port *x = world;
	xenevtchn_port_or_error_t port = xenevtchn_pending(xen.evtchn);

	if (port < 0)
		return E_AGAIN_IN;
	/* One that was still pending when it was unbound can't be unmasked; it is not ours any more. */
	if (port != x->local || xenevtchn_unmask(xen.evtchn, (evtchn_port_t)port) != 0)
		return E_AGAIN_IN;
	return 0;
}

static int notify(void *world)
{
	struct xen_port *x = world;

	return x->local >= 0 && xenevtchn_notify(xen.evtchn, (evtchn_port_t)x->local) == 0 ? 0 : E_XEN;
}

static void close_port(void *world)
{
	struct xen_port *x = world;

	disconnect(x);
	xs_unwatch(xen.xs, x->watched, "frontend");
	free(x);
}

struct port *port_xen(const struct node_ids *ids)
{
	static const struct port_ops ops = {
		.control_fd = control_fd, .frontend = frontend, .set_state = set_state, .connect = connect_page,
		.disconnect = disconnect, .take_event = take_event, .notify = notify, .close = close_port,
	};
	struct xen_port *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->ids = *ids;
	x->local = -1;
	node_path(x->watched, NODE_FRONTEND, *ids);
	/* The backend directory is below this domain's own path: absolute, since the guest reads the same. */
	if (port_xen_domid(&x->ids.stub) != 0 || !xs_watch(xen.xs, x->watched, "frontend")) {
		free(x);
		return NULL;
	}
	return port_new(&ops, x);
}
