/* The daemon over a bus and a device that are the test's: it runs in a child process, the test is kernel and backend. */
#include "vtpm-stubdom/guest/guestd.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/guest/bus.h"
#include "vtpm-stubdom/tpmif.h"

#define WAIT_MS 5000

static const uint8_t extend[] = {0x80, 0x02, 0, 0, 0, 65, 0, 0, 1, 0x82, 0, 0, 0, 13, [64] = 1};
static const uint8_t done[] = {0x80, 0x02, 0, 0, 0, 10, 0, 0, 0, 0};

/* Of both processes. */
static struct world {
	_Alignas(4096) uint8_t page[4096];
	atomic_bool restored; /* the directory is a new one, and no event tells of it */
	atomic_int ours;      /* the daemon's state there */
	atomic_uint offers, notified; /* notified: which of the connections */
	atomic_uint slept_ms, looks;  /* looks: into the directory */
} *w;

static int news, event; /* eventfds */
static int device[2];	/* the kernel's end, the daemon's */
static pid_t daemon_pid;

/* --- the bus --- */

static int control_fd(void *world) { (void)world; return news; }
static bool holds(void *world) { (void)world; w->looks++; return !w->restored; }
static int say(void *world, enum xenbus state) { (void)world; w->ours = (int)state; return 0; }
static void drop(void *world) { (void)world; }
static int ask_suspend(void *world) { (void)world; return 0; }
static void close_bus(void *world) { (void)world; }
static int notify(void *world) { (void)world; w->notified = w->offers; return 0; }

static void look(void *world, struct life_seen *seen)
{
	eventfd_t n;

	(void)world;
	eventfd_read(news, &n);
	*seen = (struct life_seen){.there = true, .ours = w->ours, .offer = {.backend = 9}, .theirs = XENBUS_INIT_WAIT, .protocol_v2 = true};
	if (w->restored)
		seen->ours = XENBUS_INITIALISING;
	else if (w->offers)
		seen->offer.ring_ref = w->offers;
	if (seen->offer.ring_ref)
		seen->theirs = XENBUS_CONNECTED;
}

static int offer(void *world, unsigned int backend, struct life_offer *o, void **page, int *event_fd)
{
	(void)world;
	w->restored = false;
	*o = (struct life_offer){.backend = backend, .ring_ref = ++w->offers};
	memset(w->page, 0, sizeof(w->page));
	*page = w->page;
	*event_fd = event;
	w->ours = XENBUS_INITIALISED;
	return 0;
}

static int take_event(void *world)
{
	eventfd_t n;

	(void)world;
	return eventfd_read(event, &n);
}

static const struct bus_ops ops = {.control_fd = control_fd, .look = look, .offer = offer, .holds = holds, .say = say, .drop = drop, .take_event = take_event,
				   .notify = notify, .ask_suspend = ask_suspend, .close = close_bus};

/* --- the daemon --- */

static int open_device(void *arg) { (void)arg; return device[1]; }
static bool registered(void *arg) { (void)arg; return true; }
static void ready(void *arg) { (void)arg; }
static uint64_t slept_ms(void *arg) { (void)arg; return w->slept_ms; }

static int setup(void **state)
{
	const struct guestd_world world = {.open_device = open_device, .registered = registered, .ready = ready, .slept_ms = slept_ms};

	(void)state;
	w = mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	news = eventfd(0, EFD_NONBLOCK);
	event = eventfd(0, EFD_NONBLOCK);
	assert_true(w != MAP_FAILED && news >= 0 && event >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, device), 0);
	daemon_pid = fork();
	if (daemon_pid == 0) {
		log_open("child", 0);
		_exit(guestd_run(bus_new(&ops, NULL), &world, -1) == 0 ? 0 : 1);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(daemon_pid, SIGKILL);
	waitpid(daemon_pid, NULL, 0);
	close(device[0]);
	close(device[1]);
	close(event);
	close(news);
	munmap(w, sizeof(*w));
	return 0;
}

/* --- the kernel and the backend --- */

static bool becomes(const atomic_uint *v, unsigned int value)
{
	for (int i = 0; i < WAIT_MS && *v != value; i++)
		usleep(1000);
	return *v == value;
}

static void send_command(void)
{
	assert_int_equal(write(device[0], extend, sizeof(extend)), sizeof(extend));
}

/* The backend has taken it, and answers. */
static void answer(void)
{
	assert_int_equal(w->page[4], TPMIF_SUBMIT);
	memcpy(w->page + TPMIF_HEADER_SIZE, done, sizeof(done));
	w->page[0] = sizeof(done);
	w->page[4] = TPMIF_FINISH;
	eventfd_write(event, 1);
}

static void assert_answered(void)
{
	struct pollfd p = {.fd = device[0], .events = POLLIN};
	uint8_t response[64];

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(read(device[0], response, sizeof(response)), sizeof(done));
	assert_memory_equal(response, done, sizeof(done));
}

static void a_command_goes_to_the_backend_and_its_response_back(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		w->notified = 0;
		send_command();
		assert_true(becomes(&w->notified, 1));
		answer();
		assert_answered();
	}
	assert_int_equal(w->offers, 1);
	assert_int_equal(w->looks, 0);
}

/* All processes go on; who waited for that has a command; that the directory is another one, the daemon hears later. */
static void the_first_command_after_a_restore_waits_for_the_new_connection(void **state)
{
	(void)state;
	send_command();
	assert_true(becomes(&w->notified, 1));
	answer();
	assert_answered();
	w->slept_ms += 500; /* a checkpoint: all is as it was */
	w->notified = 0;
	send_command();
	assert_true(becomes(&w->notified, 1));
	answer();
	assert_answered();
	w->slept_ms += 500;
	w->restored = true;
	send_command();
	assert_true(becomes(&w->notified, 2));
	answer();
	assert_answered();
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_goes_to_the_backend_and_its_response_back),
		TEST(the_first_command_after_a_restore_waits_for_the_new_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
