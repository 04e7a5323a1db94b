/* The three places in which a TPM is measured. */
#include "tests/bench/target.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/handoff.h"
#include "tests/ring2/frontend.h"
#include "vtpm-stubdom/engine.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"

static struct target *new_target(const char *name, int (*command)(struct target *, const uint8_t *, size_t, uint8_t *), void *state)
{
	struct target *t = calloc(1, sizeof(*t));

	if (t)
		*t = (struct target){.name = name, .command = command, .state = state};
	return t;
}

/* --- in process --- */

static int in_process_command(struct target *t, const uint8_t *command, size_t n, uint8_t response[TARGET_RESPONSE_MAX])
{
	const uint8_t *p;
	size_t size;

	if (engine_process(t->state, 0, command, n, &p, &size) != 0 || size > TARGET_RESPONSE_MAX)
		return -1;
	memcpy(response, p, size);
	return (int)size;
}

struct target *target_in_process(void)
{
	static const uint8_t startup[12] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0};
	static struct roots roots;
	struct engine *e = engine_new();
	const uint8_t *p;
	size_t n;

	memset(&roots, 7, sizeof(roots));
	if (!e || engine_manufacture(e, &roots) != 0 || engine_process(e, 0, startup, sizeof(startup), &p, &n) != 0)
		return NULL;
	return new_target("in process", in_process_command, e);
}

/* --- the stub program --- */

struct stub {
	pid_t pid;
	int channel;
	pthread_t relay;
	struct frontend guest;
	struct buf in, out;
};

static int send_message(struct stub *s, enum handoff_type type, const void *fields)
{
	buf_reset(&s->out);
	if (handoff_write(&s->out, type, fields) != 0)
		return -1;
	return send(s->channel, buf_ptr(&s->out), buf_left(&s->out), MSG_NOSIGNAL) == (ssize_t)buf_left(&s->out) ? 0 : -1;
}

static int hear(struct stub *s, struct msg *m)
{
	int r;

	while ((r = msg_next(&s->in, HANDOFF_BODY_MAX, m)) == E_AGAIN_IN) {
		ssize_t n;

		buf_compact(&s->in);
		n = recv(s->channel, buf_end(&s->in), buf_space(&s->in), 0);
		if (n <= 0)
			return -1;
		s->in.len += (size_t)n;
	}
	return r;
}

static void *relay(void *arg)
{
	struct stub *s = arg;
	struct msg m;

	while (hear(s, &m) == 0) {
		struct handoff_store store;
		struct handoff_stored stored = {0};

		if (m.head.type != HANDOFF_STORE || msg_fields(&m, handoff_schema(HANDOFF_STORE), &store) != 0)
			continue;
		stored.version = store.version;
		if (send_message(s, HANDOFF_STORED, &stored) != 0)
			break;
	}
	return NULL;
}

static int hand_over(struct stub *s)
{
	static const uint8_t seed[HANDOFF_SEED_SIZE] = {1};
	const struct handoff_handoff h = {
		.tenant = view_text("bench"), .seed = view_of(seed, sizeof(seed)), .generation = 1, .lease_epoch = 1, .incarnation = 1, .guest_domid = 1};
	struct msg m;

	if (hear(s, &m) != 0 || send_message(s, HANDOFF_HANDOFF, &h) != 0 || hear(s, &m) != 0 || m.head.type != HANDOFF_READY ||
	    send_message(s, HANDOFF_SERVE, NULL) != 0)
		return -1;
	return pthread_create(&s->relay, NULL, relay, s) == 0 ? 0 : -1;
}

static int stub_command(struct target *t, const uint8_t *command, size_t n, uint8_t response[TARGET_RESPONSE_MAX])
{
	struct stub *s = t->state;
	uint64_t count;
	uint32_t size;

	frontend_submit(&s->guest, command, n);
	do {
		if (read(s->guest.to_us, &count, sizeof(count)) != (ssize_t)sizeof(count))
			return -1;
	} while (__atomic_load_n(s->guest.page + 4, __ATOMIC_ACQUIRE) != TPMIF_FINISH);
	memcpy(&size, s->guest.page, sizeof(size));
	if (size > TPMIF_DATA_MAX)
		return -1;
	memcpy(response, s->guest.page + TPMIF_HEADER_SIZE, size);
	return (int)size;
}

