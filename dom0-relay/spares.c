/* The warm pool of stub domains. */
#include "dom0-relay/spares.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/stublink.h"
#include "dom0-relay/xenstore.h"

#define SETTLE_MS 1000	 /* after a guest was served, until its place in the pool is filled */
#define LOOK_MS 10000	 /* between two looks at the host's memory, and at spares that don't call */
#define BOOT_LOOKS 3	 /* in which a spare must have called */
#define PAUSE_LOOKS 6	 /* before another try after a failure */
#define HEADROOM_MIB 64	 /* that spares leave to the host */

enum spare_state { SPARE_NONE, SPARE_BUILDING, SPARE_BOOTING, SPARE_READY };

struct spare {
	enum spare_state state;
	struct spares *pool;
	uint64_t ticket;
	unsigned int stub, looks;
	struct stublink *link;
};

struct spares {
	struct loop *loop;
	struct xenstore *xs;
	struct link *builder;
	const struct relayconf *conf;
	uint64_t *last_ticket;
	struct source *timer, *settle;
	unsigned int pause; /* looks to wait before anything is built */
	struct spare table[SPARES_MAX];
};

static void on_look(void *arg, unsigned int what);

static void on_settled(void *arg, unsigned int what)
{
	(void)what;
	spares_fill(arg);
}

struct spares *spares_new(struct loop *loop, struct xenstore *xs, struct link *builder, const struct relayconf *conf, uint64_t *last_ticket)
{
	struct spares *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct spares){.loop = loop, .xs = xs, .builder = builder, .conf = conf, .last_ticket = last_ticket};
	s->timer = source_timer(loop, on_look, s);
	s->settle = source_timer(loop, on_settled, s);
	if (!s->timer || !s->settle)
		spares_free(&s);
	else
		source_set_ms(s->timer, LOOK_MS);
	return s;
}

void spares_free(struct spares **s)
{
	if (!*s)
		return;
	for (size_t i = 0; i < SPARES_MAX; i++)
		stublink_free(&(*s)->table[i].link);
	source_free(&(*s)->timer);
	source_free(&(*s)->settle);
	free(*s);
	*s = NULL;
}

static struct spare *find(struct spares *s, uint64_t ticket)
{
	for (size_t i = 0; i < SPARES_MAX; i++)
		if (s->table[i].state != SPARE_NONE && s->table[i].ticket == ticket)
			return &s->table[i];
	return NULL;
}

static unsigned int count(const struct spares *s, enum spare_state at_least)
{
	unsigned int n = 0;

	for (size_t i = 0; i < SPARES_MAX; i++)
		n += s->table[i].state >= at_least;
	return n;
}

unsigned int spares_ready(const struct spares *s)
{
	return count(s, SPARE_READY);
}

static void watch(struct spare *p, bool on)
{
	const struct node_ids ids = {.stub = p->stub};
	struct xenstore *xs = p->pool->xs;
	char path[NODE_PATH_MAX];

	node_path(path, NODE_CHANNEL, ids);
	if (!on)
		xenstore_unwatch(xs, path, "stub");
	else if (xenstore_watch(xs, path, "stub") != 0)
		log_warn("xenstore refused a watch on a spare stub domain");
}

static void clear(struct spare *p)
{
	stublink_free(&p->link);
	memset(p, 0, sizeof(*p));
}

/* Give the domain back to the host; what it was told to build is destroyed when it is there. */
static void discard(struct spare *p)
{
	const struct builder_destroy q = {.domid = p->stub};

	if (p->stub) {
		watch(p, false);
		link_send(p->pool->builder, BUILDER_DESTROY, BUILD_ID(BUILD_ID_DESTROY, 0), &q);
	}
	clear(p);
}

void spares_fill(struct spares *s)
{
	if (s->pause)
		return;
	for (size_t i = 0; i < SPARES_MAX && count(s, SPARE_BUILDING) < s->conf->stub_spares; i++) {
		struct spare *p = &s->table[i];
		char name[40];
		struct builder_build q = {.headroom_mib = HEADROOM_MIB};

		if (p->state != SPARE_NONE)
			continue;
		*p = (struct spare){.state = SPARE_BUILDING, .pool = s, .ticket = ++*s->last_ticket};
		snprintf(name, sizeof(name), "vtpm-spare-%llu", (unsigned long long)p->ticket);
		q.name = view_text(name);
		link_send(s->builder, BUILDER_BUILD, BUILD_ID(BUILD_ID_BUILD, p->ticket), &q);
	}
}

