/*
 * The audit trail's records, their chain, and signed heads: formats and checks, no storage.
 *
 *   record n  = a message (common/msg.h) of type event and id n; its prev is SHA-256 of record n - 1, of 32 zero bytes for n = 1
 *   head      = a message with a record's number, its SHA-256, the KMC's name and the time
 *   signed    = a message with the head's bytes and ECDSA P-256 (SHA-256, DER) over AUDIT_LABEL with its NUL and these bytes
 *
 * A head vouches for all records up to its own, since each names the one before: a record that was altered, removed or put elsewhere
 * breaks the chain at the next one. What comes after the last head that somebody still has is not vouched for.
 */
#ifndef KMC_AUDIT_H
#define KMC_AUDIT_H

#include <stdint.h>

#include "common/kmcmsg.h"

#define AUDIT_HASH_SIZE 32
#define AUDIT_RECORD_MAX 1024
#define AUDIT_HEAD_MAX KMC_AUDIT_HEAD_MAX
#define AUDIT_SIGNATURE_MAX 80
#define AUDIT_LABEL "xen-vtpm/audit-head/v1"
#define AUDIT_WHY 240

/* What happened. Numbers are for ever: add at the end, and to the table of names. */
enum audit_event {
	AUDIT_SEED_RELEASED = 1, /* and the lease granted */
	AUDIT_LEASE_RETURNED,
	AUDIT_REFUSED,
	AUDIT_TAKEN_OVER,
	AUDIT_VTPM_REGISTERED,
	AUDIT_POOL_ADDED,
	AUDIT_POOL_CHANGED,
	AUDIT_HOST_ADDED,
	AUDIT_HOST_REMOVED,
	AUDIT_KEYS_RETIRED,
	AUDIT_STATE_RESTORED,
	AUDIT_TOKEN_MADE,
	AUDIT_HOST_ENROLLED,
	AUDIT_POLICY_CHANGED,
	AUDIT_HOST_ACCEPTED, /* its present PCRs */
	AUDIT_REPLICA_ADDED, /* a copy of the parent key was made for its TPM */
	AUDIT_SUSPENDED,
	AUDIT_RESUMED,
	AUDIT_RESERVED, /* and the seed released */
	AUDIT_COMMITTED,
	AUDIT_CANCELLED,
	AUDIT_IMAGE_ALLOWED, /* an earlier one, by order */
	AUDIT_RECOVERED, /* brought up from a backup */
	AUDIT_EK_CERTIFIED,
	AUDIT_VTPM_CLONED,
	AUDIT_VTPM_REKEYED,
	AUDIT_VTPM_RETIRED,
	AUDIT_RETIREMENT_CANCELLED,
	AUDIT_SEED_DESTROYED, /* the certificate of destruction */
	AUDIT_SERVER_RENEWED, /* the certificate of a KMC */
	AUDIT_CLOCK_BACK, /* the machine's clock was set back */
	AUDIT_HOST_RENEWED, /* the certificate of a host */
	AUDIT_CA_MADE,	  /* the next certificate authority */
	AUDIT_CA_SWITCHED, /* it signs from now on */
	AUDIT_CA_RETIRED, /* the one before is trusted no more */
	AUDIT_WRAPPING_MADE,	  /* a wrapping key, to replace the present one */
	AUDIT_WRAPPING_REPLACED,  /* nothing is under the one before it any more */
	AUDIT_WRAPPING_DESTROYED, /* the one before it, on a machine */
	AUDIT_KEYS_SHARED, /* a clone with the same keys was made */
	AUDIT_VTPM_EXPORTED, /* for another KMC: nobody opens it here from now on */
	AUDIT_EXPORT_CANCELLED,
	AUDIT_VTPM_MOVED, /* the other KMC has it, and its seed was destroyed here */
	AUDIT_VTPM_IMPORTED, /* from another KMC */
	AUDIT_EVENTS,
};

struct audit_record {
	uint64_t time;	     /* seconds since 1970 */
	struct view prev;    /* AUDIT_HASH_SIZE bytes */
	struct view kmc;     /* which kmcd wrote it */
	struct view actor;   /* the host that asked; absent: an administrator */
	struct view vtpm;    /* its UUID's 16 bytes; absent: not about one */
	struct view host, pool; /* what it is about, where that is not the actor */
	uint64_t lease_epoch, code; /* 0: none; code: enum kmc_refusal */
	struct view detail;  /* for people */
};

struct audit_head {
	struct view kmc, hash;
	uint64_t time;
};

struct audit_signed {
	struct view head, signature;
};

/** audit_event_name() - such as "seed-released"; NULL: no such event. */
const char *audit_event_name(uint64_t event);

/** audit_write() - append record @seq to @out: 0, E_RANGE or E_ARG. */
int audit_write(struct buf *out, uint64_t seq, enum audit_event event, const struct audit_record *r);

/** audit_read() - take a record apart; views point into @frame. 0 or the error of msg_next() or msg_fields(). */
int audit_read(struct view frame, uint64_t *seq, uint64_t *event, struct audit_record *r);

/** audit_hash() - what the next record's prev says. 0 or E_CRYPTO. */
int audit_hash(struct view frame, uint8_t hash[AUDIT_HASH_SIZE]);

/** audit_head_write() - append a head for record @seq: 0, E_RANGE or E_ARG. */
int audit_head_write(struct buf *out, uint64_t seq, const struct audit_head *h);

/** audit_signed_write() - append a head's bytes with its signature: 0, E_RANGE or E_ARG. */
int audit_signed_write(struct buf *out, uint64_t seq, const struct audit_signed *s);

/** audit_signed_read() - take a signed head apart, without looking at the signature. 0 or an error of the parser. */
int audit_signed_read(struct view frame, uint64_t *seq, struct audit_signed *s, struct audit_head *h);

/** audit_signed_bytes() - what is signed: the label and the head's bytes. 0 or E_RANGE. */
int audit_signed_bytes(struct buf *out, struct view head);

/* The part of a chain that was looked at: starts as zeroes. */
struct audit_chain {
	uint64_t seq;
	uint8_t hash[AUDIT_HASH_SIZE];
};

/** audit_chain_add() - check the next record as it was found under @number. 0 or E_INTEGRITY (or a parser's error) with @why. */
int audit_chain_add(struct audit_chain *c, uint64_t number, struct view frame, char why[AUDIT_WHY]);

#endif
