/*
 * Whether a host is in the state in which it was accepted: the check of a quote, and the decision on what it says.
 *
 * A quote is fresh because it signs the KMC's nonce, and is this host's because that nonce went over its connection and the hash of its
 * TLS certificate (or, at enrolment, of its public key) is signed with it: see common/proof.h.
 */
#ifndef KMC_ATTEST_H
#define KMC_ATTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/msg.h"
#include "kmc/store.h"

#define ATTEST_NONCE_S 60	  /* how long a nonce may be answered */
#define ATTEST_DEFAULT_PCRS 0x8fu /* 0, 1, 2, 3, 7: firmware, its configuration, option ROMs, secure boot */
#define ATTEST_DEFAULT_INTERVAL_S 600
#define ATTEST_INTERVAL_MIN_S 1
#define ATTEST_INTERVAL_MAX_S (7 * 86400)
#define ATTEST_VALUES_MAX (STORE_PCRS * 32)
#define ATTEST_WHY (STORE_REASON_MAX + 1)

/** attest_default_policy() - of a pool that has none of its own. */
struct store_policy attest_default_policy(const char *pool);

/* What a host sends. */
struct attest_claim {
	struct view quote;     /* TPMS_ATTEST */
	struct view signature; /* TPMT_SIGNATURE */
	struct view values;    /* of the PCRs, 32 bytes each, lowest first */
};

/* What is then known of it. */
struct attest_facts {
	struct store_pcrs pcrs;
	uint64_t firmware, clock_ms, reset_count, restart_count;
	bool clock_safe;
	const uint8_t *image; /* that the host said with the quote, 32 bytes; NULL: none */
};

/**
 * attest_verify() - that @claim is a quote by @ak (TPMT_PUBLIC) over the PCRs in @mask and over @qualifying
 * @why: on an error one sentence
 *
 * Return: 0, E_FORMAT or the like (it can't be read), E_INTEGRITY (it is not by that key, over other data or other values), E_CRYPTO.
 */
int attest_verify(struct view ak, const struct attest_claim *claim, uint32_t mask, const uint8_t qualifying[32], struct attest_facts *facts,
		  char why[ATTEST_WHY]);

/**
 * attest_certified() - that @area (TPMT_PUBLIC) is in the TPM of @ak: certified by it over @qualifying
 * @attest, @signature: TPMS_ATTEST of TPM2_Certify, TPMT_SIGNATURE
 *
 * Return: 0, E_FORMAT, E_INTEGRITY or E_CRYPTO.
 */
int attest_certified(struct view ak, struct view area, struct view attest, struct view signature, const uint8_t qualifying[32]);

struct attest_verdict {
	bool good;
	char text[ATTEST_WHY]; /* why not, or a remark, or "" */
};

/** attest_decide() - compare with the references. Pure. */
struct attest_verdict attest_decide(const struct store_policy *policy, const struct store_identity *known, const struct attest_facts *facts,
				    int64_t now);

/**
 * attest_may_open() - whether a host gets a seed. Pure.
 * @identity: NULL for a host that was added by files
 * @good_until: of the connection's last good quote, 0 for none
 */
struct attest_verdict attest_may_open(const struct store_policy *policy, const struct store_identity *identity, int64_t good_until,
				      int64_t now);

/** attest_good_until() - how long a quote that was good @now counts: the interval and some. */
int64_t attest_good_until(const struct store_policy *policy, int64_t now);

/** attest_update() - note in @known what a good quote said. */
void attest_update(struct store_identity *known, const struct attest_facts *facts, int64_t now);

/** attest_accept() - make what was last quoted the reference, and take the TPM's clock as the next quote has it; 0, or E_NOTFOUND: nothing was ever quoted. */
int attest_accept(struct store_identity *known);

#endif
