/*
 * dom0-relay/stub_domain.h without Xen: a stub domain is a process.
 *
 * Theory of operation: the configured "kernel" is the program, run as PROGRAM CHANNEL-SOCKET FRONTEND-SOCKET through the
 * configured "initramfs", a script that knows how that program wants to be called. A supervisor stays with it, as the
 * hypervisor does: it tells xenstore when the channel listens, and turns the program's end into the domain's.
 */
#include "dom0-relay/stub_domain.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <xenstore.h>

#include "common/error.h"
#include "dom0-relay/relayconf.h"
#include "tests/ring2/domains.h"
#include "xenstore-schema/nodes.h"

#define FIRST_DOMID 1000 /* guests of the tests have lower ones */
#define SHUTDOWN_CRASH 3

struct toolstack {
	struct xs_handle *xs;
};

struct toolstack *toolstack_open(void)
{
	struct toolstack *t = calloc(1, sizeof(*t));

	if (t && !(t->xs = xs_open(0)))
		toolstack_close(&t);
	return t;
}

void toolstack_close(struct toolstack **t)
{
	if (*t && (*t)->xs)
		xs_close((*t)->xs);
	free(*t);
	*t = NULL;
}

static void short_wait(void)
{
	const struct timespec t = {.tv_nsec = 5000000};

	nanosleep(&t, NULL);
}

static int check_image(const char *path, char why[STUB_WHY])
{
	if (access(path, R_OK) == 0)
		return 0;
	snprintf(why, STUB_WHY, "stub domain image %.120s: %s", path, strerror(errno));
	return E_NOTFOUND;
}

/* --- the supervisor --- */

static void redirect_output(uint32_t domid)
{
	char path[DOMAIN_PATH];
	int fd = open(ring2_path(path, "stub-%u.log", domid), O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) != 0)
		_exit(1);
}

static pid_t run_program(const struct relayconf *conf, uint32_t domid)
{
	char channel[DOMAIN_PATH], frontend[DOMAIN_PATH], path[DOMAIN_PATH];
	pid_t pid = fork();
	FILE *f;

	if (pid == 0) {
		setpgid(0, 0); /* whatever a launcher starts ends with it */
		ring2_path(channel, "stub-%u.sock", domid);
		ring2_path(frontend, "stub-%u.tpm", domid);
		execl(conf->stub_initramfs, conf->stub_initramfs, conf->stub_kernel, channel, frontend, (char *)NULL);
		_exit(127);
	}
	f = fopen(ring2_path(path, "stub-%u.pid", domid), "we");
	if (f) {
		fprintf(f, "%d\n", (int)pid);
		fclose(f);
	}
	return pid;
}

static bool has_ended(pid_t pid)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

/* A socket's file is there before it listens: the kernel's table has the flag (__SO_ACCEPTCON). */
static bool is_listening(const char *path)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strstr(line, " 00010000 ") && strlen(line) > strlen(path) && strcmp(line + strlen(line) - strlen(path), path) == 0;
	}
	if (f)
		fclose(f);
	return found;
}

/* As libxenvchan's server does: its presence says that the channel listens. */
static void announce_channel(uint32_t domid, pid_t pid)
{
	const struct node_ids ids = {.stub = domid};
	char path[DOMAIN_PATH], node[NODE_PATH_MAX];
	struct xs_handle *xs;

	ring2_path(path, "stub-%u.sock", domid);
	while (!is_listening(path)) {
		if (has_ended(pid))
			return;
		short_wait();
	}
	chmod(path, 0666); /* the relay is nobody special */
	xs = xs_open(0);
	if (!xs)
		return;
	xs_write(xs, XBT_NULL, node_path(node, NODE_CHANNEL_EVENT, ids), "1", 1);
	xs_close(xs);
}

static void supervise(const struct relayconf *conf, uint32_t domid)
{
	struct domain d;
	pid_t pid;
	int status;

	setsid();
	umask(022);
	redirect_output(domid);
	pid = run_program(conf, domid);
	announce_channel(domid, pid);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	fprintf(stderr, "stub domain %u: its program ended with status %x\n", domid, (unsigned int)status);
	if (domain_read(domid, &d) == 0) {
		d.shutdown = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : SHUTDOWN_CRASH;
		domain_write(domid, &d, false);
	}
	_exit(0);
}

/* --- what the builder calls --- */

static bool allow(struct toolstack *t, const char *path, uint32_t owner, uint32_t reader)
{
	struct xs_permissions perms[2] = {{.id = owner, .perms = XS_PERM_NONE}, {.id = reader, .perms = XS_PERM_READ}};

	return xs_set_permissions(t->xs, XBT_NULL, path, perms, 2);
}

