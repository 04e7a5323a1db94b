/* The start-up ritual: what a process gives up, and the system calls that it keeps. */
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"

#define GROUPS_MAX 8

/* What every process of ours needs, whatever it does. */
static const struct syscall_rule everyone[] = {
	{SCMP_SYS(read), "descriptors that are open"},
	{SCMP_SYS(write), "descriptors that are open, and the log"},
	{SCMP_SYS(readv), "the same"},
	{SCMP_SYS(writev), "the same"},
	{SCMP_SYS(close), "end of a connection"},
	{SCMP_SYS(fstat), "stdio"},
	{SCMP_SYS(newfstatat), "stdio: glibc's fstat()"},
	{SCMP_SYS(lseek), "stdio"},
	{SCMP_SYS(fcntl), "non-blocking descriptors"},
	{SCMP_SYS(mmap), "allocation"},
	{SCMP_SYS(munmap), "allocation"},
	{SCMP_SYS(mremap), "allocation"},
	{SCMP_SYS(mprotect), "allocation: heap of a thread"},
	{SCMP_SYS(brk), "allocation"},
	{SCMP_SYS(madvise), "secrets are kept out of core dumps"},
	{SCMP_SYS(mlock), "secrets are kept out of swap"},
	{SCMP_SYS(munlock), "the same"},
	{SCMP_SYS(access), "secret.c asks whether there is swap"},
	{SCMP_SYS(faccessat2), "the same on newer C libraries"},
	{SCMP_SYS(getrandom), "keys and nonces"},
	{SCMP_SYS(futex), "locks inside the C library and OpenSSL"},
	{SCMP_SYS(clock_gettime), "time, where the vDSO can't tell"},
	{SCMP_SYS(gettimeofday), "the same"},
	{SCMP_SYS(clock_nanosleep), "short waits in libraries"},
	{SCMP_SYS(epoll_wait), "the event loop"},
	{SCMP_SYS(epoll_pwait), "the event loop"},
	{SCMP_SYS(epoll_pwait2), "the event loop"},
	{SCMP_SYS(epoll_ctl), "the event loop"},
	{SCMP_SYS(epoll_create1), "the event loop"},
	{SCMP_SYS(eventfd2), "the event loop"},
	{SCMP_SYS(timerfd_create), "the event loop's precise timers"},
	{SCMP_SYS(timerfd_settime), "the same"},
	{SCMP_SYS(pipe2), "the event loop's signals"},
	{SCMP_SYS(poll), "waits with a deadline"},
	{SCMP_SYS(ppoll), "the same"},
	{SCMP_SYS(sendto), "links between our processes"},
	{SCMP_SYS(recvfrom), "links between our processes"},
	{SCMP_SYS(sendmsg), "the same"},
	{SCMP_SYS(recvmsg), "the same"},
	{SCMP_SYS(rt_sigaction), "signals"},
	{SCMP_SYS(rt_sigprocmask), "signals"},
	{SCMP_SYS(rt_sigreturn), "signals"},
	{SCMP_SYS(sigaltstack), "signals"},
	{SCMP_SYS(restart_syscall), "after a signal"},
	{SCMP_SYS(getpid), "the log, OpenSSL's fork check"},
	{SCMP_SYS(gettid), "abort()"},
	{SCMP_SYS(tgkill), "abort()"},
	{SCMP_SYS(getuid), "OpenSSL's secure getenv"},
	{SCMP_SYS(geteuid), "process_is_root()"},
	{SCMP_SYS(sched_yield), "spinning locks in OpenSSL"},
	{SCMP_SYS(set_robust_list), "threads"},
	{SCMP_SYS(rseq), "threads"},
	{SCMP_SYS(exit), "threads"},
	{SCMP_SYS(exit_group), "the end"},
};

bool process_is_root(void)
{
	return geteuid() == 0;
}

/* A daemon started without descriptors 0 to 2 would write its log into whatever it opens first. */
static void open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			_exit(1);
	} while (fd <= STDERR_FILENO);
	close(fd);
}

