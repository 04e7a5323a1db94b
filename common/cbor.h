/* Deterministic CBOR (RFC 8949 section 4.2.1), the subset that our messages use: one value at a time, no allocation. */
#ifndef COMMON_CBOR_H
#define COMMON_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Writers append one data item to @b: 0 or E_RANGE, in which case @b is unchanged. */
int cb_put_uint(struct buf *b, uint64_t v);
int cb_put_bool(struct buf *b, bool v);
int cb_put_bytes(struct buf *b, const void *p, size_t n);
int cb_put_text(struct buf *b, const char *p, size_t n);
int cb_put_map(struct buf *b, size_t pairs);

/*
 * Readers take one data item of just that kind from @b. Return: 0, E_TRUNCATED, or E_FORMAT for any other kind of
 * item, an indefinite length, a float, a tag, or an integer or length that is not in its shortest form; on error
 * @b is unchanged. The views point into @b.
 */
int cb_get_uint(struct buf *b, uint64_t *v);
int cb_get_bool(struct buf *b, bool *v);
int cb_get_bytes(struct buf *b, const uint8_t **p, size_t *n);
int cb_get_text(struct buf *b, const uint8_t **p, size_t *n); /* valid UTF-8 without NUL, checked */
int cb_get_map(struct buf *b, size_t *pairs);

#endif
