/*
 * The TPM 2.0 that answers a guest's commands. One in a process.
 *
 * Blobs are libtpms' own (blob.h) and hold every secret of the TPM in plain text: they live in struct secret.
 */
#ifndef VTPM_STUBDOM_ENGINE_H
#define VTPM_STUBDOM_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vtpm-stubdom/derive.h"

struct engine;

/* State as it is handed in and out: @permanent has to be there, @transient (PCRs, sessions, clock) may be NULL. */
struct engine_state {
	struct secret *permanent, *transient;
};

static inline void engine_state_free(struct engine_state *state)
{
	secret_free(&state->permanent);
	secret_free(&state->transient);
}

/** engine_version() - such as "libtpms 0.9.2". */
const char *engine_version(void);

/**
 * engine_new() - an engine without a TPM in it
 *
 * Return: the engine; NULL with no memory, if there is one already, or if no random bytes are to be had.
 */
struct engine *engine_new(void);

/** engine_free() - stop the TPM and wipe; *@e may be NULL. */
void engine_free(struct engine **e);

/** engine_manufacture() - the first thing: make a TPM that was never used, with @roots in it; powered on, not started up. 0 or an error. */
int engine_manufacture(struct engine *e, const struct roots *roots);

/**
 * engine_resume() - power on with @state, whose blobs stay the caller's, instead of what runs
 *
 * With transient state the TPM goes on where it was and fresh random bytes are stirred in; without, it waits for Startup. One that was in
 * failure mode is so again, see engine_failure().
 * Return: 0; E_TPM: the blob is refused, and the engine holds no TPM any more.
 */
int engine_resume(struct engine *e, const struct engine_state *state);

/**
 * engine_process() - execute one command
 * @response: valid until the next call
 *
 * Return: 0, also when the response is a TPM error; E_TPM (the library failed), E_STATE (no TPM is running).
 */
int engine_process(struct engine *e, unsigned int locality, const uint8_t *command, size_t n, const uint8_t **response,
		   size_t *n_response);

/**
 * engine_failure() - where the TPM failed, or NULL if it is not in failure mode (TPM 2.0 part 1, "Failure Mode")
 *
 * In that mode it answers TPM_RC_FAILURE to all but TPM2_GetTestResult and TPM2_GetCapability and changes no permanent state any more, until
 * it is powered on without transient state.
 */
const char *engine_failure(const struct engine *e);

/** engine_take_changed() - has the permanent state changed since the last call? */
bool engine_take_changed(struct engine *e);

/** engine_permanent() - the permanent state as of the last change; the engine's own, valid until it processes the next command. */
const struct secret *engine_permanent(const struct engine *e);

/** engine_transient() - copy the transient state of this moment into *@s, see secret_assign(): 0, or an error and *@s is NULL. */
int engine_transient(const struct engine *e, struct secret **s);

#endif
