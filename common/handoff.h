/*
 * The hand-off: what the relay and a stub domain say to each other over their channel.
 *
 *   stub domain                      relay
 *       | ------------ HELLO ---------> |   who I am; what I hold: nothing yet, or a vTPM whose relay went away
 *       | <---------- HANDOFF --------- |   identity, base seed, epochs, sealed state
 *       | ------------ READY ---------> |   seed taken, TPM up; the relay wipes its copy
 *       | <----------- SERVE ---------- |   the backend directory is yours: begin
 *       | --------- FRONTEND ---------> |   the guest's driver connected, or went away
 *       | ---- STORE / STORED --------> |   sealed state, whenever it changed
 *       | ---- CERTIFY / CERTIFICATES > |   of its endorsement keys, when it has none yet; the answer may never come
 *       | <---------- FREEZE ---------- |   the guest sleeps: serve nothing more, seal all of the TPM
 *       | ---------- FROZEN ----------> |
 *       | <----------- THAW ----------- |   it runs on, or runs here now: serve again, under this lease
 *       | <----------- CLOSE ---------- |   the guest is gone: orderly shutdown, wipe; of what is frozen: wipe
 *       | ----------- CLOSED ---------> |
 *
 * Before HANDOFF there may be STAY: a stub domain that holds nothing ends with its relay's channel, unless it is prepared under a name that
 * guests know it by; then it waits for the next relay.
 *
 * A HANDOFF with transient state is for a guest that was resumed: it meets its backend after SERVE, and no command of it is
 * served before THAW.
 *
 * Instead of HANDOFF there may be STAND_IN: the guest's TPM is gone with the stub domain that was here before. A stand-in begins
 * at once, answers TPM_RC_INITIALIZE to everything, holds nothing, and ends as any other; its HELLO to a later relay has the UUID of
 * the vTPM and lease epoch 0.
 *
 * FAILED may come from the stub domain at any time: a code and one line for the administrator. It serves nothing any more then. A TPM that
 * fails (libtpms' failure mode) is served on, as a TPM in that mode; STATUS_REPLY says so at once, without having been asked.
 *
 * A stub domain whose relay goes away serves on. It offers its channel anew, and its HELLO tells the next relay what
 * it holds; a STORE that was not answered is sent again.
 */
#ifndef COMMON_HANDOFF_H
#define COMMON_HANDOFF_H

#include <stdint.h>

#include "common/msg.h"
#include "common/origin.h"
#include "common/uuid.h"

#define HANDOFF_VERSION 1
#define HANDOFF_SEED_SIZE 32
#define HANDOFF_STATE_MAX (192 * 1024) /* sealed permanent state, bytes */
#define HANDOFF_TRANSIENT_MAX (32 * 1024) /* sealed transient state, bytes */
#define HANDOFF_CERTIFICATE_MAX 2048 /* bytes of an X.509 certificate, DER */
#define HANDOFF_BODY_MAX (HANDOFF_STATE_MAX + HANDOFF_TRANSIENT_MAX + 1024)

enum handoff_type {
	HANDOFF_HELLO = 1,
	HANDOFF_HANDOFF,
	HANDOFF_READY,
	HANDOFF_SERVE,
	HANDOFF_FRONTEND,
	HANDOFF_STORE,
	HANDOFF_STORED,
	HANDOFF_STATUS,
	HANDOFF_STATUS_REPLY,
	HANDOFF_CLOSE,
	HANDOFF_CLOSED,
	HANDOFF_FAILED,
	HANDOFF_CERTIFY,
	HANDOFF_CERTIFICATES,
	HANDOFF_FREEZE,
	HANDOFF_FROZEN,
	HANDOFF_THAW,
	HANDOFF_STAND_IN,
	HANDOFF_STAY,
	HANDOFF_END, /* no message: one more than the last */
};

struct handoff_hello {
	struct view program; /* SHA-256 of the program's file */
	struct view engine;  /* such as "libtpms 0.9.2" */
	struct view vtpm;    /* the UUID that it serves already, 16 bytes; absent: none, it waits for a hand-off */
	uint64_t lease_epoch, connected; /* of that vTPM; 0 without one; a lease epoch of 0 with a vTPM: it stands in for it */
	struct view held; /* present: it serves no command before THAW */
};

struct handoff_handoff {
	struct uuid uuid;   /* the vTPM's */
	struct view tenant; /* the pool's name */
	struct view seed;   /* base seed */
	uint64_t generation;
	uint64_t owner_epoch, endorsement_epoch, platform_epoch; /* 0 for a new vTPM that shares no keys */
	uint64_t lease_epoch;
	uint64_t guest_domid, devid;
	uint64_t incarnation; /* of the guest domain: 1 for a cold start; else one more than the image that it was frozen with */
	struct view state;    /* sealed; absent for a new vTPM */
	uint64_t state_version; /* the newest on record: an older state is refused; 0: there is none */
	struct view transient;	/* sealed, of the same version as state; absent for a cold start */
	struct view origin;	/* whose keys its roots are derived as; absent: its own. Never those that its state is sealed under */
};

struct handoff_ready {
	uint64_t state_version; /* 0: fresh */
	uint64_t lease_epoch;	/* of the hand-off: what was said before it does not count */
};

struct handoff_frontend {
	uint64_t connected; /* 1 or 0 */
};

struct handoff_store {
	uint64_t version; /* only grows */
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	struct view state; /* sealed */
};

struct handoff_stored {
	uint64_t version;
	uint64_t result; /* 0, or a positive enum vtpm_error: the old state is whole */
};

struct handoff_status_reply {
	uint64_t commands;     /* answered since the start */
	uint64_t malformed;    /* of those, answered with an error because they were no TPM commands */
	uint64_t resident_kib; /* memory of the program */
	uint64_t connected;    /* the guest's frontend, 1 or 0 */
	uint64_t service_ns;   /* time spent from event in to event out, summed over all commands */
	struct view failure;   /* present: the TPM is out of order until the guest is started anew, and why */
};

struct handoff_failed {
	uint64_t code; /* a positive enum vtpm_error */
	struct view reason;
};

/* Wanted: certificates of the endorsement keys under this epoch of that hierarchy. Asked again after a while, or by the next HELLO. */
struct handoff_certify {
	uint64_t endorsement_epoch;
};

struct handoff_certificates {
	uint64_t endorsement_epoch;
	struct view rsa, ecc; /* of the RSA-2048 and of the P-256 key */
};

struct handoff_freeze {
	uint64_t image;	      /* the domain's incarnation: what the image that is being saved is known by */
	uint64_t lease_epoch; /* the present one */
};

struct handoff_frozen {
	uint64_t version;
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	struct view state, transient; /* sealed */
};

struct handoff_thaw {
	uint64_t lease_epoch; /* from now on */
};

struct handoff_stand_in {
	struct uuid uuid; /* of the vTPM that is gone */
	uint64_t guest_domid, devid;
};

/* Messages without fields: SERVE, STATUS, CLOSE, CLOSED. */
struct handoff_empty {
	uint8_t unused;
};

/** handoff_schema() - the table entry of a message type, or NULL. */
const struct msg_schema *handoff_schema(uint64_t type);

struct buf;

/** handoff_write() - append one message to @out: 0, E_RANGE or E_ARG (see msg_write()). */
int handoff_write(struct buf *out, enum handoff_type type, const void *fields);

#endif
