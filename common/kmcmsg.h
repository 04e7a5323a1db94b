/*
 * The messages between a host and the KMC (docs/kmc-protocol.cddl), one request and one answer at a time per id.
 *
 *   host                                    KMC
 *   HELLO    software ------------------->  WELCOME    who I think you are
 *   PROTECT  ---------------------------->  PROTECTED  a public key for your requests, until when
 *   OPEN     {uuid, response key, nonce} ->  OPENED    lease, epochs, seed under both layers, sealed state
 *   STORE    sealed state --------------->  STORED
 *   RELEASE  ---------------------------->  RELEASED
 *   SUSPEND  state, volatile state ------>  SUSPENDED  nobody has it; it waits for the image of that save
 *   RESUME   ---------------------------->  RESUMED    the guest runs on where it was: yours again, no image fits any more
 *   RESERVE  as OPEN, and which image --->  RESERVED   all of it, to be served after COMMIT
 *   COMMIT   the guest runs here -------->  COMMITTED
 *   CANCEL   ---------------------------->  CANCELLED
 *   ATTEST   ---------------------------->  NONCE      what a quote is asked for; or ATTESTED, if none is
 *   QUOTE    ---------------------------->  ATTESTED   how long it counts
 *   CERTIFY  lease ---------------------->  CERTIFIED  certificates of that vTPM's endorsement keys
 *   PARK     lease ---------------------->  PARKED     I keep it, though no guest runs
 *   RECALLS  ---------------------------->  RECALLED   a parked lease that another host waits for
 *   TRUST    whom I trust --------------->  TRUSTED    whom to trust instead
 *   CHECK    ---------------------------->  CHECKED    this host may open that vTPM, if nobody else has it then
 *   VERIFY   lease ---------------------->  VERIFIED   nobody else has had that vTPM since
 *   RENEW    certificate, signature ----->  RENEWED    the next one, for the same key
 *   anything ---------------------------->  REFUSED    code and one line for the administrator
 *
 * and, of a host that has no certificate yet and said so by KMC_ENROL_ALPN, only:
 *
 *   ENROL    token, keys ---------------->  CHALLENGE  that only its TPM can answer
 *   PROVE    answer, quote -------------->  ENROLLED   its certificate
 */
#ifndef COMMON_KMCMSG_H
#define COMMON_KMCMSG_H

#include <stdint.h>

#include "common/msg.h"
#include "common/origin.h"
#include "common/uuid.h"

#define KMC_VERSION 1
#define KMC_KEY_ID_SIZE 16
#define KMC_NAME_MAX 64 /* bytes of a host's, pool's or KMC's name */
#define KMC_STATE_MAX (192 * 1024)
#define KMC_VOLATILE_MAX (32 * 1024)
#define KMC_BODY_MAX (KMC_STATE_MAX + KMC_VOLATILE_MAX + 4096)
#define KMC_REQUEST_ID_SIZE 16 /* of a reservation */
#define KMC_AUDIT_HEAD_MAX 320
#define KMC_ENROL_ALPN "xen-vtpm-enrol/1"
#define KMC_ENROL_BODY_MAX 4092
#define KMC_CERTIFICATE_MAX 2048 /* bytes, DER */
#define KMC_AUTHORITIES_MAX 8192 /* bytes of certificates of CAs, DER, one behind the other */
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
	KMC_ATTEST,
	KMC_NONCE,
	KMC_QUOTE,
	KMC_ATTESTED,
	KMC_ENROL,
	KMC_CHALLENGE,
	KMC_PROVE,
	KMC_ENROLLED,
	KMC_CERTIFY,
	KMC_CERTIFIED,
	KMC_SUSPEND,
	KMC_SUSPENDED,
	KMC_RESUME,
	KMC_RESUMED,
	KMC_RESERVE,
	KMC_RESERVED,
	KMC_COMMIT,
	KMC_COMMITTED,
	KMC_CANCEL,
	KMC_CANCELLED,
	KMC_PARK,
	KMC_PARKED,
	KMC_RECALLS,
	KMC_RECALLED,
	KMC_RENEW,
	KMC_RENEWED,
	KMC_TRUST,
	KMC_TRUSTED,
	KMC_CHECK,
	KMC_CHECKED,
	KMC_VERIFY,
	KMC_VERIFIED,
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
	KMC_REFUSED_ATTESTATION,  /* the host's state is not what it was accepted with */
	KMC_REFUSED_ENROLMENT,	  /* token or TPM are not accepted */
	KMC_REFUSED_IMAGE,	  /* the domain was not restored from the image that the vTPM was suspended with */
	KMC_REFUSED_RESERVATION,  /* there is no such reservation, or not any more */
	KMC_REFUSED_SESSION,	  /* the host has a newer connection: only that one may change leases */
	KMC_REFUSED_PARKED,	  /* parked at another host, which is asked to give it back: repeat */
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
	struct view origin;	/* whose keys it has (common/origin.h); absent: its own */
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

