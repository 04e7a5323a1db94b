/*
 * A vTPM's sealed state as a host has it, on its way to the KMC by hand: 'vtpmctl state export' writes it, 'kmcctl vtpm restore --state' takes it.
 *
 * One frame of common/msg.h. Nothing secret, and nothing that its reader believes: the stub domain finds out at the next start whether the state is
 * this vTPM's, unaltered, and of that version.
 */
#ifndef COMMON_STATEFILE_H
#define COMMON_STATEFILE_H

#include "common/kmcmsg.h"
#include "common/msg.h"
#include "common/uuid.h"

struct buf;

#define STATEFILE_MAX (KMC_STATE_MAX + 256) /* bytes of such a file */

struct statefile {
	struct uuid uuid;
	uint64_t lease_epoch, version; /* the lease under which it was stored */
	uint64_t owner_epoch, endorsement_epoch, platform_epoch;
	struct view state;
};

extern const struct msg_schema statefile_schema;

/** statefile_write() - append to @out: 0, E_RANGE or E_ARG. */
int statefile_write(struct buf *out, const struct statefile *f);

/** statefile_read() - @in is one and nothing else; the state points into it. 0 or an error of the parser. */
int statefile_read(struct view in, struct statefile *f);

#endif
