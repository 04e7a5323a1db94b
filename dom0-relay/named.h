/*
 * Named backends: stub domains that are prepared for one vTPM each, under a name that vtpm lines call them by (vtpmctl prepare). prepared.h
 * has the life of each, and retiring.h ends the devices of guests that had one.
 *
 * Theory of operation: with `vtpm=["backend=NAME,uuid=U"]` libxl itself finds the domain of that name, makes the device's backend directory
 * below it, and waits there, both when the guest is created and when it is rebooted. So a domain of that name must be there all the time, and
 * the one that a guest had can't be another's: it held that guest's TPM. When a guest goes, the next domain is built and takes the name before
 * libxl hears 6; the old one, which has libxl's directory below it, goes once libxl has let go of the device.
 *
 * A domain that is READY has said HELLO and holds nothing: no seed and no lease. The KMC was asked only whether it would give the vTPM to this
 * host, so that a prepared vTPM can still start, or be resumed, anywhere else. What is prepared stands in xenstore, below dom0, and a relay that
 * is restarted goes on with it.
 */
#ifndef DOM0_RELAY_NAMED_H
#define DOM0_RELAY_NAMED_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "common/kmcmsg.h"
#include "common/uuid.h"
#include "xenstore-schema/nodes.h"

struct builder_domain;
struct kmclink;
struct link;
struct loop;
struct named;
struct spare_taken;
struct spares;
struct xenstore;

#define NAMED_MAX 64
#define NAMED_WHY 300 /* bytes of a reason */

struct named_ops {
	void (*parted)(void *arg, uint64_t ticket);	 /* the next domain has the name (or can't be had): the guest's own may go */
	void (*let_go)(void *arg, struct node_ids ids); /* libxl knows that device no more */
};

/** named_new() - nothing is prepared; all arguments stay the caller's. NULL if there is no memory. */
struct named *named_new(struct loop *loop, struct xenstore *xs, struct link *builder, struct kmclink *kmc, struct spares *spares,
			uint64_t *last_ticket, const struct named_ops *ops, void *arg);
void named_free(struct named **n);

/**
 * named_prepare() - begin to prepare a domain called @name for @uuid; named_each() tells what becomes of it
 *
 * Return: 0, E_ARG (the name), E_EXISTS or E_NOMEM, with @why.
 */
int named_prepare(struct named *n, const struct uuid *uuid, const char *name, char why[NAMED_WHY]);

/** named_unprepare() - and end it: 0, E_NOTFOUND or E_BUSY (a guest has it, or an earlier relay made it just before), with @why. */
int named_unprepare(struct named *n, const char *name, char why[NAMED_WHY]);

/** named_allows() - may a guest's line say @backend (0: dom0) for @uuid? 0, or E_DENIED with @why. */
int named_allows(const struct named *n, unsigned int backend, const struct uuid *uuid, char why[NAMED_WHY]);

/** named_take() - give the prepared domain ids.stub to the guest with @ticket; false: it is not there any more. */
bool named_take(struct named *n, struct node_ids ids, uint64_t ticket, struct spare_taken *taken);

/** named_leave() - the guest's end begins: have the next domain built. More than once does no harm. */
void named_leave(struct named *n, uint64_t ticket);

/**
 * named_retire() - the guest is done with the domain ids.stub, which goes once libxl has let go of the device
 * @gone: it was destroyed already
 *
 * Return: true if the guest need not wait for ops->parted.
 */
bool named_retire(struct named *n, struct node_ids ids, uint64_t ticket, bool gone);

/** named_answered() - 6 stands in the directory of the device @ids: it is removed once libxl has seen that. */
void named_answered(struct named *n, struct node_ids ids);

/** named_has_died() - the domain that serves the guest was destroyed; named_is_back() - a stand-in has its number, or the builder kept it. */
void named_has_died(struct named *n, uint64_t ticket);
void named_is_back(struct named *n, uint64_t ticket);

/** named_name() - the name of the domain that the guest with @ticket has, or NULL. */
const char *named_name(struct named *n, uint64_t ticket);

/* --- after a restart --- */

/**
 * named_found() - read what earlier runs prepared
 * @fn: called for each guest that had such a domain; named_kept() says that it has it still
 */
void named_found(struct named *n, void (*fn)(void *arg, struct node_ids ids), void *arg);
void named_kept(struct named *n, unsigned int stub, uint64_t ticket);
void named_settle(struct named *n, void (*fn)(void *arg, unsigned int stub), void *arg); /* @fn: for each domain that waits for a guest */

/* --- what others tell; false for a ticket that is not ours --- */

bool named_built(struct named *n, uint64_t ticket, unsigned int stub);
bool named_failed(struct named *n, uint64_t ticket, const char *why);
void named_renamed(struct named *n, uint64_t ticket);
bool named_builder_kept(struct named *n, uint64_t ticket);
void named_inspected(struct named *n, uint64_t ticket, const struct builder_domain *d);
void named_inspect(struct named *n); /* a domain ended somewhere */
void named_meet(struct named *n);    /* a channel appeared somewhere */
void named_kmc(struct named *n, enum kmc_type type, uint64_t ticket, const void *fields);
void named_up(struct named *n);	  /* the KMC can be asked */
void named_down(struct named *n); /* it can't any more */

/* What is listed: all but those that serve, which are their guests' rows. */
struct named_row {
	const char *name, *state, *reason; /* reason: "" for none */
	struct uuid uuid;
	unsigned int stub;
	time_t since;
};

void named_each(const struct named *n, void (*fn)(void *arg, const struct named_row *row), void *arg);

#endif
