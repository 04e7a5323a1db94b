/* Suspended images, for administrators. */
#ifndef KMC_ENGINE_IMAGES_H
#define KMC_ENGINE_IMAGES_H

#include <stdbool.h>

#include "kmc/engine.h"

/** images_request() - serve a request of kmcctl about images; false: it is about something else. */
bool images_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

#endif
