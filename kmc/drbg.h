/* One output of SP 800-90A's HMAC_DRBG (SHA-256) for inputs that are all given. Only drbg.c sees OpenSSL's EVP_RAND. */
#ifndef KMC_DRBG_H
#define KMC_DRBG_H

#include <stddef.h>

#include "common/msg.h"

struct secret;

#define DRBG_ENTROPY_MIN 32 /* bytes: the security strength of 256 bits */
#define DRBG_NONCE_MIN 16

/**
 * drbg_generate() - instantiate (SP 800-90A 10.1.2.3), generate once (10.1.2.5), uninstantiate
 * @entropy: DRBG_ENTROPY_MIN bytes or more; @nonce: DRBG_NONCE_MIN bytes or more; @personal: may be empty
 * @skip: bytes of an earlier generate call whose output is dropped, 0 for none (NIST's test vectors want one)
 * @size: bytes of output
 *
 * Deterministic: nothing but the arguments goes in. Return: 0 (*out is the caller's), E_ARG, E_NOMEM or E_CRYPTO.
 */
int drbg_generate(const struct secret *entropy, struct view nonce, struct view personal, size_t skip, size_t size, struct secret **out);

#endif
