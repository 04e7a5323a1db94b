/*
 * Secrets sealed to the host's TPM and to its boot state: for copies of seeds that may be used while no KMC is there.
 *
 * The parent is a primary key of the owner hierarchy, made anew from the TPM's seed when it is needed: TPM2_Clear ends all copies. The
 * policy is TPM2_PolicyPCR with the values at the time of sealing: a host that booted otherwise can't open them.
 */
#ifndef DOM0_RELAY_HOST_SEAL_H
#define DOM0_RELAY_HOST_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "dom0-relay/host_tpm.h"

struct secret;

#define HOST_SEALED_MAX 512 /* bytes of a sealed secret */

/**
 * host_seal() - seal up to 64 bytes
 * @pcrs: mask, of the SHA-256 bank
 *
 * Return: bytes in @out, E_RANGE, or E_TPM with @why filled in.
 */
int host_seal(struct host_tpm *tpm, uint32_t pcrs, const struct secret *data, uint8_t out[HOST_SEALED_MAX], char why[HOST_TPM_WHY]);

/** host_unseal() - with the same @pcrs; a new secret. 0, E_FORMAT, E_NOMEM, or E_TPM with @why filled in. */
int host_unseal(struct host_tpm *tpm, uint32_t pcrs, struct view sealed, struct secret **data, char why[HOST_TPM_WHY]);

#endif
