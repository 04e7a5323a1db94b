/* What TPM 2.0 commands do to the state of the TPM. */
#ifndef VTPM_STUBDOM_EFFECT_H
#define VTPM_STUBDOM_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

enum { COMMAND_CHANGE_EPS = 0x124, COMMAND_CHANGE_PPS = 0x125, COMMAND_CLEAR = 0x126, COMMAND_STARTUP = 0x144, COMMAND_SHUTDOWN = 0x145 };

/** effect_is_undoable() - is the only effect of @code a change of permanent state that a guest may be told has not happened? */
bool effect_is_undoable(uint32_t code);

/** effect_is_transient() - does it leave nothing in permanent state, and take no authorisation by an NV index, whose uses may be counted there? */
bool effect_is_transient(uint32_t code);

#endif
