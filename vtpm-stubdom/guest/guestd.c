/* The daemon's work. Its decisions are life.c's and command.c's. */
#include "vtpm-stubdom/guest/guestd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "vtpm-stubdom/guest/bus.h"
#include "vtpm-stubdom/guest/command.h"
#include "vtpm-stubdom/guest/frozen.h"
#include "vtpm-stubdom/guest/ring.h"
#include "vtpm-stubdom/tpmif.h"

#define KERNEL_MAX 4096	       /* bytes of the kernel's largest command; what exceeds TPMIF_DATA_MAX fits no page */
#define LOOK_AGAIN_MS 250      /* while not connected: watches tell us, this is for the one that gets lost */
#define REGISTERED_AGAIN_MS 20 /* while the kernel finishes its device */
#define REOPEN_MS 5000	       /* between two tries to make a device */
#define SETTLED_AGAIN_MS 1000  /* while the initramfs lasts */
#define LOOKS_PER_TURN 4
#define BUSY_MS 2000 /* after a command: another may be on its way */
#define SLEPT_MS 2   /* by which the sleep of a domain must have grown to be one: less may come of looking at two clocks */

#define RC_RETRY 0x922
#define LOCALITY_MAX 4

struct guestd {
	struct bus *bus;
	struct guestd_world world;
	bool running;

	enum life life;
	struct life_offer offer;
	void *page; /* NULL: no page is shared */
	int event_fd;
	bool complained; /* of what keeps us from connecting */

	int device; /* -1: none yet */
	bool registered;
	uint64_t reopen_at_ms, settle_at_ms;

	enum command_state state;
	uint64_t deadline_ms; /* 0: none */
	unsigned int locality;
	size_t n;
	uint8_t command[KERNEL_MAX];

	struct frozen frozen;
	uint64_t busy_until_ms;

