/*
 * Where a guest's frontend comes in: xenbus, grant and event channel in production (port_xen.c), a Unix socket with a shared page
 * and eventfds in tests (port_unix.c). backend.c is the same over both.
 */
#ifndef VTPM_STUBDOM_PORT_H
#define VTPM_STUBDOM_PORT_H

#include <stdbool.h>
#include <stdint.h>

/* States of a xenbus device (xen/io/xenbus.h); 0 where there is none. */
enum xenbus { XENBUS_GONE, XENBUS_INITIALISING, XENBUS_INIT_WAIT, XENBUS_INITIALISED, XENBUS_CONNECTED, XENBUS_CLOSING, XENBUS_CLOSED };

/* What the guest says of its end: any value is possible. */
struct port_frontend {
	int state; /* enum xenbus, or rubbish */
	uint32_t ring_ref, event_channel;
};

struct port;

/* One way in; its file makes ports of it with port_new(). */
struct port_ops {
	int (*control_fd)(void *world);
	int (*frontend)(void *world, struct port_frontend *f);
	int (*set_state)(void *world, enum xenbus state);
	int (*connect)(void *world, const struct port_frontend *f, void **page, int *event_fd);
	void (*disconnect)(void *world);
	int (*take_event)(void *world);
	int (*notify)(void *world);
	void (*close)(void *world);
};

/** port_new() - wrap @world, owned by the port from now on, closed even if NULL (no memory) is returned. */
struct port *port_new(const struct port_ops *ops, void *world);

/** port_control_fd() - readable when port_frontend() may have something new to say. */
int port_control_fd(const struct port *p);

/** port_frontend() - take note of a bounded number of events and read what the guest says now: 0, E_AGAIN_IN: nothing new, or E_XEN: it can't be read now, ask again. */
int port_frontend(struct port *p, struct port_frontend *f);

/** port_set_state() - tell the guest our state: XENBUS_INIT_WAIT or XENBUS_CONNECTED, nothing else ever: 0, E_ARG or E_XEN. */
int port_set_state(struct port *p, enum xenbus state);

/**
 * port_connect() - map the page and bind the event channel that @f names
 * @page: one page, the guest's and ours, until port_disconnect()
 * @event_fd: readable when the guest has notified
 *
 * Return: 0 or E_XEN: what @f names is not to be had.
 */
int port_connect(struct port *p, const struct port_frontend *f, void **page, int *event_fd);

/** port_disconnect() - unmap and unbind; harmless when not connected. */
void port_disconnect(struct port *p);

/** port_take_event() - consume what made the event descriptor readable: 0 or E_AGAIN_IN. */
int port_take_event(struct port *p);

/** port_notify() - raise the guest's event. */
int port_notify(struct port *p);

/** port_close() - disconnect, release *@p; it may be NULL. The guest is told nothing. */
void port_close(struct port **p);

/* --- xenbus (port_xen.c) --- */

struct node_ids;

/** port_xen_prepare() - start what libxenstore needs (a thread), before system calls are filtered: 0 or E_XEN. */
int port_xen_prepare(void);

/** port_xen_domid() - this domain's number: 0 or E_XEN. */
int port_xen_domid(unsigned int *domid);

/** port_xen() - the device @ids, whose backend directory is there. NULL: xenstore, gntdev or evtchn refused. */
struct port *port_xen(const struct node_ids *ids);

/* --- Unix sockets (port_unix.c) --- */

/*
 * Over a SOCK_SEQPACKET socket the frontend sends struct port_frontend, with three descriptors whenever ring_ref is a new number: the
 * page (a memfd of one page), the eventfd that notifies us, the eventfd that notifies it. We send our state, a uint32_t.
 */

/** port_unix() - over the connected socket @fd, or, if @listening, over whoever connects to it. Owns @fd. NULL: no memory. */
struct port *port_unix(int fd, bool listening);

#endif
