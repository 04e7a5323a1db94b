/* A guest's device through xenstore: what is gone, what is rubbish, and what can't be read just now. The libraries are the test's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "common/error.h"
#include "common/loop.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/backend.h"
#include "vtpm-stubdom/port.h"
#include "xenstore-schema/nodes.h"

#define EVTCHN_RING 64 /* of Linux's evtchn.c */

static struct world {
	const char *state, *ring_ref, *event_channel; /* NULL: reading fails with fault */
	int fault, fd;
	int evtchn;	      /* readable while something is pending */
	unsigned int pending; /* events that were not taken, as /dev/xen/evtchn has them */
	bool overflow, restless; /* restless: the guest always has another event channel */
	unsigned int events, reads, maps, unmaps, binds;
	_Alignas(16) uint8_t page[4096];
	struct loop *loop;
} w;

/* --- xenstore --- */

struct xs_handle *xs_open(unsigned long flags) { (void)flags; return (struct xs_handle *)&w; }
int xs_fileno(struct xs_handle *h) { (void)h; return w.fd; }
bool xs_watch(struct xs_handle *h, const char *path, const char *token) { (void)h, (void)path, (void)token; return true; }
bool xs_unwatch(struct xs_handle *h, const char *path, const char *token) { (void)h, (void)path, (void)token; return true; }
bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int n) { (void)h, (void)t, (void)path, (void)data, (void)n; return true; }

char **xs_check_watch(struct xs_handle *h)
{
	eventfd_t n;

	(void)h;
	if (w.events == 0)
		return NULL;
	if (--w.events == 0)
		eventfd_read(w.fd, &n);
	return calloc(2, sizeof(char *));
}

static bool ends_with(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, name) == 0;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *n)
{
	const char *value = ends_with(path, "state") ? w.state : ends_with(path, "ring-ref") ? w.ring_ref : ends_with(path, "domid") ? "9" : w.event_channel;

	(void)h, (void)t;
	w.reads++;
	if (w.restless && ends_with(path, "event-channel")) { /* it has written the next one before we are done */
		w.event_channel = strcmp(w.event_channel, "4") == 0 ? "5" : "4";
		value = w.event_channel;
		w.events++;
		eventfd_write(w.fd, 1);
	}
	if (!value) {
		errno = w.fault;
		return NULL;
	}
	*n = (unsigned int)strlen(value);
	return strdup(value);
}

/* --- grants and event channels --- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned flags) { (void)logger, (void)flags; return (xengnttab_handle *)&w; }
void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot) { (void)h, (void)domid, (void)ref, (void)prot; w.maps++; return w.page; }
int xengnttab_unmap(xengnttab_handle *h, void *page, uint32_t n) { (void)h, (void)page, (void)n; w.unmaps++; return 0; }
xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags) { (void)logger, (void)flags; return (xenevtchn_handle *)&w; }
int xenevtchn_fd(xenevtchn_handle *h) { (void)h; return w.evtchn; }
int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port) { (void)h, (void)port; return 0; }
int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port) { (void)h, (void)port; return 0; }
int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port) { (void)h, (void)port; return 0; }

/* Xen raises an event at each new port, as one may have been lost before. */
xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid, evtchn_port_t port)
{
	(void)h, (void)domid;
	w.binds++;
	if (w.pending < EVTCHN_RING)
		w.pending++;
	else
		w.overflow = true;
	eventfd_write(w.evtchn, 1);
	return (int)port;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	eventfd_t n;

	(void)h;
	if (w.overflow || w.pending == 0)
		return -1;
	if (--w.pending == 0)
		eventfd_read(w.evtchn, &n);
	return atoi(w.event_channel);
}

/* --- the tests --- */

static const struct node_ids device = {.guest = 5};

static void event(void)
{
	w.events++;
	eventfd_write(w.fd, 1);
}

static int setup(void **state)
{
	(void)state;
	w = (struct world){.state = "3", .ring_ref = "8", .event_channel = "4", .fd = eventfd(0, EFD_NONBLOCK),
			   .evtchn = eventfd(0, EFD_NONBLOCK), .loop = loop_new()};
	assert_true(w.fd >= 0 && w.evtchn >= 0 && w.loop);
	return port_xen_prepare();
}

static int teardown(void **state)
{
	(void)state;
	loop_free(&w.loop);
	close(w.evtchn);
	close(w.fd);
	return 0;
}

static struct port *open_port(void)
{
	struct port *p = port_xen(&device);

