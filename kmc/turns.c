/* Whose request goes to the engine next. */
#include "kmc/turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kmcmsg.h"

#define MEMORY 256	/* hosts that are remembered beyond those that are connected: a rate is not renewed by connecting anew */
#define TOKENS 1000	/* of one request: a token bucket that is filled in thousandths */
#define FLIGHTS (TURNS_LARGE + TURNS_SMALL)

struct host {
	char name[KMC_NAME_MAX + 1];
	unsigned int users; /* waiting requests and such under way */
	unsigned int under_way[TURN_SIZES];
	uint64_t tokens, filled_ms;
	bool used;
};

struct waiting {
	struct host *host;    /* NULL: nothing waits in this place */
	struct host *last;    /* that asked from here; the record may be another's by now */
	size_t at;	      /* in the list of those that wait */
	uint64_t conn, since; /* since: the lower, the earlier */
	enum turn_size size;
};

struct flight {
	struct host *host; /* NULL: free */
	uint64_t conn;
	enum turn_size size;
};

struct turns {
	unsigned int rate;
	size_t n_places, n_hosts, n_waiting;
	uint64_t last_since;
	unsigned int under_way[TURN_SIZES];
	struct flight flights[FLIGHTS];
	struct waiting *places;
	struct waiting **list; /* of those that wait, in no order */
	struct host *hosts;
};

static const unsigned int slots[] = {[TURN_SMALL] = TURNS_SMALL, [TURN_LARGE] = TURNS_LARGE};
static const unsigned int shares[] = {[TURN_SMALL] = TURNS_SMALL_SHARE, [TURN_LARGE] = TURNS_LARGE_SHARE};

struct turns *turns_new(size_t connections, unsigned int rate)
{
	struct turns *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->rate = rate;
	t->n_places = connections;
	t->n_hosts = connections + FLIGHTS + MEMORY; /* each has a connection, or a request under way, or is remembered */
	t->places = calloc(t->n_places, sizeof(*t->places));
	t->list = calloc(t->n_places, sizeof(struct waiting *));
	t->hosts = calloc(t->n_hosts, sizeof(*t->hosts));
	if (!t->places || !t->list || !t->hosts)
		turns_free(&t);
	return t;
}

void turns_free(struct turns **t)
{
	if (!*t)
		return;
	free((*t)->places);
	free((*t)->list);
	free((*t)->hosts);
	free(*t);
	*t = NULL;
}

static uint64_t most(const struct turns *t)
{
	return 2ull * t->rate * TOKENS;
}

/* Whether @h rather than @than gives way to a newcomer. */
static bool gives_way(const struct host *h, const struct host *than)
{
	if (h->users || than->users)
		return !h->users;
	return than->used && (!h->used || h->filled_ms < than->filled_ms);
}

/* Its record; that of who asked last the longest time ago gives way to a newcomer. */
static struct host *find(struct turns *t, const char *name, uint64_t now_ms)
{
	struct host *place = t->hosts;

	for (size_t i = 0; i < t->n_hosts; i++) {
		struct host *h = &t->hosts[i];

		if (h->used && strcmp(h->name, name) == 0)
			return h;
		if (gives_way(h, place))
			place = h;
	}
	*place = (struct host){.tokens = most(t), .filled_ms = now_ms, .used = true}; /* there is one: users are fewer than hosts */
	snprintf(place->name, sizeof(place->name), "%s", name);
	return place;
}

static void fill(const struct turns *t, struct host *h, uint64_t now_ms)
{
	uint64_t ms = now_ms - h->filled_ms;

	h->tokens += ms > 10000 ? most(t) : ms * t->rate;
	if (h->tokens > most(t))
		h->tokens = most(t);
	h->filled_ms = now_ms;
}

void turns_ask(struct turns *t, size_t place, uint64_t conn, const char *host, enum turn_size size, uint64_t now_ms)
{
	struct waiting *w = &t->places[place];
	struct host *h = w->last && w->last->used && strcmp(w->last->name, host) == 0 ? w->last : find(t, host, now_ms);

	h->users++;
	*w = (struct waiting){.host = h, .last = h, .at = t->n_waiting, .conn = conn, .since = ++t->last_since, .size = size};
	t->list[t->n_waiting++] = w;
}

void turns_leave(struct turns *t, size_t place)
{
	struct waiting *w = &t->places[place];

	if (!w->host)
		return;
	w->host->users--;
	w->host = NULL;
	t->list[w->at] = t->list[--t->n_waiting];
	t->list[w->at]->at = w->at;
}

static bool has_room(const struct turns *t, const struct waiting *w)
{
	return t->under_way[w->size] < slots[w->size] && w->host->under_way[w->size] < shares[w->size];
}

static bool is_before(const struct waiting *a, const struct waiting *b)
{
	unsigned int mine = a->host->under_way[a->size], theirs = b->host->under_way[b->size];

	return mine != theirs ? mine < theirs : a->since < b->since;
}

/* When @h may ask again, in milliseconds; 0: now. */
static uint64_t pause_of(const struct turns *t, const struct host *h)
{
	return h->tokens >= TOKENS ? 0 : (TOKENS - h->tokens + t->rate - 1) / t->rate;
}

static void send_off(struct turns *t, struct waiting *w)
{
	struct flight *f = t->flights;

	while (f->host)
		f++; /* there is a free one: they are as many as slots */
	*f = (struct flight){.host = w->host, .conn = w->conn, .size = w->size};
	f->host->users++;
	f->host->tokens -= TOKENS;
	f->host->under_way[f->size]++;
	t->under_way[f->size]++;
}

bool turns_next(struct turns *t, uint64_t now_ms, size_t *place, uint64_t *wait_ms)
{
	struct waiting *best = NULL;

	*wait_ms = 0;
	for (size_t i = 0; i < t->n_waiting; i++) {
		struct waiting *w = t->list[i];
		uint64_t ms;

		if (!has_room(t, w))
			continue;
		fill(t, w->host, now_ms);
		ms = pause_of(t, w->host);
		if (ms)
			*wait_ms = *wait_ms && *wait_ms < ms ? *wait_ms : ms;
		else if (!best || is_before(w, best))
			best = w;
	}
	if (!best)
		return false;
	send_off(t, best);
	*place = (size_t)(best - t->places);
	turns_leave(t, *place);
	return true;
}

bool turns_answered(struct turns *t, uint64_t conn)
{
	for (size_t i = 0; i < FLIGHTS; i++) {
		struct flight *f = &t->flights[i];

		if (!f->host || f->conn != conn)
			continue;
		f->host->users--;
		f->host->under_way[f->size]--;
		t->under_way[f->size]--;
		*f = (struct flight){0};
		return true;
	}
	return false;
}
