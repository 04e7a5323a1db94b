/*
 * OpenSSL's heap in a process that holds keys.
 *
 * Private keys in OpenSSL's hands are not in a struct secret. Their numbers come from OpenSSL's secure heap, which
 * is locked and left out of core dumps; everything else that it allocates (the DRBG's inputs for one) is wiped here
 * when it is freed.
 */
#include "kmc/cleanheap.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/secret.h"

#define SECURE_HEAP (4u << 20) /* bytes: some 500 private keys of 3072 bits */
#define SECURE_MIN 64	       /* bytes of its smallest block */

static void *clean_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n ? malloc(n) : NULL;
}

static void clean_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p)
		wipe(p, malloc_usable_size(p));
	free(p);
}

static void *clean_realloc(void *p, size_t n, const char *file, int line)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *q;

	if (n == 0) {
		clean_free(p, file, line);
		return NULL;
	}
	q = malloc(n);
	if (!q)
		return NULL;
	if (p)
		memcpy(q, p, old < n ? old : n);
	clean_free(p, file, line);
	return q;
}

void cleanheap_use(void)
{
	if (CRYPTO_set_mem_functions(clean_malloc, clean_realloc, clean_free) != 1)
		fatal("OpenSSL was used before its heap was set up");
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_MIN) == 0)
		fatal("can't get memory for private keys");
}