/* libxl: the domain reads its own directory and writes below data. */
static bool introduce(struct toolstack *t, uint32_t domid, const char *name)
{
	char root[64], path[80];

	snprintf(root, sizeof(root), "/local/domain/%u", domid);
	if (!xs_introduce_domain(t->xs, domid, 1, 1) || !xs_mkdir(t->xs, XBT_NULL, root) || !allow(t, root, 0, domid))
		return false;
	snprintf(path, sizeof(path), "%s/name", root);
	if (!xs_write(t->xs, XBT_NULL, path, name, (unsigned int)strlen(name)))
		return false;
	snprintf(path, sizeof(path), "%s/data", root);
	return xs_mkdir(t->xs, XBT_NULL, path) && allow(t, path, domid, domid);
}

int stub_create(struct toolstack *t, const struct relayconf *conf, const char *name, const struct uuid *handle, uint64_t headroom_mib,
		uint32_t *domid, char why[STUB_WHY])
{
	struct domain d = {.incarnation = 1, .shutdown = -1};
	uint32_t id = *domid ? *domid : FIRST_DOMID;
	pid_t pid;
	int r;

	(void)headroom_mib; /* processes have no reservation */
	if ((r = check_image(conf->stub_kernel, why)) != 0 || (r = check_image(conf->stub_initramfs, why)) != 0)
		return r;
	uuid_format(handle, d.handle);
	while (domain_write(id, &d, true) != 0) {
		if (*domid) {
			snprintf(why, STUB_WHY, "can't create the stub domain: its number %u is taken", id);
			return E_XEN;
		}
		id++;
	}
	if (!introduce(t, id, name)) {
		stub_destroy(t, id);
		snprintf(why, STUB_WHY, "can't create the stub domain: xenstored refused");
		return E_XEN;
	}
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) /* orphaned: it outlives the builder, as a domain does */
			supervise(conf, id);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	*domid = id;
	return 0;
}

/* The program's process id, or 0. */
static pid_t pid_of(uint32_t domid)
{
	char path[DOMAIN_PATH];
	FILE *f = fopen(ring2_path(path, "stub-%u.pid", domid), "re");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

int stub_rename(struct toolstack *t, uint32_t domid, const char *name)
{
	char node[NODE_PATH_MAX], other[NODE_PATH_MAX];
	struct node_ids ids = {.guest = domid};
	struct domain d;

	if (domain_read(domid, &d) != 0)
		return E_NOTFOUND;
	for (ids.guest = 1; ids.guest < FIRST_DOMID + 200; ids.guest++) { /* libxl refuses a name that another domain has */
		unsigned int n;
		char *value = xs_read(t->xs, XBT_NULL, node_path(other, NODE_DOMAIN_NAME, ids), &n);
		bool taken = value && strcmp(value, name) == 0 && ids.guest != domid;

		free(value);
		if (taken)
			return E_XEN;
	}
	ids.guest = domid;
	return xs_write(t->xs, XBT_NULL, node_path(node, NODE_DOMAIN_NAME, ids), name, (unsigned int)strlen(name)) ? 0 : E_XEN;
}

int toolstack_free_memory(struct toolstack *t, uint64_t *mib)
{
	char path[DOMAIN_PATH];
	FILE *f = fopen(ring2_path(path, "free_mib"), "re");
	unsigned int n;

	(void)t;
	*mib = 1024;
	if (f && fscanf(f, "%u", &n) == 1)
		*mib = n;
	if (f)
		fclose(f);
	return 0;
}

int stub_destroy(struct toolstack *t, uint32_t domid)
{
	char path[DOMAIN_PATH], root[64];
	struct domain d;
	pid_t pid = 0;

	if (domain_read(domid, &d) != 0)
		return E_NOTFOUND;
	for (int tries = 0; tries < 200 && (pid = pid_of(domid)) == 0; tries++)
		short_wait(); /* the supervisor has just begun */
	for (int tries = 0; pid > 0 && tries < 1000 && domain_read(domid, &d) == 0 && d.shutdown < 0; tries++) {
		kill(-pid, SIGKILL);
		short_wait(); /* for the supervisor's last word: it must not come after the domain is gone */
	}
	unlink(ring2_path(path, "stub-%u.sock", domid));
	unlink(ring2_path(path, "stub-%u.tpm", domid));
	unlink(ring2_path(path, "stub-%u.pid", domid));
	snprintf(root, sizeof(root), "/local/domain/%u", domid);
	xs_rm(t->xs, XBT_NULL, root);
	domain_remove(domid);
	xs_release_domain(t->xs, domid);
	return 0;
}
