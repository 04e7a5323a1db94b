/*
 * Who a host is and in what state it booted, as its TPM proves it: endorsement key, attestation key, credential activation, quotes.
 *
 * Both keys are primaries of the endorsement hierarchy, made anew from the TPM's own seed when they are needed: nothing is kept on
 * disk or in the TPM. In that hierarchy a TPM gives its reset count and firmware version as they are.
 */
#ifndef DOM0_RELAY_HOST_IDENTITY_H
#define DOM0_RELAY_HOST_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "dom0-relay/host_tpm.h"

struct secret;

#define HOST_IDENTITY_CERT_MAX 2048
#define HOST_IDENTITY_PCRS 24

struct host_identity {
	bool is_ecc; /* the endorsement key: which of the two templates */
	uint8_t ek[400], ak[128]; /* TPMT_PUBLIC */
	size_t ek_size, ak_size;
	uint8_t certificate[HOST_IDENTITY_CERT_MAX]; /* of the endorsement key, DER */
	size_t certificate_size; /* 0: the TPM has none */
};

/**
 * host_identity_read() - make both keys, and look for a certificate
 *
 * The endorsement key is RSA-2048 (template L-1 of the TCG EK Credential Profile), or P-256 (L-2) where only that has a certificate or
 * RSA is not to be had. Return: 0 or E_TPM with @why filled in.
 */
int host_identity_read(struct host_tpm *tpm, struct host_identity *id, char why[HOST_TPM_WHY]);

/**
 * host_identity_activate() - TPM2_ActivateCredential: answer a challenge that was made for both keys
 * @blob, @secret: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET
 * @answer: a new secret
 *
 * Return: 0, E_FORMAT, E_NOMEM or E_TPM with @why filled in.
 */
int host_identity_activate(struct host_tpm *tpm, const struct host_identity *id, struct view blob, struct view secret, struct secret **answer,
			   char why[HOST_TPM_WHY]);

struct host_quote {
	uint8_t attest[512], signature[128]; /* TPMS_ATTEST, TPMT_SIGNATURE */
	size_t attest_size, signature_size;
	uint8_t values[HOST_IDENTITY_PCRS * 32]; /* of the PCRs, lowest first */
	size_t values_size;
};

/**
 * host_identity_quote() - TPM2_Quote by the attestation key, ECDSA with SHA-256
 * @qualifying: 32 bytes that are signed with it
 * @pcrs: mask, of the SHA-256 bank
 *
 * Return: 0 or E_TPM with @why filled in.
 */
int host_identity_quote(struct host_tpm *tpm, const uint8_t qualifying[32], uint32_t pcrs, struct host_quote *q, char why[HOST_TPM_WHY]);

#endif
