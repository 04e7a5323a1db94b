/*
 * A vTPM's base seed from the KMC's TPM-held key K (docs/kmc-design.md has the reasoning).
 *
 *   message = "xen-vtpm/base-seed/v1" NUL || u32 length of tenant || tenant || uuid (16) || u32 generation    big endian
 *   entropy = TPM2_HMAC(K, message)                                                                           32 bytes
 *   seed    = HMAC_DRBG-SHA-256(entropy, nonce = uuid, personalisation = u32 length || tenant || u32 generation), 32 bytes
 */
#ifndef KMC_SEED_H
#define KMC_SEED_H

#include <stddef.h>
#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/uuid.h"

struct buf;
struct secret;

#define SEED_LABEL "xen-vtpm/base-seed/v1"
#define SEED_SIZE 32
#define SEED_MESSAGE_MAX (sizeof(SEED_LABEL) + 4 + KMC_NAME_MAX + UUID_SIZE + 4)

/* What a seed belongs to. */
struct seed_owner {
	struct view tenant; /* the pool's name, 1 to KMC_NAME_MAX bytes */
	struct uuid uuid;
	uint32_t generation;
};

/** seed_message() - append the message for K to @out, which has SEED_MESSAGE_MAX bytes of room: 0, E_ARG or E_RANGE. */
int seed_message(const struct seed_owner *owner, struct buf *out);

/** seed_from_entropy() - the seed for K's answer to the message; *seed is the caller's. 0 or an error of drbg_generate(). */
int seed_from_entropy(const struct seed_owner *owner, const struct secret *entropy, struct secret **seed);

#endif
