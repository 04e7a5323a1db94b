/*
 * The frontend's life on the bus: what to do about what both ends say. Pure decisions; bus.h sees and acts.
 *
 *   AWAY ---offer---> OFFERED ---confirm---> CONNECTED
 *     ^                  |                       |
 *     +------ drop ------+-----------------------+        any of them --yield--> YIELDED, when the kernel's own driver has the device
 *
 * A connection is lost when the directory no longer says what we wrote there: libxl has made it anew after a restore or a migration,
 * the backend's domain is another one, or a backend that was replaced has taken its directory with it.
 */
#ifndef VTPM_STUBDOM_GUEST_LIFE_H
#define VTPM_STUBDOM_GUEST_LIFE_H

#include <stdbool.h>
#include <stdint.h>

enum life {
	LIFE_AWAY,	/* no page is shared: there is no device, or its backend is not ready */
	LIFE_OFFERED,	/* a page is shared and the backend was told; it has not answered */
	LIFE_CONNECTED, /* commands can go */
	LIFE_YIELDED,	/* xen-tpmfront has the device: ours is over */
};

/* What we told the backend. */
struct life_offer {
	unsigned int backend; /* its domain */
	uint32_t ring_ref, event_channel;
};

/* What the bus says now. Every value is possible. */
struct life_seen {
	bool there;  /* the device has a directory that names a backend */
	bool driver; /* a driver of the kernel is bound to it */
	int ours;    /* the frontend's state as it stands there (enum xenbus or rubbish) */
	struct life_offer offer;
	int theirs;	  /* the backend's state */
	bool protocol_v2; /* the backend speaks the shared page's protocol */
};

enum life_action {
	LIFE_STAY,
	LIFE_OFFER,   /* share a page with seen->offer.backend, tell it, say Initialised */
	LIFE_CONFIRM, /* say Connected */
	LIFE_DROP,    /* the shared page is of no use any more */
	LIFE_YIELD,   /* as LIFE_DROP, and leave the device alone from now on */
};

struct life_step {
	enum life next;
	enum life_action action;
};

/** life_ours() - does the directory still hold the page and event channel of @offer? If so, the domain has not been restored since. */
bool life_ours(const struct life_offer *offer, const struct life_seen *seen);

/** life_step() - decide. @offer is what was told at the last LIFE_OFFER, ignored in LIFE_AWAY. */
struct life_step life_step(enum life now, const struct life_offer *offer, const struct life_seen *seen);

#endif
