/* A record of the state directory that owns what its views point to. All zeroes: nothing. */
#ifndef DOM0_RELAY_RECORD_COPY_H
#define DOM0_RELAY_RECORD_COPY_H

#include "common/buf.h"
#include "common/kmcmsg.h"
#include "dom0-relay/statemsg.h"

struct record_copy {
	struct state_record r; /* its views point into the following */
	struct buf state, transient;
	uint8_t request[KMC_REQUEST_ID_SIZE];
};

/** record_copy_set() - make *@c a copy of @r, which may point into *@c: 0, or E_NOMEM with *@c as it was. */
int record_copy_set(struct record_copy *c, const struct state_record *r);

/** record_copy_move() - *@to takes what *@from has, which is nothing then. */
void record_copy_move(struct record_copy *to, struct record_copy *from);

void record_copy_free(struct record_copy *c);

#endif
