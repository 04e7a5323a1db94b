/*
 * What kmcctl and kmcd say over the control socket: one request at a time, entries, an end.
 *
 *   kmcctl                              kmcd
 *   STATUS                              STATUS_REPLY
 *   POOL_LIST, HOST_LIST, VTPM_LIST     POOL, HOST or VTPM ..., END (more: ask again after the last one)
 *   POOL_PUT, HOST_REMOVE, KEY_ROTATE, VTPM_REGISTER     DONE
 *   HOST_ADD                            HOST_ADDED
 *   TOKEN_ADD                           TOKEN
 *   POLICY_SHOW                         POLICY
 *   POLICY_SET, POLICY_ACCEPT           DONE
 *   VTPM_SHOW, VTPM_TAKEOVER            VTPM (as it was before), END
 *   REPLICA_ADD                         REPLICA_COPY
 *   AUDIT_LIST, AUDIT_HEADS             AUDIT_RECORD or AUDIT_HEAD ..., END
 *   AUDIT_LAST                          AUDIT_CHAIN
 *   STATE_LIST                          STATE ..., END
 *   STATE_RESTORE                       DONE
 *   IMAGE_LIST                          IMAGE ..., END
 *   IMAGE_ALLOW                         DONE
 *   VTPM_CLONE, VTPM_REKEY              DONE
 *   VTPM_RETIRE                         RETIREMENT
 *   SERVER_RENEW                        SERVER_RENEWED
 *   CA_LIST                             CA ..., END
 *   CA_RENEW                            CA, END (the new one)
 *   CA_SWITCH                           CA_SIGNS
 *   CA_RETIRE                           DONE
 *   KEY_REWRAP, REPLICA_FORGET          DONE
 *   KEY_LIST                            WRAPPING, WRAPPING_KMC ..., END
 *   MOVE_KEY                            MOVE_CARD
 *   VTPM_EXPORT                         EXPORTED, with a state: STATE_BYTES, END
 *   EXPORT_CANCEL, VTPM_MOVED           DONE
 *   STATE_PUT (a struct statefile)      DONE
 *   VTPM_IMPORT                         IMPORTED
 *   anything                            FAILED
 */
#ifndef KMC_ADMMSG_H
#define KMC_ADMMSG_H

#include <stdint.h>

#include "common/kmcmsg.h"
#include "common/msg.h"
#include "common/statefile.h"
#include "common/uuid.h"
#include "kmc/audit.h"
#include "kmc/movefile.h"

#define ADM_VERSION 1
#define ADM_BODY_MAX (KMC_STATE_MAX + 8192) /* a vTPM that comes from another KMC brings its state */
#define ADM_FIELDS_MAX 512 /* bytes of a message's struct */
#define ADM_REASON_MAX 400
#define ADM_PAGE 200 /* entries in one answer */

enum adm_type {
	ADM_STATUS = 1,
	ADM_STATUS_REPLY,
	ADM_POOL_LIST,
	ADM_POOL,
	ADM_POOL_PUT,
	ADM_HOST_LIST,
	ADM_HOST,
	ADM_HOST_ADD,
	ADM_HOST_ADDED,
	ADM_HOST_REMOVE,
	ADM_VTPM_LIST,
	ADM_VTPM,
	ADM_VTPM_SHOW,
	ADM_VTPM_TAKEOVER,
	ADM_VTPM_REGISTER,
	ADM_KEY_ROTATE,
	ADM_DONE,
	ADM_END,
	ADM_FAILED,
	ADM_AUDIT_LIST,
	ADM_AUDIT_RECORD,
	ADM_AUDIT_HEADS,
	ADM_AUDIT_HEAD,
	ADM_AUDIT_LAST,
	ADM_AUDIT_CHAIN,
	ADM_STATE_LIST,
	ADM_STATE,
	ADM_STATE_RESTORE,
	ADM_TOKEN_ADD,
	ADM_TOKEN,
	ADM_POLICY_SHOW,
	ADM_POLICY,
	ADM_POLICY_SET,
	ADM_POLICY_ACCEPT,
	ADM_REPLICA_ADD,
	ADM_REPLICA_COPY,
	ADM_IMAGE_LIST,
	ADM_IMAGE,
	ADM_IMAGE_ALLOW,
	ADM_VTPM_CLONE,
	ADM_VTPM_REKEY,
	ADM_VTPM_RETIRE,
	ADM_RETIREMENT,
	ADM_SERVER_RENEW,
	ADM_SERVER_RENEWED,
	ADM_CA_LIST,
	ADM_CA,
	ADM_CA_RENEW,
	ADM_CA_SWITCH,
	ADM_CA_SIGNS,
	ADM_CA_RETIRE,
	ADM_KEY_REWRAP,
	ADM_KEY_LIST,
	ADM_WRAPPING,
	ADM_WRAPPING_KMC,
	ADM_REPLICA_FORGET,
	ADM_MOVE_KEY,
	ADM_MOVE_CARD,
	ADM_VTPM_EXPORT,
	ADM_EXPORTED,
	ADM_STATE_BYTES,
	ADM_EXPORT_CANCEL,
	ADM_VTPM_IMPORT,
	ADM_IMPORTED,
	ADM_VTPM_MOVED,
	ADM_STATE_PUT,
};

