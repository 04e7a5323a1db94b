/*
 * Stands between two parts and passes bytes on:  proxy LISTEN TARGET [record FILE] [cut N]
 *
 * LISTEN and TARGET are tcp:PORT (of 127.0.0.1) or the path of a Unix socket. record appends what goes to TARGET to FILE;
 * cut breaks the first connection after N bytes, counted both ways: later ones are left alone.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "proxy: %s: %s\n", what, strerror(errno));
	exit(1);
}

static socklen_t address(const char *text, struct sockaddr_storage *a)
{
	struct sockaddr_in *in = (void *)a;
	struct sockaddr_un *un = (void *)a;

	memset(a, 0, sizeof(*a));
	if (strncmp(text, "tcp:", 4) == 0) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(text + 4));
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*in);
	}
	un->sun_family = AF_UNIX;
	need(strlen(text) < sizeof(un->sun_path), text);
	memcpy(un->sun_path, text, strlen(text) + 1);
	return sizeof(*un);
}

static int dial(const char *text)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	struct sockaddr_storage a;
	socklen_t n = address(text, &a);
	int fd;

	for (int tries = 0; tries < 250; tries++) {
		fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		need(fd >= 0, text);
		if (connect(fd, (struct sockaddr *)&a, n) == 0)
			return fd;
		close(fd);
		nanosleep(&pause, NULL);
	}
	return -1;
}

static int listen_at(const char *text)
{
	struct sockaddr_storage a;
	socklen_t n = address(text, &a);
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	if (a.ss_family == AF_UNIX)
		unlink(text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	need(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 64) == 0, text);
	return fd;
}

/* Pass on what is there, up to *left bytes: false at the end. */
static bool pass(int from, int to, FILE *record, size_t *left)
{
	char bytes[65536];
	ssize_t n = recv(from, bytes, *left < sizeof(bytes) ? *left : sizeof(bytes), 0);

	if (n <= 0 || send(to, bytes, (size_t)n, MSG_NOSIGNAL) != n)
		return false;
	if (record && (fwrite(bytes, 1, (size_t)n, record) != (size_t)n || fflush(record) != 0))
		return false;
	*left -= (size_t)n;
	return *left > 0;
}

static void serve(int client, const char *target, const char *record, size_t left)
{
	struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = dial(target), .events = POLLIN}};
	FILE *f = record ? fopen(record, "ae") : NULL;

	need(p[1].fd >= 0, target);
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents && !pass(client, p[1].fd, f, &left))
			break;
		if (p[1].revents && !pass(p[1].fd, client, NULL, &left))
			break;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *record = NULL;
	size_t cut = SIZE_MAX;
	int fd;

	for (int i = 3; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "record") == 0)
			record = argv[i + 1];
		else if (strcmp(argv[i], "cut") == 0)
			cut = (size_t)atol(argv[i + 1]);
	}
	if (argc < 3 || argc % 2 == 0 || cut == 0) {
		fprintf(stderr, "usage: proxy LISTEN TARGET [record FILE] [cut N]\n");
		return 2;
	}
	signal(SIGCHLD, SIG_IGN);
	fd = listen_at(argv[1]);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			continue;
		if (fork() == 0)
			serve(client, argv[2], record, cut);
		close(client);
		cut = SIZE_MAX;
	}
}
