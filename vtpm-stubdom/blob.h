/*
 * libtpms' state blobs: just enough of their format to find the roots, and nothing believed.
 *
 * Theory of operation: the permanent blob is walked field by field from its first byte to ORDERLY_DATA, every magic and length
 * checked, and its last four bytes are the closing magic. The formats of libtpms 0.8 to 0.10 are accepted (PERSISTENT_ALL 3 and 4,
 * PERSISTENT_DATA 4 and 5). Offsets are never assumed: they move with policies, auth values, and 0.10's profile. The volatile blob
 * is walked from its end, where the three primary seeds stand as a check that both blobs belong together.
 */
#ifndef VTPM_STUBDOM_BLOB_H
#define VTPM_STUBDOM_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "vtpm-stubdom/derive.h"

#define BLOB_PERMANENT_MAX (160 * 1024) /* bytes; libtpms writes at most about 143 KiB */
#define BLOB_VOLATILE_MAX (24 * 1024)	/* bytes; 9 to 12 KiB in practice */

/** blob_check_permanent() - walk the blob: 0, E_TRUNCATED or E_FORMAT. */
int blob_check_permanent(const uint8_t *p, size_t n);

/** blob_has_roots() - 0 if the blob is whole, holds exactly @roots and SEED_COMPAT_LEVEL 1; else E_INTEGRITY or a walk's error. */
int blob_has_roots(const uint8_t *p, size_t n, const struct roots *roots);

/** blob_set_roots() - replace roots and seed compatibility levels in place; errors of the walk leave the blob as it was. */
int blob_set_roots(uint8_t *p, size_t n, const struct roots *roots);

/** blob_set_volatile() - replace the primary seeds in a volatile blob and its SHA-1: 0, E_TRUNCATED, E_FORMAT or E_CRYPTO. */
int blob_set_volatile(uint8_t *p, size_t n, const struct roots *roots);

#endif
