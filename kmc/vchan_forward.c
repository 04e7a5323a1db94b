/* vtpm-vchan-forward: lets dom0 reach a KMC where dom0 has no network. See kmc/forwarder.h. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "common/watchdog.h"
#include "kmc/address.h"
#include "kmc/forwarder.h"
#include "kmc/offers.h"

#define TO "127.0.0.1:7443"
#define USER "xen-vtpm-forward"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(openat), "vchan opens xenbus, gntalloc and evtchn for each offer"},
	{SCMP_SYS(ioctl), "grants and event channels"},
	{SCMP_SYS(socket), "a connection to the KMC for each client; xenstored's socket where it has one"},
	{SCMP_SYS(connect), "the same"},
	{SCMP_SYS(getsockopt), "what connect() came to"},
	{SCMP_SYS(setsockopt), "keep-alive"},
	{SCMP_SYS(accept4), "the Unix twin of the channel, for tests"},
};

static void usage(void)
{
	fprintf(stderr, "usage: vtpm-vchan-forward [-n] [-u USER] [ADDRESS:PORT]\n"
			"  -u USER  run as USER instead of " USER "\n"
			"  -n       check the arguments and end\n"
			"  ADDRESS:PORT of the KMC, numeric; " TO " if there is none\n");
	exit(2);
}

/* The unprivileged process needs xenstore, grants to give, and event channels. */
static void open_devices(const char *user)
{
	static const char *const devices[] = {"/dev/xen/xenbus", "/dev/xen/gntalloc", "/dev/xen/evtchn"};
	const struct group *group = process_is_root() && strcmp(user, "root") != 0 ? getgrnam(user) : NULL;

	for (size_t i = 0; group && i < sizeof(devices) / sizeof(devices[0]); i++)
		if (chown(devices[i], 0, group->gr_gid) != 0 || chmod(devices[i], 0660) != 0)
			fatal("can't give %s to group %s: %s; is this a Xen domain, and is the module xen-%s loaded?", devices[i], user, strerror(errno),
			      strrchr(devices[i], '/') + 1);
}

static void on_signal(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

static void serve(const char *user, const char *text, const struct sockaddr_storage *to, socklen_t size)
{
	const struct confinement box = {.user = strcmp(user, "root") == 0 ? NULL : user, .rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	struct loop *loop = loop_new();
	struct offers *offers = offers_open();
	struct source *term, *interrupt;
	struct forwarder *f;

	if (!offers)
		fatal("can't write below data/vtpm-kmc in xenstore: %s; is this a Xen domain?", strerror(errno));
	f = loop ? forwarder_new(loop, offers, to, size) : NULL;
	term = f ? source_signal(loop, SIGTERM, on_signal, loop) : NULL;
	interrupt = f ? source_signal(loop, SIGINT, on_signal, loop) : NULL;
	if (!term || !interrupt || watchdog_start(loop) != 0)
		fatal("can't start: out of memory");
	process_confine(&box);
	process_ready("forwarding to the KMC");
	log_info("forwards from dom0 to the KMC at %s", text);
	if (loop_run(loop) != 0)
		fatal("the event loop failed");
	forwarder_free(&f);
	offers_close(&offers);
	exit(0);
}

int main(int argc, char **argv)
{
	const char *user = USER, *text = TO;
	struct sockaddr_storage to;
	bool check = false;
	socklen_t size;
	int c;

	process_begin();
	log_open("vtpm-vchan-forward", LOG_LV_INFO);
	while ((c = getopt(argc, argv, "nu:")) != -1) {
		if (c == 'n')
			check = true;
		else if (c == 'u')
			user = optarg;
		else
			usage();
	}
	if (optind < argc - 1)
		usage();
	if (optind < argc)
		text = argv[optind];
	if (address_parse(text, &to, &size) != 0)
		fatal("'%s' is not a numeric address and port such as " TO " or [::1]:7443", text);
	if (check) {
		printf("%s: fine\n", text);
		return 0;
	}
	open_devices(user);
	serve(user, text, &to, size);
}
