/*
 * The messages between a host and the KMC (docs/kmc-protocol.cddl), one request and one answer at a time per id.
 *
 *   host                                    KMC
 *   HELLO    software ------------------->  WELCOME    who I think you are
 *   PROTECT  ---------------------------->  PROTECTED  a public key for your requests, until when
 *   OPEN     {uuid, response key, nonce} ->  OPENED    lease, epochs, seed under both layers, sealed state
 *   STORE    sealed state --------------->  STORED
 *   RELEASE  ---------------------------->  RELEASED
 *   anything ---------------------------->  REFUSED    code and one line for the administrator
 */
#ifndef COMMON_KMCMSG_H
#define COMMON_KMCMSG_H

#include <stdint.h>

#include "common/msg.h"
#include "common/uuid.h"

#define KMC_VERSION 1
#define KMC_KEY_ID_SIZE 16
#define KMC_NAME_MAX 64 /* bytes of a host's, pool's or KMC's name */
#define KMC_STATE_MAX (192 * 1024)
#define KMC_BODY_MAX (KMC_STATE_MAX + 4096)
#define KMC_AUDIT_HEAD_MAX 320
#define KMC_RSA_MAX 384 /* bytes of a modulus: RSA-2048 and RSA-3072 */

enum kmc_type {
	KMC_HELLO = 1,
	KMC_WELCOME,
	KMC_PROTECT,
	KMC_PROTECTED,
	KMC_OPEN,
	KMC_OPENED,
	KMC_RELEASE,
	KMC_RELEASED,
	KMC_STORE,
	KMC_STORED,
	KMC_REFUSED,
};

/* Why a request was refused; the text beside it says the particulars. */
enum kmc_refusal {
	KMC_REFUSED_VERSION = 1,  /* protocol version not spoken here */
	KMC_REFUSED_MALFORMED,	  /* the message breaks the protocol */
	KMC_REFUSED_UNKNOWN_HOST, /* the certificate is good, the host is not registered (or was removed) */
	KMC_REFUSED_KEY,	  /* protection key unknown or expired: ask for a new one and repeat */
	KMC_REFUSED_ENVELOPE,	  /* the request does not decrypt */
	KMC_REFUSED_POLICY,	  /* the pool's policy says no */
	KMC_REFUSED_HELD,	  /* another host holds the lease */
	KMC_REFUSED_EPOCH,	  /* the lease epoch is not the present one */
	KMC_REFUSED_ROLLBACK,	  /* the state's version is not newer than the stored one */
	KMC_REFUSED_BUSY,	  /* limits reached: try again later */
	KMC_REFUSED_INTERNAL,	  /* the KMC failed: its log says why */
	KMC_REFUSED_QUOTA,	  /* the state is larger than a vTPM's quota */
};

struct kmc_hello {
	struct view software; /* such as "vtpm-relayd 0.1" */
};

struct kmc_welcome {
	struct view kmc;  /* the KMC's name */
	struct view host; /* the name that the client certificate stands for */
	struct view pool;
	uint64_t time; /* of the KMC, seconds since 1970 */
	struct view audit; /* the newest signed head of its audit trail; absent: none yet */
};

struct kmc_protected {
	struct view key_id;
	struct view modulus; /* big endian */
	uint64_t exponent;
	uint64_t expires; /* seconds since 1970 */
};

struct kmc_open {
	struct view key_id;
	struct view cipher; /* RSA-OAEP-SHA256, see common/envelope.h */
};

struct kmc_opened {
	struct view tenant; /* the pool that the vTPM belongs to */
	uint64_t generation;
	uint64_t lease_epoch;
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	uint64_t state_version; /* 0: none stored */
	struct view reply;	/* see common/envelope.h */
	struct view state;	/* sealed; absent for none */
	struct view audit;	/* as in WELCOME */
};

struct kmc_release {
	struct uuid uuid;
	uint64_t lease_epoch;
};

struct kmc_store {
	struct uuid uuid;
	uint64_t lease_epoch;
	uint64_t version;
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	struct view state;
};

struct kmc_stored {
	uint64_t version;
};

struct kmc_refused {
	uint64_t code; /* enum kmc_refusal */
	struct view reason;
};

/* Messages without fields: PROTECT, RELEASED. */
struct kmc_empty {
	uint8_t unused;
};

/** kmc_schema() - the table entry of a message type, or NULL. */
const struct msg_schema *kmc_schema(uint64_t type);

struct buf;

/** kmc_write() - append one message to @out: 0, E_RANGE or E_ARG (see msg_write()). */
int kmc_write(struct buf *out, enum kmc_type type, uint64_t id, const void *fields);

/** kmc_refusal_text() - a code's name in words, for logs. */
const char *kmc_refusal_text(uint64_t code);

#endif