	uint64_t slept_ms; /* as of the last command */
	uint64_t began_ns, sum_ns, max_ns, commands;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

/* --- the kernel's device --- */

/* EIO: the kernel has sent another command meanwhile and waits for that one's response. */
static void respond(struct guestd *g, const uint8_t *response, size_t n)
{
	if (g->device >= 0 && write(g->device, response, n) != (ssize_t)n && errno != EIO && errno != EPIPE)
		log_warn("the kernel does not take a response of %zu bytes: %s", n, strerror(errno));
}

static void respond_code(struct guestd *g, uint32_t rc)
{
	uint8_t response[TPMIF_ERROR_SIZE];

	respond(g, tpmif_error(response, rc), sizeof(response));
}

static void open_device(struct guestd *g)
{
	if (g->device >= 0 || g->life != LIFE_CONNECTED || now_ms() < g->reopen_at_ms)
		return;
	g->device = g->world.open_device(g->world.arg);
	g->registered = false;
	if (g->device >= 0)
		return;
	g->device = -1;
	g->reopen_at_ms = now_ms() + REOPEN_MS;
}

/* --- one command --- */

static void answer(struct guestd *g)
{
	uint8_t response[TPMIF_DATA_MAX];
	size_t n = ring_response(g->page, response);
	uint64_t ns = now_ns() - g->began_ns;

	g->commands++;
	g->sum_ns += ns;
	g->max_ns = ns > g->max_ns ? ns : g->max_ns;
	if (n == 0) {
		log_warn("the backend's response is none: the command fails");
		respond_code(g, TPMIF_RC_FAILURE);
		return;
	}
	respond(g, response, n);
	explicit_bzero(response, n);
}

static void act(struct guestd *g, unsigned int actions)
{
	if (actions & COMMAND_DO_CANCEL)
		ring_cancel(g->page);
	if (actions & COMMAND_DO_SUBMIT) {
		g->began_ns = now_ns();
		ring_submit(g->page, g->locality, g->command, g->n);
	}
	if ((actions & (COMMAND_DO_CANCEL | COMMAND_DO_SUBMIT)) && bus_notify(g->bus) != 0)
		log_warn("can't notify the backend: %s", strerror(errno));
	if (actions & COMMAND_DO_ANSWER)
		answer(g);
	if (actions & COMMAND_DO_RETRY)
		respond_code(g, RC_RETRY);
	if (actions & COMMAND_DO_FAIL)
		respond_code(g, TPMIF_RC_FAILURE);
}

/* The only writer of g->state. */
static void command_happens(struct guestd *g, enum command_event event)
{
	struct command_step step = command_step(g->state, event, g->life == LIFE_CONNECTED, command_repeatable(g->command, g->n));
	bool restart = step.next != g->state || event == COMMAND_ARRIVED;
	uint64_t patience = command_patience_ms(step.next);

	if (event == COMMAND_LOST && g->state == COMMAND_SUBMITTED)
		log_warn("a command was not answered before the connection was lost: it %s",
			 step.next == COMMAND_HELD ? "will be repeated, which does no harm" : "fails, for it may have been executed");
	g->state = step.next;
	if (restart)
		g->deadline_ms = patience ? now_ms() + patience : 0;
	act(g, step.actions);
	g->busy_until_ms = now_ms() + BUSY_MS;
	if (g->state == COMMAND_NONE) {
		explicit_bzero(g->command, g->n); /* it may have held a password */
		g->n = 0;
		if (g->page && event != COMMAND_LOST)
			ring_wipe(g->page);
	}
}

static void look_at_page(struct guestd *g)
{
	enum ring_state state;

	if (!g->page || g->state == COMMAND_NONE || g->state == COMMAND_HELD)
		return;
	state = ring_state(g->page);
	if (state != RING_BUSY)
		command_happens(g, state == RING_FINISHED ? COMMAND_FINISHED : COMMAND_IDLED);
}

static void take_command(struct guestd *g, size_t n)
{
	int locality = command_locality(g->command, n);

	if (locality > LOCALITY_MAX) {
		respond_code(g, TPMIF_RC_LOCALITY);
	} else if (locality >= 0) {
		g->locality = (unsigned int)locality;
		respond_code(g, 0);
	} else {
		g->n = n;
		command_happens(g, COMMAND_ARRIVED);
	}
}

static void on_device(struct guestd *g)
{
	uint8_t incoming[KERNEL_MAX];
	ssize_t n = read(g->device, incoming, sizeof(incoming));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_error("the kernel closed its TPM device (it was not content with the vTPM's answers; see its log): trying again in %d s",
			  REOPEN_MS / 1000);
		close(g->device);
		g->device = -1;
		g->reopen_at_ms = now_ms() + REOPEN_MS;
		command_happens(g, COMMAND_ABANDONED);
		return;
	}
	if (!command_well_formed(incoming, (size_t)n) || n > TPMIF_DATA_MAX) {
		respond_code(g, TPMIF_RC_COMMAND_SIZE);
	} else {
		memcpy(g->command, incoming, (size_t)n); /* instead of one that the kernel has given up */
		take_command(g, (size_t)n);
	}
	explicit_bzero(incoming, (size_t)n);
}

/* --- the connection --- */

static void lose(struct guestd *g)
{
	g->life = LIFE_AWAY;
	look_at_page(g); /* the answer may have come before the end */
	command_happens(g, COMMAND_LOST);
	bus_drop(g->bus);
	g->page = NULL;
	g->event_fd = -1;
}

static void offer(struct guestd *g, unsigned int backend)
{
	if (bus_offer(g->bus, backend, &g->offer, &g->page, &g->event_fd) == 0) {
		g->life = LIFE_OFFERED;
		return;
	}
	if (!g->complained)
		log_error("can't share a page and an event channel with domain %u (%s): trying again", backend, strerror(errno));
	g->complained = true;
	g->page = NULL;
	g->event_fd = -1;
}