static pid_t spawn(const char *const argv[], const int keep[2])
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		_exit(127);
	for (int i = 0; keep && i < 2; i++)
		fcntl(keep[i], F_SETFD, 0);
	if (dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDERR_FILENO) < 0)
		_exit(127);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

struct target *target_stub(const char *program)
{
	struct stub *s = calloc(1, sizeof(*s));
	char channel[12], port[12];
	const char *const argv[] = {program, "--channel-fd", channel, "--port-fd", port, NULL};
	int c[2], p[2], keep[2];

	if (!s || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c) != 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) != 0 ||
	    buf_init(&s->in, HANDOFF_BODY_MAX + 4) != 0 || buf_init(&s->out, HANDOFF_BODY_MAX + 4) != 0)
		return NULL;
	snprintf(channel, sizeof(channel), "%d", c[1]);
	snprintf(port, sizeof(port), "%d", p[1]);
	keep[0] = c[1];
	keep[1] = p[1];
	s->pid = spawn(argv, keep);
	s->channel = c[0];
	close(c[1]);
	close(p[1]);
	if (s->pid < 0 || hand_over(s) != 0 || frontend_open(&s->guest, p[0]) != 0 || frontend_say(&s->guest, XENBUS_INITIALISED) != 0 ||
	    frontend_await(&s->guest, XENBUS_CONNECTED, 10000) != 0)
		return NULL;
	return new_target("stub program", stub_command, s);
}

/* --- swtpm --- */

struct swtpm {
	pid_t pid;
	int fd;
};

static int swtpm_command(struct target *t, const uint8_t *command, size_t n, uint8_t response[TARGET_RESPONSE_MAX])
{
	const struct swtpm *s = t->state;

	if (write(s->fd, command, n) != (ssize_t)n)
		return -1;
	return (int)read(s->fd, response, TARGET_RESPONSE_MAX); /* swtpm writes a response at once */
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const struct timespec pause = {.tv_nsec = 10000000};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	memcpy(addr.sun_path, path, strlen(path) + 1);
	for (int tries = 0; tries < 500; tries++) {
		if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
			return fd;
		nanosleep(&pause, NULL);
	}
	close(fd);
	return -1;
}

struct target *target_swtpm(const char *dir)
{
	struct swtpm *s = calloc(1, sizeof(*s));
	char state[256], server[256], path[256];
	const char *const argv[] = {"swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--flags", "not-need-init,startup-clear", NULL};

	if (!s)
		return NULL;
	snprintf(path, sizeof(path), "%.200s/swtpm.sock", dir);
	snprintf(state, sizeof(state), "dir=%.200s", dir);
	snprintf(server, sizeof(server), "type=unixio,path=%.220s", path);
	s->pid = spawn(argv, NULL);
	s->fd = s->pid > 0 ? connect_to(path) : -1;
	return s->fd >= 0 ? new_target("swtpm socket", swtpm_command, s) : NULL;
}

void target_stop(struct target **t)
{
	struct swtpm *w;
	struct stub *s;

	if (!*t)
		return;
	if ((*t)->command == in_process_command) {
		struct engine *e = (*t)->state;

		engine_free(&e);
	} else if ((*t)->command == stub_command) {
		s = (*t)->state;
		shutdown(s->channel, SHUT_RDWR);
		pthread_join(s->relay, NULL);
		close(s->channel);
		frontend_close(&s->guest);
		waitpid(s->pid, NULL, 0);
		buf_free(&s->in);
		buf_free(&s->out);
		free(s);
	} else {
		w = (*t)->state;
		close(w->fd);
		kill(w->pid, SIGTERM);
		waitpid(w->pid, NULL, 0);
		free(w);
	}
	free(*t);
	*t = NULL;
}
