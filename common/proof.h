/* What a host's TPM signs with a quote, and its TLS key at enrolment: the KMC's nonce, for one purpose and one host. */
#ifndef COMMON_PROOF_H
#define COMMON_PROOF_H

#include <stdint.h>

#define PROOF_NONCE_SIZE 32
#define PROOF_SIZE 32

#define PROOF_ATTEST "xen-vtpm/attest/v1" /* subject: SHA-256 of the host's certificate */
#define PROOF_ATTEST_IMAGE "xen-vtpm/attest-image/v1" /* the same, and then the digest of the stub domains' image */
#define PROOF_ENROL "xen-vtpm/enrol/v1"	  /* subject: SHA-256 of the public half of its TLS key */

#define PROOF_RENEW "xen-vtpm/renew/v1"	  /* SHA-256 of the certificate that it has, then of that key's public half */

#define PROOF_IMAGE_SIZE 32

/**
 * proof_attest() - what is signed with a quote at an attestation
 * @certificate: SHA-256 of the host's
 * @image: digest of the stub domains' image (dom0-relay/stub_image.h), or NULL: the host does not say it, and PROOF_ATTEST is made
 *
 * Return: 0 or E_CRYPTO.
 */
int proof_attest(const uint8_t nonce[PROOF_NONCE_SIZE], const uint8_t certificate[32], const uint8_t *image, uint8_t proof[PROOF_SIZE]);

/**
 * proof_renew() - what a host's TLS key signs to ask for the next certificate
 * @certificate: SHA-256 of the present one
 * @spki: SHA-256 of the public half of the key that the next one is for
 *
 * As a PKCS#10 request it says which key and which name, and nothing of the time: that the asker has the key just now is what the
 * TLS connection proves. Return: 0 or E_CRYPTO.
 */
int proof_renew(const uint8_t certificate[32], const uint8_t spki[32], uint8_t proof[PROOF_SIZE]);

/** proof_make() - SHA-256(label, NUL, nonce, subject) into @proof; 0 or E_CRYPTO. */
int proof_make(const char *label, const uint8_t nonce[PROOF_NONCE_SIZE], const uint8_t subject[32], uint8_t proof[PROOF_SIZE]);

#endif
