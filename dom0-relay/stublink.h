/* The relay's end of the hand-off with one stub domain: frames of common/handoff.h over a channel. */
#ifndef DOM0_RELAY_STUBLINK_H
#define DOM0_RELAY_STUBLINK_H

#include <stdint.h>

#include "common/handoff.h"

struct channel;
struct loop;
struct stublink;

struct stublink_ops {
	/* @fields: the type's struct; views are valid during the call only */
	void (*message)(void *arg, enum handoff_type type, const void *fields);
	/* the stub domain is gone or talks nonsense; the link says nothing more */
	void (*broken)(void *arg, const char *why);
};

/** stublink_new() - talk over @channel, which the link owns from now on, even if NULL (no memory) is returned. */
struct stublink *stublink_new(struct loop *loop, struct channel *channel, const struct stublink_ops *ops, void *arg);

/** stublink_send() - queue one message: 0, or E_RANGE when the stub domain does not read. */
int stublink_send(struct stublink *l, enum handoff_type type, const void *fields);

/** stublink_rebind() - somebody else is told from now on. */
void stublink_rebind(struct stublink *l, const struct stublink_ops *ops, void *arg);

/** stublink_free() - close and release *@l, inside its own callbacks too; it may be NULL. */
void stublink_free(struct stublink **l);

#endif
