/*
 * The keys of a KMC machine: where they are kept and how they come to life.
 *
 *   STATE/vault/parent.tpm    the storage key above the next two, for this machine's TPM
 *   STATE/vault/seed.tpm      K, below it
 *   STATE/vault/wrapping.tpm  the wrapping key, sealed below it
 *   STATE/vault/ca.key        the CA's private key, under the wrapping key
 *   STATE/ca.crt              the CA's certificate
 *   STATE/vault/audit.key     the audit trail's private key (ECDSA P-256), under the wrapping key
 *   STATE/audit.pub           its public key, for those who check
 */
#ifndef KMC_KEYRING_H
#define KMC_KEYRING_H

#include "kmc/ca.h"
#include "kmc/kmcconf.h"
#include "kmc/kmctpm.h"
#include "kmc/kmctpm_move.h"
#include "kmc/wrap.h"

struct keyring {
	const char *tcti;
	struct kmctpm *tpm; /* NULL: it went away and did not come back yet */
	struct kmctpm_blob parent, seed_key;
	struct wrap_key wrapping;
	struct x509_key *ca_key;
	struct ca_cert ca;
	struct x509_key *audit_key;
};

#define KEYRING_WHY 512 /* bytes for an error's text */

/** keyring_open() - read all of it; @conf must outlive the keyring. 0 or an error with @why filled in. */
int keyring_open(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY]);
void keyring_close(struct keyring *k);

/** keyring_hmac() - TPM2_HMAC with K; a TPM that was reset or away is opened anew, once. 0 or an error with @why filled in. */
int keyring_hmac(struct keyring *k, struct view message, struct secret **mac, char why[KEYRING_WHY]);

/** keyring_make_credential() - kmctpm_make_credential(), likewise. */
int keyring_make_credential(struct keyring *k, struct view ek, struct view name, const struct secret *value, struct kmctpm_credential *out,
			    char why[KEYRING_WHY]);

/** keyring_duplicate() - kmctpm_duplicate() of the parent, likewise; o->parent is filled in here. */
int keyring_duplicate(struct keyring *k, struct kmctpm_order *o, struct kmctpm_copy *out, char why[KEYRING_WHY]);

/** keyring_wrap_ca() - a CA's key as it is kept, into @wrapped. Return: bytes or an error. */
int keyring_wrap_ca(const struct keyring *k, const struct x509_key *key, uint8_t wrapped[CA_KEY_MAX + WRAP_OVERHEAD]);

/** keyring_unwrap_ca() - what keyring_wrap_ca() made, of the CA with @cert; *key is the caller's. 0, E_INTEGRITY (it is not ours, or of another CA) or another error. */
int keyring_unwrap_ca(const struct keyring *k, const struct ca_cert *cert, struct view wrapped, struct x509_key **key);

/*
 * For kmcctl init, in this order, on a keyring that is zeroed but for tcti: each makes one key and writes its file.
 * 0 or an error with @why filled in.
 */
int keyring_make_tpm_keys(struct keyring *k, const struct kmcconf *conf, const struct kmctpm_authority *authority, char why[KEYRING_WHY]);
int keyring_make_ca(struct keyring *k, const struct kmcconf *conf, int64_t not_before, int64_t not_after, char why[KEYRING_WHY]);
int keyring_make_audit_key(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY]);

#endif
