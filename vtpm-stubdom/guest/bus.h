/*
 * Where the vTPM's backend is: xenbus, grant and event channel in production (bus_xen.c), the Unix twin of a stub domain in tests
 * (bus_unix.c, which speaks what vtpm-stubdom/port_unix.c expects). guestd.c is the same over both.
 */
#ifndef VTPM_STUBDOM_GUEST_BUS_H
#define VTPM_STUBDOM_GUEST_BUS_H

#include <stdbool.h>

#include "vtpm-stubdom/guest/life.h"
#include "vtpm-stubdom/port.h"

struct bus;
struct keeper;

/* One kind of bus; its file makes buses of it with bus_new(). */
struct bus_ops {
	int (*control_fd)(void *world);
	void (*look)(void *world, struct life_seen *seen);
	int (*offer)(void *world, unsigned int backend, struct life_offer *offer, void **page, int *event_fd);
	bool (*holds)(void *world);
	int (*say)(void *world, enum xenbus state);
	void (*drop)(void *world);
	int (*take_event)(void *world);
	int (*notify)(void *world);
	int (*ask_suspend)(void *world);
	void (*close)(void *world);
};

/** bus_new() - wrap @world, owned by the bus from now on, closed even if NULL (no memory) is returned. */
struct bus *bus_new(const struct bus_ops *ops, void *world);

/** bus_control_fd() - readable when bus_look() may see something new. */
int bus_control_fd(const struct bus *b);

/** bus_look() - take note of a bounded number of events and report what both ends say now. */
void bus_look(struct bus *b, struct life_seen *seen);

/**
 * bus_offer() - share a new page with domain @backend, tell it page and event channel, and say XENBUS_INITIALISED
 * @offer: what it was told
 * @page: one page of ours, zeroed, until bus_drop()
 * @event_fd: readable when the backend has notified
 *
 * Return: 0, or E_XEN: nothing is shared.
 */
int bus_offer(struct bus *b, unsigned int backend, struct life_offer *offer, void **page, int *event_fd);

/** bus_holds() - does it hold what was offered still? Not after a restore, though no event may have told of that yet. Cheaper than bus_look(). */
bool bus_holds(const struct bus *b);

/** bus_say() - tell the backend our state: 0 or E_XEN. */
int bus_say(struct bus *b, enum xenbus state);

/** bus_drop() - end the sharing of page and event channel; harmless when there is none. The backend is told nothing. */
void bus_drop(struct bus *b);

/** bus_take_event() - consume what made the event descriptor readable: 0 or E_AGAIN_IN. */
int bus_take_event(struct bus *b);

/** bus_notify() - raise the backend's event: 0 or E_XEN. */
int bus_notify(struct bus *b);

/** bus_ask_suspend() - make the toolstack's request to suspend this domain, in its place: 0 or E_XEN. */
int bus_ask_suspend(struct bus *b);

/** bus_close() - drop, release *@b; it may be NULL. The backend is told nothing. */
void bus_close(struct bus **b);

/* --- Xen (bus_xen.c) --- */

/**
 * bus_xen() - the device number @dev of this domain
 * @keeper: takes the event channels that must not be closed; NULL where there will be none (a mere look)
 *
 * Opens all that it needs and starts libxenstore's thread, before system calls are filtered. NULL: xenstore or gntalloc refused;
 * errno says why.
 */
struct bus *bus_xen(unsigned int dev, struct keeper *keeper);

/* --- Unix sockets (bus_unix.c) --- */

/** bus_unix() - a stub domain that listens at @path; connects whenever there is one, and each one counts as another backend. */
struct bus *bus_unix(const char *path);

#endif
