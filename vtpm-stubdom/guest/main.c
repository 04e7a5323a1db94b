/*
 * vtpm-guestd: a guest's vTPM as a true TPM 2.0 device, instead of the kernel's xen-tpmfront. See vtpm-guestd(8).
 *
 * Usage:
 *   vtpm-guestd [-i] [-d NUMBER]      serve the domain's vTPM of that number (0)
 *   vtpm-guestd -n [-d NUMBER]        say whether that is possible, and do nothing
 *   vtpm-guestd --port PATH --device-fd N   tests, without Xen: a vtpm-stubdom listens at PATH (its --port), and the inherited
 *                                     SOCK_SEQPACKET socket N stands for the kernel's device; --freezer PATH: files for
 *                                     its freezer, see freezer.h
 *
 * Exit status: 0 after SIGTERM, or (-n) if it is possible; 1 where something is missing or failed; 2 where there is nothing to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "vtpm-stubdom/guest/bus.h"
#include "vtpm-stubdom/guest/device.h"
#include "vtpm-stubdom/guest/guestd.h"
#include "vtpm-stubdom/guest/keeper.h"
#include "vtpm-stubdom/guest/root.h"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(ioctl), "grants, event channels, a new TPM device"},
	{SCMP_SYS(openat), "evtchn for each connection; vtpmx"},
	{SCMP_SYS(faccessat), "is a driver bound, is the device registered? (architectures without access(2))"},
	{SCMP_SYS(socket), "systemd's notification; the Unix twin of the bus, for tests"},
	{SCMP_SYS(connect), "the Unix twin"},
	{SCMP_SYS(memfd_create), "the Unix twin"},
	{SCMP_SYS(ftruncate), "the Unix twin"},
	{SCMP_SYS(fchdir), "out of the initramfs, when it ends"},
	{SCMP_SYS(chdir), "the same"},
	{SCMP_SYS(chroot), "the same"},
};

struct options {
	unsigned int dev;
	bool check, early;
	const char *port; /* tests */
	int device_fd;	  /* tests; -1: none */
	const char *freezer; /* tests */
	unsigned int number; /* no option: of the device that the kernel has made */
	int dev_dir;	     /* no option: /dev of the initramfs, with -i and until that has ended */
};

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
	fprintf(stderr, "usage: vtpm-guestd [-in] [-d NUMBER]\n");
	exit(1);
}

static int get_number(const char *text)
{
	char *rest;
	long n = strtol(text, &rest, 10);

	if (rest == text || *rest || n < 0 || n > USHRT_MAX)
		fatal("'%s' is no number of a vTPM: 'ls /sys/bus/xen/devices' shows vtpm-NUMBER", text);
	return (int)n;
}

static void read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"port", required_argument, NULL, 'p'}, {"device-fd", required_argument, NULL, 'f'},
					     {"freezer", required_argument, NULL, 'z'}, {0}};
	int c;

	*o = (struct options){.device_fd = -1};
	while ((c = getopt_long(argc, argv, "d:in", longs, NULL)) != -1) {
		if (c == 'd')
			o->dev = (unsigned int)get_number(optarg);
		else if (c == 'i')
			o->early = true;
		else if (c == 'n')
			o->check = true;
		else if (c == 'p')
			o->port = optarg;
		else if (c == 'f')
			o->device_fd = get_number(optarg);
		else if (c == 'z')
			o->freezer = optarg;
		else
			usage();
	}
	if (optind != argc || (o->port == NULL) != (o->device_fd < 0))
		usage();
}

/* Ends the process where we can't or need not serve. */
static void check(const struct options *o)
{
	char why[256];
	enum device_verdict verdict = device_check(o->dev, why, sizeof(why));
	int r;

	if (verdict != DEVICE_USABLE) {
		log_error("not serving: %s", why);
		exit((int)verdict);
	}
	r = device_lock(o->dev);
	if (r == E_BUSY) {
		log_info("nothing to do: another vtpm-guestd serves vTPM number %u (perhaps since the initramfs)", o->dev);
		exit(DEVICE_TAKEN);
	}
	if (r != 0)
		fatal("can't lock /run/vtpm-guestd-%u.lock: %s", o->dev, strerror(errno));
	if (o->check)
		exit(DEVICE_USABLE);
}

static int open_device(void *arg)
{
	struct options *o = arg;
	int fd = o->device_fd;

	if (o->port) {
		o->device_fd = -1;
		if (fd < 0)
			fatal("the kernel's twin is gone");
		return fd;
	}
	fd = device_open(&o->number);
	if (fd < 0)
		log_error("can't make a TPM device through /dev/vtpmx: %s", strerror(errno));
	return fd;
}

static bool registered(void *arg)
{
	const struct options *o = arg;

	return o->port || device_registered(o->number);
}

static void ready(void *arg)
{
	const struct options *o = arg;
	char status[64];

	snprintf(status, sizeof(status), "serving /dev/tpm%u and /dev/tpmrm%u", o->number, o->number);
	log_info("%s", status);
	process_ready(status);
}

/* One of Linux's clocks stands still meanwhile, the other is put forward by what the hypervisor's has gone on. */
static uint64_t slept_ms(void *arg)
{
	struct timespec ran, lived;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &ran);
	clock_gettime(CLOCK_BOOTTIME, &lived);
	return (uint64_t)((lived.tv_sec - ran.tv_sec) * 1000 + (lived.tv_nsec - ran.tv_nsec) / 1000000);
}

static bool settled(void *arg)
{
	struct options *o = arg;
	bool done = root_follow(&o->dev_dir);

	if (done)
		log_info("the initramfs has ended: going on in the real root");
	return done;
}

/* Blocked before any thread is started, read from the descriptor that is returned. */
static int block_signals(void)
{
	static const int wanted[] = {SIGTERM, SIGINT, SIGUSR1};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		sigaddset(&set, wanted[i]);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		fatal("can't wait for signals: %s", strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	struct options options;
	struct guestd_world world = {.open_device = open_device, .registered = registered, .ready = ready, .slept_ms = slept_ms, .arg = &options};
	const struct confinement c = {.rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	struct keeper *keeper = NULL;
	struct bus *bus;
	int signals, r;

	process_begin();
	log_open("vtpm-guestd", LOG_LV_INFO);
	read_options(argc, argv, &options);
	if (!options.port) {
		keeper = options.check ? NULL : keeper_new(argv[0]);
		if (!options.check && !keeper)
			fatal("can't start the keeper of event channels: %s", strerror(errno));
		check(&options);
	}
	if (options.early) {
		argv[0][0] = '@'; /* systemd-shutdown(8) lets it be, as befits what a root disk may need */
		options.dev_dir = root_open();
		if (options.dev_dir < 0)
			fatal("can't open /dev: %s", strerror(errno));
		world.settled = settled;
	}
	signals = block_signals();
	bus = options.port ? bus_unix(options.port) : bus_xen(options.dev, keeper);
	if (!bus)
		fatal("can't reach xenstore and gntalloc: %s: is this a Xen guest, and are we root?", strerror(errno));
	if (!options.port || options.freezer)
		world.freezer_patience_ms = freezer_open(&world.freezer, options.freezer);
	process_confine(&c);
	r = guestd_run(bus, &world, signals);
	bus_close(&bus);
	keeper_free(&keeper);
	if (r == E_BUSY)
		log_error("the kernel's xen-tpmfront took the vTPM: leaving it; unbind that driver and start this service to have it back");
	else if (r != 0)
		log_error("the end: %s", error_text(r));
	return r == 0 ? 0 : r == E_BUSY ? DEVICE_TAKEN : 1;
}
