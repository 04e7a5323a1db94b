/*
 * Whose keys a vTPM has, when they are not its own: the UUID of the vTPM that they were first derived for, and its seed's generation then.
 *
 *   origin = uuid (16) || u32 generation, big endian
 *
 * In messages and hashes it is there for a vTPM that shares keys, and absent for every other one.
 */
#ifndef COMMON_ORIGIN_H
#define COMMON_ORIGIN_H

#include <stdbool.h>

#include "common/msg.h"
#include "common/uuid.h"

#define ORIGIN_SIZE (UUID_SIZE + 4)

struct origin {
	struct uuid uuid;
	uint32_t generation; /* 0: its keys are its own */
};

/** origin_put() - @o as bytes in @room; absent for one whose keys are its own. */
struct view origin_put(const struct origin *o, uint8_t room[ORIGIN_SIZE]);

/** origin_get() - from a field of a message: 0, or E_FORMAT for what is none. Absent: the vTPM's keys are its own. */
int origin_get(struct view v, struct origin *o);

#endif
