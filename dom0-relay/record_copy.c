/* A record with memory of its own. */
#include "dom0-relay/record_copy.h"

#include <string.h>

#include "common/error.h"

void record_copy_free(struct record_copy *c)
{
	buf_free(&c->state);
	buf_free(&c->transient);
	memset(c, 0, sizeof(*c));
}

int record_copy_set(struct record_copy *c, const struct state_record *r)
{
	struct buf state = {0}, transient = {0};

	if ((r->state.n + r->grace.n && buf_init(&state, r->state.n + r->grace.n) != 0) || (r->transient.n && buf_init(&transient, r->transient.n) != 0)) {
		buf_free(&state);
		return E_NOMEM;
	}
	if (r->state.n)
		buf_put(&state, r->state.p, r->state.n);
	if (r->grace.n)
		buf_put(&state, r->grace.p, r->grace.n);
	if (r->transient.n)
		buf_put(&transient, r->transient.p, r->transient.n);
	buf_free(&c->state);
	buf_free(&c->transient);
	if (r->request.p)
		memmove(c->request, r->request.p, sizeof(c->request));
	c->state = state;
	c->transient = transient;
	c->r = *r;
	c->r.state = view_of(r->state.n ? buf_ptr(&c->state) : NULL, r->state.n);
	c->r.transient = view_of(r->transient.n ? buf_ptr(&c->transient) : NULL, r->transient.n);
	c->r.request = r->request.p ? view_of(c->request, sizeof(c->request)) : (struct view){0};
	c->r.grace = view_of(r->grace.n ? buf_ptr(&c->state) + r->state.n : NULL, r->grace.n);
	return 0;
}

void record_copy_move(struct record_copy *to, struct record_copy *from)
{
	buf_free(&to->state);
	buf_free(&to->transient);
	*to = *from;
	to->r.request = from->r.request.p ? view_of(to->request, sizeof(to->request)) : (struct view){0};
	memset(from, 0, sizeof(*from));
}