static void confirm(struct guestd *g)
{
	if (bus_say(g->bus, XENBUS_CONNECTED) != 0)
		return; /* the next look tries again */
	g->life = LIFE_CONNECTED;
	g->complained = false;
	log_info("connected to the vTPM's domain %u", g->offer.backend);
	open_device(g);
	command_happens(g, COMMAND_CONNECTED);
}

static void on_bus(struct guestd *g)
{
	for (int i = 0; i < LOOKS_PER_TURN; i++) {
		struct life_seen seen;
		struct life_step step;

		bus_look(g->bus, &seen);
		step = life_step(g->life, &g->offer, &seen);
		switch (step.action) {
		case LIFE_STAY:
			return;
		case LIFE_OFFER:
			offer(g, seen.offer.backend);
			break;
		case LIFE_CONFIRM:
			confirm(g);
			break;
		case LIFE_DROP:
			log_warn("the connection to the vTPM's domain %u is lost: connecting anew", g->offer.backend);
			lose(g);
			break;
		case LIFE_YIELD:
			lose(g);
			g->life = LIFE_YIELDED;
			return;
		}
		if (g->life != step.next)
			return; /* it did not work; again later */
	}
}

/*
 * Linux lets processes go on after a suspension before it tells them what has changed in xenstore: a restored domain's first command may come before the
 * word that nobody shares the page any more, and that page must not have it. No other command has to wait for xenstore.
 */
static void look_before_command(struct guestd *g)
{
	uint64_t slept_ms = g->world.slept_ms(g->world.arg);

	if (slept_ms < g->slept_ms + SLEPT_MS && g->slept_ms < slept_ms + SLEPT_MS)
		return;
	g->slept_ms = slept_ms;
	if (g->life == LIFE_CONNECTED && !bus_holds(g->bus))
		on_bus(g);
}

/* --- a suspension that Linux gives up because of a command under way --- */

/* Early in a turn: @incoming, a command waits to be read. */
static void look_at_clock(struct guestd *g, bool incoming)
{
	uint64_t now = now_ms();
	bool under_way = incoming || g->state != COMMAND_NONE, busy = under_way || now < g->busy_until_ms;

	if (!g->frozen.patience_ms)
		return;
	if (!frozen_looks(&g->frozen, now, busy, under_way)) {
		if (busy) /* or the word on an older suspension would be found after the next standstill */
			freezer_forget(&g->world.freezer);
	} else if (freezer_gave_up(&g->world.freezer)) {
		frozen_refused(&g->frozen, now);
	}
}

static void restore_freezer(struct guestd *g)
{
	if (freezer_set_patience(&g->world.freezer, g->frozen.patience_ms) != 0)
		log_error("can't set %s back to %" PRIu64 ": %s", g->world.freezer.path, g->frozen.patience_ms, strerror(errno));
}

/* Late in it, when what could be answered is. */
static void look_at_suspension(struct guestd *g)
{
	uint64_t patience = frozen_ask(&g->frozen, now_ms(), g->state != COMMAND_NONE);

	if (frozen_is_over(&g->frozen, now_ms()))
		restore_freezer(g);
	if (!patience)
		return;
	if (freezer_set_patience(&g->world.freezer, patience) != 0)
		log_warn("can't write %s (%s): the next try may take as long", g->world.freezer.path, strerror(errno));
	if (bus_ask_suspend(g->bus) == 0)
		log_warn("Linux gave up a suspension because of a TPM command under way: asked it to suspend once more, as the toolstack waits still");
	else
		log_error("Linux gave up a suspension because of a TPM command under way, and can't be asked once more (%s): do it again from the toolstack", strerror(errno));
}

/* --- the loop --- */

static void on_signal(struct guestd *g, int signals)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR1)
		log_info("%" PRIu64 " commands, from submission to response %" PRIu64 " us on average, %" PRIu64 " us at most", g->commands,
			 g->commands ? g->sum_ns / g->commands / 1000 : 0, g->max_ns / 1000);
	else
		g->running = false;
}

