/*
 * What the vault gives others to keep: AES-256-GCM under the wrapping key, bound to what it is and whose.
 *
 *   wrapped = 0x01 || u32 number of the wrapping key || iv (12) || cipher text || tag (16)
 *   aad     = 0x01 || u32 number || u8 purpose || u32 length of context || context
 *
 * The iv is random: one wrapping key may serve 2^32 times (SP 800-38D 8.3), far more than a KMC has vTPMs and keys.
 */
#ifndef KMC_WRAP_H
#define KMC_WRAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct secret;

#define WRAP_KEY_SIZE 32
#define WRAP_OVERHEAD (1 + 4 + 12 + 16) /* bytes of what is wrapped beyond the secret */
#define WRAP_CONTEXT_MAX 128

enum wrap_purpose { WRAP_CA_KEY = 1, WRAP_PROTECTION_KEY, WRAP_SEED, WRAP_AUDIT_KEY, WRAP_RECOVERY_KEY, WRAP_AUTHORITY };

struct wrap_key {
	uint32_t number; /* of this wrapping key: they are counted as they are replaced */
	struct secret *key;
};

#define WRAP_KEYS_MAX 4 /* that a machine may have at once: while one is replaced, and behind by another replacement */

/* The wrapping keys of a machine. What is wrapped says under which; new things go under one of them. */
struct wrap_ring {
	struct wrap_key keys[WRAP_KEYS_MAX]; /* number 0: free */
	uint32_t use;
};

/** wrap_number() - of the wrapping key that @wrapped is under; 0: it is nothing of ours. */
uint32_t wrap_number(struct view wrapped);

/** wrap_ring_key() - the one with @number, or NULL. */
const struct wrap_key *wrap_ring_key(const struct wrap_ring *r, uint32_t number);

/** wrap_ring_add() - takes over *key and clears it. 0, or E_RANGE: there are too many. */
int wrap_ring_add(struct wrap_ring *r, uint32_t number, struct secret **key);

/** wrap_ring_drop() - forget all keys below @number; 0: all. */
void wrap_ring_drop(struct wrap_ring *r, uint32_t number);

/**
 * wrap_seal() - wrap @plain
 * @context: whose it is; the same bytes are needed to open it
 * @out: room for plain->size + WRAP_OVERHEAD bytes
 *
 * Return: 0, E_ARG or E_CRYPTO.
 */
int wrap_seal(const struct wrap_key *k, enum wrap_purpose purpose, struct view context, const struct secret *plain, uint8_t *out);

/** wrap_open() - unwrap; *plain is the caller's. Return: 0, E_INTEGRITY, E_VERSION, E_RANGE, E_NOMEM or E_CRYPTO. */
int wrap_open(const struct wrap_key *k, enum wrap_purpose purpose, struct view context, struct view wrapped, struct secret **plain);

/** wrap_ring_seal() - wrap_seal() under the key in use. */
int wrap_ring_seal(const struct wrap_ring *r, enum wrap_purpose purpose, struct view context, const struct secret *plain, uint8_t *out);

/** wrap_ring_open() - wrap_open() with the key that @wrapped names; E_VERSION: it is not here. */
int wrap_ring_open(const struct wrap_ring *r, enum wrap_purpose purpose, struct view context, struct view wrapped, struct secret **plain);

#endif
