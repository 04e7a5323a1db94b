/*
 * The recovery key: who has a backup and M of N shares brings the KMC's keys into another TPM.
 *
 * Theory of operation: a P-256 key is made in software, and the TPM duplicates the parent to it (TPM2_Duplicate, as for a replica). Its
 * private half, the inner wrapper's key and the authority's private key are encrypted under a secret of 32 bytes, and that is what is
 * split. All but the shares is in STATE/recovery.kmc, and so in every backup. Later: the shares give the secret, the recovery key goes into
 * the new TPM, and that rewraps the parent for its own storage primary.
 */
#ifndef KMC_CTL_RECOVERY_H
#define KMC_CTL_RECOVERY_H

#include "kmc/keyring.h"

struct x509_key;

/* What kmcctl init is asked for. */
struct recovery_options {
	unsigned int needed, shares; /* 0: no recovery key */
	const char *dir;	     /* for the shares, made if need be */
};

/** recovery_make() - for kmcctl init: with the parent loaded in @k. 0 or an error with @why filled in. */
int recovery_make(const struct kmcconf *conf, struct keyring *k, const struct x509_key *authority, const struct recovery_options *r,
		  char why[KEYRING_WHY]);

/**
 * recovery_use() - bring the parent into this machine's TPM
 * @shares: files with a share each
 * @parent: as it is to be kept here
 *
 * Writes the authority's key into the state directory. 0 or an error with @why filled in.
 */
int recovery_use(const struct kmcconf *conf, const char *const *shares, unsigned int n, struct kmctpm_blob *parent, char why[KEYRING_WHY]);

#endif
