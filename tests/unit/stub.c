/* A stub domain for a test. */
#include "tests/unit/stub.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/unit/tpm.h"
#include "tests/unit/tpm_failing.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/service.h"
#include "vtpm-stubdom/tpmif.h"
#include "xenstore-schema/nodes.h"

static uint8_t seed[32] = "0123456789abcdef0123456789abcdef";

/* --- the child --- */

enum log_level stub_log_level;
static bool unreachable; /* the guest's device */
static bool fails;	 /* its TPM */

struct fds {
	int channel[2]; /* the second is offered after the first broke */
	int offered, port;
};

static struct channel *offer(void *arg)
{
	struct fds *f = arg;

	if (f->offered < 2 && f->channel[f->offered] >= 0)
		return channel_unix(f->channel[f->offered++]);
	errno = ENOTSUP;
	return NULL;
}

static struct port *open_port(void *arg, const struct node_ids *ids)
{
	(void)ids;
	if (fails)
		tpm_failing();
	return unreachable ? NULL : port_unix(((struct fds *)arg)->port, false);
}

static void serve(int channel, int again, int port) __attribute__((noreturn));
static void serve(int channel, int again, int port)
{
	struct fds fds = {.channel = {channel, again}, .port = port};
	struct service_world world = {.offer = offer, .open_port = open_port, .arg = &fds, .program = {0xaa}};
	struct loop *loop = loop_new();
	struct service *s;

	log_open("child", stub_log_level);
	s = loop ? service_new(loop, &world) : NULL;
	if (!s || loop_run(loop) != 0)
		_exit(1);
	service_free(&s);
	loop_free(&loop);
	exit(0);
}

/* --- the relay --- */

struct stub stub_start(int *again)
{
	struct stub s = {0};
	int channel[2], port[2], second[2] = {-1, -1};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, port), 0);
	if (again) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, second), 0);
		*again = second[0];
	}
	s.pid = fork();
	if (s.pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* not cmocka's: a crash is to end this process */
		close(channel[0]);
		close(port[0]);
		if (again)
			close(second[0]);
		serve(channel[1], second[1], port[1]);
	}
	close(channel[1]);
	close(port[1]);
	if (again)
		close(second[1]);
	s.channel = channel[0];
	s.port = port[0];
	assert_int_equal(buf_init(&s.in, HANDOFF_BODY_MAX + 4), 0);
	return s;
}

struct stub stub_start_unreachable(void)
{
	struct stub s;

	unreachable = true;
	s = stub_start(NULL);
	unreachable = false;
	return s;
}

struct stub stub_start_failing(int *again)
{
	struct stub s;

	fails = true;
	s = stub_start(again);
	fails = false;
	return s;
}

void stub_say(struct stub *s, enum handoff_type type, const void *fields)
{
	struct buf out;

	assert_int_equal(buf_init(&out, HANDOFF_BODY_MAX + 4), 0);
	assert_int_equal(handoff_write(&out, type, fields), 0);
	while (buf_left(&out)) {
		ssize_t n = send(s->channel, buf_ptr(&out), buf_left(&out), MSG_NOSIGNAL);

		assert_true(n > 0);
		out.off += (size_t)n;
	}
	buf_free(&out);
}

enum handoff_type stub_hear_any(struct stub *s)
{
	struct pollfd p = {.fd = s->channel, .events = POLLIN};
	struct msg m;
	int r;

	while ((r = msg_next(&s->in, HANDOFF_BODY_MAX, &m)) == E_AGAIN_IN) {
		ssize_t n;

		buf_compact(&s->in);
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		n = recv(s->channel, buf_end(&s->in), buf_space(&s->in), 0);
		if (n <= 0)
			return 0;
		s->in.len += (size_t)n;
	}
	assert_int_equal(r, 0);
	assert_int_equal(msg_fields(&m, handoff_schema(m.head.type), s->fields), 0);
	return (enum handoff_type)m.head.type;
}

enum handoff_type stub_hear(struct stub *s)
{
	enum handoff_type type;

	while ((type = stub_hear_any(s)) == HANDOFF_CERTIFY)
		;
	return type;
}

