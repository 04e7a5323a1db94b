/* Buses: one world behind each. */
#include "vtpm-stubdom/guest/bus.h"

#include <stdlib.h>

struct bus {
	const struct bus_ops *ops;
	void *world;
};

struct bus *bus_new(const struct bus_ops *ops, void *world)
{
	struct bus *b = calloc(1, sizeof(*b));

	if (!b) {
		ops->close(world);
		return NULL;
	}
	b->ops = ops;
	b->world = world;
	return b;
}

int bus_control_fd(const struct bus *b)
{
	return b->ops->control_fd(b->world);
}

void bus_look(struct bus *b, struct life_seen *seen)
{
	*seen = (struct life_seen){0};
	b->ops->look(b->world, seen);
}

int bus_offer(struct bus *b, unsigned int backend, struct life_offer *offer, void **page, int *event_fd)
{
	return b->ops->offer(b->world, backend, offer, page, event_fd);
}

bool bus_holds(const struct bus *b)
{
	return b->ops->holds(b->world);
}

int bus_say(struct bus *b, enum xenbus state)
{
	return b->ops->say(b->world, state);
}

void bus_drop(struct bus *b)
{
	b->ops->drop(b->world);
}

int bus_take_event(struct bus *b)
{
	return b->ops->take_event(b->world);
}

int bus_notify(struct bus *b)
{
	return b->ops->notify(b->world);
}

int bus_ask_suspend(struct bus *b)
{
	return b->ops->ask_suspend(b->world);
}

void bus_close(struct bus **b)
{
	if (!*b)
		return;
	(*b)->ops->close((*b)->world);
	free(*b);
	*b = NULL;
}
