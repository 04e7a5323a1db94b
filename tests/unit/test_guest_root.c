/*
 * The initramfs ends under a daemon that was started in it: file systems are moved as initramfs-tools' init and run-init(8) do, in a mount
 * namespace of a child process.
 */
#include "vtpm-stubdom/guest/root.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"
#include "tests/unit/unit.h"

#define HERE "/dev/here"

enum outcome { WORKS, NO_NAMESPACE, NO_FILES, FOLLOWS_NOBODY, STAYS_BEHIND, LOST };

static const struct syscall_rule rules[] = {{SCMP_SYS(fchdir), "as main.c has it"}, {SCMP_SYS(chdir), "the same"}, {SCMP_SYS(chroot), "the same"}};
static const struct confinement box = {.rules = rules, .n_rules = sizeof(rules) / sizeof(rules[0])};

static bool tmpfs(const char *at)
{
	return (mkdir(at, 0755) == 0 || access(at, F_OK) == 0) && mount("tmpfs", at, "tmpfs", 0, NULL) == 0;
}

/* An initramfs with /dev, and the real root below /real; ours from now on. */
static bool enter_initramfs(const char *at)
{
	return tmpfs(at) && chdir(at) == 0 && chroot(".") == 0 && tmpfs("/dev") && close(open(HERE, O_CREAT | O_RDWR, 0600)) == 0 && tmpfs("/real") &&
	       mkdir("/real/dev", 0755) == 0;
}

static bool end_initramfs(void)
{
	return mount("/dev", "/real/dev", NULL, MS_MOVE, NULL) == 0 && rmdir("/dev") == 0 && chdir("/real") == 0 &&
	       mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chdir("/") == 0;
}

static enum outcome live_on(const char *at)
{
	int dev;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return NO_NAMESPACE;
	if (!enter_initramfs(at) || (dev = root_open()) < 0)
		return NO_FILES;
	if (root_follow(&dev) || access(HERE, F_OK) != 0)
		return FOLLOWS_NOBODY; /* nothing has changed yet */
	if (!end_initramfs() || access(HERE, F_OK) == 0)
		return NO_FILES;
	process_confine(&box);
	if (!root_follow(&dev) || dev != -1)
		return STAYS_BEHIND;
	return access(HERE, F_OK) == 0 ? WORKS : LOST;
}

static void paths_lead_to_the_real_root_when_the_initramfs_has_ended(void **state)
{
	char at[] = "/tmp/initramfs.XXXXXX";
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(at));
	pid = fork();
	if (pid == 0)
		_exit((int)live_on(at));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rmdir(at);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_NAMESPACE)
		skip(); /* not root */
	assert_int_equal(WEXITSTATUS(status), WORKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_the_real_root_when_the_initramfs_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
