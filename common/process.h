/*
 * The start-up ritual that every process of ours goes through, in this order:
 *
 *   process_begin()     no core dumps, no ptrace, umask 077, standard descriptors there, SIGPIPE ignored
 *   process_spawn()     one child for each trust level, each dies with its parent
 *   (open what is needed)
 *   process_confine()   chroot, drop user and groups, no new privileges, seccomp allowlist
 *   process_ready()     tell systemd, once the whole daemon serves
 */
#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One permitted system call and why. */
struct syscall_rule {
	int nr; /* SCMP_SYS(name) */
	const char *reason;
};

struct confinement {
	const char *user;   /* NULL: stay; ignored unless root */
	const char *groups; /* comma-separated supplementary groups, or NULL for none */
	const char *root;   /* directory to chroot into, or NULL */
	const struct syscall_rule *rules;
	size_t n_rules; /* 0: no filter of its own; the rules in process.c that every process needs are added */
	bool no_capabilities; /* for one that stays root, and needs only what is root's own */
	bool no_new_code; /* and no memory becomes executable any more: no library is loaded either */
};

void process_begin(void);

/**
 * process_spawn() - fork a child that is killed when its parent ends
 *
 * Return: the pid in the parent, 0 in the child, E_IO.
 */
pid_t process_spawn(void);

/**
 * process_keep() - of all descriptors a child keeps the standard ones and @fd, which is @as from now on
 *
 * Its first act, before log_open(). Return: 0 or E_IO with errno.
 */
int process_keep(int fd, int as);

/** process_confine() - give up what is not needed any more; fatal() if that fails. */
void process_confine(const struct confinement *c);

/** process_lock_memory() - raise RLIMIT_MEMLOCK to @bytes, for secrets; 0 or E_IO (not root). */
int process_lock_memory(size_t bytes);

/** process_notify() - send @text, lines of sd_notify(3), to the service manager; nothing happens where there is none. */
void process_notify(const char *text);

/** process_ready() - sd_notify(3) READY=1 with @status, without libsystemd; nothing happens outside systemd. */
void process_ready(const char *status);

/** process_is_root() - effective user 0. */
bool process_is_root(void);

#endif
