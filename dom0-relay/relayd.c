/* vtpm-relayd: start its four processes: relay, builder, host-tpm, state. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/privsep.h"
#include "common/process.h"
#include "dom0-relay/builder_process.h"
#include "dom0-relay/control.h"
#include "dom0-relay/host_tpm_process.h"
#include "dom0-relay/relay.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/state_process.h"

#define LINK_FD 3 /* a child's end of its link */

static void usage(void)
{
	fprintf(stderr, "usage: vtpm-relayd [-n] [-c FILE]\n"
			"  -c FILE  read FILE instead of " RELAY_CONF "\n"
			"  -n       check the configuration and end\n");
	exit(2);
}

/*
 * What the unprivileged relay needs of Xen: xenstore, and vchan's grant mapping and event channels. The hypercall
 * device (privcmd) stays root's.
 */
static void open_devices(const char *user)
{
	static const char *const devices[] = {"/dev/xen/xenbus", "/dev/xen/gntdev", "/dev/xen/evtchn"};
	const struct group *group = process_is_root() ? getgrnam(user) : NULL;

	for (size_t i = 0; group && i < sizeof(devices) / sizeof(devices[0]); i++)
		if (chown(devices[i], 0, group->gr_gid) != 0 || chmod(devices[i], 0660) != 0)
			fatal("can't give %s to group %s: %s; are Xen's kernel modules loaded?", devices[i], user, strerror(errno));
}

static int start(void (*child)(const struct relayconf *conf, int fd), const struct relayconf *conf, const char *name)
{
	int fd[2];
	pid_t pid;

	if (privsep_pair(fd) != 0 || (pid = process_spawn()) < 0)
		fatal("can't start the %s process: %s", name, strerror(errno));
	if (pid == 0) { /* of all descriptors the child gets its own link, and no other child's */
		if (process_keep(fd[1], LINK_FD) != 0)
			fatal("can't start the %s process: %s", name, strerror(errno));
		child(conf, LINK_FD);
	}
	close(fd[1]);
	return fd[0];
}

static void builder_child(const struct relayconf *conf, int fd)
{
	builder_main(conf, fd);
}

static void host_tpm_child(const struct relayconf *conf, int fd)
{
	host_tpm_main(conf, fd);
}

static void state_child(const struct relayconf *conf, int fd)
{
	state_main(conf, fd);
}

int main(int argc, char **argv)
{
	static struct relayconf conf;
	const char *path = RELAY_CONF;
	char why[CONFIG_WHY];
	struct relay_fds fds;
	int c, check = 0;

	process_begin();
	log_open("vtpm-relayd", LOG_LV_INFO);
	while ((c = getopt(argc, argv, "c:n")) != -1) {
		if (c == 'c')
			path = optarg;
		else if (c == 'n')
			check = 1;
		else
			usage();
	}
	if (optind != argc)
		usage();
	if (relayconf_read(path, &conf, why) != 0)
		fatal("%s", why);
	if (check) {
		printf("%s: fine\n", path);
		return 0;
	}
	if (process_is_root() && process_lock_memory(64u << 20) != 0)
		log_warn("can't raise the limit of locked memory: %s", strerror(errno));
	open_devices(conf.user);
	fds.builder = start(builder_child, &conf, "builder");
	fds.tpm = start(host_tpm_child, &conf, "host-tpm");
	fds.disk = start(state_child, &conf, "state");
	fds.control = control_listen(conf.control);
	if (fds.control < 0)
		fatal("can't listen for vtpmctl at %s: %s", conf.control, strerror(errno));
	log_open("vtpm-relayd[relay]", LOG_LV_INFO);
	relay_main(&conf, &fds);
}
