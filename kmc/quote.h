/*
 * What a host's TPM says, taken apart strictly: public areas of its endorsement and attestation keys, quotes, signatures (TPM 2.0
 * Library Part 2: 12.2.4 TPMT_PUBLIC, 10.12.8 TPMS_ATTEST, 11.3.4 TPMT_SIGNATURE). No cryptography here.
 */
#ifndef KMC_QUOTE_H
#define KMC_QUOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"

#define QUOTE_PCRS 24
#define QUOTE_ATTEST_MAX 512	/* bytes of a TPMS_ATTEST */
#define QUOTE_SIGNATURE_MAX 128 /* bytes of a TPMT_SIGNATURE */

/* An attestation key: P-256, ECDSA with SHA-256, restricted, and never outside its TPM. */
struct quote_ak {
	struct view x, y;
};

/** quote_ak() - read a TPMT_PUBLIC; 0, E_FORMAT (not such a key), E_TRUNCATED, E_TRAILING. */
int quote_ak(struct view area, struct quote_ak *ak);

/** quote_tls_key() - likewise, a TLS key in a TPM: the same, but not restricted, as it signs what its TPM did not make. */
int quote_tls_key(struct view area, struct quote_ak *key);

/* An endorsement key of the TCG EK Credential Profile's templates L-1 (RSA-2048) and L-2 (P-256). */
struct quote_ek {
	bool is_rsa;
	struct view modulus; /* RSA; the exponent is 65537 */
	struct view x, y;    /* P-256 */
};

/** quote_ek() - likewise. */
int quote_ek(struct view area, struct quote_ek *ek);

struct quote {
	struct view extra; /* qualifying data: what the caller of TPM2_Quote gave */
	uint64_t clock_ms, reset_count, restart_count, firmware;
	bool clock_safe;
	uint32_t pcrs; /* mask, of the SHA-256 bank */
	struct view digest; /* over those PCRs, 32 bytes */
};

/** quote_parse() - read a TPMS_ATTEST of TPM2_Quote; likewise. */
int quote_parse(struct view attest, struct quote *q);

/* What TPM2_Certify says. */
struct quote_certified {
	struct view extra, name; /* name: of the certified object, 34 bytes */
};

/** quote_certified() - read a TPMS_ATTEST of TPM2_Certify; likewise. */
int quote_certified(struct view attest, struct quote_certified *c);

struct quote_signature {
	struct view r, s;
};

/** quote_signature() - read a TPMT_SIGNATURE, ECDSA with SHA-256; likewise. */
int quote_signature(struct view signature, struct quote_signature *s);

#endif
