/* Xenstore as the relay needs it. Only xenstore.c sees libxenstore. */
#ifndef DOM0_RELAY_XENSTORE_H
#define DOM0_RELAY_XENSTORE_H

#include <stdbool.h>

#include "common/uuid.h"
#include "xenstore-schema/nodes.h"

struct loop;
struct xenstore;

/**
 * xenstore_fn - a watch fired, or fires for the first time
 * @path: that changed; @token: as given to xenstore_watch()
 */
typedef void xenstore_fn(void *arg, const char *path, const char *token);

/** xenstore_open() - connect; @fn is called from @loop; both NULL: without watches. NULL with errno set on failure. */
struct xenstore *xenstore_open(struct loop *loop, xenstore_fn *fn, void *arg);
void xenstore_close(struct xenstore **x);

/** xenstore_watch() - be told of changes at and below @path: 0 or E_XEN. */
int xenstore_watch(struct xenstore *x, const char *path, const char *token);
void xenstore_unwatch(struct xenstore *x, const char *path, const char *token);

/** xenstore_has() - is there such a node? */
bool xenstore_has(struct xenstore *x, const char *path);

#define XENSTORE_UNREADABLE (-2) /* of a state: xenstored can't say just now */

/** xenstore_read_state() - the decimal number in a state node, -1 when there is none, or XENSTORE_UNREADABLE. */
int xenstore_read_state(struct xenstore *x, const char *path);

/** xenstore_read_uuid() - 0, E_NOTFOUND or E_FORMAT. */
int xenstore_read_uuid(struct xenstore *x, const char *path, struct uuid *uuid);

/**
 * xenstore_rehome() - give the device to the stub domain, in one transaction
 *
 * Makes the backend directory below the stub domain, points the guest's frontend at it, gives the stub domain read
 * access to the frontend, and, with @release, writes state 2 in the control directory, so that libxl lets the guest
 * run. Nothing happens if the control directory is gone.
 *
 * Return: 0, E_NOTFOUND (libxl has given up) or E_XEN.
 */
int xenstore_rehome(struct xenstore *x, struct node_ids ids, bool release);

/**
 * xenstore_rehome_named() - the same where the vtpm line names the stub domain itself
 *
 * libxl has pointed the frontend there, and waits for 2 in the backend directory itself: the stub domain writes it, too, once it is told to serve.
 */
int xenstore_rehome_named(struct xenstore *x, struct node_ids ids, bool release);

/**
 * xenstore_answer() - write @state in the node NODE_CONTROL_STATE, or NODE_BACKEND_STATE, over 2 to 5
 *
 * Nothing happens where it is gone, or 1: then a device of the same number has been made anew since, and waits. Return: 0 or E_XEN.
 */
int xenstore_answer(struct xenstore *x, enum node node, struct node_ids ids, int state);

/**
 * xenstore_refuse() - tell libxl, if it still waits for a device, that the device will not come
 *
 * libxl waits 10 s for state 2, gives up at once when the node is gone (devstate_callback() in tools/libs/light/libxl_event.c), and takes
 * a device without it away unasked (libxl__initiate_device_generic_remove() in libxl_device.c).
 * Return: 0 or E_XEN.
 */
int xenstore_refuse(struct xenstore *x, struct node_ids ids);

/**
 * xenstore_named_state() - what libxl wants of a device whose line names the stub domain @ids.stub
 *
 * The stub domain writes in that directory, too: what counts is what libxl keeps of its own, and that the device is offline once it is to go.
 *
 * Return: 1 to 4; 0: libxl has it, and the directory went with the stub domain; 5: it is to go; 6: it may; -1: libxl knows no such device; or XENSTORE_UNREADABLE.
 */
int xenstore_named_state(struct xenstore *x, struct node_ids ids);

/** xenstore_remove_backend() - remove the device's directory below the stub domain, which libxl waits for after 6. */
void xenstore_remove_backend(struct xenstore *x, struct node_ids ids);

/**
 * xenstore_backend_of() - the domain that the guest's frontend was pointed to
 *
 * The guest can write this node: believe it only together with what the hypervisor and the builder know.
 *
 * Return: a domain id, or -1.
 */
int xenstore_backend_of(struct xenstore *x, struct node_ids ids);

/** xenstore_find_domain() - the number of the domain called @name, which may be a number: 0 or E_NOTFOUND. */
int xenstore_find_domain(struct xenstore *x, const char *name, unsigned int *domid);

/** xenstore_has_domain() - whether it lives: false from @releaseDomain on, also while its memory is still mapped somewhere. */
bool xenstore_has_domain(struct xenstore *x, unsigned int domid);

/** xenstore_find_offer() - the directory of a vchan to a KMC that @domid offers: 0 or E_NOTFOUND. */
int xenstore_find_offer(struct xenstore *x, unsigned int domid, char path[NODE_PATH_MAX]);

/** xenstore_each_control() - call @fn for every control device below dom0 (@backend 0), or below the stub domain @backend (ids.stub). */
void xenstore_each_control(struct xenstore *x, unsigned int backend, void (*fn)(void *arg, struct node_ids ids), void *arg);

/* --- the record of prepared stub domains --- */

#define XENSTORE_NAME_MAX 64 /* bytes of a domain's name */

/** xenstore_prepare() - note that @stub is prepared for @uuid under @name: 0 or E_XEN. */
int xenstore_prepare(struct xenstore *x, unsigned int stub, const struct uuid *uuid, const char *name);

/** xenstore_prepared_for() - note the guest that has the prepared stub domain: 0 or E_XEN. */
int xenstore_prepared_for(struct xenstore *x, struct node_ids ids);

/** xenstore_unprepare() - forget the note, if there is one. */
void xenstore_unprepare(struct xenstore *x, unsigned int stub);

/** xenstore_each_prepared() - call @fn for every note that is whole; ids.guest is 0 where no guest has it. */
void xenstore_each_prepared(struct xenstore *x, void (*fn)(void *arg, struct node_ids ids, const struct uuid *uuid, const char *name), void *arg);

#endif