static void settle(struct guestd *g)
{
	if (!g->world.settled || now_ms() < g->settle_at_ms)
		return;
	g->settle_at_ms = now_ms() + SETTLED_AGAIN_MS;
	if (g->world.settled(g->world.arg))
		g->world.settled = NULL;
}

static void on_time(struct guestd *g)
{
	settle(g);
	if (g->deadline_ms && now_ms() >= g->deadline_ms) {
		g->deadline_ms = 0;
		command_happens(g, COMMAND_DEADLINE);
	}
	if (g->life != LIFE_CONNECTED)
		on_bus(g);
	open_device(g);
	if (g->device >= 0 && !g->registered && g->world.registered(g->world.arg)) {
		g->registered = true;
		g->world.ready(g->world.arg);
	}
}

/* Milliseconds until on_time() has something to do, -1: never. */
static int patience(const struct guestd *g)
{
	uint64_t now = now_ms(), until = UINT64_MAX;

	if (g->deadline_ms)
		until = g->deadline_ms;
	if (g->life != LIFE_CONNECTED && now + LOOK_AGAIN_MS < until)
		until = now + LOOK_AGAIN_MS;
	if (g->life == LIFE_CONNECTED && g->device < 0 && g->reopen_at_ms < until)
		until = g->reopen_at_ms;
	if (g->world.settled && g->settle_at_ms < until)
		until = g->settle_at_ms;
	if (g->device >= 0 && !g->registered && now + REGISTERED_AGAIN_MS < until)
		until = now + REGISTERED_AGAIN_MS;
	if ((g->frozen.looked_ms || g->frozen.asked_ms) && now + FROZEN_TICK_MS < until)
		until = now + FROZEN_TICK_MS;
	return until == UINT64_MAX ? -1 : until <= now ? 0 : (int)(until - now);
}

enum { FD_SIGNALS, FD_BUS, FD_EVENT, FD_DEVICE, FD_COUNT };

static int turn(struct guestd *g, int signals)
{
	struct pollfd p[FD_COUNT] = {
		[FD_SIGNALS] = {.fd = signals, .events = POLLIN},
		[FD_BUS] = {.fd = bus_control_fd(g->bus), .events = POLLIN},
		[FD_EVENT] = {.fd = g->event_fd, .events = POLLIN},
		[FD_DEVICE] = {.fd = g->device, .events = POLLIN},
	};

	if (poll(p, FD_COUNT, patience(g)) < 0)
		return errno == EINTR ? 0 : E_IO;
	look_at_clock(g, p[FD_DEVICE].revents & POLLIN);
	if (p[FD_SIGNALS].revents)
		on_signal(g, signals);
	/* An answer that is there is taken before anything that could lose it. */
	if (p[FD_EVENT].revents && bus_take_event(g->bus) == 0)
		look_at_page(g);
	if (p[FD_BUS].revents)
		on_bus(g);
	if (p[FD_DEVICE].revents && g->device >= 0) {
		look_before_command(g);
		on_device(g);
	}
	on_time(g);
	look_at_suspension(g);
	return 0;
}

int guestd_run(struct bus *bus, const struct guestd_world *world, int signals)
{
	struct guestd *g = calloc(1, sizeof(*g));
	int r = 0;

	if (!g)
		return E_NOMEM;
	*g = (struct guestd){.bus = bus, .world = *world, .running = true, .life = LIFE_AWAY, .event_fd = -1, .device = -1};
	g->frozen.patience_ms = world->freezer_patience_ms;
	on_bus(g);
	while (g->running && g->life != LIFE_YIELDED && r == 0)
		r = turn(g, signals);
	if (g->life == LIFE_YIELDED)
		r = E_BUSY;
	if (g->frozen.asked_ms)
		restore_freezer(g);
	if (g->device >= 0)
		close(g->device); /* whoever waits for a response is told now */
	if (g->page && bus_say(bus, XENBUS_CLOSED) != 0)
		log_warn("can't tell the backend that we leave: %s", strerror(errno));
	bus_drop(bus);
	explicit_bzero(g->command, sizeof(g->command));
	free(g);
	return r;
}
