/* `vtpmctl show`: one vTPM, as it is here and what happened to it here. */
#ifndef DOM0_RELAY_SHOW_H
#define DOM0_RELAY_SHOW_H

#include <stdbool.h>

#include "common/uuid.h"

/**
 * show_run() - what the relay at @socket_path says of @uuid now, and what is on record in @state_directory
 *
 * The record needs no relay. Return: an exit status of vtpmctl; 1 if nothing is known of it.
 */
int show_run(const char *socket_path, const char *state_directory, const struct uuid *uuid, bool json);

#endif
