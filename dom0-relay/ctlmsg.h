/*
 * What vtpmctl and vtpm-relayd say over the control socket: one request, entries, an end.
 *
 *   vtpmctl: LIST        vtpm-relayd: STATUS, ENTRY ..., END
 *   vtpmctl: RENEW       vtpm-relayd: the same, as it was before; the renewal has begun
 *   vtpmctl: PREPARE     vtpm-relayd: REFUSED, END; or END: it has begun, and LIST tells of it
 *   vtpmctl: UNPREPARE   vtpm-relayd: REFUSED, END; or END
 */
#ifndef DOM0_RELAY_CTLMSG_H
#define DOM0_RELAY_CTLMSG_H

#include <stdint.h>

#include "common/msg.h"
#include "common/uuid.h"

#define CTL_VERSION 1
#define CTL_BODY_MAX 1024
#define CTL_REASON_MAX 400

enum ctl_type { CTL_LIST = 1, CTL_STATUS, CTL_ENTRY, CTL_END, CTL_RENEW, CTL_PREPARE, CTL_UNPREPARE, CTL_REFUSED };

struct ctl_status {
	struct view kmc; /* "connected", or why not */
	uint64_t kmc_up;
	uint64_t spares_ready, spares_wanted; /* stub domains that wait for a guest; as configured */
	uint64_t software_key; /* 1: the host's TLS key is a file */
	uint64_t certificate_until, renew_at; /* seconds since 1970: when it expires; when the next one is asked for */
	uint64_t renewals;	  /* tries that ended, since the start */
	struct view renew_failed; /* why the last of them failed; absent: it did not */
};

struct ctl_entry {
	uint64_t guest, dev; /* domain and device of the guest; guest 0: none, it is prepared */
	struct uuid uuid;    /* the vTPM's */
	uint64_t stub;	     /* domain of the stub domain, 0 for none */
	struct view state;
	uint64_t since;	     /* of that state, seconds since 1970 */
	struct view reason;  /* why it failed; absent if it did not */
	uint64_t connected;  /* the guest's driver is, 1 or 0 */
	/* What the stub domain answered when the listing before this one was asked for (handoff_status_reply). */
	uint64_t commands, malformed, service_ns, memory_kib;
	struct view backend; /* the name of its stub domain in vtpm lines; absent: its line says backend=0 */
};

#define CTL_NAME_MAX 64 /* bytes of a domain's name */

struct ctl_prepare {
	struct uuid uuid;
	struct view name;
};

struct ctl_unprepare {
	struct view name;
};

struct ctl_refused {
	struct view reason;
};

struct ctl_empty {
	uint8_t unused;
};

const struct msg_schema *ctl_schema(uint64_t type);

struct buf;

/** ctl_write() - append one message to @out: 0, E_RANGE or E_ARG. */
int ctl_write(struct buf *out, enum ctl_type type, const void *fields);

#endif
