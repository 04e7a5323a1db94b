/* Memory for key material: locked, not dumped, wiped before it is given back. */
#include "common/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define SECRET_MAX (1u << 20)

/*
 * One page, wiped and still locked, for each of the next few secrets: mapping, locking and unmapping cost more than what is done
 * with most of them. Builds that look for use after free do without.
 */
#ifdef __SANITIZE_ADDRESS__
static const bool keeps_idle = false;
#else
static const bool keeps_idle = true;
#endif
static struct secret *idle[8];
static size_t n_idle;

static size_t page_size(void)
{
	static size_t size;

	if (!size)
		size = (size_t)sysconf(_SC_PAGESIZE);
	return size;
}

static struct secret *map(size_t pages)
{
	struct secret *s;
	void *p = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* A kernel without swap support (the stub domain's) has no mlock; nothing can be swapped there. */
	if (mlock(p, pages) != 0 && access("/proc/swaps", F_OK) == 0) {
		munmap(p, pages);
		return NULL;
	}
	(void)madvise(p, pages, MADV_DONTDUMP);
	(void)madvise(p, pages, MADV_WIPEONFORK);
	s = p;
	s->pages = pages;
	return s;
}

/* NULL: none. In a forked child the page was wiped, its length too, and its lock was not inherited: not that one. */
static struct secret *take_idle(void)
{
	while (n_idle) {
		struct secret *s = idle[--n_idle];

		if (s->pages)
			return s;
		munmap(s, page_size());
	}
	return NULL;
}

struct secret *secret_new(size_t size)
{
	size_t page = page_size(), pages = (sizeof(struct secret) + size + page - 1) & ~(page - 1);
	struct secret *s;

	if (size == 0 || size > SECRET_MAX)
		return NULL;
	s = pages == page ? take_idle() : NULL;
	if (!s && !(s = map(pages)))
		return NULL;
	s->data = (uint8_t *)(s + 1);
	s->size = size;
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
	if (pages == page_size() && keeps_idle && n_idle < sizeof(idle) / sizeof(idle[0])) {
		(*s)->pages = pages;
		idle[n_idle++] = *s;
	} else {
		munmap(*s, pages);
	}
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
