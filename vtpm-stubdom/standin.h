/*
 * What a stand-in answers: the guest's TPM is gone until the guest is started again.
 *
 * A TPM that lost power has lost its PCRs, and a guest that runs can't get them back: they say how it booted. So a stub domain that
 * takes the place of one that died does not start the TPM, whatever the guest asks. It answers as a TPM does that has not been
 * started: TPM_RC_INITIALIZE, TPM2_Startup included, because the start of a TPM is the firmware's to order, and that was when the
 * guest began. TPM 1.2 commands, which Linux's kernel sends, get TPM_INVALID_POSTINIT.
 */
#ifndef VTPM_STUBDOM_STANDIN_H
#define VTPM_STUBDOM_STANDIN_H

#include <stddef.h>
#include <stdint.h>

#define STANDIN_SIZE 10 /* bytes of every answer */

/** standin_response() - answer @command, of @n bytes, whatever it is, into @out; return @out. */
uint8_t *standin_response(const uint8_t *command, size_t n, uint8_t out[STANDIN_SIZE]);

#endif
