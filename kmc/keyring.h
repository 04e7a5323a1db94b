/*
 * The keys of a KMC machine: where they are kept and how they come to life.
 *
 *   STATE/vault/parent.tpm    the storage key above the next two, for this machine's TPM
 *   STATE/vault/seed.tpm      K, below it
 *   STATE/vault/wrapping.tpm  the first wrapping key, sealed below the parent; those that replace it are wrapping-NUMBER.tpm
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
	struct wrap_ring wrapping;
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

/** keyring_open_credential() - kmctpm_open_credential(), likewise. */
int keyring_open_credential(struct keyring *k, struct view blob, struct view secret, struct secret **out, char why[KEYRING_WHY]);

/** keyring_wrap_ca() - a CA's key as it is kept, into @wrapped. Return: bytes or an error. */
int keyring_wrap_ca(const struct keyring *k, const struct x509_key *key, uint8_t wrapped[CA_KEY_MAX + WRAP_OVERHEAD]);

/** keyring_unwrap_ca() - what keyring_wrap_ca() made, of the CA with @cert; *key is the caller's. 0, E_INTEGRITY (it is not ours, or of another CA) or another error. */
int keyring_unwrap_ca(const struct keyring *k, const struct ca_cert *cert, struct view wrapped, struct x509_key **key);
/* --- replacement of the wrapping key (keyring_wrapping.c); nothing here writes a file --- */

/** keyring_open_wrapping() - for keyring_open(): unseal those that are in the vault directory. 0 or an error with @why. */
int keyring_open_wrapping(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY]);

/* What the two files of the keyring share: a sealed file of the state directory; and to open a TPM that was away anew. */
int keyring_read_blob(const struct kmcconf *conf, const char *name, struct kmctpm_blob *blob, char why[KEYRING_WHY]);
int keyring_again(struct keyring *k, char why[KEYRING_WHY]);

/** keyring_new_wrapping() - draw the key with @number, seal it and forget it. 0 or an error with @why filled in. */
int keyring_new_wrapping(struct keyring *k, uint32_t number, struct kmctpm_blob *out, char why[KEYRING_WHY]);

/** keyring_learn() - unseal the key with @number: what is under it can be opened from now on. 0 or an error with @why filled in. */
int keyring_learn(struct keyring *k, uint32_t number, struct view sealed, char why[KEYRING_WHY]);

/** keyring_oldest() - the lowest number of the wrapping keys that are here. */
uint32_t keyring_oldest(const struct keyring *k);

#define KEYRING_NAME 32 /* bytes of a file's name in the vault directory */

/** keyring_wrapping_name() - the file of the wrapping key with @number. Return: @name. */
const char *keyring_wrapping_name(uint32_t number, char name[KEYRING_NAME]);

/** keyring_wrapping_number() - the other way; 0: @name is of another file. */
uint32_t keyring_wrapping_number(const char *name);

#define KEYRING_WRAPPED_MAX (CA_KEY_MAX + WRAP_OVERHEAD)

/* The files that are under a wrapping key. */
enum keyring_file { KEYRING_CA, KEYRING_AUDIT, KEYRING_FILES };
extern const char *const keyring_file_name[KEYRING_FILES];

#define KEYRING_CA_CONTEXT "ca" /* what a CA's key is wrapped for, in the file and in the database */

/** keyring_rewrap_file() - @in is what is in @file, *n bytes into @out what is to be, under the key in use. 0 or an error with @why filled in. */
int keyring_rewrap_file(const struct keyring *k, enum keyring_file file, struct view in, uint8_t out[KEYRING_WRAPPED_MAX], size_t *n,
			char why[KEYRING_WHY]);

/*
 * For kmcctl init, in this order, on a keyring that is zeroed but for tcti: each makes one key and writes its file.
 * 0 or an error with @why filled in.
 */
int keyring_make_tpm_keys(struct keyring *k, const struct kmcconf *conf, const struct kmctpm_authority *authority, char why[KEYRING_WHY]);
int keyring_make_ca(struct keyring *k, const struct kmcconf *conf, int64_t not_before, int64_t not_after, char why[KEYRING_WHY]);
int keyring_make_audit_key(struct keyring *k, const struct kmcconf *conf, char why[KEYRING_WHY]);

#endif
