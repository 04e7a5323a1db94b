/* The daemon's work: commands from the kernel's device to the backend and responses back, for as long as the guest runs. */
#ifndef VTPM_STUBDOM_GUEST_GUESTD_H
#define VTPM_STUBDOM_GUEST_GUESTD_H

#include <stdbool.h>
#include <stdint.h>

#include "vtpm-stubdom/guest/freezer.h"

struct bus;

/* The kernel's device, or what stands for it. */
struct guestd_world {
	/* A new device's descriptor, or an error: called when the first backend is connected, and again when the device was lost. */
	int (*open_device)(void *arg);
	/* Is it complete? Asked until it says yes. */
	bool (*registered)(void *arg);
	/* It is complete: people can use it. */
	void (*ready)(void *arg);
	/* How long the domain has slept in all, as far as its clocks tell. */
	uint64_t (*slept_ms)(void *arg);
	/* NULL, or: do paths lead where they will for good? Asked every second until it says yes. */
	bool (*settled)(void *arg);
	struct freezer freezer;
	uint64_t freezer_patience_ms; /* of freezer_open() */
	void *arg;
};

/**
 * guestd_run() - serve until SIGTERM or SIGINT is read from @signals, or the device belongs to somebody else
 * @bus: stays the caller's
 * @signals: a signalfd(2); SIGUSR1 logs how many commands there were and how long they took
 *
 * Return: 0, or E_BUSY: the kernel's own driver took the vTPM, or E_NOMEM.
 */
int guestd_run(struct bus *bus, const struct guestd_world *world, int signals);

#endif
