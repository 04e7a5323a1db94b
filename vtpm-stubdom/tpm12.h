/*
 * The few TPM 1.2 commands that Linux's kernel sends to a xen-tpmfront device, answered from the TPM 2.0.
 *
 * That driver registers every vTPM as a TPM 1.2 (it sets no flag that says otherwise), so the kernel itself asks for time-outs, durations,
 * version and random bytes, and IMA reads and extends PCRs. PCRs are those of the SHA-1 bank. User space's TPM 2.0 commands have
 * other tags and never come here.
 */
#ifndef VTPM_STUBDOM_TPM12_H
#define VTPM_STUBDOM_TPM12_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TPM12_RESPONSE_MAX 256 /* bytes */

/** tpm12_process_fn - execute one TPM 2.0 command: 0 or an error; the response is valid until the next call. */
typedef int tpm12_process_fn(void *arg, const uint8_t *command, size_t n, const uint8_t **response, size_t *n_response);

/** tpm12_is_command() - does it begin with a tag of TPM 1.2 (0x00C1 to 0x00C3)? */
bool tpm12_is_command(const uint8_t *command, size_t n);

/**
 * tpm12_process() - answer one TPM 1.2 command
 *
 * Return: the bytes written to @response; what can't be done is answered with a TPM 1.2 error code.
 */
size_t tpm12_process(const uint8_t *command, size_t n, tpm12_process_fn *process, void *arg, uint8_t response[TPM12_RESPONSE_MAX]);

#endif
