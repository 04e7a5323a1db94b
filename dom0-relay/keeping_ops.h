/* What the owner of kept leases (keeping.h) is told. */
#ifndef DOM0_RELAY_KEEPING_OPS_H
#define DOM0_RELAY_KEEPING_OPS_H

#include <stdint.h>

#include "common/uuid.h"

/* What became of a guest that sleeps, woke up or was resumed. */
enum keeping_move {
	MOVE_FROZEN,	/* what was frozen is on record */
	MOVE_SUSPENDED, /* and the KMC has it */
	MOVE_SERVES,	/* the lease is ours again, or ours now: its new epoch is on record */
	MOVE_FENCED,	/* it is another's; why says the KMC's reason */
};

struct keeping_ops {
	void (*moved)(void *arg, uint64_t ticket, enum keeping_move what, uint64_t lease_epoch, const char *why);
	/* version 0: the record of the lease itself; r is 0 when it is safe, or E_IO with the reason */
	void (*stored)(void *arg, uint64_t ticket, uint64_t version, int r, const char *why);
	void (*fenced)(void *arg, uint64_t ticket, const char *why); /* the KMC says that the lease is another's */
	void (*released)(void *arg, uint64_t ticket);		     /* the KMC has it back */
	void (*ended)(void *arg, const struct uuid *uuid);	     /* nothing is kept for @uuid any more */
	void (*intended)(void *arg, const struct uuid *uuid, const char *why); /* that @uuid is opened is on record; why: it can't be, or NULL */
	void (*undecided)(void *arg, uint64_t ticket, const struct uuid *uuid); /* an earlier run was to open it: ask for what came of that */
};

#endif
