/* What checks want to know of a certificate file: until when, and whose key. */
#ifndef COMMON_CERTINFO_H
#define COMMON_CERTINFO_H

#include <stdbool.h>
#include <stdint.h>

struct certinfo {
	int64_t from, until; /* seconds since 1970 */
	bool has_key;	     /* the key file could be read */
	bool is_its_key;     /* and belongs to the certificate */
};

/**
 * certinfo_read() - the first certificate in @path (PEM), and whether the private key in @key_path belongs to it
 * @key_path: NULL if that is not the question; its key is looked at and released at once
 *
 * Return: 0, E_IO (can't be read; errno) or E_FORMAT.
 */
int certinfo_read(const char *path, const char *key_path, struct certinfo *c);

#endif