struct kmc_suspend {
	struct uuid uuid;
	uint64_t lease_epoch;
	uint64_t image; /* the domain's mark (its incarnation), which the save carries */
	uint64_t version;
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	struct view state;	    /* sealed; absent: as it is stored under this version */
	struct view volatile_state; /* sealed */
};

struct kmc_suspended {
	uint64_t lease_epoch; /* the present one, for RESUME or another SUSPEND */
	uint64_t version;     /* of the state that is kept */
};

struct kmc_resume {
	struct uuid uuid;
	uint64_t lease_epoch; /* as the last SUSPEND named it, or as its answer said */
};

struct kmc_resumed {
	uint64_t lease_epoch;
};

struct kmc_reserve {
	struct view key_id, cipher; /* as in OPEN */
	uint64_t image;		    /* the incarnation that the incoming domain came with: the suspended one's mark plus one */
	struct view request;	    /* random: names the reservation */
};

struct kmc_reserved {
	struct view tenant;
	uint64_t generation;
	uint64_t lease_epoch; /* of what is suspended; COMMITTED has that for STORE */
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	uint64_t state_version;
	struct view reply;
	struct view state, volatile_state;
	struct view audit; /* as in WELCOME */
	struct view origin; /* as in OPENED */
};

struct kmc_commit {
	struct uuid uuid;
	struct view request;
};

struct kmc_committed {
	uint64_t lease_epoch;
};

struct kmc_cancel {
	struct uuid uuid;
	struct view request;
};

struct kmc_refused {
	uint64_t code; /* enum kmc_refusal */
	struct view reason;
};

struct kmc_nonce {
	struct view nonce;
	uint64_t pcrs; /* mask, of the SHA-256 bank */
};

struct kmc_quote {
	struct view quote, signature; /* TPMS_ATTEST, TPMT_SIGNATURE */
	struct view values;	      /* of the PCRs, 32 bytes each */
	struct view image;	      /* digest of the image that its stub domains start from, signed with the quote; absent: not said */
};

struct kmc_attested {
	uint64_t interval; /* seconds until the next one is due; 0: none is asked for */
	struct view remark; /* absent: none */
};

struct kmc_enrol {
	struct view token;  /* its secret */
	struct view ek, ak; /* TPMT_PUBLIC */
	struct view spki;   /* of the TLS key */
	struct view certificate; /* of the endorsement key, DER; absent: the TPM has none */
	uint64_t software_key;	 /* 1: the TLS key is a file */
	struct view tls_key;	 /* TPMT_PUBLIC of the TLS key, which is in the TPM; absent: it is a file */
};

struct kmc_challenge {
	struct view credential, secret; /* TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET, for TPM2_ActivateCredential */
	struct view nonce;
	uint64_t pcrs;
};

struct kmc_prove {
	struct view credential;	      /* what the TPM made of the challenge */
	struct view quote, signature, values; /* as in QUOTE */
	struct view possession;	      /* signature by the TLS key over what the quote is over */
	struct view certified, certified_by; /* TPM2_Certify of the TLS key over the same: TPMS_ATTEST, TPMT_SIGNATURE; absent: it is a file */
};

struct kmc_enrolled {
	struct view name, pool;
	struct view certificate, ca; /* DER */
};

/* No key is named: the KMC derives the endorsement keys from the seed itself. */
struct kmc_certify {
	struct uuid uuid;
	uint64_t lease_epoch;
	uint64_t endorsement_epoch; /* of that hierarchy, see STORE */
};

struct kmc_certified {
	uint64_t later;	      /* they are being made: ask again in so many seconds; 0: here they are */
	struct view rsa, ecc; /* certificates in DER */
};

struct kmc_park {
	struct uuid uuid;
	uint64_t lease_epoch;
};

struct kmc_recalled {
	struct view uuid; /* 16 bytes; absent: nobody waits */
};

/* The certificate of this very connection; its key signs proof_renew() (common/proof.h). */
struct kmc_renew {
	struct view certificate; /* DER */
	struct view possession;
};

struct kmc_renewed {
	struct view certificate; /* DER */
};

struct kmc_trust {
	struct view have; /* SHA-256 of the certificates of the CAs that the host trusts, DER, one behind the other */
};

struct kmc_trusted {
	struct view authorities; /* likewise, to be trusted from now on, and no others; absent: it is as it should be */
	uint64_t renew;		 /* 1: the host's certificate is by a CA that goes: RENEW */
	uint64_t again;		 /* seconds until it is to ask again */
};

/* Changes nothing, whoever has the vTPM. */
struct kmc_check {
	struct uuid uuid;
};

/* Changes nothing. */
struct kmc_verify {
	struct uuid uuid;
	uint64_t lease_epoch;
};

/* Messages without fields: PROTECT, RELEASED, ATTEST, CANCELLED, PARKED, RECALLS, CHECKED, VERIFIED. */
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
