/* kmcd: start three processes, one for each level of trust (docs/kmc-design.md). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/privsep.h"
#include "common/process.h"
#include "kmc/admin.h"
#include "kmc/engine_process.h"
#include "kmc/front.h"
#include "kmc/kmcconf.h"
#include "kmc/vault_process.h"

#define LINK_FD 3		    /* a child's end of its link */
#define LOCKED_MEMORY (64u << 20) /* bytes that a process may lock: secrets, and OpenSSL's secure heap */

static void usage(void)
{
	fprintf(stderr, "usage: kmcd [-n] [-c FILE]\n"
			"  -c FILE  read FILE instead of " KMC_CONF "\n"
			"  -n       check the configuration and end\n");
	exit(2);
}

static int start(void (*child)(const struct kmcconf *conf, int fd), const struct kmcconf *conf, const char *name)
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

static void front_child(const struct kmcconf *conf, int fd)
{
	front_main(conf, fd);
}

static void vault_child(const struct kmcconf *conf, int fd)
{
	vault_main(conf, fd);
}

int main(int argc, char **argv)
{
	static struct kmcconf conf;
	const char *path = KMC_CONF;
	char why[CONFIG_WHY];
	int c, front_fd, vault_fd, control_fd, check = 0;

	process_begin();
	log_open("kmcd", LOG_LV_INFO);
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
	if (kmcconf_read(path, &conf, why) != 0)
		fatal("%s", why);
	if (check) {
		printf("%s: fine\n", path);
		return 0;
	}
	if (process_is_root() && process_lock_memory(LOCKED_MEMORY) != 0)
		log_warn("can't raise the limit of locked memory: %s", strerror(errno));
	front_fd = start(front_child, &conf, "front");
	vault_fd = start(vault_child, &conf, "vault");
	control_fd = admin_listen(conf.control);
	if (control_fd < 0)
		fatal("can't listen for kmcctl at %s: %s", conf.control, strerror(errno));
	engine_main(&conf, front_fd, vault_fd, control_fd);
}
