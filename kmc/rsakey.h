/* RSA protection keys: generation, and the two private operations of an open. Only rsakey.c sees OpenSSL's RSA. */
#ifndef KMC_RSAKEY_H
#define KMC_RSAKEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/kmcmsg.h"

struct rsakey;
struct secret;

#define RSAKEY_DER_MAX 2048 /* bytes of a private key of 3072 bits in PKCS#1 DER, with room */

/** rsakey_make() - a new key of @bits (2048 or 3072), public exponent 65537. 0 (*key is the caller's) or E_CRYPTO. */
int rsakey_make(struct rsakey **key, unsigned int bits);

/** rsakey_load() - a key from what rsakey_save() gave: 0 (*key is the caller's) or E_FORMAT. */
int rsakey_load(struct rsakey **key, const struct secret *der);

/** rsakey_save() - the private key as PKCS#1 DER in a new secret: 0, E_NOMEM or E_CRYPTO. */
int rsakey_save(const struct rsakey *key, struct secret **der);
void rsakey_free(struct rsakey **key);

/** rsakey_size() - bytes of the modulus. */
size_t rsakey_size(const struct rsakey *key);

/** rsakey_public() - the modulus, big endian, rsakey_size() bytes, and the exponent. 0 or E_CRYPTO. */
int rsakey_public(const struct rsakey *key, uint8_t modulus[KMC_RSA_MAX], uint64_t *exponent);

/**
 * rsakey_decrypt() - RSA-OAEP-SHA256 with @label and its terminating NUL (RFC 8017 7.1.2)
 *
 * Every failure is E_INTEGRITY: who sends rubbish must not learn where it failed. *plain is the caller's.
 */
int rsakey_decrypt(const struct rsakey *key, struct view cipher, const char *label, struct secret **plain);

/** rsakey_private() - @block ^ d mod n (RFC 8017 5.2.1 RSASP1); *out is the caller's. 0, E_ARG, E_NOMEM or E_CRYPTO. */
int rsakey_private(const struct rsakey *key, const struct secret *block, struct secret **out);

#endif
