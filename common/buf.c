/* A bounded byte buffer with a read position. */
#include "common/buf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/error.h"

int buf_init(struct buf *b, size_t cap)
{
	void *p;

	*b = (struct buf){0};
	/* Whole pages, so that MADV_DONTDUMP covers this buffer and nothing else. */
	cap = (cap + 4095) & ~(size_t)4095;
	p = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return E_NOMEM;
	(void)madvise(p, cap, MADV_DONTDUMP);
	b->data = p;
	b->cap = cap;
	b->owned = true;
	return 0;
}

void buf_view(struct buf *b, const void *p, size_t len)
{
	*b = (struct buf){.data = (uint8_t *)(uintptr_t)p, .len = len, .cap = len};
}

void buf_over(struct buf *b, void *p, size_t cap)
{
	*b = (struct buf){.data = p, .cap = cap};
}

void buf_free(struct buf *b)
{
	if (b->owned) {
		explicit_bzero(b->data, b->cap);
		munmap(b->data, b->cap);
	}
	*b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
	if (b->len)
		explicit_bzero(b->data, b->len);
	b->off = b->len = 0;
}

void buf_compact(struct buf *b)
{
	size_t left = buf_left(b);

	if (b->off == 0)
		return;
	memmove(b->data, b->data + b->off, left);
	explicit_bzero(b->data + left, b->len - left);
	b->off = 0;
	b->len = left;
}

size_t buf_left(const struct buf *b)
{
	return b->len - b->off;
}

size_t buf_space(const struct buf *b)
{
	return b->cap - b->len;
}

uint8_t *buf_ptr(const struct buf *b)
{
	return b->data + b->off;
}

uint8_t *buf_end(const struct buf *b)
{
	return b->data + b->len;
}

int buf_put(struct buf *b, const void *p, size_t n)
{
	if (n > buf_space(b))
		return E_RANGE;
	if (n)
		memcpy(buf_end(b), p, n);
	b->len += n;
	return 0;
}

int buf_put_u8(struct buf *b, uint8_t v)
{
	return buf_put(b, &v, sizeof(v));
}

int buf_put_u16(struct buf *b, uint16_t v)
{
	v = htobe16(v);
	return buf_put(b, &v, sizeof(v));
}

int buf_put_u32(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	return buf_put(b, &v, sizeof(v));
}

int buf_put_u64(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	return buf_put(b, &v, sizeof(v));
}

int buf_get(struct buf *b, void *p, size_t n)
{
	if (n > buf_left(b))
		return E_TRUNCATED;
	if (n)
		memcpy(p, buf_ptr(b), n);
	b->off += n;
	return 0;
}

int buf_get_u8(struct buf *b, uint8_t *v)
{
	return buf_get(b, v, sizeof(*v));
}

int buf_get_u16(struct buf *b, uint16_t *v)
{
	int r = buf_get(b, v, sizeof(*v));

	if (r == 0)
		*v = be16toh(*v);
	return r;
}

int buf_get_u32(struct buf *b, uint32_t *v)
{
	int r = buf_get(b, v, sizeof(*v));

	if (r == 0)
		*v = be32toh(*v);
	return r;
}

int buf_get_u64(struct buf *b, uint64_t *v)
{
	int r = buf_get(b, v, sizeof(*v));

	if (r == 0)
		*v = be64toh(*v);
	return r;
}

int buf_get_view(struct buf *b, const uint8_t **p, size_t n)
{
	if (n > buf_left(b))
		return E_TRUNCATED;
	*p = buf_ptr(b);
	b->off += n;
	return 0;
}

int buf_done(const struct buf *b)
{
	return buf_left(b) ? E_TRAILING : 0;
}