const void *stub_expect(struct stub *s, enum handoff_type type)
{
	assert_int_equal(stub_hear(s), type);
	return s->fields;
}

bool stub_is_silent(struct stub *s, int ms)
{
	struct pollfd p = {.fd = s->channel, .events = POLLIN};

	return !buf_left(&s->in) && poll(&p, 1, ms) == 0;
}

void stub_confirm(struct stub *s, uint64_t version, int r)
{
	const struct handoff_stored stored = {.version = version, .result = (uint64_t)-r};

	stub_say(s, HANDOFF_STORED, &stored);
}

uint64_t stub_expect_store(struct stub *s)
{
	return ((const struct handoff_store *)stub_expect(s, HANDOFF_STORE))->version;
}

void stub_expect_frontend(struct stub *s, bool connected)
{
	assert_int_equal(((const struct handoff_frontend *)stub_expect(s, HANDOFF_FRONTEND))->connected, connected);
}

struct handoff_handoff stub_handoff(void)
{
	struct handoff_handoff h = {.tenant = view_text("t"), .seed = view_of(seed, 32), .generation = 1, .lease_epoch = 9, .incarnation = 1, .guest_domid = 3};

	memset(h.uuid.b, 0x31, UUID_SIZE);
	return h;
}

uint64_t stub_hand_over(struct stub *s, const struct handoff_handoff *h)
{
	stub_expect(s, HANDOFF_HELLO);
	stub_say(s, HANDOFF_HANDOFF, h);
	return ((const struct handoff_ready *)stub_expect(s, HANDOFF_READY))->state_version;
}

void stub_connect(struct stub *s)
{
	stub_say(s, HANDOFF_SERVE, NULL);
	assert_int_equal(frontend_open(&s->guest, s->port), 0);
	assert_int_equal(frontend_await(&s->guest, XENBUS_INIT_WAIT, WAIT_MS), 0);
	assert_int_equal(frontend_say(&s->guest, XENBUS_INITIALISED), 0);
	assert_int_equal(frontend_await(&s->guest, XENBUS_CONNECTED, WAIT_MS), 0);
	stub_expect_frontend(s, true);
}

struct stub stub_start_serving(int *again)
{
	struct stub s = stub_start(again);
	const struct handoff_handoff h = stub_handoff();

	stub_hand_over(&s, &h);
	stub_confirm(&s, stub_expect_store(&s), 0);
	stub_connect(&s);
	return s;
}

void stub_next_relay(struct stub *s, int again)
{
	close(s->channel);
	buf_reset(&s->in);
	s->channel = again;
}

void stub_finish(struct stub *s)
{
	int status;

	if (s->channel >= 0)
		close(s->channel);
	if (s->guest.page)
		frontend_close(&s->guest);
	else
		close(s->port);
	buf_free(&s->in);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

void stub_close(struct stub *s)
{
	enum handoff_type type;

	stub_say(s, HANDOFF_CLOSE, NULL);
	while ((type = stub_hear(s)) == HANDOFF_STORE || type == HANDOFF_FRONTEND || type == HANDOFF_READY)
		if (type == HANDOFF_STORE)
			stub_confirm(s, ((const struct handoff_store *)(const void *)s->fields)->version, 0);
	assert_int_equal(type, HANDOFF_CLOSED);
	stub_finish(s);
}

/* --- the guest --- */

void stub_assert_works(struct stub *s)
{
	uint8_t response[TPMIF_DATA_MAX];
	struct tpm_command c;

	tpm_get_random(&c, 16);
	assert_int_equal(frontend_command(&s->guest, c.bytes, c.b.len, response, WAIT_MS), 28);
	assert_int_equal(tpm_u32(response + 6), 0);
}

void stub_submit_define(struct stub *s, uint32_t index)
{
	struct tpm_command c;

	tpm_nv_define(&c, index, 0);
	frontend_submit(&s->guest, c.bytes, c.b.len);
}

uint32_t stub_response_code(struct stub *s)
{
	assert_int_equal(frontend_wait(&s->guest, WAIT_MS), 0);
	assert_int_equal(s->guest.page[4], TPMIF_FINISH);
	return tpm_u32(s->guest.page + TPMIF_HEADER_SIZE + 6);
}
