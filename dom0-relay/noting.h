/* What the relay has put on record of a guest's vTPM (history.h), as its state changes. */
#ifndef DOM0_RELAY_NOTING_H
#define DOM0_RELAY_NOTING_H

#include "dom0-relay/guests.h"
#include "dom0-relay/history.h"

/** noting_event() - what there is to be noted when a device comes from @before into its present state; 0: nothing. */
enum history_event noting_event(enum guest_state before, enum guest_state now);

/** noting_detail() - what is to be said with it, from what is known of @g; "" for nothing. */
void noting_detail(const struct guest *g, enum guest_state before, enum history_event event, char detail[HISTORY_DETAIL]);

struct link;

/** noting_state() - tell the state process, over @disk, that @g came from @before; noting() - tell @event, with @detail or NULL. */
void noting_state(struct link *disk, const struct guest *g, enum guest_state before);
void noting(struct link *disk, const struct guest *g, enum history_event event, const char *detail);

#endif
