/*
 * What xenstore tells the relay: libxl's devices that come and go, domains that end, channels that appear.
 *
 * Theory of operation: a watch says where to look and no more, so everything is read anew, and a device that is looked at once too often does no
 * harm. That a domain ended is told without its number: all stub domains are asked after, in rounds that don't fill the builder's queue.
 */
#ifndef DOM0_RELAY_WATCHING_H
#define DOM0_RELAY_WATCHING_H

#include <stdbool.h>

#include "xenstore-schema/nodes.h"

struct guest;
struct relay;

/** watching_start() - watch what is watched always; fatal if xenstore refuses. */
void watching_start(struct relay *r);

/** watching_tell() - what the relay @arg does at a watch: for xenstore_open(). */
void watching_tell(void *arg, const char *path, const char *token);

/** watching_device() - look at the device @ids of the relay @arg, which is below dom0 or, where its line names it, the domain ids.stub. */
void watching_device(void *arg, struct node_ids ids);

/** watching_looked() - the builder has answered the last question of a round. */
void watching_looked(struct relay *r);

/** watching_needs_stub() - is it bad news for @g if its stub domain has ended? */
bool watching_needs_stub(const struct guest *g);

#endif
