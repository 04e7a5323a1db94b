/* A host's requests, each to the part of the engine that answers it. */
#ifndef KMC_ENGINE_REQUESTS_H
#define KMC_ENGINE_REQUESTS_H

#include "kmc/engine.h"

/** requests_ask() - a message of a host, which the front has checked; fatal() if it had not. */
void requests_ask(struct engine *e, const struct front_ask *m);

#endif
