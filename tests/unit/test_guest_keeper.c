/*
 * The keeper: a descriptor that it was given stays open when we close ours and when we go; without one it goes with us.
 * Its name tells systemd-shutdown(8) to spare it; ours stays as it is.
 */
#include "vtpm-stubdom/guest/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* The one child that we have, or 0 if it has ended within a second. */
static pid_t child_left(void)
{
	for (int i = 0; i < 100; i++) {
		siginfo_t info = {0};

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid != 0)
			return 0;
		usleep(10000);
	}
	return -1;
}

/* The first byte by which systemd-shutdown(8) judges a process. */
static int name_of(pid_t pid)
{
	char path[64], c = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, &c, 1), 1);
	close(fd);
	return c;
}

static int closed(int fd)
{
	char c;

	return read(fd, &c, 1) == 0; /* end of file: no writer is left. EAGAIN: there is one */
}

/* The keeper, once it goes on alone; 0: this kernel does not list children. */
static pid_t keepers_pid(void)
{
	char path[64];
	FILE *children;
	pid_t pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	if (children && fscanf(children, "%d", &pid) != 1)
		pid = 0;
	if (children)
		fclose(children);
	return pid;
}

static void end_keeper(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void without_anything_to_keep_it_ends_with_us(void **state)
{
	struct keeper *k = keeper_new(program_invocation_name);

	(void)state;
	assert_non_null(k);
	keeper_free(&k);
	assert_null(k);
	assert_int_equal(child_left(), 0);
}

static void what_it_was_given_stays_open_whatever_asks_it_to_end(void **state)
{
	struct keeper *k = keeper_new(program_invocation_name);
	char path[64];
	int fd[2];
	pid_t pid;

	(void)state;
	assert_non_null(k);
	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(keeper_keep(k, fd[1]), 0);
	close(fd[1]);
	keeper_free(&k);
	pid = keepers_pid();
	if (!pid)
		skip();
	usleep(100000); /* it has read the message, or never will */
	for (int signo = 1; signo < 32; signo++) /* the next are the C library's own */
		if (signo != SIGKILL && signo != SIGSTOP)
			kill(pid, signo);
	usleep(100000);
	assert_false(closed(fd[0]));
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(name_of(pid), '@');
	end_keeper(pid);
	assert_true(closed(fd[0]));
	close(fd[0]);
}

/* A guest that migrates all its life has a limit of open files like any other process. */
static void it_keeps_more_than_a_process_may_have_open(void **state)
{
	struct rlimit limit, few;
	struct keeper *k;
	int fd[40][2], lost = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = 20;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	k = keeper_new(program_invocation_name);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_non_null(k);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(pipe2(fd[i], O_CLOEXEC | O_NONBLOCK), 0);
		while (keeper_keep(k, fd[i][1]) != 0)
			usleep(1000); /* a socket holds so many, and no more */
		close(fd[i][1]);
	}
	keeper_free(&k);
	pid = keepers_pid();
	if (!pid)
		skip();
	usleep(200000);
	for (int i = 0; i < 40; i++) {
		lost += closed(fd[i][0]);
		close(fd[i][0]);
	}
	end_keeper(pid);
	assert_int_equal(lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_anything_to_keep_it_ends_with_us),
		cmocka_unit_test(what_it_was_given_stays_open_whatever_asks_it_to_end),
		cmocka_unit_test(it_keeps_more_than_a_process_may_have_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
