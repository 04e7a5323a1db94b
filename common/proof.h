/* What a host's TPM signs with a quote, and its TLS key at enrolment: the KMC's nonce, for one purpose and one host. */
#ifndef COMMON_PROOF_H
#define COMMON_PROOF_H

#include <stdint.h>

#define PROOF_NONCE_SIZE 32
#define PROOF_SIZE 32

#define PROOF_ATTEST "xen-vtpm/attest/v1" /* subject: SHA-256 of the host's certificate */
#define PROOF_ENROL "xen-vtpm/enrol/v1"	  /* subject: SHA-256 of the public half of its TLS key */

/** proof_make() - SHA-256(label, NUL, nonce, subject) into @proof; 0 or E_CRYPTO. */
int proof_make(const char *label, const uint8_t nonce[PROOF_NONCE_SIZE], const uint8_t subject[32], uint8_t proof[PROOF_SIZE]);

#endif
