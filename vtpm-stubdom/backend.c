/* The backend of one guest's vTPM device. */
#include "vtpm-stubdom/backend.h"

#include <stdlib.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

#define COMPLAINTS_MAX 10 /* lines that a guest can cause in our log */
#define AGAIN_MS 500	  /* after xenstore could not say what the guest says */

struct backend {
	struct loop *loop;
	struct port *port;
	const struct backend_ops *ops;
	void *arg;
	struct source *control, *event, *again;
	struct port_frontend frontend; /* what the page was mapped for */
	void *page;		       /* NULL: not connected */
	bool busy;		       /* a request waits for its answer */
	bool stale;		       /* and its page is gone */
	bool held;		       /* no request is taken */
	unsigned int complaints;
	struct tpmif_request request;
};

static void complain(struct backend *b, const char *what, uint32_t a, uint32_t c)
{
	if (b->complaints++ < COMPLAINTS_MAX)
		log_warn("the guest's frontend: %s (%u, %u)", what, a, c);
}

static void answer(struct backend *b, const uint8_t *response, size_t n)
{
	tpmif_answer(b->page, &b->request, response, n);
	port_notify(b->port);
}

/* One look at the page. */
static void serve(struct backend *b)
{
	uint8_t error[TPMIF_ERROR_SIZE];

	if (b->busy || b->held)
		return;
	switch (tpmif_take(b->page, &b->request)) {
	case TPMIF_REQUEST:
		b->busy = true;
		b->ops->request(b->arg, &b->request);
		break;
	case TPMIF_MALFORMED:
		answer(b, tpmif_error(error, TPMIF_RC_COMMAND_SIZE), sizeof(error));
		b->ops->malformed(b->arg);
		break;
	case TPMIF_CANCELLED:
		tpmif_idle(b->page);
		port_notify(b->port);
		break;
	case TPMIF_NOTHING:
		break;
	}
}

static void on_event(void *arg, unsigned int what)
{
	struct backend *b = arg;

	(void)what;
	if (port_take_event(b->port) == 0)
		serve(b);
}

static void disconnect(struct backend *b)
{
	if (!b->page)
		return;
	source_free(&b->event);
	port_disconnect(b->port);
	b->page = NULL;
	b->stale = b->busy;
	b->ops->connected(b->arg, false);
}

static void connect(struct backend *b, const struct port_frontend *f)
{
	int fd, r;

	if (b->page && f->ring_ref == b->frontend.ring_ref && f->event_channel == b->frontend.event_channel)
		return;
	disconnect(b);
	r = port_connect(b->port, f, &b->page, &fd);
	if (r != 0) {
		b->page = NULL;
		complain(b, "can't map its page or bind its event channel", f->ring_ref, f->event_channel);
		return;
	}
	b->frontend = *f;
	b->event = source_fd(b->loop, fd, LOOP_READ, on_event, b);
	if (!b->event || port_set_state(b->port, XENBUS_CONNECTED) != 0) {
		log_error("can't connect to the guest's frontend: out of memory, or xenstore refused");
		source_free(&b->event);
		port_disconnect(b->port);
		b->page = NULL;
		return;
	}
	b->ops->connected(b->arg, true);
	serve(b); /* it may have submitted before we were there to hear of it */
}

static void on_control(void *arg, unsigned int what)
{
	struct backend *b = arg;
	struct port_frontend f;
	int r = port_frontend(b->port, &f);

	(void)what;
	if (r != 0) {
		if (r != E_AGAIN_IN) /* all stays as it is */
			source_set_ms(b->again, AGAIN_MS);
		return;
	}
	switch (f.state) {
	case XENBUS_INITIALISED:
	case XENBUS_CONNECTED:
		connect(b, &f); /* 6 -> 3 without 1 between, too: a driver that was loaded again; the TPM is not reset for it */
		break;
	case XENBUS_CLOSING:
	case XENBUS_CLOSED:
		if (b->page)
			port_set_state(b->port, XENBUS_INIT_WAIT);
		disconnect(b);
		break;
	case XENBUS_GONE:
	case XENBUS_INITIALISING:
	case XENBUS_INIT_WAIT:
		disconnect(b);
		break;
	default:
		complain(b, "state is none of xenbus's", (uint32_t)f.state, 0);
	}
}

struct backend *backend_new(struct loop *loop, struct port *port, const struct backend_ops *ops, void *arg)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (!b) {
		port_close(&port);
		return NULL;
	}
	b->loop = loop;
	b->port = port;
	b->ops = ops;
	b->arg = arg;
	b->again = source_timer(loop, on_control, b);
	b->control = source_fd(loop, port_control_fd(port), LOOP_READ, on_control, b);
	/* A frontend that waits already is told of by the control descriptor: nothing is called before our caller has us. */
	if (!b->again || !b->control || port_set_state(port, XENBUS_INIT_WAIT) != 0)
		backend_free(&b);
	return b;
}

void backend_answer(struct backend *b, const uint8_t *response, size_t n)
{
	bool stale = b->stale;

	if (!b->busy)
		return;
	if (b->page && !stale)
		answer(b, response, n);
	b->busy = b->stale = false;
	wipe(b->request.data, b->request.n); /* it may have held a password */
	if (b->page && stale)
		serve(b); /* the new ring's events were not listened to */
}

void backend_hold(struct backend *b, bool held)
{
	b->held = held;
	if (b->page)
		serve(b); /* its event may have come meanwhile */
}

bool backend_connected(const struct backend *b)
{
	return b->page != NULL;
}

void backend_free(struct backend **b)
{
	if (!*b)
		return;
	source_free(&(*b)->event);
	source_free(&(*b)->control);
	source_free(&(*b)->again);
	port_close(&(*b)->port);
	wipe((*b)->request.data, sizeof((*b)->request.data));
	free(*b);
	*b = NULL;
}
