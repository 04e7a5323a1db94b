/*
 * What the processes of vtpm-relayd say to each other. Ids are the relay's tickets: every request gets one answer
 * with its id.
 *
 *   relay -> builder     INSPECT, BUILD, DESTROY,      builder -> relay     DOMAIN, BUILT, DESTROYED, KEPT, SWEPT,
 *                        KEEP, SWEEP, NAME, MEMORY,                         NAMED, FREE, MARKED, FAILED,
 *                        MARK                                               IMAGE
 *   relay -> host-tpm    WRAP, BELIEVE, FORGET,        host-tpm -> relay    WRAPPED, SEED, ATTESTED, FAILED,
 *                        ATTEST, SEAL, UNSEAL,                              SEALED, SIGNED
 *                        SIGN
 */
#ifndef DOM0_RELAY_RELAYMSG_H
#define DOM0_RELAY_RELAYMSG_H

#include <stdint.h>

#include "common/msg.h"
#include "common/privsep.h"
#include "common/uuid.h"

enum builder_type {
	BUILDER_INSPECT = 1,
	BUILDER_DOMAIN,
	BUILDER_BUILD,
	BUILDER_BUILT,
	BUILDER_DESTROY,
	BUILDER_DESTROYED,
	BUILDER_KEEP,  /* a stub domain of an earlier run serves on */
	BUILDER_KEPT,
	BUILDER_SWEEP, /* destroy what earlier runs built and nobody kept */
	BUILDER_SWEPT,
	BUILDER_NAME, /* a spare got its guest */
	BUILDER_NAMED,
	BUILDER_MEMORY, /* how much has the host free? */
	BUILDER_FREE,
	BUILDER_FAILED,
	BUILDER_MARK, /* give a guest a new incarnation, by which the next image of it is known */
	BUILDER_MARKED,
	BUILDER_IMAGE, /* unasked, at the start and whenever it is another: what stub domains start from */
};

/* Ids on the builder's link say what they are about. */
enum build_id_kind { BUILD_ID_GUEST, BUILD_ID_BUILD, BUILD_ID_DESTROY, BUILD_ID_STUB };
#define BUILD_ID(kind, ticket) ((uint64_t)(ticket) << 2 | (uint64_t)(kind))

struct builder_inspect {
	uint64_t domid;
};

/* What the hypervisor says of a domain. */
struct builder_domain {
	uint64_t domid;
	uint64_t exists;      /* 0: there is no such domain, or it is dying; the rest is void */
	struct uuid handle;   /* the domain's own UUID */
	uint64_t incarnation; /* 1 for a created domain, more after each restore or migration, and even once it was marked */
	uint64_t shutdown;    /* 0, or 1 + the shutdown reason */
	uint64_t paused;      /* by a toolstack: it has not begun to run, in libxl's window */
};

struct builder_mark {
	uint64_t domid; /* not dom0 */
	uint64_t image; /* even */
};

struct builder_build {
	struct view name;      /* of the stub domain */
	uint64_t headroom_mib; /* that the host must have free besides */
	uint64_t domid;	       /* that it must get, because a guest knows it by it; 0: any */
};

struct builder_built {
	uint64_t domid;
};

struct builder_destroy {
	uint64_t domid; /* must be a stub domain that this builder made */
};

struct builder_keep {
	uint64_t domid;
};

struct builder_image {
	struct view digest; /* see stub_image.h; absent: it can't be read */
};

#define RELAY_REASON_MAX 240 /* bytes of UTF-8 */

struct builder_name {
	uint64_t domid;
	struct view name;
};

struct builder_free {
	uint64_t mib;
};

struct relay_failed {
	struct view reason;
};

enum tpm_type { TPM_WRAP = 1, TPM_WRAPPED, TPM_BELIEVE, TPM_SEED, TPM_FORGET, TPM_FAILED, TPM_ATTEST, TPM_ATTESTED,
		TPM_SEAL, TPM_SEALED, TPM_UNSEAL, TPM_SIGN, TPM_SIGNED };

/* Step 2 of an open: make response key and nonce, encrypt them and the UUID in the host TPM. */
struct tpm_wrap {
	struct uuid uuid;
	struct view key_id;
	struct view modulus; /* of the KMC's protection key */
	uint64_t exponent;
};

struct tpm_wrapped {
	struct view cipher;
};

/* Step 6: open the KMC's reply to the WRAP with the same id; it is forgotten afterwards. */
struct tpm_believe {
	struct view tenant;
	struct view reply;
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	uint64_t image;	     /* of a reservation; else 0 */
	struct view request; /* of a reservation; absent for an open */
	struct view origin;  /* as in OPENED */
};

struct tpm_seed {
	struct view seed;
};

/* Quote these PCRs over these bytes. */
struct tpm_attest {
	struct view qualifying;
	uint64_t pcrs; /* mask */
};

struct tpm_attested {
	struct view quote, signature, values; /* as in QUOTE of kmcmsg.h */
};

/* A copy of a seed for a time without KMC, bound to what it is the seed of. */
struct tpm_seal {
	struct uuid uuid;
	struct view tenant, seed;
	uint64_t generation, pcrs; /* pcrs: mask */
	struct view origin;	   /* as in OPENED */
};

struct tpm_sealed {
	struct view sealed;
};

/* Answered by SEED or FAILED. */
struct tpm_unseal {
	struct uuid uuid;
	struct view tenant, sealed;
	uint64_t generation, pcrs;
	struct view origin;
};

/* A TLS handshake's signature by the host's key in its TPM. */
struct tpm_sign {
	struct view digest; /* SHA-256 */
};

struct tpm_signed {
	struct view signature; /* DER */
};

struct relay_empty {
	uint8_t unused;
};

extern const struct privsep_protocol builder_protocol;
extern const struct privsep_protocol tpm_protocol;

#endif
