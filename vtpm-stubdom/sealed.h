/*
 * Sealed state: what of a vTPM leaves its stub domain.
 *
 *   "XVTPMST1", u8 kind, uuid (16), u64 generation, u64 lease epoch, u64 version, u64 owner, endorsement and platform epoch,
 *   u64 incarnation, salt (32), u32 length                                          (big endian; in clear, authenticated)
 *   AES-256-GCM ciphertext of: u32 length, permanent blob, u32 length, transient blob; tag (16)      (one of the two is empty)
 *
 * Key and nonce are fresh for each state: HKDF-SHA256(state key, salt, "xen-vtpm/sealed-state/v1"), 32 + 12 bytes. Whoever stores it
 * can read version and epochs, change nothing, and take nothing from the rest but its length.
 */
#ifndef VTPM_STUBDOM_SEALED_H
#define VTPM_STUBDOM_SEALED_H

#include <stdint.h>

#include "common/buf.h"
#include "common/uuid.h"
#include "vtpm-stubdom/blob.h"
#include "vtpm-stubdom/engine.h"

#define SEALED_HEADER_SIZE 117
#define SEALED_OVERHEAD (SEALED_HEADER_SIZE + 2 * 4 + 16)
#define SEALED_MAX (BLOB_PERMANENT_MAX + SEALED_OVERHEAD)
#define SEALED_TRANSIENT_MAX (BLOB_VOLATILE_MAX + SEALED_OVERHEAD)

enum sealed_kind {
	SEALED_PERMANENT = 1, /* what survives power off */
	SEALED_TRANSIENT = 2, /* what does not, for a guest that is to be resumed with the permanent state of the same version */
};

struct sealed_head {
	enum sealed_kind kind;
	struct uuid uuid;
	uint64_t generation, lease_epoch;
	uint64_t version; /* only grows */
	struct epochs epochs;
	uint64_t incarnation; /* transient: of the guest's domain when it was sealed; else 0 */
};

/** sealed_write() - append the sealed form of the half of @state that @head's kind means to @out: 0, E_RANGE (no room), E_NOMEM or E_CRYPTO. */
int sealed_write(struct buf *out, const struct secret *state_key, const struct sealed_head *head, const struct engine_state *state);

/** sealed_head() - read what stands in clear, unauthenticated: 0, E_TRUNCATED, E_FORMAT or E_TRAILING. */
int sealed_head(const uint8_t *p, size_t n, struct sealed_head *head);

/**
 * sealed_open() - authenticate and decrypt
 * @state: new secrets, owned by the caller: the half that was sealed; both empty on error
 *
 * Return: 0; sealed_head()'s errors; E_INTEGRITY: altered, or of another vTPM; E_NOMEM; E_CRYPTO.
 */
int sealed_open(const uint8_t *p, size_t n, const struct secret *state_key, struct sealed_head *head, struct engine_state *state);

#endif
