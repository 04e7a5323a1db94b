/* The keeper of event channels which must never be closed. */
#include "vtpm-stubdom/guest/keeper.h"

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/process.h"

#define KEPT_MAX 65536 /* descriptors: one for each migration, for as long as the guest runs */

struct keeper {
	int fd;
};

union one_fd {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static const struct syscall_rule rules[] = {
	{SCMP_SYS(pause), "all that it does in the end"},
};

/* A descriptor for which there is no room would be closed by the kernel. */
static void make_room(void)
{
	struct rlimit room = {.rlim_cur = KEPT_MAX, .rlim_max = KEPT_MAX};

	if (setrlimit(RLIMIT_NOFILE, &room) == 0 || getrlimit(RLIMIT_NOFILE, &room) != 0)
		return;
	room.rlim_cur = room.rlim_max; /* all that we may have */
	(void)setrlimit(RLIMIT_NOFILE, &room);
}

/* One descriptor more, which stays open by staying unknown: false at the end of the daemon. */
static bool take_one(int fd)
{
	union one_fd control;
	char byte;
	struct iovec v = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t n;

	do {
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

static void keep(int fd, char *argv0) __attribute__((noreturn));
static void keep(int fd, char *argv0)
{
	const struct confinement c = {.rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};
	bool holds = false;
	sigset_t all;

	argv0[0] = '@';
	/* None that an administrator sends to all processes of the daemon's name or unit, SIGUSR1 above all, may end it. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	make_room();
	process_confine(&c);
	log_close(); /* it has nothing to say */
	while (take_one(fd))
		holds = true;
	while (holds) /* NOLINT(bugprone-infinite-loop): until it is killed */
		pause();
	_exit(0);
}

struct keeper *keeper_new(char *argv0)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int fd[2];
	pid_t pid;

	if (!k || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) != 0) {
		free(k);
		return NULL;
	}
	pid = fork(); /* not process_spawn(): this child must outlive us */
	if (pid == 0) {
		close(fd[0]);
		keep(fd[1], argv0);
	}
	close(fd[1]);
	k->fd = fd[0];
	if (pid < 0)
		keeper_free(&k);
	return k;
}

int keeper_keep(struct keeper *k, int fd)
{
	union one_fd control = {0};
	char byte = 0;
	struct iovec v = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(k->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : E_IO;
}

void keeper_free(struct keeper **k)
{
	if (!*k)
		return;
	close((*k)->fd);
	free(*k);
	*k = NULL;
}
