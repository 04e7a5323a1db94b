/* A bounded byte buffer with a read position: every message is built and parsed through one. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes [off, len) are unread, [len, cap) are free. Getters either succeed and advance or return an
 * error and change nothing. Integers are big endian.
 */
struct buf {
	uint8_t *data;
	size_t off, len, cap;
	bool owned; /* data came from buf_init() and is wiped and freed by buf_free() */
};

/** buf_init() - allocate @cap bytes (0 or E_NOMEM). The memory is locked out of core dumps and wiped at the end. */
int buf_init(struct buf *b, size_t cap);

/** buf_view() - make @b a reader of @len bytes at @p, which stay the caller's. */
void buf_view(struct buf *b, const void *p, size_t len);

/** buf_over() - make @b a writer into the caller's @cap bytes at @p. */
void buf_over(struct buf *b, void *p, size_t cap);

/** buf_free() - wipe and release; @b is empty afterwards. */
void buf_free(struct buf *b);

/** buf_reset() - wipe the contents, keep the memory. */
void buf_reset(struct buf *b);

/** buf_compact() - move the unread bytes to the front and wipe what was behind them. */
void buf_compact(struct buf *b);

size_t buf_left(const struct buf *b);  /* unread bytes */
size_t buf_space(const struct buf *b); /* free bytes */
uint8_t *buf_ptr(const struct buf *b); /* first unread byte */
uint8_t *buf_end(const struct buf *b); /* first free byte */

int buf_put(struct buf *b, const void *p, size_t n); /* 0 or E_RANGE */
int buf_put_u8(struct buf *b, uint8_t v);
int buf_put_u16(struct buf *b, uint16_t v);
int buf_put_u32(struct buf *b, uint32_t v);
int buf_put_u64(struct buf *b, uint64_t v);

int buf_get(struct buf *b, void *p, size_t n); /* 0 or E_TRUNCATED */
int buf_get_u8(struct buf *b, uint8_t *v);
int buf_get_u16(struct buf *b, uint16_t *v);
int buf_get_u32(struct buf *b, uint32_t *v);
int buf_get_u64(struct buf *b, uint64_t *v);

/** buf_get_view() - point @p at the next @n unread bytes and skip them; 0 or E_TRUNCATED. */
int buf_get_view(struct buf *b, const uint8_t **p, size_t n);

/** buf_done() - 0 if nothing is left, else E_TRAILING: every parse ends with it. */
int buf_done(const struct buf *b);

#endif