void process_begin(void)
{
	const struct rlimit no_core = {0};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	open_standard();
	umask(077);
	if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		fatal("can't switch off core dumps: %s", strerror(errno));
	if (sigaction(SIGPIPE, &ignore, NULL) != 0)
		fatal("can't ignore SIGPIPE: %s", strerror(errno));
}

pid_t process_spawn(void)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return E_IO;
	if (pid > 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
		_exit(1);
	return 0;
}

int process_keep(int fd, int as)
{
	log_close();
	return dup2(fd, as) == as && close_range((unsigned int)as + 1, ~0U, 0) == 0 ? 0 : E_IO;
}

int process_lock_memory(size_t bytes)
{
	const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};

	return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 ? 0 : E_IO;
}

static int find_groups(const char *names, gid_t gid[GROUPS_MAX])
{
	char list[256], *save = NULL, *name;
	int n = 0;

	if (strlen(names) >= sizeof(list))
		fatal("the list of groups '%s' is too long", names);
	memcpy(list, names, strlen(names) + 1);
	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		const struct group *group = getgrnam(name);

		if (!group || n == GROUPS_MAX)
			fatal("there is no group '%s': create it with 'addgroup --system %s'", name, name);
		gid[n++] = group->gr_gid;
	}
	return n;
}

static void drop_user(const struct confinement *c)
{
	const struct passwd *user = NULL;
	gid_t groups[GROUPS_MAX];
	int n = 0;

	if (c->user && process_is_root()) {
		user = getpwnam(c->user);
		if (!user)
			fatal("there is no user '%s': create it with 'adduser --system --group %s'", c->user, c->user);
		n = c->groups ? find_groups(c->groups, groups) : 0;
	}
	if (c->root && (chroot(c->root) != 0 || chdir("/") != 0))
		fatal("can't chroot to %s: %s", c->root, strerror(errno));
	if (!user)
		return;
	if (setgroups((size_t)n, groups) != 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
		fatal("can't become user '%s': %s", c->user, strerror(errno));
	if (setuid(0) == 0)
		fatal("could become root again after dropping to '%s'", c->user);
	/* Changing the user set the flag back to the system's default. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		fatal("can't switch off core dumps: %s", strerror(errno));
}

static int allow(scmp_filter_ctx ctx, const struct syscall_rule *rule, bool no_new_code)
{
	if (no_new_code && (rule->nr == SCMP_SYS(mmap) || rule->nr == SCMP_SYS(mprotect)))
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, rule->nr, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, rule->nr, 0);
}

static void filter(const struct confinement *c)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!ctx)
		fatal("can't filter system calls: the kernel, or a filter around this process (SystemCallFilter= of its unit), refuses seccomp(2)");
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1); /* for libraries' threads, too */
	for (size_t i = 0; r == 0 && i < sizeof(everyone) / sizeof(everyone[0]); i++)
		r = allow(ctx, &everyone[i], c->no_new_code);
	for (size_t i = 0; r == 0 && i < c->n_rules; i++)
		r = allow(ctx, &c->rules[i], c->no_new_code);
	if (r == 0)
		r = seccomp_load(ctx);
	if (r != 0)
		fatal("can't load the system call filter: %s", strerror(-r));
	seccomp_release(ctx);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capset, &head, none) != 0)
		fatal("can't give up capabilities: %s", strerror(errno));
}

void process_confine(const struct confinement *c)
{
	drop_user(c);
	if (c->no_capabilities)
		drop_capabilities();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fatal("can't give up new privileges: %s", strerror(errno));
#if defined(__SANITIZE_ADDRESS__)
	(void)filter; /* the sanitizer's own run-time calls are nobody's business to list */
#else
	if (c->n_rules)
		filter(c);
#endif
}

void process_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t n;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(addr.sun_path))
		return;
	n = strlen(path);
	memcpy(addr.sun_path, path, n);
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&addr,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("can't talk to systemd at $NOTIFY_SOCKET: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

void process_ready(const char *status)
{
	char text[256];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=%s\n", status);
	process_notify(text);
}
