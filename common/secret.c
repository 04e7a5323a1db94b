/* Memory for key material: locked, not dumped, wiped before it is given back. */
#include "common/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define SECRET_MAX (1u << 20)

struct secret *secret_new(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t need = (sizeof(struct secret) + size + page - 1) & ~(page - 1);
	struct secret *s;
	void *p;

	if (size == 0 || size > SECRET_MAX)
		return NULL;
	p = mmap(NULL, need, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* A kernel without swap support (the stub domain's) has no mlock; nothing can be swapped there. */
	if (mlock(p, need) != 0 && access("/proc/swaps", F_OK) == 0) {
		munmap(p, need);
		return NULL;
	}
	(void)madvise(p, need, MADV_DONTDUMP);
	(void)madvise(p, need, MADV_WIPEONFORK);
	s = p;
	s->data = (uint8_t *)(s + 1);
	s->size = size;
	s->pages = need;
	return s;
}

struct secret *secret_dup(const void *p, size_t len)
{
	struct secret *s = secret_new(len);

	if (s)
		memcpy(s->data, p, len);
	return s;
}

bool secret_assign(struct secret **s, const void *p, size_t len)
{
	if (*s && len && len <= (*s)->pages - sizeof(struct secret)) {
		if ((*s)->size > len)
			explicit_bzero((*s)->data + len, (*s)->size - len);
		memcpy((*s)->data, p, len);
		(*s)->size = len;
		return true;
	}
	secret_free(s);
	*s = secret_dup(p, len);
	return *s != NULL;
}

struct secret *secret_random(size_t size)
{
	struct secret *s = secret_new(size);
	size_t done = 0;

	while (s && done < size) {
		ssize_t n = getrandom(s->data + done, size - done, 0);

		if (n <= 0)
			secret_free(&s);
		else
			done += (size_t)n;
	}
	return s;
}

void secret_free(struct secret **s)
{
	size_t pages;

	if (!*s)
		return;
	pages = (*s)->pages;
	explicit_bzero(*s, pages);
	munmap(*s, pages);
	*s = NULL;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	return a->size == b->size && bytes_equal(a->data, b->data, a->size);
}

bool bytes_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}
