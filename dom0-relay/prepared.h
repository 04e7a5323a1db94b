/*
 * One prepared stub domain: it is had, called by its name, waits for its guest, and is replaced when that goes. named.h has them all.
 *
 *   CHECKING --KMC--> BUILDING --builder--> BOOTING --hello--> READY --guest--> SERVING --guest ends--> BUILDING ...
 *
 * What fails before the domain was ever there is FAILED; later it is WAITING for the next try.
 */
#ifndef DOM0_RELAY_PREPARED_H
#define DOM0_RELAY_PREPARED_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/uuid.h"
#include "dom0-relay/xenstore.h"
#include "xenstore-schema/nodes.h"

struct builder_domain;
struct link;
struct loop;
struct spare_taken;
struct spares;
struct stublink;

#define PREPARED_WHY 300 /* bytes of a reason */

enum prepared_state {
	PREPARED_NONE,
	PREPARED_CHECKING, /* the KMC was asked */
	PREPARED_BUILDING, /* the builder was; stub is 0 */
	PREPARED_BOOTING,  /* it has not called yet */
	PREPARED_READY,	   /* it waits for its guest */
	PREPARED_SERVING,  /* the guest has it */
	PREPARED_WAITING,  /* for the next try to build one */
	PREPARED_FAILED,   /* it was never there; kept for its reason */
};

/* What all of them need; nothing of it is theirs. */
struct prepared_world {
	struct loop *loop;
	struct xenstore *xs;
	struct link *builder;
	struct spares *spares;
	uint64_t *last_ticket;
	void (*changed)(void *arg);			 /* a state: prepared_look() is wanted in a while */
	void (*parted)(void *arg, uint64_t ticket); /* see named_ops */
	void (*forsaken)(void *arg, uint64_t ticket, unsigned int stub); /* given up, and the builder has yet to say whether it keeps it */
	void *arg;
};

struct prepared {
	enum prepared_state state;
	const struct prepared_world *world;
	char name[XENSTORE_NAME_MAX + 1];
	struct uuid uuid;
	uint64_t ticket;     /* of what is under way */
	unsigned int stub;
	struct stublink *link;
	bool asked;	     /* the KMC was */
	bool ours;	     /* the builder knows the domain: it may be destroyed */
	bool keeping;	     /* the builder was asked to keep it, and has not answered */
	bool called;	     /* by its name */
	bool own;	     /* what is built was ordered for it, and is no spare */
	bool settled;	     /* it was there once: whatever fails from then on is tried again */
	bool found;	     /* an earlier relay made it: it waits on whatever becomes of its channel */
	bool lost;	     /* found, and no guest has it any more: it held that guest's TPM */
	unsigned int old;    /* the domain before this one, which has the record until this one gets the name; 0: none */
	struct node_ids ids; /* of the guest that has it */
	uint64_t guest;	     /* its ticket; 0: none */
	uint64_t leaver;     /* a guest that waits for the next domain */
	unsigned int looks;  /* in this state */
	time_t since;
	char reason[PREPARED_WHY];
};

/** prepared_begin() - a fresh entry, CHECKING; prepared_found() - one that an earlier relay made, BOOTING: ids.stub, and ids.guest if a guest had it. */
void prepared_begin(struct prepared *p, const struct prepared_world *world, const struct uuid *uuid, const char *name);
void prepared_found(struct prepared *p, const struct prepared_world *world, const struct uuid *uuid, const char *name, struct node_ids ids);

/** prepared_end() - nothing is left of it, and the entry is free. */
void prepared_end(struct prepared *p);

/** prepared_supply() - have a domain: a spare, ready or on its way; else one of its own. */
void prepared_supply(struct prepared *p);

/** prepared_replace() - the same, after giving up the one that it has. */
void prepared_replace(struct prepared *p);

/** prepared_lack() - there is no domain, or it is of no use: the first time that is the end of it, later it is tried again. */
void prepared_lack(struct prepared *p, const char *why);

/** prepared_serve() - the guest with @ticket has its domain from now on. */
void prepared_serve(struct prepared *p, uint64_t ticket);

/** prepared_give() - to the guest @ids: what named_take() gives. */
void prepared_give(struct prepared *p, struct node_ids ids, uint64_t ticket, struct spare_taken *taken);

/** prepared_leave() - its guest's end begins: the next domain, which gets the name. */
void prepared_leave(struct prepared *p);

/** prepared_keep() - have the builder keep a domain that was found; prepared_is_kept() - it does, or a stand-in has its number. */
void prepared_keep(struct prepared *p);
void prepared_is_kept(struct prepared *p);

/* What others tell; see named.h. */
void prepared_built(struct prepared *p, unsigned int stub);
void prepared_build_failed(struct prepared *p, const char *why);
void prepared_renamed(struct prepared *p);
void prepared_inspected(struct prepared *p, const struct builder_domain *d);
void prepared_inspect(struct prepared *p);
void prepared_meet(struct prepared *p);

/** prepared_look() - some time has passed. Return: true if it wants to be looked at again. */
bool prepared_look(struct prepared *p);

/** prepared_unwatch() - the number @stub may be another domain's soon; prepared_destroy() - and have that domain destroyed. */
void prepared_unwatch(const struct prepared_world *w, unsigned int stub);
void prepared_destroy(const struct prepared_world *w, unsigned int stub);

#endif
