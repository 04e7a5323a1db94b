/*
 * Sessions of hosts.
 *
 * Theory of operation: HELLO draws the next number of its host from the database, where the leases are. A change of a lease is made in a
 * transaction that finds the connection's number to be the last one drawn. So a request that was left behind by a connection that broke,
 * in a socket, at another kmcd or waiting for the vault, changes nothing once the host has been welcomed again.
 */
#include "kmc/engine_session.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/error.h"
#include "common/log.h"
#include "kmc/kmcconf.h"

struct session {
	uint64_t conn; /* without the front's lowest bit; 0: none */
	uint64_t number;
};

void engine_session_start(struct engine *e)
{
	e->sessions = calloc((size_t)e->conf->connections, sizeof(*e->sessions));
	if (!e->sessions)
		fatal("can't start: out of memory");
}

/* The front numbers connections so that each has a place of its own in tables of this size. */
static struct session *place_of(const struct engine *e, const struct asker *a)
{
	return &e->sessions[(a->conn >> 1) % e->conf->connections];
}

static int draw(struct store *s, void *arg)
{
	struct asker *a = arg;
	int r = s->ops->session_next(s, a->host);

	return r != 0 ? r : s->ops->session_get(s, a->host, &a->session);
}

int engine_session_begin(struct engine *e, struct asker *a)
{
	int r = store_transact(e->store, draw, a);

	if (r != 0)
		return E_DB;
	*place_of(e, a) = (struct session){.conn = a->conn >> 1, .number = a->session};
	return 0;
}

uint64_t engine_session_of(const struct engine *e, const struct asker *a)
{
	const struct session *t = place_of(e, a);

	return t->conn == a->conn >> 1 ? t->number : 0;
}

int engine_session_check(struct store *s, const struct asker *a)
{
	uint64_t present = 0;
	int r = s->ops->session_get(s, a->host, &present);

	if (r != 0 && r != E_NOTFOUND)
		return r;
	return a->session && a->session == present ? 0 : E_STATE;
}

void engine_session_refuse(struct engine *e, const struct asker *a)
{
	engine_refuse(e, a, KMC_REFUSED_SESSION, "host '%s' has a newer connection than this one (session %" PRIu64 "): that one decides", a->host,
		      a->session);
}
