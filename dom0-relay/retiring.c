/* Devices below a stub domain that libxl takes away. */
#include "dom0-relay/retiring.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/loop.h"
#include "dom0-relay/xenstore.h"

#define LOOK_MS 500  /* while any is there */
#define SEEN_LOOKS 2 /* after which libxl has seen a 6 */

struct retired {
	struct node_ids ids; /* guest 0: free */
	bool destroys;	     /* the stub domain goes with it */
	unsigned int looks;  /* since 6 stands there */
};

struct retiring {
	struct xenstore *xs;
	void (*let_go)(void *arg, struct node_ids ids, bool destroys);
	void *arg;
	struct source *timer;
	bool armed;
	struct retired table[RETIRING_MAX];
};

static void arm(struct retiring *t)
{
	if (!t->armed)
		source_set_ms(t->timer, LOOK_MS);
	t->armed = true;
}

/* Return: true if it is looked at again. */
static bool look(struct retiring *t, struct retired *e)
{
	const struct node_ids ids = e->ids;
	const bool destroys = e->destroys;
	int state = xenstore_named_state(t->xs, ids);

	e->looks = state == 6 ? e->looks + 1 : 0;
	if (e->looks > SEEN_LOOKS)
		xenstore_remove_backend(t->xs, ids);
	if (state != -1 && xenstore_has_domain(t->xs, ids.guest))
		return true;
	*e = (struct retired){.looks = 0};
	t->let_go(t->arg, ids, destroys);
	return false;
}

static void on_look(void *arg, unsigned int what)
{
	struct retiring *t = arg;
	bool any = false;

	(void)what;
	t->armed = false;
	for (size_t i = 0; i < RETIRING_MAX; i++)
		if (t->table[i].ids.guest && look(t, &t->table[i]))
			any = true;
	if (any)
		arm(t);
}

struct retiring *retiring_new(struct loop *loop, struct xenstore *xs, void (*let_go)(void *arg, struct node_ids ids, bool destroys), void *arg)
{
	struct retiring *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct retiring){.xs = xs, .let_go = let_go, .arg = arg};
	t->timer = source_timer(loop, on_look, t);
	if (!t->timer)
		retiring_free(&t);
	return t;
}

void retiring_free(struct retiring **t)
{
	if (!*t)
		return;
	source_free(&(*t)->timer);
	free(*t);
	*t = NULL;
}

/* The entry of that device, or a new one. */
static struct retired *place(struct retiring *t, struct node_ids ids)
{
	struct retired *free_one = NULL;

	arm(t);
	for (size_t i = 0; i < RETIRING_MAX; i++) {
		struct retired *e = &t->table[i];

		if (e->ids.guest == ids.guest && e->ids.dev == ids.dev && e->ids.stub == ids.stub)
			return e;
		if (!free_one && !e->ids.guest)
			free_one = e;
	}
	if (free_one)
		*free_one = (struct retired){.ids = ids};
	return free_one;
}

bool retiring_add(struct retiring *t, struct node_ids ids, bool destroys)
{
	struct retired *e = place(t, ids);

	if (e)
		e->destroys = destroys;
	return e;
}

void retiring_answered(struct retiring *t, struct node_ids ids)
{
	place(t, ids);
}