void spares_fill_soon(struct spares *s)
{
	source_set_ms(s->settle, SETTLE_MS);
}

bool spares_take(struct spares *s, struct spare_taken *taken)
{
	struct spare *best = NULL;

	for (size_t i = 0; i < SPARES_MAX; i++)
		if (s->table[i].state != SPARE_NONE && (!best || s->table[i].state > best->state))
			best = &s->table[i];
	if (!best)
		return false;
	*taken = (struct spare_taken){.ticket = best->ticket, .stub = best->stub, .link = best->link, .ready = best->state == SPARE_READY};
	best->link = NULL;
	clear(best);
	return true;
}

/* --- what happens to a spare --- */

static void on_message(void *arg, enum handoff_type type, const void *fields)
{
	struct spare *p = arg;
	const struct handoff_hello *hello = fields;

	if (type == HANDOFF_HELLO && p->state == SPARE_BOOTING && !hello->vtpm.p) {
		p->state = SPARE_READY;
		return;
	}
	log_warn("spare stub domain %u says what it must not: replacing it", p->stub);
	discard(p);
}

static void on_broken(void *arg, const char *why)
{
	struct spare *p = arg;

	log_warn("spare stub domain %u: %s: replacing it", p->stub, why);
	p->pool->pause = 1;
	discard(p);
}

void spares_meet(struct spares *s)
{
	static const struct stublink_ops ops = {.message = on_message, .broken = on_broken};

	for (size_t i = 0; i < SPARES_MAX; i++) {
		struct spare *p = &s->table[i];
		const struct node_ids ids = {.stub = p->stub};
		char path[NODE_PATH_MAX];
		struct channel *channel;

		if (p->state != SPARE_BOOTING || p->link || !xenstore_has(s->xs, node_path(path, NODE_CHANNEL_EVENT, ids)))
			continue;
		channel = channel_vchan_client(p->stub, node_path(path, NODE_CHANNEL, ids));
		p->link = channel ? stublink_new(s->loop, channel, &ops, p) : NULL;
	}
}

bool spares_built(struct spares *s, uint64_t ticket, unsigned int stub)
{
	struct spare *p = find(s, ticket);

	if (!p)
		return false;
	p->state = SPARE_BOOTING;
	p->stub = stub;
	watch(p, true);
	return true;
}

bool spares_failed(struct spares *s, uint64_t ticket, const char *why)
{
	struct spare *p = find(s, ticket);

	if (!p)
		return false;
	if (!s->pause)
		log_warn("no spare stub domain: %s", why);
	s->pause = PAUSE_LOOKS;
	clear(p);
	return true;
}

bool spares_inspected(struct spares *s, uint64_t ticket, const struct builder_domain *d)
{
	struct spare *p = find(s, ticket);

	if (!p)
		return false;
	if (d->domid == p->stub && (!d->exists || d->shutdown)) {
		log_warn("spare stub domain %u has died: replacing it", p->stub);
		s->pause = 1;
		discard(p);
	}
	return true;
}

void spares_inspect(struct spares *s)
{
	for (size_t i = 0; i < SPARES_MAX; i++) {
		const struct builder_inspect q = {.domid = s->table[i].stub};

		if (s->table[i].stub)
			link_send(s->builder, BUILDER_INSPECT, BUILD_ID(BUILD_ID_STUB, s->table[i].ticket), &q);
	}
}

void spares_memory(struct spares *s, uint64_t free_mib)
{
	for (size_t i = 0; i < SPARES_MAX && free_mib < HEADROOM_MIB; i++) {
		struct spare *p = &s->table[i];

		if (!p->stub)
			continue;
		log_info("the host is short of memory (%llu MiB free): giving back spare stub domain %u", (unsigned long long)free_mib, p->stub);
		free_mib += s->conf->stub_memory_mib;
		s->pause = PAUSE_LOOKS;
		discard(p);
	}
}

static void on_look(void *arg, unsigned int what)
{
	struct spares *s = arg;

	(void)what;
	for (size_t i = 0; i < SPARES_MAX; i++) {
		struct spare *p = &s->table[i];

		if (p->state == SPARE_BOOTING && ++p->looks > BOOT_LOOKS) {
			log_warn("spare stub domain %u has not called: replacing it; its console's log may say why", p->stub);
			s->pause = PAUSE_LOOKS;
			discard(p);
		}
	}
	if (s->pause)
		s->pause--;
	if (count(s, SPARE_BOOTING))
		link_send(s->builder, BUILDER_MEMORY, 0, NULL);
	spares_fill(s);
	source_set_ms(s->timer, LOOK_MS);
}
