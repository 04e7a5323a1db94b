/* ECDSA on P-256 as enrolment and attestation need it: a host's own key, and the checking of signatures. */
#ifndef COMMON_ECKEY_H
#define COMMON_ECKEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct eckey;
struct secret;

#define ECKEY_SPKI_MAX 128	/* bytes of a public key in DER */
#define ECKEY_SIGNATURE_MAX 80 /* bytes of a signature in DER */

/** eckey_make() - a new key; 0 (*key is the caller's) or E_CRYPTO. */
int eckey_make(struct eckey **key);
void eckey_free(struct eckey **key);

/** eckey_pem() - the private key as PKCS#8 in PEM, a new secret; 0, E_NOMEM or E_CRYPTO. */
int eckey_pem(const struct eckey *key, struct secret **pem);

/** eckey_public() - SubjectPublicKeyInfo in DER. Return: bytes or E_CRYPTO. */
int eckey_public(const struct eckey *key, uint8_t spki[ECKEY_SPKI_MAX]);

/** eckey_sign() - with SHA-256. Return: bytes of the DER signature or E_CRYPTO. */
int eckey_sign(const struct eckey *key, struct view message, uint8_t signature[ECKEY_SIGNATURE_MAX]);

/** eckey_verify() - 0, E_FORMAT (@spki is no P-256 key) or E_INTEGRITY. */
int eckey_verify(struct view spki, struct view message, struct view signature);

/** eckey_spki_of() - SubjectPublicKeyInfo in DER of the point as a TPM gives it, numbers of up to 32 bytes. Return: bytes or E_FORMAT. */
int eckey_spki_of(struct view x, struct view y, uint8_t spki[ECKEY_SPKI_MAX]);

/** eckey_signature_of() - a signature in DER of such numbers. Return: bytes or E_CRYPTO. */
int eckey_signature_of(struct view r, struct view s, uint8_t signature[ECKEY_SIGNATURE_MAX]);

/* A signature and a key as a TPM gives them: numbers of up to 32 bytes. */
struct eckey_numbers {
	struct view x, y, r, s;
};

/** eckey_verify_numbers() - likewise. */
int eckey_verify_numbers(const struct eckey_numbers *n, struct view message);

#endif
