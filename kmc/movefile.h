/*
 * The files of a vTPM's move to another KMC: formats and checks, no storage and no TPM. docs/moving.md has the reasoning.
 *
 *   move key   CARD                       who a KMC is; nothing secret. Its fingerprint is what administrators compare
 *   moved vTPM PACKAGE, then STATE        for one KMC alone, signed by the one that gives it away; STATE only if there is one
 *   receipt    RECEIPT                    the other KMC has it, signed by that
 *
 *   PACKAGE = SEALED's bytes, the giver's card, ECDSA P-256 (SHA-256, DER) over MOVE_LABEL NUL || SEALED
 *   SEALED  = TERMS' bytes, a credential for the receiver's TPM, the seed under the key in it with SHA-256(MOVE_LABEL NUL || TERMS) as associated data
 *   RECEIPT = ACCEPTANCE's bytes, the receiver's card, a signature over MOVE_RECEIPT_LABEL NUL || ACCEPTANCE
 */
#ifndef KMC_MOVEFILE_H
#define KMC_MOVEFILE_H

#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/msg.h"
#include "common/origin.h"
#include "common/uuid.h"

struct buf;

#define MOVE_ID_SIZE 16
#define MOVE_HASH_SIZE 32
#define MOVE_NAME_SIZE 34      /* of the seed key: a TPM's name with SHA-256 */
#define MOVE_SIGNATURE_MAX 80  /* ECDSA P-256, DER */
#define MOVE_CARD_MAX 1024     /* bytes of a CARD's frame */
#define MOVE_PACKAGE_MAX 4096  /* bytes of a PACKAGE's frame */
#define MOVE_RECEIPT_MAX 2048  /* bytes of a RECEIPT's frame */
#define MOVE_SEED_SIZE (32 + 12 + 16) /* bytes of the seed under its key */

#define MOVE_LABEL "xen-vtpm/move/v1"
#define MOVE_RECEIPT_LABEL "xen-vtpm/moved/v1"
#define MOVE_CARD_LABEL "xen-vtpm/move-key/v1"

enum movefile_type { MOVE_CARD = 1, MOVE_PACKAGE, MOVE_SEALED, MOVE_TERMS, MOVE_STATE, MOVE_RECEIPT, MOVE_ACCEPTANCE };

/* A KMC, as all of its machines are it. */
struct move_card {
	struct view kmc;      /* the name of the kmcd that wrote it: for people, not in the fingerprint */
	struct view parent;   /* TPMT_PUBLIC of the key above all others */
	struct view seed_key; /* name of the seed key below it */
	struct view signer;   /* SubjectPublicKeyInfo of the audit key */
};

/* What is moved, from whom and to whom. */
struct move_terms {
	struct view id;
	struct uuid uuid;
	struct view from_name, to_name, pool; /* for people; pool: at the giver */
	struct view from, to;		      /* fingerprints */
	struct view origin;		      /* whose keys it has (common/origin.h); absent: its own */
	struct view state_hash;		      /* SHA-256; absent: there is no state */
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	uint64_t created_at, exported_at;
};

struct move_sealed {
	struct view terms, credential, secret, seed;
};

struct move_package {
	struct view sealed, kmc, parent, seed_key, signer, signature;
};

struct move_state {
	struct view state;
};

struct move_acceptance {
	struct view id;
	struct uuid uuid;
	struct view from, to; /* fingerprints */
	uint64_t lease_epoch, imported_at;
};

struct move_receipt {
	struct view acceptance, kmc, parent, seed_key, signer, signature;
};

/** move_schema() - for tests. */
const struct msg_schema *move_schema(enum movefile_type type);

/** move_write() - append a frame to @out: 0, E_RANGE or E_ARG. */
int move_write(struct buf *out, enum movefile_type type, const void *fields);

/** move_read() - @frame is one of @type and nothing else; views point into it. 0 or an error of the parser. */
int move_read(struct view frame, enum movefile_type type, void *fields);

/** move_next() - the next frame of a file, which must be of @type: its bytes into @frame. 0, E_TRUNCATED or an error of the parser. */
int move_next(struct buf *in, enum movefile_type type, struct view *frame);

/** move_fingerprint() - SHA-256 over MOVE_CARD_LABEL NUL and parent, seed key and signer, each behind its length (u32). 0 or E_CRYPTO. */
int move_fingerprint(const struct move_card *card, uint8_t hash[MOVE_HASH_SIZE]);

/** move_hash() - SHA-256 of @label with its NUL and @bytes: what is signed, and a sealed seed's associated data. 0 or E_CRYPTO. */
int move_hash(const char *label, struct view bytes, uint8_t hash[MOVE_HASH_SIZE]);

/** move_signed_bytes() - append what is signed to @out: @label with its NUL and @bytes. 0 or E_RANGE. */
int move_signed_bytes(struct buf *out, const char *label, struct view bytes);

/* A package that was looked at. */
struct move_checked {
	struct move_package package;
	struct move_sealed sealed;
	struct move_terms terms;
	struct origin origin;
};

/** move_check() - all of a PACKAGE that needs no private key: form, who signed it, that the terms name that signer. 0, E_INTEGRITY or an error of the parser. */
int move_check(struct view frame, struct move_checked *out);

/** move_check_state() - @state (absent: there is none) is what the terms say. 0 or E_INTEGRITY. */
int move_check_state(const struct move_terms *terms, struct view state);

/** move_check_receipt() - likewise of a RECEIPT. */
int move_check_receipt(struct view frame, struct move_acceptance *out);

#endif
