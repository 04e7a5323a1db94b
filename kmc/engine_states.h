/* A vTPM's stored states, for administrators. */
#ifndef KMC_ENGINE_STATES_H
#define KMC_ENGINE_STATES_H

#include <stdbool.h>

#include "kmc/engine.h"

/** states_left() - in a transaction: whether a vTPM is on its way to another KMC, or there, so that its states stay as they are. 0, E_DB or E_BUSY. */
int states_left(struct store *s, const struct store_vtpm *v, bool *left);

/** states_request() - serve a request of kmcctl about stored states; false: it is about something else. */
bool states_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

#endif
