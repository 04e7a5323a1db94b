/* Log lines: what the journal is sent, and what it is not. The journal is this file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "common/uuid.h"
#include "tests/unit/unit.h"

static char directory[] = "/tmp/test_log.XXXXXX";
static struct sockaddr_un journal = {.sun_family = AF_UNIX};
static int fd = -1;

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(journal.sun_path, sizeof(journal.sun_path), "%s/socket", directory);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	return bind(fd, (const struct sockaddr *)&journal, sizeof(journal));
}

static int teardown(void **state)
{
	(void)state;
	log_close();
	close(fd);
	unlink(journal.sun_path);
	return rmdir(directory);
}

static const char *entry(void)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void an_entry_has_fields_for_whom_it_is_about(void **state)
{
	const struct uuid uuid = {{0x8c, 0x6f}};

	(void)state;
	log_open("kmcd[engine]", LOG_LV_INFO);
	assert_int_equal(log_journal(journal.sun_path), 0);
	log_about(LOG_LV_WARN, ABOUT(.vtpm = &uuid, .host = "xen1", .domid = 5), "host '%s' was refused", "xen1");
	assert_string_equal(entry(), "PRIORITY=4\nSYSLOG_IDENTIFIER=kmcd\nMESSAGE=kmcd[engine]: warning: host 'xen1' was refused\n"
				     "VTPM_UUID=8c6f0000-0000-0000-0000-000000000000\nDOMID=5\nHOST=xen1\n");
	log_info("nobody in particular");
	assert_string_equal(entry(), "PRIORITY=6\nSYSLOG_IDENTIFIER=kmcd\nMESSAGE=kmcd[engine]: nobody in particular\n");
	log_debug("not important enough");
	assert_string_equal(entry(), "");
}

static void no_word_of_a_peer_becomes_a_field(void **state)
{
	char long_text[3000];

	(void)state;
	assert_int_equal(log_journal(journal.sun_path), 0);
	log_about(LOG_LV_INFO, ABOUT(.host = "x\nPRIORITY=0"), "said %s", "a\nVTPM_UUID=1\n\x1b[2J");
	assert_null(strstr(entry(), "\nVTPM_UUID"));
	log_about(LOG_LV_INFO, ABOUT(.host = "x\nPRIORITY=0"), "hello");
	assert_null(strstr(entry(), "\nPRIORITY"));
	memset(long_text, 'a', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	log_about(LOG_LV_INFO, ABOUT(.host = long_text), "%s", long_text);
	assert_non_null(strstr(entry(), "\nHOST=aaa")); /* cut, and whole fields all the same */
}

static void a_child_does_not_write_into_what_has_the_journals_number(void **state)
{
	int link[2], status;
	char got[64] = "";
	pid_t pid;

	(void)state;
	assert_int_equal(log_journal(journal.sun_path), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, link), 0);
	pid = fork();
	if (pid == 0) {
		if (process_keep(link[1], 3) != 0)
			_exit(1);
		close(STDERR_FILENO);
		log_info("to nobody");
		_exit(write(3, "link", 4) != 4);
	}
	close(link[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(recv(link[0], got, sizeof(got), 0), 4);
	assert_string_equal(got, "link");
	close(link[0]);
}

static void nobody_waits_for_a_journal_that_stands_still(void **state)
{
	int keep = dup(STDERR_FILENO), out[2];
	unsigned int read_by_journal = 0;
	char got[200000];
	ssize_t n;

	(void)state;
	assert_int_equal(log_journal(journal.sun_path), 0);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(dup2(out[1], STDERR_FILENO), STDERR_FILENO);
	for (int i = 0; i < 600; i++)
		log_info("line %d", i);
	assert_int_equal(dup2(keep, STDERR_FILENO), STDERR_FILENO);
	close(keep);
	close(out[1]);
	n = read(out[0], got, sizeof(got) - 1);
	close(out[0]);
	assert_true(n > 0);
	got[n] = '\0';
	assert_non_null(strstr(got, "line 599\n")); /* what does not fit comes by the other way */
	while (entry()[0])
		read_by_journal++;
	assert_true(read_by_journal > 0);
	assert_null(strstr(got, "line 0\n"));
}

static void only_what_systemd_gave_is_the_journal(void **state)
{
	struct stat st;
	char text[64];

	(void)state;
	log_close();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", text, 1); /* of a parent, whose standard error was another */
	log_open("vtpmctl", LOG_LV_INFO);
	unsetenv("JOURNAL_STREAM");
	log_info("to standard error");
	assert_string_equal(entry(), "");
	assert_int_equal(log_journal("/proc/none/socket"), E_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_has_fields_for_whom_it_is_about),
		cmocka_unit_test(no_word_of_a_peer_becomes_a_field),
		cmocka_unit_test(a_child_does_not_write_into_what_has_the_journals_number),
		cmocka_unit_test(nobody_waits_for_a_journal_that_stands_still),
		cmocka_unit_test(only_what_systemd_gave_is_the_journal),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
