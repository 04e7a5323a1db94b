/*
 * The endorsement keys of a vTPM and where their certificates stand in it, by the TCG's EK Credential Profile for TPM 2.0.
 *
 *   0x01C00002  certificate of the RSA-2048 key (template L-1)      0x01C0000A  of the P-256 key (template L-2)
 *
 * Used by the stub domain, which puts certificates in, and by the KMC, which makes the same keys from the seed to certify them.
 * Everything goes through TPM commands, whose answers are checked.
 */
#ifndef VTPM_STUBDOM_ENDORSEMENT_H
#define VTPM_STUBDOM_ENDORSEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct engine;

enum endorsement_kind { ENDORSEMENT_RSA, ENDORSEMENT_ECC, ENDORSEMENT_KINDS };

#define ENDORSEMENT_KEY_MAX 256

/* A public key: the modulus, big endian, with 65537 as exponent; or the two coordinates of the point, one behind the other. */
struct endorsement_key {
	uint8_t bytes[ENDORSEMENT_KEY_MAX];
	size_t size;
};

/* What the TPM says of itself (TPM2_GetCapability). */
struct endorsement_facts {
	uint32_t manufacturer, firmware; /* four characters; TPM_PT_FIRMWARE_VERSION_1 */
	uint32_t level, revision;	 /* of the TPM 2.0 library specification */
};

/** endorsement_key() - make the key anew from the hierarchy's seed: 0, or E_TPM (the guest has set an authorisation, or no slot is free). */
int endorsement_key(struct engine *e, enum endorsement_kind kind, struct endorsement_key *key);

/** endorsement_facts() - 0 or E_TPM. */
int endorsement_facts(struct engine *e, struct endorsement_facts *facts);

/**
 * endorsement_is_certified() - whether both certificates are there, and that of the P-256 key names the present one
 * @open: if given: whether that could be looked at; a guest that has set the hierarchy's authorisation keeps what it has
 */
bool endorsement_is_certified(struct engine *e, bool *open);

/**
 * endorsement_provision() - put both certificates (DER) into their NV indices, instead of older ones
 *
 * Return: 0; E_INTEGRITY (not this TPM's, nothing is changed); E_TPM (the TPM refuses: the guest has locked the platform hierarchy, or NV is full).
 */
int endorsement_provision(struct engine *e, const struct view certificates[ENDORSEMENT_KINDS]);

#endif
