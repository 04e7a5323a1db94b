/* Channels: one transport behind each. */
#include "common/channel.h"

#include <stdlib.h>

struct channel {
	const struct channel_ops *ops;
	void *transport;
};

struct channel *channel_new(const struct channel_ops *ops, void *transport)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (!c) {
		ops->close(transport);
		return NULL;
	}
	c->ops = ops;
	c->transport = transport;
	return c;
}

int channel_fd(const struct channel *c)
{
	return c->ops->fd(c->transport);
}

int channel_wait(struct channel *c)
{
	return c->ops->wait(c->transport);
}

int channel_read(struct channel *c, void *p, size_t n, size_t *got)
{
	return c->ops->read(c->transport, p, n, got);
}

int channel_write(struct channel *c, const void *p, size_t n, size_t *put)
{
	return c->ops->write(c->transport, p, n, put);
}

bool channel_is_met(struct channel *c)
{
	return c->ops->is_met(c->transport);
}

void channel_close(struct channel **c)
{
	if (!*c)
		return;
	(*c)->ops->close((*c)->transport);
	free(*c);
	*c = NULL;
}