struct adm_status_reply {
	struct view kmc, address, store;
	uint64_t started_at; /* seconds since 1970, as all times here */
	uint64_t hosts, vtpms, held, states, state_bytes;
	uint64_t opens, refusals; /* since the start */
	uint64_t wrapping;	  /* number of the wrapping key */
	uint64_t rewrap_left;	  /* what is not under it yet */
};

struct adm_list {
	struct view after; /* the last name or UUID of the page before; absent for the first page */
};

struct adm_pool {
	struct view name;
	uint64_t registered_only;
};

struct adm_pool_put {
	struct view name;
	uint64_t registered_only;
	uint64_t create; /* 1: must be new; 0: must be there */
};

struct adm_host {
	struct view name, pool;
	uint64_t removed, added_at, expires_at;
	uint64_t software_key; /* 1: its TLS key is a file */
	uint64_t enrolled;     /* 1: by token; the rest is void for others */
	uint64_t ek_check;     /* enum ek_check */
	struct view ek;	       /* SHA-256 of its endorsement key; absent: not enrolled */
	uint64_t attested_at, failed;
	struct view reason; /* why it failed, or a remark; absent: neither */
	struct view image;  /* that its stub domains start from; absent: not known */
	uint64_t issued_at; /* its present certificate */
	uint64_t renewed_at; /* the newest was issued then, and the host does not use it yet; 0: it uses the newest */
	uint64_t overdue;    /* 1: it should have renewed its certificate by now */
};

struct adm_host_add {
	struct view name, pool, spki;
	uint64_t not_before, not_after;
};

struct adm_host_added {
	struct view cert, ca; /* DER */
	struct view address;  /* of the KMC, for relay.conf */
};

struct adm_name {
	struct view name; /* absent: all (KEY_ROTATE only) */
};

struct adm_vtpm {
	struct uuid uuid;
	struct view pool;
	struct view holder, last_holder; /* absent: nobody */
	uint64_t generation, lease_epoch, owner_epoch, endorsement_epoch, platform_epoch, state_version;
	uint64_t has_seed;
	uint64_t created_at, opened_at, stored_at; /* 0: never */
	uint64_t suspended, image, suspended_at;   /* suspended: it waits for a domain that was restored from that image */
	struct view reserver;			   /* the host where such a one comes in; absent: none */
	uint64_t reserved_at;
	uint64_t parked;	       /* its holder keeps the lease although no guest runs, for a start without the KMC */
	uint64_t due_at, destroyed_at; /* of its seed, once it is retired; 0: it is not; not yet */
	struct view sharing;	       /* UUIDs of vTPMs with the same keys, 16 bytes each, the first ones; absent: none */
	uint64_t sharers;	       /* how many there are */
	struct view moving;	       /* name of the KMC that it goes to, since due_at; destroyed_at: it is there; absent: it does not move */
	struct view came_from;	       /* name of the KMC that it came from, at came_at; absent: it did not */
	uint64_t came_at;
};

struct adm_uuid {
	struct uuid uuid;
};

struct adm_register {
	struct uuid uuid;
	struct view pool;
};

struct adm_end {
	uint64_t more;
};

struct adm_token_add {
	struct view name, pool;
	uint64_t ttl;	/* seconds */
	struct view ek; /* SHA-256 of the only endorsement key that may use it; absent: any */
};

struct adm_token {
	struct view text; /* see common/token.h */
	uint64_t expires_at;
};

struct adm_policy {
	struct view pool;
	uint64_t pcrs, interval, require, ek, note_clock, note_firmware, maintenance_until; /* as struct store_policy */
	struct view images; /* 32 bytes each; absent: any */
};

