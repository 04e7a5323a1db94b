/*
 * The guest's kernel with its tpm_vtpm_proxy, for vtpm-guestd in ring 2.
 *
 *   proxy-kernel serve PATH PATIENCE-MS GUESTD PORT [FREEZER]   start GUESTD for the stub domain at PORT; users of the TPM connect to PATH
 *   proxy-kernel tcti PATH                            such a user: TPM commands from standard input, responses to standard output
 *
 * Like the kernel: one command at a time whoever sends it; its locality is set first; a command that takes longer than PATIENCE-MS is
 * given up without a word to the daemon, and its response is dropped; the user's connection is closed then. Unlike it, users may send
 * the command that sets the locality. "guestd PID" tells whom we started; SIGTERM ends it, and its exit status becomes ours.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER 10
#define MAX 4096

static volatile sig_atomic_t over;

static void on_term(int signo)
{
	(void)signo;
	over = 1;
}

static int read_all(int fd, uint8_t *p, size_t n)
{
	while (n) {
		ssize_t r = read(fd, p, n);

		if (r <= 0)
			return -1;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

/* One message by the length in its header: its size or -1. */
static int read_message(int fd, uint8_t *p)
{
	size_t n;

	if (read_all(fd, p, HEADER) != 0)
		return -1;
	n = (size_t)p[2] << 24 | (size_t)p[3] << 16 | (size_t)p[4] << 8 | p[5];
	return n >= HEADER && n <= MAX && read_all(fd, p + HEADER, n - HEADER) == 0 ? (int)n : -1;
}

/* As tpm_transmit(): the size of the response in @buf, or -1 after @patience ms. */
static int transmit(int device, uint8_t *buf, size_t n, int patience)
{
	struct pollfd p = {.fd = device, .events = POLLIN};
	uint8_t late[MAX];

	while (recv(device, late, sizeof(late), MSG_DONTWAIT) > 0)
		; /* the response of one that was given up */
	if (write(device, buf, n) != (ssize_t)n || poll(&p, 1, patience) != 1)
		return -1;
	return (int)read(device, buf, MAX);
}

static void serve_user(int device, int user, int patience)
{
	uint8_t buf[MAX];
	int n;

	while ((n = read_message(user, buf)) > 0) {
		n = transmit(device, buf, (size_t)n, patience);
		if (n <= 0 || write(user, buf, (size_t)n) != n)
			return;
	}
}

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static pid_t start(const char *program, const char *port, const char *freezer, int *device)
{
	int pair[2];
	char number[12];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		snprintf(number, sizeof(number), "%d", dup(pair[1]));
		execl(program, program, "--port", port, "--device-fd", number, freezer ? "--freezer" : (char *)NULL, freezer, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*device = pair[0];
	return pid;
}

static int serve(const char *path, int patience, const char *program, const char *port, const char *freezer)
{
	static const uint8_t set_locality[] = {0x80, 0x02, 0, 0, 0, 11, 0x20, 0, 0x10, 0, 0};
	const struct sigaction term = {.sa_handler = on_term}; /* without SA_RESTART: accept() returns */
	struct sockaddr_un addr;
	int listener = unix_socket(path, &addr), device, status;
	pid_t pid = start(program, port, freezer, &device);
	uint8_t buf[MAX];

	sigaction(SIGTERM, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	memcpy(buf, set_locality, sizeof(set_locality));
	if (pid < 0 || transmit(device, buf, sizeof(set_locality), 10000) != HEADER || memcmp(buf + 6, "\0\0\0\0", 4) != 0) {
		fprintf(stderr, "proxy-kernel: the daemon does not accept the locality\n");
		return 1;
	}
	if (listener < 0 || bind(listener, (const struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(listener, 8) != 0)
		return 1;
	printf("guestd %d\n", pid);
	fflush(stdout);
	while (!over) {
		int user = accept(listener, NULL, NULL);

		if (user < 0)
			continue;
		serve_user(device, user, patience);
		close(user);
	}
	kill(pid, SIGTERM);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static int tcti(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr), n;
	uint8_t buf[MAX];

	if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		return 1;
	while ((n = read_message(STDIN_FILENO, buf)) > 0) {
		if (write(fd, buf, (size_t)n) != n)
			return 1;
		n = read_message(fd, buf);
		if (n <= 0 || write(STDOUT_FILENO, buf, (size_t)n) != n)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if ((argc == 6 || argc == 7) && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], atoi(argv[3]), argv[4], argv[5], argc == 7 ? argv[6] : NULL);
	if (argc == 3 && strcmp(argv[1], "tcti") == 0)
		return tcti(argv[2]);
	fprintf(stderr, "usage: proxy-kernel {serve PATH PATIENCE-MS GUESTD PORT [FREEZER] | tcti PATH}\n");
	return 1;
}
