/* What a host keeps to start a guest without KMC, and for how long that counts: no I/O, no clock. */
#ifndef DOM0_RELAY_GRACE_H
#define DOM0_RELAY_GRACE_H

#include <stdint.h>

#include "common/msg.h"

/* The copy, as a record has it beside the lease: a frame of msg.h. */
struct grace_copy {
	struct view tenant;
	uint64_t generation, pcrs;
	struct view sealed;
	struct view origin; /* whose keys it has; absent: its own */
};

struct buf;

/** grace_copy_write() - append @c to @out: 0 or an error of msg_write(). */
int grace_copy_write(struct buf *out, const struct grace_copy *c);

/** grace_copy_read() - all of @v; the views of @c point into it. 0 or an error of msg_next() and msg_fields(). */
int grace_copy_read(struct view v, struct grace_copy *c);

/** grace_why_not() - NULL: a KMC was there at @contact, and @grace_s seconds have not passed @now. Pure; seconds since 1970. */
const char *grace_why_not(uint64_t grace_s, uint64_t contact, uint64_t now);

#endif
