/* State and leases on their way to the KMC. */
#include "dom0-relay/keeping.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"

#define KEEPING_MAX 512

struct item {
	uint64_t ticket; /* 0: free */
	bool has_store, store_sent, has_release, release_sent;
	struct kmc_store store; /* its view points into state */
	struct buf state;
	struct kmc_release release;
};

struct keeping {
	struct kmclink *kmc;
	const struct keeping_ops *ops;
	void *arg;
	struct item table[KEEPING_MAX];
};

struct keeping *keeping_new(struct kmclink *kmc, const struct keeping_ops *ops, void *arg)
{
	struct keeping *k = calloc(1, sizeof(*k));

	if (k) {
		k->kmc = kmc;
		k->ops = ops;
		k->arg = arg;
	}
	return k;
}

void keeping_free(struct keeping **k)
{
	if (!*k)
		return;
	for (size_t i = 0; i < KEEPING_MAX; i++)
		buf_free(&(*k)->table[i].state);
	free(*k);
	*k = NULL;
}

static struct item *find(struct keeping *k, uint64_t ticket)
{
	for (size_t i = 0; i < KEEPING_MAX; i++)
		if (k->table[i].ticket == ticket)
			return &k->table[i];
	return NULL;
}

/* The ticket's item, new if need be. */
static struct item *get(struct keeping *k, uint64_t ticket)
{
	struct item *i = find(k, ticket);

	if (!i && (i = find(k, 0)) != NULL)
		i->ticket = ticket;
	return i;
}

static void end_if_done(struct item *i)
{
	if (i->has_store || i->has_release)
		return;
	buf_free(&i->state);
	memset(i, 0, sizeof(*i));
}

/* One message of an item at a time: the store, then the release. */
static void send_next(struct keeping *k, struct item *i)
{
	if (i->has_store) {
		if (!i->store_sent)
			i->store_sent = kmclink_send(k->kmc, KMC_STORE, KMC_ID(KMC_ID_STORE, i->ticket), &i->store) == 0;
	} else if (i->has_release && !i->release_sent) {
		i->release_sent = kmclink_send(k->kmc, KMC_RELEASE, KMC_ID(KMC_ID_RELEASE, i->ticket), &i->release) == 0;
	}
	if (!kmclink_is_up(k->kmc))
		kmclink_hurry(k->kmc);
}

int keeping_store(struct keeping *k, uint64_t ticket, const struct kmc_store *store)
{
	struct item *i = get(k, ticket);
	struct buf copy;

	if (!i)
		return E_NOMEM;
	if (buf_init(&copy, store->state.n) != 0) {
		end_if_done(i);
		return E_NOMEM;
	}
	buf_put(&copy, store->state.p, store->state.n);
	buf_free(&i->state);
	i->state = copy;
	i->store = *store;
	i->store.state = view_of(buf_ptr(&i->state), buf_left(&i->state));
	i->has_store = true;
	i->store_sent = false; /* an answer to the older version is told apart by its number */
	send_next(k, i);
	return 0;
}

int keeping_release(struct keeping *k, uint64_t ticket, const struct uuid *uuid, uint64_t lease_epoch)
{
	struct item *i = get(k, ticket);

	if (!i)
		return E_NOMEM;
	i->release = (struct kmc_release){.uuid = *uuid, .lease_epoch = lease_epoch};
	i->has_release = true;
	i->release_sent = false;
	send_next(k, i);
	return 0;
}

void keeping_up(struct keeping *k)
{
	for (size_t n = 0; n < KEEPING_MAX; n++) {
		struct item *i = &k->table[n];

		if (!i->ticket)
			continue;
		i->store_sent = i->release_sent = false;
		send_next(k, i);
	}
}

static void on_store_answer(struct keeping *k, struct item *i, enum kmc_type type, const void *fields)
{
	const struct kmc_stored *stored = fields;
	const struct kmc_refused *refused = fields;
	uint64_t ticket = i->ticket, version = i->store.version;
	int r = 0;

	if (type == KMC_STORED && stored->version != version)
		return; /* of a version that was replaced meanwhile */
	if (type == KMC_REFUSED) {
		log_error("the KMC refused state version %" PRIu64 " (%s): %.*s", version, kmc_refusal_text(refused->code),
			  (int)refused->reason.n, (const char *)refused->reason.p);
		r = E_STATE;
	} else if (type != KMC_STORED) {
		return;
	}
	i->has_store = i->store_sent = false;
	send_next(k, i);
	end_if_done(i);
	k->ops->stored(k->arg, ticket, version, r);
}

static void on_release_answer(struct keeping *k, struct item *i, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *refused = fields;
	uint64_t ticket = i->ticket;

	if (type == KMC_REFUSED)
		log_warn("the KMC did not take a lease back (%s): %.*s", kmc_refusal_text(refused->code), (int)refused->reason.n,
			 (const char *)refused->reason.p);
	else if (type != KMC_RELEASED)
		return;
	i->has_release = i->release_sent = false;
	end_if_done(i);
	k->ops->released(k->arg, ticket);
}

void keeping_kmc(struct keeping *k, enum kmc_type type, uint64_t id, const void *fields)
{
	struct item *i = KMC_ID_TICKET(id) ? find(k, KMC_ID_TICKET(id)) : NULL;

	if (i && KMC_ID_KIND(id) == KMC_ID_STORE && i->store_sent)
		on_store_answer(k, i, type, fields);
	else if (i && KMC_ID_KIND(id) == KMC_ID_RELEASE && i->release_sent)
		on_release_answer(k, i, type, fields);
	else
		log_warn("the KMC answered what was not asked");
}