	assert_non_null(p);
	event();
	return p;
}

static void a_frontend_is_what_its_nodes_say(void **state)
{
	struct port *p = open_port();
	struct port_frontend f;

	(void)state;
	assert_int_equal(port_frontend(p, &f), 0);
	assert_true(f.state == XENBUS_INITIALISED && f.ring_ref == 8 && f.event_channel == 4);
	assert_int_equal(port_frontend(p, &f), E_AGAIN_IN);
	w.ring_ref = "no number";
	event();
	assert_int_equal(port_frontend(p, &f), 0);
	assert_int_equal(f.state, XENBUS_INITIALISING);
	port_close(&p);
}

/* xenstored denies what is not there, where its reader may not see the directory above. */
static void a_device_that_is_gone_is_gone(void **state)
{
	static const int faults[] = {ENOENT, EACCES};
	struct port *p = open_port();
	struct port_frontend f;

	(void)state;
	w.state = NULL;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		w.fault = faults[i];
		event();
		assert_int_equal(port_frontend(p, &f), 0);
		assert_int_equal(f.state, XENBUS_GONE);
	}
	port_close(&p);
}

static void what_cant_be_read_is_not_gone(void **state)
{
	static const int faults[] = {EAGAIN, ENOMEM, EIO, EBADF};
	struct port *p = open_port();
	struct port_frontend f;

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		w.fault = faults[i];
		w.state = NULL;
		event();
		assert_int_equal(port_frontend(p, &f), E_XEN);
		w.state = "3";
		w.ring_ref = NULL;
		assert_int_equal(port_frontend(p, &f), E_XEN); /* without another event */
		w.ring_ref = "8";
		assert_int_equal(port_frontend(p, &f), 0);
		assert_int_equal(f.state, XENBUS_INITIALISED);
		assert_int_equal(port_frontend(p, &f), E_AGAIN_IN);
	}
	port_close(&p);
}

/* --- with the backend --- */

static void on_request(void *arg, const struct tpmif_request *r) { (void)arg, (void)r; fail(); }
static void on_malformed(void *arg) { (void)arg; }
static void on_connected(void *arg, bool connected) { (void)arg, (void)connected; loop_stop(w.loop); }
static void on_connected_again(void *arg, bool connected) { (void)arg; if (connected && w.binds == 300) loop_stop(w.loop); }
static void on_time(void *arg, unsigned int what) { (void)arg, (void)what; loop_stop(w.loop); }

static void run_ms(unsigned int ms)
{
	struct source *timer = source_timer(w.loop, on_time, NULL);

	assert_non_null(timer);
	source_set_ms(timer, ms);
	assert_int_equal(loop_run(w.loop), 0);
	source_free(&timer);
}

static void a_guest_stays_connected_while_its_state_cant_be_read(void **state)
{
	static const struct backend_ops ops = {.request = on_request, .malformed = on_malformed, .connected = on_connected};
	struct backend *b = backend_new(w.loop, open_port(), &ops, NULL);

	(void)state;
	assert_non_null(b);
	run_ms(1000);
	assert_true(backend_connected(b));
	w.state = NULL;
	w.fault = ENOMEM;
	event();
	run_ms(200);
	assert_true(backend_connected(b));
	w.reads = 0;
	run_ms(1200);
	assert_true(w.reads >= 1 && w.reads <= 4); /* it is asked again, and not all the time */
	assert_true(backend_connected(b));
	w.fault = ENOENT;
	run_ms(1000);
	assert_false(backend_connected(b));
	assert_int_equal(w.unmaps, 1);
	backend_free(&b);
}

static void a_guest_that_connects_all_the_time_gets_its_events_when_it_stays(void **state)
{
	static const struct backend_ops ops = {.request = on_request, .malformed = on_malformed, .connected = on_connected_again};
	struct backend *b = backend_new(w.loop, open_port(), &ops, NULL);

	(void)state;
	assert_non_null(b);
	w.restless = true;
	run_ms(5000);
	assert_int_equal(w.binds, 300);
	assert_false(w.overflow);
	w.restless = false;
	run_ms(50);
	assert_true(backend_connected(b));
	assert_int_equal(w.pending, 0);
	backend_free(&b);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frontend_is_what_its_nodes_say),
		TEST(a_device_that_is_gone_is_gone),
		TEST(what_cant_be_read_is_not_gone),
		TEST(a_guest_stays_connected_while_its_state_cant_be_read),
		TEST(a_guest_that_connects_all_the_time_gets_its_events_when_it_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
