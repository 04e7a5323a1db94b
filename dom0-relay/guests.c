/* The table of vTPM devices. */
#include "dom0-relay/guests.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/loop.h"
#include "common/secret.h"
#include "dom0-relay/stublink.h"

struct guest *guests_add(struct guests *t, struct node_ids ids)
{
	struct guest *g = guests_by_ticket(t, 0);

	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	g->ticket = ++t->last_ticket;
	g->ids = ids;
	g->since = time(NULL);
	return g;
}

void guest_lease_clear(struct guest_lease *l)
{
	secret_free(&l->seed);
	buf_free(&l->state);
	buf_free(&l->transient);
}

void guests_drop(struct guest *g)
{
	guest_lease_clear(&g->lease);
	stublink_free(&g->stub);
	source_free(&g->deadline);
	source_free(&g->look);
	memset(g, 0, sizeof(*g));
}

struct guest *guests_find(struct guests *t, struct node_ids ids)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (t->table[i].ticket && t->table[i].ids.guest == ids.guest && t->table[i].ids.dev == ids.dev)
			return &t->table[i];
	return NULL;
}

struct guest *guests_by_ticket(struct guests *t, uint64_t ticket)
{
	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (t->table[i].ticket == ticket)
			return &t->table[i];
	return NULL;
}

struct guest *guests_by_stub(struct guests *t, unsigned int stub)
{
	for (size_t i = 0; stub && i < GUESTS_MAX; i++)
		if (t->table[i].ticket && t->table[i].ids.stub == stub)
			return &t->table[i];
	return NULL;
}

static bool has(const struct guest *g, const struct uuid *uuid)
{
	return g->ticket && g->machine.state != GUEST_FAILED && uuid_equal(&g->uuid, uuid);
}

struct guest *guests_holder(struct guests *t, const struct guest *self, const struct uuid *uuid)
{
	const struct guest *source = self ? guests_source(t, self) : NULL;

	for (size_t i = 0; i < GUESTS_MAX; i++)
		if (&t->table[i] != self && &t->table[i] != source && has(&t->table[i], uuid))
			return &t->table[i];
	return NULL;
}

struct guest *guests_source(struct guests *t, const struct guest *g)
{
	for (size_t i = 0; i < GUESTS_MAX && g->incarnation > 1; i++)
		if (&t->table[i] != g && t->table[i].image + 1 == g->incarnation && has(&t->table[i], &g->uuid))
			return &t->table[i];
	return NULL;
}

void guest_log(const struct guest *g, enum log_level level, const char *fmt, ...)
{
	char text[GUEST_REASON + 160], uuid[UUID_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_about(level, ABOUT(.vtpm = &g->uuid, .domid = g->ids.guest), "domain %u device %u vTPM %s: %s", g->ids.guest, g->ids.dev,
		  uuid_format(&g->uuid, uuid), text);
}

void guests_remember(struct guests *t, const struct guest *g)
{
	struct refusal *r = &t->refusals[t->next_refusal++ % REFUSALS_MAX];

	*r = (struct refusal){.ids = g->ids, .uuid = g->uuid, .when = time(NULL)};
	memcpy(r->reason, g->reason, sizeof(r->reason));
}

void guests_forgive(struct guests *t, const struct uuid *uuid)
{
	for (size_t i = 0; i < REFUSALS_MAX; i++)
		if (t->refusals[i].when && uuid_equal(&t->refusals[i].uuid, uuid))
			t->refusals[i].when = 0;
}
