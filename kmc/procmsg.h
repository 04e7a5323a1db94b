/*
 * What the processes of kmcd say to each other.
 *
 *   front  -> engine     READY once, then ASK (a host's message and who sent it; conn says which connection)
 *   engine -> front      ANSWER, CUT, TRUST
 *   engine -> vault      PROTECT, DECRYPT, MAKE, SHARE, SEAL, FORGET, ISSUE, SIGN, CREDENTIAL, DUPLICATE, ENDORSE, CA_MAKE, CA     id: the engine's ticket; every request gets one answer
 *   vault  -> engine     READY once, then PROTECTED, DECRYPTED, MADE, SEALED, ISSUED, SIGNED, CHALLENGE, DUPLICATED, ENDORSED, CA_MADE, CA_TAKEN, FAILED
 *                        LEARN, USE, DESTROY, REWRAP, CARD, EXPORT, IMPORT, RECEIPT     id: the engine's ticket; every request gets one answer
 *   vault  -> engine     READY once, then PROTECTED, DECRYPTED, MADE, SEALED, ISSUED, SIGNED, CHALLENGE, DUPLICATED, ENDORSED, NEW_WRAPPED, KEPT (to LEARN,
 *                        USE and DESTROY), REWRAPPED, CARD_IS, EXPORTED, MADE (to IMPORT, as to MAKE and SHARE), RECEIPT_IS, FAILED
 *   vault  -> keymaker   KEY          keymaker -> vault     KEY_MADE
 *   vault  -> keeper     GET, PUT, REMOVE  keeper -> vault  BYTES, DONE or FAILED
 *   vault  -> ekmaker    KEYS         ekmaker  -> vault     KEYS_MADE or KEYS_FAILED
 *
 * An open is DECRYPT, MAKE if the vTPM is new, SEAL, under one ticket: what the vault decrypted stays there until SEAL or FORGET.
 */
#ifndef KMC_PROCMSG_H
#define KMC_PROCMSG_H

#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/origin.h"
#include "common/privsep.h"
#include "kmc/movefile.h"

enum front_type { FRONT_READY = 1, FRONT_ASK, FRONT_ANSWER, FRONT_CUT, FRONT_TRUST };

#define FRONT_FRAME_MAX (KMC_BODY_MAX + 4)

struct front_ask {
	uint64_t conn;
	struct view host;	 /* the verified certificate's common name; absent: a peer without certificate that wants to enrol */
	struct view fingerprint; /* and its SHA-256 */
	struct view frame;	 /* one whole message, checked */
};

struct front_answer {
	uint64_t conn;
	struct view frame;
};

struct front_cut {
	struct view host; /* close all its connections */
};

/* Hosts' certificates are by these from now on. */
struct front_trust {
	struct view authorities; /* certificates, DER, one behind the other */
};

enum vault_type {
	VAULT_READY = 1,
	VAULT_PROTECT,
	VAULT_PROTECTED,
	VAULT_DECRYPT,
	VAULT_DECRYPTED,
	VAULT_MAKE,
	VAULT_MADE,
	VAULT_SEAL,
	VAULT_SEALED,
	VAULT_FORGET,
	VAULT_ISSUE,
	VAULT_ISSUED,
	VAULT_FAILED,
	VAULT_SIGN,
	VAULT_SIGNED,
	VAULT_CREDENTIAL,
	VAULT_CHALLENGE,
	VAULT_DUPLICATE,
	VAULT_DUPLICATED,
	VAULT_ENDORSE,
	VAULT_ENDORSED,
	VAULT_CA_MAKE,
	VAULT_CA_MADE,
	VAULT_CA,
	VAULT_CA_TAKEN,
	VAULT_CA_KEEP,
	VAULT_NEW_WRAPPING,
	VAULT_NEW_WRAPPED,
	VAULT_LEARN,
	VAULT_USE,
	VAULT_DESTROY,
	VAULT_KEPT,
	VAULT_REWRAP,
	VAULT_REWRAPPED,
	VAULT_SHARE,
	VAULT_CARD,
	VAULT_CARD_IS,
	VAULT_EXPORT,
	VAULT_EXPORTED,
	VAULT_IMPORT,
	VAULT_RECEIPT,
	VAULT_RECEIPT_IS,
};

#define VAULT_WRAPPED_MAX 2304
#define VAULT_SEED_MAX 128
#define VAULT_SPKI_MAX 512
#define VAULT_NAMES_MAX 1023
#define VAULT_CERT_MAX 2048 /* CA_DER_MAX */
#define VAULT_CA_KEY_MAX 600 /* bytes of a CA's wrapped key */
#define VAULT_REASON_MAX 240
#define VAULT_SEALED_MAX 1536 /* KMCTPM_BLOB_MAX */
#define VAULT_CONTEXT_MAX 128 /* WRAP_CONTEXT_MAX */

struct vault_ready {
	uint64_t oldest; /* number of the first wrapping key that is here */
};

struct vault_protected {
	struct view key_id, modulus, wrapped;
	uint64_t exponent;
};

struct vault_decrypt {
	struct view key_id, wrapped, cipher;
};

struct vault_decrypted {
	struct uuid uuid;
};

struct vault_make {
	struct view tenant;
	struct uuid uuid;
	uint64_t generation;
	struct view origin; /* whose seed it is, for one that shares keys and has lost it; absent: its own */
};

/* A seed for another vTPM of the same pool, which shares it; answered by MADE. */
struct vault_share {
	struct view tenant, seed; /* seed: wrapped */
	struct uuid from, to;
	uint64_t generation, to_generation;
};

