/* What a confined process must not do ends it; what its table allows goes on. */
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"
#include "tests/unit/unit.h"

#define DONE 42

static const struct syscall_rule one_more[] = {{SCMP_SYS(getppid), "a test"}};

/* The wait status of a child that is confined as our processes are, then does @act. */
static int confined(void (*act)(void))
{
	const struct confinement box = {.rules = one_more, .n_rules = 1};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		process_begin();
		process_confine(&box);
		act();
		_exit(DONE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#if !defined(__SANITIZE_ADDRESS__) /* process.c has no filter with sanitizers, which call what no table has */
static void run_a_program(void)
{
	char *const argv[] = {NULL};

	execve("/bin/true", argv, argv);
}

static void open_a_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void open_a_socket(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void trace_its_parent(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void mount_something(void)
{
	mount("none", "/mnt", "tmpfs", 0, NULL);
}

static void become_root(void)
{
	syscall(SYS_setuid, 0);
}

static void make_a_process(void)
{
	syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static void signal_another(void)
{
	kill(1, 0);
}

static void load_a_program_into_the_kernel(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}

static void read_anothers_memory(void)
{
	syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}

static const struct {
	const char *name;
	void (*act)(void);
} forbidden[] = {
	{"run a program", run_a_program}, {"open a file", open_a_file}, {"open a socket", open_a_socket},
	{"trace its parent", trace_its_parent}, {"mount something", mount_something}, {"become root", become_root},
	{"make a process", make_a_process}, {"signal another process", signal_another},
	{"load a program into the kernel", load_a_program_into_the_kernel}, {"read another's memory", read_anothers_memory},
};

static void each_forbidden_act_ends_the_process(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int status = confined(forbidden[i].act);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("a confined process could %s (wait status %#x)", forbidden[i].name, (unsigned int)status);
	}
}

static void look_at_itself(void)
{
	/* prctl() is not in the table: the kernel would end us for asking */
	_exit(prctl(PR_GET_DUMPABLE) == 0 ? DONE : 1);
}

static void it_can_not_ask_to_be_dumpable_again(void **state)
{
	int status = confined(look_at_itself);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

#endif

static void allocate(void)
{
	void *p = malloc(1 << 20);

	if (!p || getppid() <= 0)
		_exit(1);
	free(p);
}

static void what_its_table_allows_goes_on(void **state)
{
	int status = confined(allocate);

	(void)state;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), DONE);
}

/* In a child: the test itself goes on as it was. */
static void no_core_is_written(void **state)
{
	struct rlimit limit;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		process_begin();
		_exit(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 ? DONE : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__)
		cmocka_unit_test(each_forbidden_act_ends_the_process),
		cmocka_unit_test(it_can_not_ask_to_be_dumpable_again),
#endif
		cmocka_unit_test(what_its_table_allows_goes_on),
		cmocka_unit_test(no_core_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
