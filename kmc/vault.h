/*
 * What the vault does with its keys, one request at a time: no loop, no messages.
 *
 * The only module that ever holds a private key, a seed or a response key in clear, each for one call, but for three tables: tickets
 * (response keys between decrypt and seal), protection keys in use (unwrapped once, kept ready), and protection keys made in advance.
 */
#ifndef KMC_VAULT_H
#define KMC_VAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/envelope.h"
#include "common/kmcmsg.h"
#include "kmc/audit.h"
#include "kmc/keyring.h"
#include "kmc/procmsg.h"
#include "kmc/seed.h"

struct vault;

/** vault_new() - over an open keyring, which it takes over. NULL: no memory. */
struct vault *vault_new(struct keyring *keyring);
void vault_free(struct vault **v);

/* A protection key as others may keep it. */
struct vault_key {
	uint8_t id[KMC_KEY_ID_SIZE];
	uint8_t modulus[KMC_RSA_MAX];
	size_t modulus_size;
	uint64_t exponent;
	uint8_t wrapped[VAULT_WRAPPED_MAX];
	size_t wrapped_size;
};

/** vault_wrap_key() - give a new private key (PKCS#1 DER) an id and wrap it. 0 or an error. */
int vault_wrap_key(struct vault *v, const struct secret *der, struct vault_key *out);

/**
 * vault_decrypt() - step 3 of an open: take the request apart and keep it under @ticket
 * @ticket: not 0, not in use
 *
 * Return: 0; E_INTEGRITY for whatever is wrong with the request; E_NOMEM (too many tickets); else the KMC's own failure.
 */
int vault_decrypt(struct vault *v, uint64_t ticket, const struct vault_decrypt *q, struct uuid *uuid, char why[KEYRING_WHY]);

/** vault_make_seed() - step 4: derive and wrap; *size bytes into @wrapped. 0 or an error with @why filled in. */
int vault_make_seed(struct vault *v, const struct seed_owner *owner, uint8_t wrapped[VAULT_SEED_MAX], size_t *size, char why[KEYRING_WHY]);

/** vault_share_seed() - the seed of one vTPM, wrapped for another that shares it; *size bytes into @wrapped. 0 or an error with @why filled in. */
int vault_share_seed(struct vault *v, const struct vault_share *q, uint8_t wrapped[VAULT_SEED_MAX], size_t *size, char why[KEYRING_WHY]);

/** vault_seal() - step 6: the reply to the request under @ticket, which is gone afterwards. 0 or an error with @why filled in. */
int vault_seal(struct vault *v, uint64_t ticket, const struct vault_seal *q, uint8_t reply[KMC_RSA_MAX + ENVELOPE_OVERHEAD], size_t *size,
	       char why[KEYRING_WHY]);

/** vault_forget() - drop @ticket, if there is such. */
void vault_forget(struct vault *v, uint64_t ticket);

/** vault_sign() - a signed head of the audit trail into @out; 0 or an error with @why filled in. */
int vault_sign(struct vault *v, const char *kmc, const struct vault_sign *q, uint8_t out[AUDIT_HEAD_MAX], size_t *size, char why[KEYRING_WHY]);

/** vault_challenge() - a fresh secret for TPM2_ActivateCredential, and the hash of the right answer. 0 or an error with @why filled in. */
int vault_challenge(struct vault *v, const struct vault_credential *q, struct kmctpm_credential *out, uint8_t answer[32], char why[KEYRING_WHY]);

/** vault_issue() - a host's certificate. 0 or an error with @why filled in. */
int vault_issue(struct vault *v, const struct vault_issue *q, struct ca_cert *out, char why[KEYRING_WHY]);

/* A new CA and the one that signs now, as others may keep them. */
struct vault_authorities {
	struct ca_cert made, present;
	uint8_t key[CA_KEY_MAX + WRAP_OVERHEAD], present_key[CA_KEY_MAX + WRAP_OVERHEAD]; /* wrapped */
	size_t key_size, present_key_size;
};

/** vault_make_ca() - a new CA, which signs nothing yet. 0 or an error with @why filled in. */
int vault_make_ca(struct vault *v, const struct vault_ca_make *q, struct vault_authorities *out, char why[KEYRING_WHY]);

/** vault_take_ca() - that a CA out of the database is one of ours; if @q says so, it signs from now on. 0 or an error with @why filled in. */
int vault_take_ca(struct vault *v, const struct vault_ca *q, char why[KEYRING_WHY]);

/** vault_duplicate() - a copy of the parent for the TPM that @q names, and the credential that only that TPM opens. 0 or an error with @why. */
int vault_duplicate(struct vault *v, const struct vault_duplicate *q, struct kmctpm_credential *credential, struct kmctpm_copy *copy,
		    char why[KEYRING_WHY]);

/** vault_endorsement_seed() - the seed of a vTPM's endorsement hierarchy, as its stub domain derives it; *eps is the caller's. 0 or an error with @why. */
int vault_endorsement_seed(struct vault *v, const struct vault_endorse *q, struct secret **eps, char why[KEYRING_WHY]);

/** vault_endorse() - certificates for the keys that were made of it. @url: of the CA's certificate, or NULL. 0 or an error with @why filled in. */
int vault_endorse(struct vault *v, const char *url, int64_t not_before, const struct ekmaker_made *made, struct ca_cert *rsa, struct ca_cert *ecc,
		  char why[KEYRING_WHY]);

/** vault_rewrap() - what is wrapped under any key that is here, under the one in use; *n bytes. 0 or an error with @why filled in. */
int vault_rewrap(struct vault *v, const struct vault_rewrap *q, uint8_t out[VAULT_WRAPPED_MAX], size_t *n, char why[KEYRING_WHY]);

/** vault_keyring() - for who replaces the wrapping key (vault_wrapping.c). */
struct keyring *vault_keyring(struct vault *v);

#endif
