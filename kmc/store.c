/* What is the same for every storage engine. */
#include "kmc/store.h"

#include <string.h>

#include "common/error.h"

#define TRIES 5

static int try_once(struct store *s, store_fn *fn, void *arg)
{
	char why[STORE_WHY];
	int r = s->ops->begin(s);

	if (r != 0)
		return r;
	r = fn(s, arg);
	if (r == 0)
		return s->ops->commit(s);
	memcpy(why, s->why, sizeof(why));
	s->ops->rollback(s);
	memcpy(s->why, why, sizeof(why));
	return r;
}

int store_transact(struct store *s, store_fn *fn, void *arg)
{
	int r = E_BUSY;

	for (int i = 0; i < TRIES && r == E_BUSY; i++)
		r = try_once(s, fn, arg);
	return r == E_BUSY ? E_DB : r;
}