struct vault_made {
	struct view seed; /* wrapped */
};

/* Reply to what was decrypted under the same id. */
struct vault_seal {
	struct view tenant, seed;
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	uint64_t image;	     /* of a reservation */
	struct view request; /* likewise; absent: an open */
	struct view origin;  /* whose keys it has (common/origin.h); absent: its own */
};

struct vault_sealed {
	struct view reply;
};

struct vault_issue {
	struct view name, spki;
	uint64_t not_before, not_after;
	struct view servers; /* DNS names and addresses of a KMC, separated by spaces; absent: @name is a host's */
};

struct vault_issued {
	struct view cert; /* DER */
};

/* The head of the audit trail. */
struct vault_sign {
	struct view hash;
	uint64_t seq, time;
};

struct vault_signed {
	struct view head; /* see kmc/audit.h */
};

/* A challenge that only the TPM with both keys can answer. */
struct vault_credential {
	struct view ek;	  /* TPMT_PUBLIC */
	struct view name; /* of the attestation key */
};

struct vault_challenge {
	struct view credential, secret; /* TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET */
	struct view answer;		/* SHA-256 of the right one */
};

/* A copy of the parent for the TPM of a replica. */
struct vault_duplicate {
	struct view ek, storage; /* TPMT_PUBLIC of that TPM's endorsement key and storage primary */
	struct view authority;	 /* the authority's public key: x and y */
	struct view signature;	 /* by which it approved, see kmctpm_approval() */
};

struct vault_duplicated {
	struct view credential, secret;	     /* TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET: the inner wrapper's key, for that TPM */
	struct view public, duplicate, seed; /* struct kmctpm_copy */
};

/* Certificates of the endorsement keys that come of a seed. */
struct vault_endorse {
	struct view tenant, seed; /* seed: wrapped */
	struct uuid uuid;
	uint64_t generation, endorsement_epoch;
	uint64_t not_before;
	struct view origin; /* as in SEAL: as whose its keys are derived */
};

struct vault_endorsed {
	struct view rsa, ecc; /* DER */
};

/* A new CA, which signs nothing yet. */
struct vault_ca_make {
	struct view name; /* common name */
	uint64_t not_before, not_after;
};

struct vault_ca_made {
	struct view certificate, key; /* key: wrapped */
	struct view present, present_key; /* the CA that signs now, likewise */
};

/* A CA out of the database: is it one of ours? */
struct vault_ca {
	struct view certificate, key; /* key: wrapped */
	uint64_t sign;		      /* 1: it signs from now on; keep: is not looked at */
};

/* A new wrapping key is made (and kept by who asked); the answer is the same with the key, sealed. */
struct vault_number {
	uint64_t number; /* of a wrapping key; DESTROY: all before it go */
};

struct vault_wrapping {
	uint64_t number;
	struct view sealed;
};

struct vault_rewrap {
	uint64_t kind;	     /* 0: a protection key; 1: a seed; 2: an authority's key */
	struct view context; /* whose */
	struct view wrapped;
};

struct vault_rewrapped {
	struct view wrapped;
};

/* Who this KMC is. */
struct vault_card {
	struct view card; /* a CARD, see kmc/movefile.h */
};

/* A vTPM for another KMC. */
struct vault_export {
	struct view tenant, seed; /* seed: wrapped */
	struct view card;	  /* a CARD: who gets it */
	struct view id;
	struct uuid uuid;
	struct view origin, state_hash;
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	uint64_t created_at, exported_at;
};

struct vault_exported {
	struct view package; /* a PACKAGE */
};

/* One from another KMC; answered by MADE. */
struct vault_import {
	struct view tenant;  /* the pool here */
	struct view from;    /* fingerprint of the KMC that may have signed it */
	struct view package; /* a PACKAGE */
};

/* That it is here. */
struct vault_receipt {
	struct view id, from;
	struct uuid uuid;
	uint64_t lease_epoch, imported_at;
};

struct vault_receipt_is {
	struct view receipt; /* a RECEIPT */
};

struct vault_failed {
	uint64_t code; /* a positive enum vtpm_error */
	struct view reason;
};

enum keymaker_type { KEYMAKER_KEY = 1, KEYMAKER_MADE };

struct keymaker_key {
	uint64_t bits;
};

struct keymaker_made {
	struct view der;
};

enum ekmaker_type { EKMAKER_KEYS = 1, EKMAKER_MADE, EKMAKER_FAILED };

#define EKMAKER_SEED_SIZE 64

struct ekmaker_keys {
	struct view eps; /* the endorsement primary seed */
};

struct ekmaker_made {
	struct view rsa, ecc; /* modulus; coordinates */
	uint64_t manufacturer, firmware, level, revision; /* of the TPM implementation */
};

struct ekmaker_failed {
	uint64_t code; /* a positive enum vtpm_error */
};

/* The keeper: files of the vault directory. */
enum keeper_type { KEEPER_PUT = 1, KEEPER_REMOVE, KEEPER_DONE, KEEPER_FAILED, KEEPER_GET, KEEPER_BYTES };

struct keeper_put { /* BYTES likewise */
	struct view name, bytes;
};

struct keeper_remove {
	struct view name; /* no error if there is no such file; GET likewise, but one */
};

struct keeper_failed {
	struct view reason;
};

struct proc_empty {
	uint8_t unused;
};

extern const struct privsep_protocol front_protocol;
extern const struct privsep_protocol vault_protocol;
extern const struct privsep_protocol keymaker_protocol;
extern const struct privsep_protocol ekmaker_protocol;
extern const struct privsep_protocol keeper_protocol;

#endif
