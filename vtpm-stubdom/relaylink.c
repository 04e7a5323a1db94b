/* The stub domain's end of the hand-off. One message a turn of the loop: the guest's events get their turn between two. */
#include "vtpm-stubdom/relaylink.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"

#define FIELDS_MAX 256
#define FRAME_MAX (HANDOFF_BODY_MAX + sizeof(uint32_t))

struct relaylink {
	struct channel *channel;
	struct source *ready; /* the channel's descriptor */
	struct source *again; /* once from the loop: something was queued, or more may be there to read */
	struct buf in, out;
	const struct relaylink_ops *ops;
	void *arg;
};

static void say_broken(struct relaylink *l, int r)
{
	source_free(&l->ready);
	source_free(&l->again);
	l->ops->broken(l->arg, r); /* may free l */
}

static int flush(struct relaylink *l)
{
	int r = 0;

	while (r == 0 && buf_left(&l->out)) {
		size_t n;

		r = channel_write(l->channel, buf_ptr(&l->out), buf_left(&l->out), &n);
		l->out.off += n;
	}
	buf_compact(&l->out);
	return r == E_AGAIN_OUT ? 0 : r;
}

/* Read until a whole message is there: 0, or E_AGAIN_IN and errors that break the link. */
static int receive(struct relaylink *l, struct msg *m)
{
	int r;

	while ((r = msg_next(&l->in, HANDOFF_BODY_MAX, m)) == E_AGAIN_IN) {
		size_t n;

		buf_compact(&l->in);
		r = channel_read(l->channel, buf_end(&l->in), buf_space(&l->in), &n);
		if (r != 0)
			return r;
		l->in.len += n;
	}
	return r;
}

static int fields_of(const struct msg *m, void *fields)
{
	const struct msg_schema *schema = handoff_schema(m->head.type);

	if (m->head.version != HANDOFF_VERSION)
		return E_VERSION;
	if (!schema || schema->size > FIELDS_MAX)
		return E_UNKNOWN;
	return msg_fields(m, schema, fields);
}

static void turn(struct relaylink *l)
{
	_Alignas(max_align_t) uint8_t fields[FIELDS_MAX];
	struct msg m;
	int r = flush(l);

	if (r == 0)
		r = receive(l, &m);
	if (r == E_AGAIN_IN)
		return;
	if (r == 0)
		r = fields_of(&m, fields);
	if (r != 0) {
		say_broken(l, r);
		return;
	}
	source_set_ms(l->again, 0);
	l->ops->message(l->arg, (enum handoff_type)m.head.type, fields); /* may free l */
}

static void on_ready(void *arg, unsigned int what)
{
	struct relaylink *l = arg;

	(void)what;
	if (channel_wait(l->channel) != 0)
		say_broken(l, E_EOF);
	else
		turn(l);
}

static void on_again(void *arg, unsigned int what)
{
	(void)what;
	turn(arg);
}

struct relaylink *relaylink_new(struct loop *loop, struct channel *channel, const struct relaylink_ops *ops, void *arg)
{
	struct relaylink *l = calloc(1, sizeof(*l));

	if (!l) {
		channel_close(&channel);
		return NULL;
	}
	*l = (struct relaylink){.channel = channel, .ops = ops, .arg = arg};
	l->ready = source_fd(loop, channel_fd(channel), LOOP_READ, on_ready, l);
	l->again = source_timer(loop, on_again, l);
	if (!l->ready || !l->again || buf_init(&l->in, FRAME_MAX) != 0 || buf_init(&l->out, 2 * FRAME_MAX) != 0) {
		relaylink_free(&l);
		return NULL;
	}
	source_set_ms(l->again, 0);
	return l;
}

int relaylink_send(struct relaylink *l, enum handoff_type type, const void *fields)
{
	int r = l && l->ready ? handoff_write(&l->out, type, fields) : E_STATE;

	if (r == 0)
		source_set_ms(l->again, 0);
	return r;
}

bool relaylink_is_drained(const struct relaylink *l)
{
	return buf_left(&l->out) == 0;
}

void relaylink_free(struct relaylink **l)
{
	if (!*l)
		return;
	source_free(&(*l)->ready);
	source_free(&(*l)->again);
	channel_close(&(*l)->channel);
	buf_free(&(*l)->in);
	buf_free(&(*l)->out);
	free(*l);
	*l = NULL;
}
