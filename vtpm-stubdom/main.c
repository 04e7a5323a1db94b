/*
 * vtpm-stubdom: the program of a vTPM's stub domain.
 *
 * Usage:
 *   /init                                          PID 1 of a stub domain: mounts what it needs, powers off at its end
 *   vtpm-stubdom                                   an ordinary process of a domain that has /proc, /dev/xen and /proc/xen
 *   vtpm-stubdom CHANNEL PORT                      tests, without Xen:
 *     CHANNEL: --channel PATH    listen on a Unix stream socket at PATH; the relay connects, and may connect again
 *              --channel-fd N    the inherited, connected stream socket N; the process ends when it is closed
 *     PORT:    --port PATH       listen on a Unix SOCK_SEQPACKET socket at PATH; the guest's frontend connects (port.h)
 *              --port-fd N       the inherited, connected SOCK_SEQPACKET socket N
 *
 * Over the channel it speaks common/handoff.h, saying HELLO first. Paths are created at the start and are connectable when the
 * process has written "listening" to its log. Exit status 0 after CLOSE, or when the relay leaves before it gave a vTPM; else 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/process.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/service.h"
#include "xenstore-schema/nodes.h"

static const struct syscall_rule rules[] = {
	{SCMP_SYS(ioctl), "grants and event channels"},
	{SCMP_SYS(openat), "the channel, offered anew: gntalloc, evtchn, xenbus"},
	{SCMP_SYS(accept4), "the Unix twins of channel and device, for tests"},
	{SCMP_SYS(getrusage), "STATUS: memory in use"},
	{SCMP_SYS(reboot), "PID 1 powers the domain off at its end"},
};

/* Which world this process was started in. -1: the inherited descriptor is used up, or there is none. */
struct twins {
	bool on;
	int channel_fd, channel_listener;
	int port_fd, port_listener;
	char channel_path[NODE_PATH_MAX]; /* Xen */
};

static void mount_one(const char *type, const char *at)
{
	(void)mkdir(at, 0755); /* if it fails, mount() says so */
	if (mount(type, at, type, MS_NOSUID | MS_NOEXEC, NULL) != 0 && errno != EBUSY)
		log_warn("can't mount %s on %s: %s", type, at, strerror(errno));
}

/* The kernel has started us with an empty root. */
static void be_init(void)
{
	int fd;

	mount_one("devtmpfs", "/dev"); /* first: the console is there, and our words go to it */
	fd = open("/dev/console", O_RDWR | O_NOCTTY);
	for (int i = 0; fd >= 0 && i <= STDERR_FILENO; i++)
		if (fd != i)
			(void)dup2(fd, i); /* nobody could be told */
	if (fd > STDERR_FILENO)
		close(fd);
	mount_one("proc", "/proc");
	mount_one("sysfs", "/sys");
	mount_one("xenfs", "/proc/xen");
}

static void end(int status) __attribute__((noreturn));
static void end(int status)
{
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	exit(status);
}

static void hash_program(uint8_t out[32])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t bytes[16384];
	ssize_t n = 0;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	while (ok && (n = read(fd, bytes, sizeof(bytes))) > 0)
		ok = EVP_DigestUpdate(ctx, bytes, (size_t)n) == 1;
	if (!ok || n < 0 || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		fatal("can't read the program's own file: is /proc mounted?");
	EVP_MD_CTX_free(ctx);
	close(fd);
}

static int listen_at(const char *path, int type)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		fatal("can't listen at %s: the path is longer than %zu bytes", path, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 4) != 0)
		fatal("can't listen at %s: %s", path, strerror(errno));
	return fd;
}

static int inherited(const char *text)
{
	char *rest;
	long n = strtol(text, &rest, 10);

	if (rest == text || *rest || n < 0 || n > INT_MAX || fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0)
		fatal("'%s' is no open descriptor", text);
	return (int)n;
}

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
	fprintf(stderr, "usage: vtpm-stubdom [{--channel PATH | --channel-fd N} {--port PATH | --port-fd N}]\n");
	exit(1);
}

