/* Making and ending stub domains. Only stub_domain.c sees libxl. */
#ifndef DOM0_RELAY_STUB_DOMAIN_H
#define DOM0_RELAY_STUB_DOMAIN_H

#include <stdint.h>

#include "common/uuid.h"

struct relayconf;
struct toolstack;

#define STUB_WHY 200 /* bytes for an error's text */

/** toolstack_open() - start libxl; NULL if it can't. */
struct toolstack *toolstack_open(void);
void toolstack_close(struct toolstack **t);

/**
 * stub_create() - build and start one stub domain
 * @name: for `xl list`
 * @handle: the domain's own UUID
 * @headroom_mib: memory that the host must have free besides
 * @domid: in: the number that it must have, which no domain has now, or 0 for any; out: its number
 *
 * Kernel and initramfs as in @conf, one vCPU, no device but the console. A domain that was only half made is
 * destroyed again.
 *
 * Return: 0 with *domid, E_NOTFOUND (an image is missing), E_NOMEM (the host's free memory) or E_XEN, with @why.
 */
int stub_create(struct toolstack *t, const struct relayconf *conf, const char *name, const struct uuid *handle,
		uint64_t headroom_mib, uint32_t *domid, char why[STUB_WHY]);

/** stub_rename() - change what `xl list` shows: 0, E_NOTFOUND or E_XEN. */
int stub_rename(struct toolstack *t, uint32_t domid, const char *name);

/** toolstack_free_memory() - memory of the host that no domain has, in MiB: 0 or E_XEN. */
int toolstack_free_memory(struct toolstack *t, uint64_t *mib);

/** stub_destroy() - end it and wait until it is gone: 0, E_NOTFOUND or E_XEN. */
int stub_destroy(struct toolstack *t, uint32_t domid);

#endif
