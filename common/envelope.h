/*
 * The envelope around a base seed: what the host encrypts in its TPM, what the vault answers, what both hash.
 *
 *   request  = RSA-OAEP-SHA256(label ENVELOPE_LABEL with its NUL, plain)
 *   plain    = 0x01 || uuid (16) || response key (32) || nonce (16)                      65 bytes
 *   exchange = SHA-256 of the agreed facts (envelope_exchange())                         32 bytes
 *   block    = 00 01 FF..FF 00 || seed (32) || exchange (32)   as long as the modulus    RFC 8017 9.2's padding, no DigestInfo
 *   inner    = block ^ d mod n                                                           the private-key layer
 *   reply    = iv (12) || AES-256-GCM(response key, iv, aad = exchange, inner) || tag (16)
 *
 * The private-key layer proves origin; the response key gives secrecy: anyone has the public key.
 */
#ifndef COMMON_ENVELOPE_H
#define COMMON_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/origin.h"
#include "common/uuid.h"

struct secret;

#define ENVELOPE_LABEL "xen-vtpm/open/v1"
#define ENVELOPE_RESERVE_LABEL "xen-vtpm/reserve/v1" /* in the exchange of a reservation, instead of ENVELOPE_LABEL */
#define ENVELOPE_NONCE_SIZE 16
#define ENVELOPE_REQUEST_SIZE 16
#define ENVELOPE_KEY_SIZE 32
#define ENVELOPE_PLAIN_SIZE (1 + UUID_SIZE + ENVELOPE_KEY_SIZE + ENVELOPE_NONCE_SIZE)
#define ENVELOPE_SEED_SIZE 32
#define ENVELOPE_HASH_SIZE 32
#define ENVELOPE_OVERHEAD (12 + 16) /* bytes of a reply beyond the modulus */

/* What both sides agree on in one open or reservation; every value is bound into the reply. */
struct envelope_facts {
	struct view key_id, cipher, tenant;
	struct uuid uuid;
	uint8_t nonce[ENVELOPE_NONCE_SIZE];
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	uint64_t image;	     /* of a reservation: the incoming domain's incarnation */
	struct view request; /* of a reservation: its id, ENVELOPE_REQUEST_SIZE bytes; absent: an open */
	struct view origin;  /* of a vTPM with another's keys: ORIGIN_SIZE bytes; absent: they are its own */
};

/**
 * envelope_exchange() - the hash of one exchange
 *
 * SHA-256 over ENVELOPE_LABEL with its NUL, then each fact in the order of the struct: views as u32 length and bytes,
 * fixed-size fields as they are, numbers as u64; all big endian. For a reservation ENVELOPE_RESERVE_LABEL comes first, and
 * image (u64) and request (as it is) last. An origin comes behind all that, as it is.
 *
 * Return: 0, E_ARG (a request or an origin of another size) or E_CRYPTO.
 */
int envelope_exchange(const struct envelope_facts *f, uint8_t hash[ENVELOPE_HASH_SIZE]);

/** envelope_plain_pack() - the plain text of a request as a new secret, or NULL. @key: ENVELOPE_KEY_SIZE bytes. */
struct secret *envelope_plain_pack(const struct uuid *uuid, const struct secret *key, const uint8_t nonce[ENVELOPE_NONCE_SIZE]);

/** envelope_plain_unpack() - take it apart again; *key is the caller's. Return: 0, E_VERSION, E_RANGE or E_NOMEM. */
int envelope_plain_unpack(const struct secret *plain, struct uuid *uuid, struct secret **key, uint8_t nonce[ENVELOPE_NONCE_SIZE]);

/** envelope_block_pack() - padded seed and hash, @size (bytes of the modulus) long, as a new secret, or NULL. */
struct secret *envelope_block_pack(const struct secret *seed, const uint8_t hash[ENVELOPE_HASH_SIZE], size_t size);

/**
 * envelope_block_check() - check padding and hash of a recovered block in constant time, and only then take the seed
 *
 * Return: 0 (*seed is the caller's), E_INTEGRITY, E_RANGE or E_NOMEM.
 */
int envelope_block_check(const struct secret *block, const uint8_t hash[ENVELOPE_HASH_SIZE], struct secret **seed);

/** envelope_seal() - encrypt @inner into @out, which has room for inner->size + ENVELOPE_OVERHEAD bytes. 0 or E_CRYPTO. */
int envelope_seal(const struct secret *key, const uint8_t hash[ENVELOPE_HASH_SIZE], const struct secret *inner, uint8_t *out);

/** envelope_open() - decrypt @reply into a new secret. Return: 0, E_INTEGRITY, E_RANGE, E_NOMEM or E_CRYPTO. */
int envelope_open(const struct secret *key, const uint8_t hash[ENVELOPE_HASH_SIZE], struct view reply, struct secret **inner);

#endif