static void read_arguments(int argc, char **argv, struct twins *t)
{
	*t = (struct twins){.channel_fd = -1, .channel_listener = -1, .port_fd = -1, .port_listener = -1};
	if (argc == 1 || getpid() == 1)
		return;
	if (argc != 5)
		usage();
	t->on = true;
	for (int i = 1; i < argc; i += 2) {
		if (strcmp(argv[i], "--channel") == 0)
			t->channel_listener = listen_at(argv[i + 1], SOCK_STREAM);
		else if (strcmp(argv[i], "--channel-fd") == 0)
			t->channel_fd = inherited(argv[i + 1]);
		else if (strcmp(argv[i], "--port") == 0)
			t->port_listener = listen_at(argv[i + 1], SOCK_SEQPACKET);
		else if (strcmp(argv[i], "--port-fd") == 0)
			t->port_fd = inherited(argv[i + 1]);
		else
			usage();
	}
	if ((t->channel_fd < 0) == (t->channel_listener < 0) || (t->port_fd < 0) == (t->port_listener < 0))
		usage();
}

static struct channel *offer(void *arg)
{
	struct twins *t = arg;
	int fd = t->channel_fd;

	if (!t->on)
		return channel_vchan_server(t->channel_path);
	if (t->channel_listener >= 0)
		return channel_unix_server(t->channel_listener);
	t->channel_fd = -1;
	if (fd >= 0)
		return channel_unix(fd);
	errno = ENOTSUP;
	return NULL;
}

static struct port *open_port(void *arg, const struct node_ids *ids)
{
	struct twins *t = arg;
	struct port *p;

	if (!t->on)
		return port_xen(ids);
	p = t->port_listener >= 0 ? port_unix(t->port_listener, true) : t->port_fd >= 0 ? port_unix(t->port_fd, false) : NULL;
	t->port_fd = t->port_listener = -1;
	return p;
}

static void meet_xen(struct twins *t)
{
	struct node_ids ids = {0};

	if (port_xen_prepare() != 0 || port_xen_domid(&ids.stub) != 0)
		fatal("can't reach xenstore, gntdev and evtchn: is this a Xen domain, with /dev/xen and /proc/xen?");
	node_path(t->channel_path, NODE_CHANNEL, ids);
}

static void confine(void)
{
	struct confinement c = {.rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0]), .no_new_code = true};

	/* A kernel that knows filters complains of the missing one with EFAULT. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) != 0 && errno != EFAULT) {
		log_warn("this kernel can't filter system calls (CONFIG_SECCOMP_FILTER): going on without");
		c.n_rules = 0;
	}
	process_confine(&c);
}

static void on_term(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

int main(int argc, char **argv)
{
	struct service_world world = {.offer = offer, .open_port = open_port};
	struct source *term = NULL;
	struct service *service;
	struct twins twins;
	struct loop *loop;

	/* First of all: nothing that a file could say changes what the engine computes. */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	/* libtpms takes 300 KiB for a moment at each change of its state: from the heap, not from the kernel page by page. */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 4 << 20);
	log_open("vtpm-stubdom", LOG_LV_INFO);
	if (getpid() == 1)
		be_init();
	process_begin();
	read_arguments(argc, argv, &twins);
	hash_program(world.program);
	if (!twins.on)
		meet_xen(&twins);
	world.arg = &twins;
	loop = loop_new();
	if (loop)
		term = source_signal(loop, SIGTERM, on_term, loop);
	confine();
	log_info("listening");
	service = term ? service_new(loop, &world) : NULL;
	if (!service) {
		log_error("can't offer a channel to the relay: %s", strerror(errno));
		end(1);
	}
	if (loop_run(loop) != 0)
		log_error("the event loop failed: %s", strerror(errno));
	service_free(&service);
	source_free(&term);
	loop_free(&loop);
	end(0);
}
