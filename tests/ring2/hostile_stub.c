/*
 * A stub domain that was taken over by its guest:  hostile-stub CHANNEL MODE
 *
 * Modes: good (behaves, without a TPM), silent, garbage, huge, flood, early-ready, other, escape, never-ready, hangs-up,
 * never-closed, store-flood, rollback.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/handoff.h"

#define PROGRAM "0123456789abcdef0123456789abcdef"

static int fd = -1;
static struct buf in;
static const char *mode;

static bool is(const char *name)
{
	return strcmp(mode, name) == 0;
}

static void send_bytes(const void *p, size_t n)
{
	if (send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		exit(0); /* the relay hung up */
}

static void say(enum handoff_type type, const void *fields)
{
	static struct buf out;

	if (!out.data && buf_init(&out, HANDOFF_BODY_MAX + 4) != 0)
		exit(1);
	buf_reset(&out);
	if (handoff_write(&out, type, fields) != 0)
		exit(1);
	send_bytes(buf_ptr(&out), buf_left(&out));
}

static uint64_t lease_epoch; /* of the hand-off, once it came */

static void read_handoff(const struct msg *m)
{
	struct handoff_handoff h;

	if (m->head.type == HANDOFF_HANDOFF && msg_fields(m, handoff_schema(HANDOFF_HANDOFF), &h) == 0)
		lease_epoch = h.lease_epoch;
}

/* The next message's type; ends when the relay does. */
static uint64_t hear(void)
{
	struct msg m;

	for (;;) {
		ssize_t n;

		if (msg_next(&in, HANDOFF_BODY_MAX, &m) == 0) {
			read_handoff(&m);
			return m.head.type;
		}
		buf_compact(&in);
		n = recv(fd, buf_end(&in), buf_space(&in), 0);
		if (n <= 0)
			exit(0);
		in.len += (size_t)n;
	}
}

static void wait_for(enum handoff_type type)
{
	while (hear() != type)
		;
}

static void for_ever(void)
{
	for (;;)
		hear();
}

static void hello(void)
{
	struct handoff_hello h = {.program = view_text(PROGRAM), .engine = view_text("none")};

	if (is("other")) {
		h.vtpm = view_of(PROGRAM, UUID_SIZE);
		h.lease_epoch = 1;
	}
	say(HANDOFF_HELLO, &h);
}

static void store(uint64_t version, size_t n)
{
	static uint8_t state[HANDOFF_STATE_MAX];
	const struct handoff_store s = {.version = version, .state = view_of(state, n)};

	say(HANDOFF_STORE, &s);
}

/* What is said instead of, or before, the hand-off. */
static void before(void)
{
	static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0};
	const struct handoff_frontend f = {.connected = 1};
	const struct handoff_ready r = {0};
	uint8_t rubbish[4096];

	if (is("silent"))
		for_ever();
	if (is("garbage")) {
		for (size_t i = 0; i < sizeof(rubbish); i++)
			rubbish[i] = (uint8_t)(i * 151 + 7);
		send_bytes(rubbish, sizeof(rubbish));
		for_ever();
	}
	if (is("huge")) {
		send_bytes(huge, sizeof(huge));
		for_ever();
	}
	while (is("flood"))
		say(HANDOFF_FRONTEND, &f);
	hello();
	if (is("early-ready"))
		say(HANDOFF_READY, &r);
}

static void failed(void)
{
	const struct handoff_failed f = {.code = 1, .reason = view_text("\x1b[31mgotcha\x1b[2J\r\n\xc2\x9b" "0m")};

	say(HANDOFF_FAILED, &f);
	for_ever();
}

static void serve(void)
{
	struct handoff_ready r = {0};

	wait_for(HANDOFF_HANDOFF);
	r.lease_epoch = lease_epoch;
	if (is("escape"))
		failed();
	if (is("hangs-up"))
		exit(0);
	if (is("never-ready") || is("early-ready"))
		for_ever();
	say(HANDOFF_READY, &r);
	wait_for(HANDOFF_SERVE);
	for (uint64_t version = 1; is("store-flood"); version++)
		store(version, HANDOFF_STATE_MAX);
	if (is("rollback")) {
		store(7, 100);
		store(3, 100);
		store(0, 100);
	}
	wait_for(HANDOFF_CLOSE);
	if (is("never-closed"))
		for_ever();
	say(HANDOFF_CLOSED, NULL);
	for_ever();
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3 || strlen(argv[1]) >= sizeof(addr.sun_path) || buf_init(&in, HANDOFF_BODY_MAX + 4) != 0)
		return 2;
	mode = argv[2];
	strcpy(addr.sun_path, argv[1]);
	unlink(argv[1]);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(listener, 4) != 0)
		return 1;
	fd = accept(listener, NULL, NULL);
	before();
	serve();
	return 0;
}
