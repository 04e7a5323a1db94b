/*
 * The host's TLS key in its TPM: made there, never outside it, and made anew from the TPM's own seed when it is needed.
 *
 * P-256, a primary of the endorsement hierarchy like the attestation key (host_identity.h), but not restricted: TLS has it sign what the
 * TPM did not make.
 */
#ifndef DOM0_RELAY_HOST_TLSKEY_H
#define DOM0_RELAY_HOST_TLSKEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/eckey.h"
#include "dom0-relay/host_tpm.h"

struct host_tlskey {
	uint8_t area[128]; /* TPMT_PUBLIC */
	size_t area_size;
	uint8_t spki[ECKEY_SPKI_MAX]; /* SubjectPublicKeyInfo */
	size_t spki_size;
};

/** host_tlskey_read() - make the key and tell its public half; 0, E_CRYPTO, or E_TPM with @why filled in. */
int host_tlskey_read(struct host_tpm *tpm, struct host_tlskey *key, char why[HOST_TPM_WHY]);

/** host_tlskey_sign() - ECDSA over a SHA-256 @digest, in DER. Return: bytes, E_CRYPTO, or E_TPM with @why filled in. */
int host_tlskey_sign(struct host_tpm *tpm, const uint8_t digest[32], uint8_t signature[ECKEY_SIGNATURE_MAX], char why[HOST_TPM_WHY]);

/* What TPM2_Certify says of it. */
struct host_certified {
	uint8_t attest[512], signature[128]; /* TPMS_ATTEST, TPMT_SIGNATURE by the attestation key */
	size_t attest_size, signature_size;
};

/** host_tlskey_certify() - the attestation key certifies that the TLS key is in the same TPM, over @qualifying; 0 or E_TPM with @why. */
int host_tlskey_certify(struct host_tpm *tpm, const uint8_t qualifying[32], struct host_certified *c, char why[HOST_TPM_WHY]);

#endif
