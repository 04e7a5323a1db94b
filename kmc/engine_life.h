/*
 * The life of vTPMs: clones, new generations of a seed, and the end.
 *
 * A retired vTPM's wrapped seed is moved out of its row, so that nobody opens it; when the grace is over, seed, states and certificates are
 * destroyed, and the audit trail gets a record that says so. The row stays: its UUID is never used anew.
 */
#ifndef KMC_ENGINE_LIFE_H
#define KMC_ENGINE_LIFE_H

#include "kmc/engine.h"

/** life_start() - over the open store; from now on seeds whose grace is over are destroyed. */
void life_start(struct engine *e, struct loop *loop);

/** life_drop_contents() - inside a transaction: all that was kept for the keys of a vTPM's present generation. 0, E_DB or E_BUSY. */
int life_drop_contents(struct store *s, const struct uuid *uuid);

/** life_request() - a request of kmcctl; false: it is not about that. */
bool life_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

#endif
