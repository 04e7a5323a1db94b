/*
 * The KMC's own TPM. Only kmctpm.c and kmctpm_move.c see tss2.
 *
 *   storage primary (owner hierarchy, ECC P-256)     made anew from the TPM's own seed at every start, takes no room in the TPM
 *     parent (storage key, ECC P-256)                may be duplicated, with the authority's signature, to one named TPM
 *       K (HMAC key), sealed wrapping keys           go where the parent goes, and nowhere else
 *
 * What is below the primary is kept outside, encrypted by the TPM. Every command that carries a secret does so in a session salted
 * with the primary, so the bus sees cipher text. Moving the parent to another TPM is kmctpm_move.h's.
 */
#ifndef KMC_KMCTPM_H
#define KMC_KMCTPM_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct kmctpm;
struct secret;

#define KMCTPM_WHY 200	     /* bytes for an error's text */
#define KMCTPM_BLOB_MAX 1536 /* bytes of an object's public and private part */
#define KMCTPM_MAC_SIZE 32

/* An object as it is kept outside: TPM2B_PUBLIC, TPM2B_PRIVATE. No secret: the TPM encrypted it. */
struct kmctpm_blob {
	uint8_t data[KMCTPM_BLOB_MAX];
	size_t size;
};

/* The public half of the key that may authorise a duplication: a point of P-256. */
struct kmctpm_authority {
	uint8_t x[32], y[32];
};

/**
 * kmctpm_open() - connect, start the TPM up if nobody did, make the primary and the session
 * @tcti: such as "device:/dev/tpmrm0"
 *
 * Return: 0 (*tpm is the caller's), E_TPM or E_NOMEM with @why filled in.
 */
int kmctpm_open(struct kmctpm **tpm, const char *tcti, char why[KMCTPM_WHY]);
void kmctpm_close(struct kmctpm **tpm);

/**
 * kmctpm_make_parent() - the storage key above all others
 * @authority: whose signature is needed to duplicate it (TPM2_PolicyAuthorize)
 *
 * Return: 0 or E_TPM with @why filled in.
 */
int kmctpm_make_parent(struct kmctpm *tpm, const struct kmctpm_authority *authority, struct kmctpm_blob *out, char why[KMCTPM_WHY]);

/** kmctpm_load_parent() - the one that all of the following are below. 0, E_FORMAT or E_TPM with @why filled in. */
int kmctpm_load_parent(struct kmctpm *tpm, const struct kmctpm_blob *blob, char why[KMCTPM_WHY]);

/** kmctpm_make_hmac_key() - a keyedhash key (HMAC, SHA-256) that the TPM draws itself and never shows. 0 or E_TPM with @why filled in. */
int kmctpm_make_hmac_key(struct kmctpm *tpm, struct kmctpm_blob *out, char why[KMCTPM_WHY]);

/** kmctpm_load_hmac_key() - make it the one that kmctpm_hmac() uses. 0, E_FORMAT or E_TPM with @why filled in. */
int kmctpm_load_hmac_key(struct kmctpm *tpm, const struct kmctpm_blob *blob, char why[KMCTPM_WHY]);

/** kmctpm_hmac() - TPM2_HMAC over up to 1024 bytes; *mac is the caller's. 0, E_ARG, E_NOMEM or E_TPM with @why filled in. */
int kmctpm_hmac(struct kmctpm *tpm, struct view message, struct secret **mac, char why[KMCTPM_WHY]);

/** kmctpm_seal() - keep up to 128 bytes that only a TPM with the parent gives back. 0, E_ARG or E_TPM with @why filled in. */
int kmctpm_seal(struct kmctpm *tpm, const struct secret *data, struct kmctpm_blob *out, char why[KMCTPM_WHY]);

/** kmctpm_unseal() - and get them back; *data is the caller's. 0, E_FORMAT, E_NOMEM or E_TPM with @why filled in. */
int kmctpm_unseal(struct kmctpm *tpm, const struct kmctpm_blob *blob, struct secret **data, char why[KMCTPM_WHY]);

/* What TPM2_MakeCredential gives: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, for the TPM that has both keys. */
struct kmctpm_credential {
	uint8_t blob[256], secret[512];
	size_t blob_size, secret_size;
};

/**
 * kmctpm_make_credential() - have the TPM encrypt @value so that only the TPM with the private half of @ek and a key named @name reads it
 * @ek: TPMT_PUBLIC
 * @name: of the other key: TPM2B_NAME's content
 *
 * Return: 0, E_FORMAT or E_TPM with @why filled in.
 */
int kmctpm_make_credential(struct kmctpm *tpm, struct view ek, struct view name, const struct secret *value, struct kmctpm_credential *out,
			   char why[KMCTPM_WHY]);

/** kmctpm_authority_policy() - the authPolicy that needs the authority's signature; 0 or E_CRYPTO. */
int kmctpm_authority_policy(const struct kmctpm_authority *authority, uint8_t digest[32]);

#endif
