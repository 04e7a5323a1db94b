/*
 * The host TPM as an open needs it: public-key operations with the KMC's key. Only host_tpm.c and
 * host_identity.c see tss2.
 */
#ifndef DOM0_RELAY_HOST_TPM_H
#define DOM0_RELAY_HOST_TPM_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct host_tpm;
struct secret;

#define HOST_TPM_WHY 200 /* bytes for an error's text */

/**
 * host_tpm_open() - connect to the TPM and see that it answers
 * @tcti: such as "device:/dev/tpmrm0"
 *
 * Return: 0 (*tpm is the caller's), E_TPM or E_NOMEM with @why filled in.
 */
int host_tpm_open(struct host_tpm **tpm, const char *tcti, char why[HOST_TPM_WHY]);
void host_tpm_close(struct host_tpm **tpm);

/* An RSA public key of the KMC. */
struct host_tpm_key {
	struct view modulus; /* big endian, 256 or 384 bytes */
	uint32_t exponent;
};

/**
 * host_tpm_encrypt() - RSA-OAEP-SHA256 in the TPM (TPM 2.0 Part 3, 14.2 TPM2_RSA_Encrypt; key by 12.3 TPM2_LoadExternal,
 * NULL hierarchy)
 * @label: with its terminating NUL
 * @out: room for the modulus
 *
 * Return: 0 or E_TPM with @why filled in.
 */
int host_tpm_encrypt(struct host_tpm *tpm, const struct host_tpm_key *key, const struct secret *plain, const char *label, uint8_t *out,
		     char why[HOST_TPM_WHY]);

/**
 * host_tpm_recover() - undo the KMC's private operation: TPM2_RSA_Encrypt with the NULL scheme is m^e mod n
 * @inner: as long as the modulus
 * @block: a new secret of the same length
 *
 * The library's buffer holds it, too, until host_tpm_forget().
 *
 * Return: 0, E_RANGE, E_NOMEM or E_TPM with @why filled in.
 */
int host_tpm_recover(struct host_tpm *tpm, const struct host_tpm_key *key, const struct secret *inner, struct secret **block,
		     char why[HOST_TPM_WHY]);

/**
 * host_tpm_forget() - overwrite what the library has of the last command and answer
 *
 * tss2's system API keeps both in one buffer, in which a longer command is prepared (TPM2_Hash of zeros), and not sent.
 *
 * Return: 0 or E_TPM.
 */
int host_tpm_forget(struct host_tpm *tpm);

#endif
