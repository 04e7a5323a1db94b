/*
 * The KMC's parent on its way from one TPM to another: to a replica's, or by a recovery key to a new machine's.
 *
 * Theory of operation: a parent's policy asks for the authority's signature over one new parent (PolicyAuthorize over
 * PolicyDuplicationSelect). The TPM then gives a copy in two wrappers: the outer one only the new parent opens; the inner one needs a
 * key besides, which a replica gets as TPM2_MakeCredential's secret, and so only if its storage key and its endorsement key live in
 * one TPM. The recovery key is a software key: TPM2_Rewrap exchanges the outer wrapper for one of the new TPM, inside that TPM.
 * The parent itself is never in clear outside of a TPM.
 */
#ifndef KMC_KMCTPM_MOVE_H
#define KMC_KMCTPM_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kmc/kmctpm.h"

#define KMCTPM_AREA_MAX 512   /* bytes of a TPMT_PUBLIC */
#define KMCTPM_CERT_MAX 2048  /* bytes of an endorsement key's certificate */
#define KMCTPM_INNER_SIZE 16  /* bytes of the inner wrapper's key, AES-128 */
#define KMCTPM_APPROVAL_SIZE 50 /* bytes that the authority signs: a policy digest and the policyRef */

/* Who a TPM is. */
struct kmctpm_identity {
	uint8_t ek[KMCTPM_AREA_MAX], storage[KMCTPM_AREA_MAX]; /* TPMT_PUBLIC of endorsement key and storage primary */
	size_t ek_size, storage_size;
	uint8_t certificate[KMCTPM_CERT_MAX];
	size_t certificate_size; /* 0: the TPM has none */
	bool is_ecc;		 /* the endorsement key is */
};

/* A parent in both wrappers: nothing that must be hidden from those who have not both keys. */
struct kmctpm_copy {
	uint8_t public[KMCTPM_AREA_MAX], duplicate[KMCTPM_AREA_MAX], seed[KMCTPM_AREA_MAX]; /* TPM2B_PUBLIC, _PRIVATE, _ENCRYPTED_SECRET */
	size_t public_size, duplicate_size, seed_size;
};

/** kmctpm_copy_fill() - a copy from its parts; 0 or E_RANGE. */
int kmctpm_copy_fill(struct kmctpm_copy *copy, struct view public, struct view duplicate, struct view seed);

/* A recovery key: P-256, in software. */
struct kmctpm_recovery {
	uint8_t x[32], y[32];
	const struct secret *scalar; /* 32 bytes */
	const struct secret *seed;   /* 32 bytes: a storage key has one for its children; this one gets none */
};

/** kmctpm_identify() - read this TPM's endorsement key, its certificate and its storage primary. 0 or E_TPM with @why filled in. */
int kmctpm_identify(struct kmctpm *tpm, struct kmctpm_identity *id, char why[KMCTPM_WHY]);

/** kmctpm_is_storage() - whether @area (TPMT_PUBLIC) is a storage key that can't leave its TPM, if there is a TPM that has it. */
bool kmctpm_is_storage(struct view area);

/** kmctpm_area_name() - the name of the key with @area; 0, E_FORMAT or E_CRYPTO. */
int kmctpm_area_name(struct view area, uint8_t name[34]);

/** kmctpm_recovery_area() - TPMT_PUBLIC of a recovery key into @area. Return: bytes or E_CRYPTO. */
int kmctpm_recovery_area(const uint8_t x[32], const uint8_t y[32], uint8_t area[KMCTPM_AREA_MAX]);

/** kmctpm_approval() - what the authority signs, so that @parent may go to the key @to (TPMT_PUBLIC). 0, E_FORMAT or E_CRYPTO. */
int kmctpm_approval(const struct kmctpm_blob *parent, struct view to, uint8_t out[KMCTPM_APPROVAL_SIZE]);

/* A duplication that was approved. */
struct kmctpm_order {
	const struct kmctpm_blob *parent; /* the loaded one */
	struct view to;			  /* TPMT_PUBLIC of the new parent */
	struct kmctpm_authority authority;
	struct view signature; /* ECDSA in DER over kmctpm_approval() */
	const struct secret *inner; /* KMCTPM_INNER_SIZE bytes */
};

/** kmctpm_duplicate() - make the copy; the TPM refuses without a good signature. 0, E_FORMAT or E_TPM with @why filled in. */
int kmctpm_duplicate(struct kmctpm *tpm, const struct kmctpm_order *o, struct kmctpm_copy *out, char why[KMCTPM_WHY]);

/** kmctpm_import() - a copy that was made for this TPM's storage primary; no parent is loaded yet. 0, E_FORMAT or E_TPM with @why. */
int kmctpm_import(struct kmctpm *tpm, const struct kmctpm_copy *copy, const struct secret *inner, struct kmctpm_blob *out,
		  char why[KMCTPM_WHY]);

/** kmctpm_activate() - open a credential that was made for this TPM's endorsement key and storage primary; likewise. */
int kmctpm_activate(struct kmctpm *tpm, struct view blob, struct view secret, struct secret **out, char why[KMCTPM_WHY]);

/* Which KMC this is, whichever of its machines: the key above all others, and the one that all seeds come from. */
struct kmctpm_card {
	uint8_t parent[KMCTPM_AREA_MAX]; /* TPMT_PUBLIC */
	size_t parent_size;
	uint8_t seed_key[34]; /* its name */
};

/** kmctpm_card() - from the two as they are kept; no TPM is asked. 0, E_FORMAT or E_CRYPTO. */
int kmctpm_card(const struct kmctpm_blob *parent, const struct kmctpm_blob *seed_key, struct kmctpm_card *out);

/** kmctpm_is_parent() - whether @area (TPMT_PUBLIC) is a storage key that a credential can be made for. */
bool kmctpm_is_parent(struct view area);

/** kmctpm_open_credential() - one that was made for the loaded parent and the loaded seed key: any machine of this KMC can. 0, E_FORMAT or E_TPM with @why. */
int kmctpm_open_credential(struct kmctpm *tpm, struct view blob, struct view secret, struct secret **out, char why[KMCTPM_WHY]);

/** kmctpm_rewrap() - turn a copy that was made for a recovery key into one for this TPM's storage primary; likewise. */
int kmctpm_rewrap(struct kmctpm *tpm, const struct kmctpm_recovery *key, const struct kmctpm_copy *in, struct kmctpm_copy *out,
		  char why[KMCTPM_WHY]);

#endif
