/*
 * vTPMs on their way to or from another KMC, in the vault: the only place where such a seed is in clear, for one call.
 *
 * Theory of operation: a fresh key encrypts the seed. TPM2_MakeCredential encrypts that key for the receiver's parent and the name of its seed
 * key, so that every machine of that KMC opens it in its TPM, and nobody else. The giver signs all of it with its audit key.
 */
#ifndef KMC_VAULT_MOVE_H
#define KMC_VAULT_MOVE_H

#include "kmc/movefile.h"
#include "kmc/vault.h"

/* @kmc: this kmcd's name. Each: *n bytes into @out; 0 or an error with @why filled in. */

/** vault_card() - who this KMC is. */
int vault_card(struct vault *v, const char *kmc, uint8_t out[MOVE_CARD_MAX], size_t *n, char why[KEYRING_WHY]);

/** vault_export() - a vTPM for the KMC of q->card alone. E_DENIED: that is this one. */
int vault_export(struct vault *v, const char *kmc, const struct vault_export *q, uint8_t out[MOVE_PACKAGE_MAX], size_t *n, char why[KEYRING_WHY]);

/** vault_import() - its seed, wrapped for q->tenant. E_DENIED: it is for another KMC, or not by the one in q->from. */
int vault_import(struct vault *v, const struct vault_import *q, uint8_t out[VAULT_SEED_MAX], size_t *n, char why[KEYRING_WHY]);

/** vault_receipt() - that it is here. */
int vault_receipt(struct vault *v, const char *kmc, const struct vault_receipt *q, uint8_t out[MOVE_RECEIPT_MAX], size_t *n, char why[KEYRING_WHY]);

#endif
