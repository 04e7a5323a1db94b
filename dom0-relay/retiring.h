/*
 * Devices below a stub domain that libxl takes away, until it has let go of them.
 *
 * Theory of operation: with a backend in another domain, libxl waits for 6 and then for the directory to be removed; that it has seen the 6 nobody
 * tells, and a directory that goes before is an error. When it has gone, libxl forgets the device, and the stub domain may go.
 */
#ifndef DOM0_RELAY_RETIRING_H
#define DOM0_RELAY_RETIRING_H

#include <stdbool.h>

#include "xenstore-schema/nodes.h"

struct loop;
struct retiring;
struct xenstore;

#define RETIRING_MAX 256 /* as many as guests */

/**
 * retiring_new() - no device is on its way out
 * @let_go: libxl knows that device no more; @destroys: as retiring_add() was told, false if it was not called
 *
 * Return: NULL if there is no memory.
 */
struct retiring *retiring_new(struct loop *loop, struct xenstore *xs, void (*let_go)(void *arg, struct node_ids ids, bool destroys), void *arg);
void retiring_free(struct retiring **t);

/** retiring_add() - the device @ids goes, and if @destroys its stub domain with it. Return: false if there is no room. */
bool retiring_add(struct retiring *t, struct node_ids ids, bool destroys);

/** retiring_answered() - 6 stands in its directory, which is removed once libxl has seen that. */
void retiring_answered(struct retiring *t, struct node_ids ids);

#endif
