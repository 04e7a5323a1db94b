/* Ports: one world behind each. */
#include "vtpm-stubdom/port.h"

#include <stdlib.h>

#include "common/error.h"

struct port {
	const struct port_ops *ops;
	void *world;
};

struct port *port_new(const struct port_ops *ops, void *world)
{
	struct port *p = calloc(1, sizeof(*p));

	if (!p) {
		ops->close(world);
		return NULL;
	}
	p->ops = ops;
	p->world = world;
	return p;
}

int port_control_fd(const struct port *p)
{
	return p->ops->control_fd(p->world);
}

int port_frontend(struct port *p, struct port_frontend *f)
{
	return p->ops->frontend(p->world, f);
}

int port_set_state(struct port *p, enum xenbus state)
{
	/* Linux's xen-tpmfront frees its device on 5 and 6 and goes on using it. */
	if (state != XENBUS_INIT_WAIT && state != XENBUS_CONNECTED)
		return E_ARG;
	return p->ops->set_state(p->world, state);
}

int port_connect(struct port *p, const struct port_frontend *f, void **page, int *event_fd)
{
	return p->ops->connect(p->world, f, page, event_fd);
}

void port_disconnect(struct port *p)
{
	p->ops->disconnect(p->world);
}

int port_take_event(struct port *p)
{
	return p->ops->take_event(p->world);
}

int port_notify(struct port *p)
{
	return p->ops->notify(p->world);
}

void port_close(struct port **p)
{
	if (!*p)
		return;
	(*p)->ops->close((*p)->world);
	free(*p);
	*p = NULL;
}
