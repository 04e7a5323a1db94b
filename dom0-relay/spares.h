/*
 * The warm pool: stub domains that were built, have booted and said HELLO, and hold nothing yet, so that a guest's
 * creation need not wait for one.
 *
 *   BUILDING --builder--> BOOTING --hello--> READY --guest--> (the guest's)
 *
 * A guest takes what is furthest on. What a guest took, what died and what failed is replaced in the background; memory
 * that the host runs short of is given back from here first. The next one is built when the guest is served, not under its hands.
 */
#ifndef DOM0_RELAY_SPARES_H
#define DOM0_RELAY_SPARES_H

#include <stdbool.h>
#include <stdint.h>

struct builder_domain;
struct link;
struct loop;
struct relayconf;
struct spares;
struct stublink;
struct xenstore;

#define SPARES_MAX 16

/* What a guest gets: a domain and the link to it, or the promise of one. */
struct spare_taken {
	uint64_t ticket;       /* of its building */
	unsigned int stub;     /* 0: still being built, relay_built() tells by the ticket */
	struct stublink *link; /* NULL: it has not called yet; the guest's from now on */
	bool ready;	       /* it has said HELLO */
};

/**
 * spares_new() - an empty pool; spares_fill() fills it as @conf says
 * @builder: its answers are handed in through the functions below
 * @last_ticket: the counter that all tickets come from
 *
 * All stay the caller's. Return: the pool, or NULL if there is no memory.
 */
struct spares *spares_new(struct loop *loop, struct xenstore *xs, struct link *builder, const struct relayconf *conf, uint64_t *last_ticket);
void spares_free(struct spares **s);

/** spares_fill() - have built what is missing. */
void spares_fill(struct spares *s);

/** spares_fill_soon() - the same in a second: a guest was served, and building would only have delayed it. */
void spares_fill_soon(struct spares *s);

/** spares_take() - give one away; false if there is none. */
bool spares_take(struct spares *s, struct spare_taken *taken);

/* What the builder and xenstore tell; the first three are false for a ticket that is no spare's. */
bool spares_built(struct spares *s, uint64_t ticket, unsigned int stub);
bool spares_failed(struct spares *s, uint64_t ticket, const char *why);
bool spares_inspected(struct spares *s, uint64_t ticket, const struct builder_domain *d);
void spares_memory(struct spares *s, uint64_t free_mib);
void spares_meet(struct spares *s);    /* a channel appeared somewhere */
void spares_inspect(struct spares *s); /* a domain ended somewhere */

/** spares_ready() - how many are ready for a guest. */
unsigned int spares_ready(const struct spares *s);

#endif
