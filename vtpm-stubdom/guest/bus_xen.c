/*
 * The vTPM's backend through xenstore, gntalloc and evtchn: the only file of the daemon that sees their libraries.
 *
 * The domain's own nodes are named by relative paths, which stay right when a migration gives the domain another number; the kernel
 * sets all watches again after a migration, so that each fires once and we look. Whether an event channel may be closed then, keeper.h
 * explains: only while xenstore still says what we wrote, for libxl writes the directory anew for a domain that it restores.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "common/error.h"
#include "common/log.h"
#include "vtpm-stubdom/guest/bus.h"
#include "vtpm-stubdom/guest/keeper.h"
#include "vtpm-stubdom/tpmif.h"
#include "xenstore-schema/nodes.h"

#define EVENTS_PER_TURN 16
#define COMMIT_TRIES 10

struct xen_bus {
	struct xs_handle *xs;
	xengntshr_handle *gntshr;
	struct keeper *keeper;
	struct node_ids ids; /* ours, and the backend that is watched */
	char watched[NODE_PATH_MAX];
	xenevtchn_handle *evtchn; /* NULL: no connection. One for each: ports of a former life would clash in one handle */
	evtchn_port_t port;
	void *page;
	uint32_t ring_ref;
};

/* A decimal number, and nothing else: false if there is none. */
static bool read_number(struct xen_bus *x, enum node node, uint32_t *v)
{
	char path[NODE_PATH_MAX], *text, *end;
	unsigned long number;
	unsigned int n;
	bool ok;

	*v = 0;
	text = xs_read(x->xs, XBT_NULL, node_path(path, node, x->ids), &n);
	if (!text)
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	ok = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && number <= UINT32_MAX;
	free(text);
	if (ok)
		*v = (uint32_t)number;
	return ok;
}

static bool put(struct xen_bus *x, xs_transaction_t t, enum node node, uint32_t value)
{
	char path[NODE_PATH_MAX], text[12];

	snprintf(text, sizeof(text), "%u", value);
	return xs_write(x->xs, t, node_path(path, node, x->ids), text, (unsigned int)strlen(text));
}

static int control_fd(void *world)
{
	return xs_fileno(((struct xen_bus *)world)->xs);
}

static bool driver_is_bound(const struct xen_bus *x)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/xen/devices/vtpm-%u/driver", x->ids.dev);
	return access(path, F_OK) == 0;
}

/* The backend's directory moves when the device gets another backend, or this domain another number. */
static void watch_backend(struct xen_bus *x)
{
	char path[NODE_PATH_MAX];

	node_path(path, NODE_BACKEND_STATE, x->ids);
	if (strcmp(path, x->watched) == 0)
		return;
	if (x->watched[0])
		xs_unwatch(x->xs, x->watched, "backend");
	if (xs_watch(x->xs, path, "backend"))
		memcpy(x->watched, path, sizeof(path));
	else
		x->watched[0] = '\0'; /* the daemon looks again before long */
}

static void look(void *world, struct life_seen *seen)
{
	struct xen_bus *x = world;
	uint32_t ours, theirs, v2;
	char **event;

	for (int i = 0; i < EVENTS_PER_TURN && (event = xs_check_watch(x->xs)) != NULL; i++) 
		free(event);
	if (!read_number(x, NODE_OWN_DOMID, &x->ids.guest) || !read_number(x, NODE_OWN_BACKEND_ID, &x->ids.stub))
		return;
	watch_backend(x);
	seen->there = true;
	seen->driver = driver_is_bound(x);
	seen->offer.backend = x->ids.stub;
	seen->ours = read_number(x, NODE_OWN_STATE, &ours) && ours <= XENBUS_CLOSED ? (int)ours : XENBUS_GONE;
	read_number(x, NODE_OWN_RING_REF, &seen->offer.ring_ref);
	read_number(x, NODE_OWN_EVENT_CHANNEL, &seen->offer.event_channel);
	seen->theirs = read_number(x, NODE_BACKEND_STATE, &theirs) && theirs <= XENBUS_CLOSED ? (int)theirs : XENBUS_GONE;
	seen->protocol_v2 = read_number(x, NODE_BACKEND_PROTOCOL_V2, &v2) && v2 == 1;
}

