/* The hand-off with one stub domain. */
#include "dom0-relay/stublink.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"

#define FIELDS_MAX 256
#define FRAME_MAX (HANDOFF_BODY_MAX + sizeof(uint32_t))
#define READS_AT_ONCE 16 /* then the other stub domains have their turn */

struct stublink {
	struct channel *channel;
	struct source *source;
	struct source *now; /* drain once from the loop: at the start, and after something was queued */
	struct buf in, out;
	const struct stublink_ops *ops;
	void *arg;
	bool *freed; /* set when the link is freed inside its own callback */
};

/* The last thing that is said; the owner may free the link in it. */
static void say_broken(struct stublink *l, const char *why)
{
	source_free(&l->source);
	source_free(&l->now);
	l->ops->broken(l->arg, why);
}

static int take(struct stublink *l, const struct msg *m)
{
	_Alignas(max_align_t) uint8_t fields[FIELDS_MAX];
	const struct msg_schema *schema = handoff_schema(m->head.type);
	int r;

	if (m->head.version != HANDOFF_VERSION)
		return E_VERSION;
	if (!schema || schema->size > sizeof(fields))
		return E_UNKNOWN;
	r = msg_fields(m, schema, fields);
	if (r == 0)
		l->ops->message(l->arg, (enum handoff_type)m->head.type, fields);
	return r;
}

/* Every whole message that is there: 0 or the error that breaks the link; *freed tells that there is none any more. */
static int dispatch(struct stublink *l, const bool *freed)
{
	struct msg m;
	int r;

	while ((r = msg_next(&l->in, HANDOFF_BODY_MAX, &m)) == 0) {
		r = take(l, &m);
		if (*freed || r != 0)
			return r;
	}
	return r == E_AGAIN_IN ? 0 : r;
}

static int flush(struct stublink *l)
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

static void drain(struct stublink *l)
{
	bool freed = false;
	int r = flush(l);

	l->freed = &freed;
	for (int reads = 0; r == 0 && reads < READS_AT_ONCE; reads++) {
		size_t n;

		buf_compact(&l->in);
		r = channel_read(l->channel, buf_end(&l->in), buf_space(&l->in), &n);
		if (r != 0)
			break;
		l->in.len += n;
		r = dispatch(l, &freed);
		if (freed)
			return;
	}
	l->freed = NULL;
	if (r == 0) /* it talks on: vchan tells of new bytes only, so come back for those that wait */
		source_set_ms(l->now, 0);
	else if (r == E_EOF)
		say_broken(l, "it closed the channel");
	else if (r != E_AGAIN_IN)
		say_broken(l, error_text(r));
}

static void on_ready(void *arg, unsigned int what)
{
	struct stublink *l = arg;

	(void)what;
	if (channel_wait(l->channel) != 0)
		say_broken(l, "its channel has failed");
	else
		drain(l);
}

static void on_now(void *arg, unsigned int what)
{
	(void)what;
	drain(arg);
}

struct stublink *stublink_new(struct loop *loop, struct channel *channel, const struct stublink_ops *ops, void *arg)
{
	struct stublink *l = calloc(1, sizeof(*l));

	if (!l) {
		channel_close(&channel);
		return NULL;
	}
	*l = (struct stublink){.channel = channel, .ops = ops, .arg = arg};
	l->source = source_fd(loop, channel_fd(channel), LOOP_READ, on_ready, l);
	l->now = source_timer(loop, on_now, l);
	if (!l->source || !l->now || buf_init(&l->in, FRAME_MAX) != 0 || buf_init(&l->out, 2 * FRAME_MAX) != 0) {
		stublink_free(&l);
		return NULL;
	}
	source_set_ms(l->now, 0);
	return l;
}

int stublink_send(struct stublink *l, enum handoff_type type, const void *fields)
{
	int r;

	if (!l || !l->source)
		return E_STATE;
	r = handoff_write(&l->out, type, fields);
	if (r == 0)
		source_set_ms(l->now, 0); /* written from the loop: what breaks is never told inside the caller */
	return r;
}

void stublink_rebind(struct stublink *l, const struct stublink_ops *ops, void *arg)
{
	l->ops = ops;
	l->arg = arg;
}

void stublink_free(struct stublink **l)
{
	if (!*l)
		return;
	if ((*l)->freed)
		*(*l)->freed = true;
	source_free(&(*l)->source);
	source_free(&(*l)->now);
	channel_close(&(*l)->channel);
	buf_free(&(*l)->in);
	buf_free(&(*l)->out);
	free(*l);
	*l = NULL;
}
