/*
 * From the base seed to every secret of one vTPM: HKDF-SHA256 (RFC 5869).
 *
 *   PRK  = HKDF-Extract(salt = "xen-vtpm/stub-domain/v1", IKM = base seed)
 *   OKM  = HKDF-Expand(PRK, info, 64 or 32)
 *   info = u8 length of label, label, uuid (16), u64 generation, u8 number of epochs, u64 epoch...   (big endian)
 *
 * UUID and generation are the vTPM's own. One that shares another's keys has the roots of its origin (common/origin.h), and still a state
 * key of its own: neither's state is ever taken for the other's.
 *
 * Every field has a fixed or a stated length, so no two inputs share an info. The tenant is not in it: the KMC's seed is bound
 * to it already, and a pool that is renamed must not change a guest's keys.
 */
#ifndef VTPM_STUBDOM_DERIVE_H
#define VTPM_STUBDOM_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/origin.h"
#include "common/secret.h"
#include "common/uuid.h"

#define DERIVE_ROOT_SIZE 64
#define DERIVE_STATE_KEY_SIZE 32

/* How often each hierarchy began anew: TPM2_Clear, TPM2_ChangeEPS, TPM2_ChangePPS. */
struct epochs {
	uint64_t owner, endorsement, platform;
};

/* The values that stand in a TPM's permanent state, in the order in which they stand there. */
enum root { ROOT_EPS, ROOT_SPS, ROOT_PPS, ROOT_PH_PROOF, ROOT_SH_PROOF, ROOT_EH_PROOF, ROOT_COUNT };

/* Kept in one struct secret of sizeof(struct roots). */
struct roots {
	uint8_t value[ROOT_COUNT][DERIVE_ROOT_SIZE];
};

/* What binds a derivation to one vTPM. @prk replaces the base seed, which need not be kept. */
struct derive {
	struct secret *prk;
	struct uuid uuid;
	uint64_t generation;
	struct origin origin; /* of the roots; generation 0: they are its own */
};

/** derive_init() - extract from the base seed of @n bytes: 0, E_NOMEM or E_CRYPTO. The caller wipes the seed. */
int derive_init(struct derive *d, const void *seed, size_t n, const struct uuid *uuid, uint64_t generation);

/** derive_share() - from now on the roots are those of @origin, unless that says that they are its own. */
void derive_share(struct derive *d, const struct origin *origin);

/** derive_free() - wipe it; @d may be zeroed. */
void derive_free(struct derive *d);

/** derive_roots() - all six roots under @epochs, or NULL. */
struct secret *derive_roots(const struct derive *d, const struct epochs *epochs);

/** derive_state_key() - the key that sealed states are made under, whatever the epochs, or NULL. */
struct secret *derive_state_key(const struct derive *d);

/** derive_hkdf() - HKDF-SHA256 as in RFC 5869, both steps; @salt and @info may be empty: 0 or E_CRYPTO. */
int derive_hkdf(struct view ikm, struct view salt, struct view info, void *out, size_t n);

#endif
