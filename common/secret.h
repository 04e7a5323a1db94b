/* Memory for key material: locked, not dumped, wiped before it is given back. */
#ifndef COMMON_SECRET_H
#define COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Every secret of the project lives in one of these and nowhere else. @data has room for @size bytes;
 * the pages behind it are the secret's own.
 */
struct secret {
	uint8_t *data;
	size_t size;  /* bytes in use */
	size_t pages; /* bytes mapped */
};

/**
 * secret_new() - allocate a zeroed secret of @size bytes
 * @size: bytes, 1 to 1 MiB
 *
 * The pages are locked into memory and left out of core dumps and forked children.
 *
 * Return: the secret, owned by the caller, or NULL (no memory, or RLIMIT_MEMLOCK too low).
 */
struct secret *secret_new(size_t size);

/** secret_dup() - a new secret with a copy of @len bytes at @p, or NULL. The source is not wiped. */
struct secret *secret_dup(const void *p, size_t len);

/**
 * secret_assign() - make *@s hold a copy of @len bytes at @p, in the pages that it has if they suffice
 *
 * For what changes often. *@s may be NULL, @p must not lie in it. Return: false: no memory, and *@s is NULL.
 */
bool secret_assign(struct secret **s, const void *p, size_t len);

/** secret_random() - a new secret of @size random bytes from the kernel, or NULL. */
struct secret *secret_random(size_t size);

/** secret_free() - wipe *@s, give its pages back and set it to NULL; *@s may be NULL. */
void secret_free(struct secret **s);

/** secret_equal() - compare in time that depends on the lengths only. */
bool secret_equal(const struct secret *a, const struct secret *b);

/** bytes_equal() - compare @n bytes in time that depends on @n only. */
bool bytes_equal(const void *a, const void *b, size_t n);

/** wipe() - overwrite @n bytes at @p so that the compiler can't drop it. */
void wipe(void *p, size_t n);

#endif
