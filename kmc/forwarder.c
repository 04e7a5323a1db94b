/*
 * What vtpm-vchan-forward does.
 *
 * Theory of operation: one channel at most is offered and not met. It is withdrawn when its client is there, which becomes a passage, and
 * the next one follows after a moment: that bounds how often a client can make the KMC spend a handshake. While all passages are used
 * nothing is offered, and a client finds nothing instead of waiting.
 */
#include "kmc/forwarder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/channel.h"
#include "common/log.h"
#include "common/loop.h"
#include "kmc/offers.h"
#include "kmc/passage.h"

#define NEXT_MS 50     /* from one client to the next offer */
#define AGAIN_MS 2000  /* after an offer that could not be made */

static const struct passage_limits limits = {.dial_ms = 5000, .stall_ms = 60000, .end_ms = 5000};

struct forwarder {
	struct loop *loop;
	struct offers *offers;
	struct sockaddr_storage to;
	socklen_t to_size;
	struct channel *offer; /* not met yet, or NULL */
	struct source *offer_source;
	struct source *timer; /* the next offer; or the offer is looked at once more */
	struct passage *passages[FORWARDER_PASSAGES];
	unsigned int n_passages;
	char why[PASSAGE_WHY]; /* of the last passage, so that a line is not written over and over */
	bool failing;	       /* the last offer could not be made */
};

static void on_offer(void *arg, unsigned int what);

static void end_offer(struct forwarder *f)
{
	source_free(&f->offer_source);
	offers_withdraw(f->offers);
}

static void make_offer(struct forwarder *f)
{
	f->offer = offers_next(f->offers);
	f->offer_source = f->offer ? source_fd(f->loop, channel_fd(f->offer), LOOP_READ, on_offer, f) : NULL;
	if (f->offer_source) {
		if (f->failing)
			log_info("channels are offered again");
		f->failing = false;
		return;
	}
	if (!f->failing)
		log_error("can't offer a channel to dom0: %s; it is tried again every 2 s", strerror(errno));
	f->failing = true;
	end_offer(f);
	channel_close(&f->offer);
	source_set_ms(f->timer, AGAIN_MS);
}

static void on_closed(void *arg, struct passage *p, const char *why)
{
	struct forwarder *f = arg;
	bool full = f->n_passages == FORWARDER_PASSAGES;

	if (*why && strcmp(why, f->why) != 0)
		log_warn("a connection has ended: %s", why);
	strncpy(f->why, why, sizeof(f->why) - 1);
	for (unsigned int i = 0; i < FORWARDER_PASSAGES; i++)
		if (f->passages[i] == p)
			f->passages[i] = NULL;
	passage_free(&p);
	f->n_passages--;
	if (full)
		source_set_ms(f->timer, NEXT_MS);
}

static void let_through(struct forwarder *f, struct channel *c)
{
	unsigned int i = 0;

	while (f->passages[i])
		i++;
	f->passages[i] = passage_new(f->loop, c, &f->to, f->to_size, &limits, on_closed, f);
	if (f->passages[i])
		f->n_passages++;
	else
		log_error("no memory for another connection");
	if (f->n_passages < FORWARDER_PASSAGES)
		source_set_ms(f->timer, NEXT_MS);
	else
		log_warn("%u connections: nothing is offered until one ends", f->n_passages);
}

static void on_offer(void *arg, unsigned int what)
{
	struct forwarder *f = arg;
	struct channel *c = f->offer;
	bool broken = channel_wait(c) != 0;

	(void)what;
	if (!broken && !channel_is_met(c))
		return; /* an event without a client */
	end_offer(f);
	f->offer = NULL;
	if (!broken) {
		let_through(f, c);
		return;
	}
	channel_close(&c);
	source_set_ms(f->timer, AGAIN_MS);
}

static void on_timer(void *arg, unsigned int what)
{
	struct forwarder *f = arg;

	(void)what;
	if (!f->offer)
		make_offer(f);
}

struct forwarder *forwarder_new(struct loop *loop, struct offers *offers, const struct sockaddr_storage *to, socklen_t size)
{
	struct forwarder *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct forwarder){.loop = loop, .offers = offers, .to = *to, .to_size = size};
	f->timer = source_timer(loop, on_timer, f);
	if (!f->timer) {
		forwarder_free(&f);
		return NULL;
	}
	source_set_ms(f->timer, 0);
	return f;
}

void forwarder_free(struct forwarder **f)
{
	if (!*f)
		return;
	for (unsigned int i = 0; i < FORWARDER_PASSAGES; i++)
		passage_free(&(*f)->passages[i]);
	end_offer(*f);
	channel_close(&(*f)->offer);
	source_free(&(*f)->timer);
	free(*f);
	*f = NULL;
}