/* All at once: the backend reads page and port when it hears of the state. */
static bool tell(struct xen_bus *x)
{
	for (int i = 0; i < COMMIT_TRIES; i++) {
		xs_transaction_t t = xs_transaction_start(x->xs);
		bool ok = t != XBT_NULL && put(x, t, NODE_OWN_RING_REF, x->ring_ref) && put(x, t, NODE_OWN_EVENT_CHANNEL, x->port) &&
			  put(x, t, NODE_OWN_PROTOCOL_V2, 1) && put(x, t, NODE_OWN_STATE, XENBUS_INITIALISED);

		if (t != XBT_NULL && xs_transaction_end(x->xs, t, !ok) && ok)
			return true;
		if (!ok || errno != EAGAIN)
			return false;
	}
	return false;
}

static bool holds(void *world)
{
	struct xen_bus *x = world;
	uint32_t ring_ref, port;

	return read_number(x, NODE_OWN_RING_REF, &ring_ref) && read_number(x, NODE_OWN_EVENT_CHANNEL, &port) && ring_ref == x->ring_ref &&
	       port == x->port;
}

static void release(struct xen_bus *x, bool may_close)
{
	if (x->evtchn && !may_close && keeper_keep(x->keeper, xenevtchn_fd(x->evtchn)) != 0)
		log_error("the event channel of the connection that was lost can't be given to the keeper (%s): it stays open here, and this "
			  "process should not be ended before the domain is", strerror(errno));
	else if (x->evtchn)
		xenevtchn_close(x->evtchn);
	x->evtchn = NULL;
	if (x->page)
		xengntshr_unshare(x->gntshr, x->page, 1);
	x->page = NULL;
}

static void drop(void *world)
{
	struct xen_bus *x = world;

	if (x->evtchn)
		release(x, holds(x));
}

static int offer(void *world, unsigned int backend, struct life_offer *o, void **page, int *event_fd)
{
	struct xen_bus *x = world;
	xenevtchn_port_or_error_t port = -1;

	drop(x);
	x->evtchn = xenevtchn_open(NULL, 0);
	if (x->evtchn && fcntl(xenevtchn_fd(x->evtchn), F_SETFL, O_NONBLOCK) == 0)
		port = xenevtchn_bind_unbound_port(x->evtchn, backend);
	if (port >= 0)
		x->page = xengntshr_share_pages(x->gntshr, backend, 1, &x->ring_ref, 1);
	x->port = (evtchn_port_t)port;
	if (!x->page || !tell(x)) {
		release(x, true);
		return E_XEN;
	}
	*o = (struct life_offer){.backend = backend, .ring_ref = x->ring_ref, .event_channel = x->port};
	*page = x->page;
	*event_fd = xenevtchn_fd(x->evtchn);
	return 0;
}

static int say(void *world, enum xenbus state)
{
	return put(world, XBT_NULL, NODE_OWN_STATE, state) ? 0 : E_XEN;
}

static int take_event(void *world)
{
	struct xen_bus *x = world;
	xenevtchn_port_or_error_t port = xenevtchn_pending(x->evtchn);

	return port >= 0 && xenevtchn_unmask(x->evtchn, (evtchn_port_t)port) == 0 ? 0 : E_AGAIN_IN;
}

static int notify(void *world)
{
	struct xen_bus *x = world;

	return xenevtchn_notify(x->evtchn, x->port) == 0 ? 0 : E_XEN;
}

static int ask_suspend(void *world)
{
	static const char suspend[] = "suspend";
	struct xen_bus *x = world;
	char path[NODE_PATH_MAX];

	return xs_write(x->xs, XBT_NULL, node_path(path, NODE_OWN_SHUTDOWN, x->ids), suspend, sizeof(suspend) - 1) ? 0 : E_XEN;
}

static void close_bus(void *world)
{
	struct xen_bus *x = world;

	drop(x);
	if (x->gntshr)
		xengntshr_close(x->gntshr);
	/* Not xs_close(): it cancels a thread, for which glibc loads libgcc_s, and no initramfs has that. The process ends anyway. */
	free(x);
}

struct bus *bus_xen(unsigned int dev, struct keeper *keeper)
{
	static const struct bus_ops ops = {
		.control_fd = control_fd, .look = look, .offer = offer, .holds = holds, .say = say,
		.drop = drop, .take_event = take_event, .notify = notify,
		.ask_suspend = ask_suspend, .close = close_bus,
	};
	struct xen_bus *x = calloc(1, sizeof(*x));
	char path[NODE_PATH_MAX];

	if (!x)
		return NULL;
	x->ids.dev = dev;
	x->keeper = keeper;
	x->xs = xs_open(0);
	x->gntshr = x->xs ? xengntshr_open(NULL, 0) : NULL;
	if (!x->gntshr || !xs_watch(x->xs, node_path(path, NODE_OWN_DEVICE, x->ids), "device")) {
		close_bus(x);
		return NULL;
	}
	return bus_new(&ops, x);
}
