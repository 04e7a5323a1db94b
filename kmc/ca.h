/* X.509 as the KMC's CA does it: its own certificate, servers', hosts'. Only ca.c sees OpenSSL's X509. */
#ifndef KMC_CA_H
#define KMC_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/msg.h"

struct secret;
struct x509_key;

#define CA_DER_MAX 2048 /* bytes of a certificate */
#define CA_KEY_MAX 512	/* bytes of a private key in DER */
#define CA_SPKI_MAX 512 /* bytes of a public key in DER */
#define CA_WHY 200	/* bytes for an error's text */

struct ca_cert {
	uint8_t der[CA_DER_MAX];
	size_t size;
};

enum ca_kind { CA_ROOT, CA_SERVER, CA_HOST, CA_EK_RSA, CA_EK_ECC };

/* An extension whose contents the caller has encoded. */
struct ca_extension {
	const char *oid; /* in digits */
	bool critical;
	struct view der;
};

/* What a certificate says. */
struct ca_profile {
	enum ca_kind kind;
	const char *name;	     /* common name; NULL: no subject, an extension names it */
	const char *alt_names;	     /* servers: DNS names and addresses, separated by spaces */
	const char *ca_url;	     /* where the CA's certificate is to be had; NULL: not said */
	int64_t not_before, not_after; /* seconds since 1970; not_after 0: as long as the CA's own */
	const struct ca_extension *more;
	size_t n_more;
};

/** ca_key_make() - a new ECDSA key on P-256. 0 (*key is the caller's) or E_CRYPTO. */
int ca_key_make(struct x509_key **key);

/** ca_key_save() - PKCS#8 DER in a new secret; 0, E_NOMEM or E_CRYPTO. */
int ca_key_save(const struct x509_key *key, struct secret **der);

/** ca_key_load() - from what ca_key_save() gave; 0 (*key is the caller's) or E_FORMAT. */
int ca_key_load(struct x509_key **key, const struct secret *der);

/** ca_key_write() - as PEM into a new file that only its owner can read; 0, E_EXISTS or E_IO (errno says why). */
int ca_key_write(const struct x509_key *key, const char *path);

/** ca_key_read() - from what ca_key_write() wrote; 0 (*key is the caller's), E_NOTFOUND or E_FORMAT. */
int ca_key_read(struct x509_key **key, const char *path);

/** ca_key_public() - the public key as SubjectPublicKeyInfo in DER into @spki, CA_SPKI_MAX bytes. Return: bytes or E_CRYPTO. */
int ca_key_public(const struct x509_key *key, uint8_t spki[CA_SPKI_MAX]);

/** ca_public_write() - the public key as PEM into a new file that all can read; 0, E_EXISTS or E_IO (errno says why). */
int ca_public_write(const struct x509_key *key, const char *path);

/** ca_key_sign() - ECDSA with SHA-256 over @bytes, DER into @out. Return: bytes, E_RANGE or E_CRYPTO. */
int ca_key_sign(const struct x509_key *key, struct view bytes, uint8_t *out, size_t cap);

/** ca_verify() - a signature of ca_key_sign() with a public key in PEM. 0, E_INTEGRITY, or E_FORMAT for what is no such key. */
int ca_verify(struct view pem, struct view bytes, struct view signature);

/** ca_key_point() - the coordinates of a P-256 public key; 0 or E_CRYPTO. */
int ca_key_point(const struct x509_key *key, uint8_t x[32], uint8_t y[32]);

/** ca_key_scalar() - the private number of a P-256 key, 32 bytes in a new secret; 0, E_NOMEM or E_CRYPTO. */
int ca_key_scalar(const struct x509_key *key, struct secret **scalar);
void ca_key_free(struct x509_key **key);

/** ca_root() - the CA's own certificate for @key. 0 or an error with @why filled in. */
int ca_root(const struct x509_key *key, const struct ca_profile *profile, struct ca_cert *out, char why[CA_WHY]);

/**
 * ca_issue() - a certificate for @spki signed by the CA
 *
 * Return: 0, E_FORMAT (@spki is no ECDSA key on P-256 or P-384 and no RSA key of 2048 bits or more), E_ARG (an
 * alternative name is neither) or E_CRYPTO, with @why filled in.
 */
int ca_issue(const struct x509_key *ca_key, const struct ca_cert *ca, const struct ca_profile *profile, struct view spki,
	     struct ca_cert *out, char why[CA_WHY]);

/** ca_cert_write() - as PEM into a new file; 0, E_EXISTS, E_FORMAT or E_IO. */
int ca_cert_write(const struct ca_cert *cert, const char *path);

/** ca_cert_read() - the first certificate of a PEM file; 0, E_NOTFOUND or E_FORMAT. */
int ca_cert_read(struct ca_cert *cert, const char *path);

/** ca_cert_print() - as PEM to @out; 0, E_FORMAT or E_IO. */
int ca_cert_print(const struct ca_cert *cert, FILE *out);

/** ca_cert_issued_by() - whether @ca's key signed @cert. */
bool ca_cert_issued_by(const struct ca_cert *cert, const struct ca_cert *ca);

/** ca_is_root_of() - whether @cert is a CA's own certificate, made with @key. */
bool ca_is_root_of(const struct ca_cert *cert, const struct x509_key *key);

/** ca_cert_public() - its public key as SubjectPublicKeyInfo in DER into @spki, CA_SPKI_MAX bytes. Return: bytes or E_FORMAT. */
int ca_cert_public(const struct ca_cert *cert, uint8_t spki[CA_SPKI_MAX]);

#define CA_NAMES 1024

/** ca_cert_names() - a server's DNS names and addresses, separated by spaces, as struct ca_profile takes them. 0, E_NOTFOUND or E_FORMAT. */
int ca_cert_names(const struct ca_cert *cert, char names[CA_NAMES]);

#define CA_TEXT 200

/* What a certificate says, for people. */
struct ca_description {
	char subject[CA_TEXT], issuer[CA_TEXT], serial[2 * 20 + 1];
	int64_t not_before, not_after; /* seconds since 1970 */
};

/** ca_cert_describe() - 0 or E_FORMAT. */
int ca_cert_describe(const struct ca_cert *cert, struct ca_description *d);

/** ca_cert_fingerprint() - SHA-256 of the DER; 0 or E_CRYPTO. */
int ca_cert_fingerprint(const struct ca_cert *cert, uint8_t hash[32]);

#endif
