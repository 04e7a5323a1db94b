/* What checks want to know of a certificate file: until when, and whose key. */
#ifndef COMMON_CERTINFO_H
#define COMMON_CERTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct buf;

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

#define CERTINFO_DER_MAX 2048

struct certinfo_der {
	uint8_t bytes[CERTINFO_DER_MAX];
	size_t size;
};

/** certinfo_list() - the first @max certificates in @path (PEM). Return: how many there are of these, E_IO (errno) or E_FORMAT. */
int certinfo_list(const char *path, struct certinfo_der *list, size_t max);

/** certinfo_split() - certificates of CAs in DER, one behind the other. Return: how many; E_FORMAT (one is none, or of no CA), E_RANGE (more than @max). */
int certinfo_split(struct view ders, struct certinfo_der *list, size_t max);

/** certinfo_of() - of a certificate in DER; its key is not looked at. 0 or E_FORMAT. */
int certinfo_of(struct view der, struct certinfo *c);

/** certinfo_same_holder() - whether both are for the same name and the same key. */
bool certinfo_same_holder(struct view a, struct view b);

#define CERTINFO_SPKI_MAX 512

/** certinfo_public() - its public key as SubjectPublicKeyInfo in DER into @spki. Return: bytes or E_FORMAT. */
int certinfo_public(struct view der, uint8_t spki[CERTINFO_SPKI_MAX]);

/** certinfo_pem() - append @der as PEM to @out; 0, E_RANGE or E_CRYPTO. */
int certinfo_pem(struct view der, struct buf *out);

#endif