struct adm_failed {
	uint64_t code; /* a positive enum vtpm_error */
	struct view reason;
};

struct adm_audit_list {
	uint64_t after; /* a record's number; 0: from the first */
};

struct adm_audit_record {
	uint64_t seq;
	struct view record; /* see kmc/audit.h */
};

struct adm_audit_head {
	struct view head; /* signed */
};

struct adm_audit_chain {
	uint64_t seq; /* of the last record, 0: there is none */
	struct view hash;
};

struct adm_state {
	uint64_t version, size, owner_epoch, endorsement_epoch, platform_epoch, stored_at;
	uint64_t newest; /* 1: the one that the next open gets */
};

struct adm_state_restore {
	struct uuid uuid;
	uint64_t version;
};

struct adm_replica_add {
	struct view name;		/* of the new kmcd */
	struct view ek, storage;	/* as struct vault_duplicate */
	struct view authority, signature;
	struct view remark; /* why its TPM is believed to be one, for the audit trail */
};

struct adm_replica_copy {
	struct view kmc; /* this one's name */
	struct view credential, secret, public, duplicate, seed; /* as struct vault_duplicated */
};

struct adm_image {
	uint64_t image, version, suspended_at;
	uint64_t fits; /* 1: the one that the vTPM is suspended with */
};

struct adm_image_allow {
	struct uuid uuid;
	uint64_t image;
};

struct adm_clone {
	struct uuid from, to;
	uint64_t share; /* 1: with the keys of @from */
};

struct adm_retire {
	struct uuid uuid;
	uint64_t grace;	 /* seconds until the seed is destroyed */
	uint64_t cancel; /* 1: it stays after all */
};

struct adm_retirement {
	uint64_t due_at;  /* when the seed is destroyed */
	uint64_t sharers; /* how many vTPMs have the same keys, and go on */
};

struct adm_move_card {
	struct view card; /* a CARD of kmc/movefile.h */
};

struct adm_export {
	struct uuid uuid;
	struct view card;	 /* who gets it */
	struct view fingerprint; /* as the administrator has read it there */
};

struct adm_exported {
	struct view package; /* a PACKAGE */
	uint64_t repeated;   /* 1: it was on its way already */
};

struct adm_state_bytes {
	struct view state; /* as its stub domain sealed it */
};

struct adm_import {
	struct view package;	 /* a PACKAGE */
	struct view state;	 /* absent: there is none */
	struct view fingerprint; /* of the KMC that it comes from, as the administrator has read it there */
	struct view pool;	 /* absent: of the same name as there */
};

struct adm_imported {
	struct view receipt; /* a RECEIPT */
	struct uuid uuid;
	uint64_t repeated;   /* 1: it was here already, and nothing has changed */
};

struct adm_moved {
	struct view receipt;
};

/* A certificate for this KMC's TLS. */
struct adm_server_renew {
	struct view spki, names; /* DNS names and addresses, separated by spaces */
	uint64_t not_before, not_after;
};

struct adm_server_renewed {
	struct view cert; /* DER */
};

/* A certificate authority, and whose change to it is not complete. */
struct adm_ca {
	uint64_t number, state, made_at; /* as struct store_authority */
	struct view certificate; /* DER */
	uint64_t waiting; /* how many hosts and KMCs it waits for: that don't trust it yet (next, current), or whose certificates are by it (former) */
	struct view names; /* of these, the first ones; absent: none */
};

struct adm_ca_renew {
	uint64_t not_before, not_after;
};

struct adm_ca_change {
	uint64_t force; /* 1: whoever is cut off by it */
};

struct adm_ca_signs {
	struct view certificate; /* DER */
};

/* The wrapping key. */
struct adm_wrapping {
	uint64_t number;
	uint64_t made_at, used_at, done_at; /* as struct store_wrapping; all 0: the first one */
	uint64_t all, left;		    /* things that are wrapped; not under it yet */
	uint64_t damaged;		    /* of these, what can't be wrapped anew */
};

struct adm_wrapping_kmc {
	struct view name;
	uint64_t newest, oldest; /* wrapping keys that are on its machine */
	struct view trouble;	 /* why it can't take the newest; absent: none */
};

struct adm_empty {
	uint8_t unused;
};

const struct msg_schema *adm_schema(uint64_t type);

struct buf;

/** adm_write() - append one message to @out: 0, E_RANGE or E_ARG. */
int adm_write(struct buf *out, enum adm_type type, const void *fields);

#endif
