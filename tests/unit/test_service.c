/* The whole service over its Unix twins: a child process serves, this one is relay and guest. */
#include "vtpm-stubdom/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/handoff.h"
#include "common/log.h"
#include "common/loop.h"
#include "tests/ring2/frontend.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/endorsement.h"
#include "vtpm-stubdom/engine.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/tpmif.h"
#include "xenstore-schema/nodes.h"

#define WAIT_MS 20000

static uint8_t seed[32] = "0123456789abcdef0123456789abcdef";

struct stub {
	pid_t pid;
	int channel; /* -1: closed */
	int port;
	struct buf in;
	struct frontend guest;
	_Alignas(max_align_t) uint8_t fields[256]; /* of the last message */
};

/* --- the child --- */

static bool unreachable; /* the guest's device */

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
	return unreachable ? NULL : port_unix(((struct fds *)arg)->port, false);
}

static void serve(int channel, int again, int port) __attribute__((noreturn));
static void serve(int channel, int again, int port)
{
	struct fds fds = {.channel = {channel, again}, .port = port};
	struct service_world world = {.offer = offer, .open_port = open_port, .arg = &fds, .program = {0xaa}};
	struct loop *loop = loop_new();
	struct service *s;

	log_open("child", 0);
	s = loop ? service_new(loop, &world) : NULL;
	if (!s || loop_run(loop) != 0)
		_exit(1);
	service_free(&s);
	loop_free(&loop);
	exit(0);
}

/* --- the relay --- */

static struct stub start(int *again)
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

static void say(struct stub *s, enum handoff_type type, const void *fields)
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

/* The next message: its type, its fields in s->fields; 0 at the end of the channel. */
static enum handoff_type hear_any(struct stub *s)
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

/* But for CERTIFY: most tests are not about it, and it need not be answered. */
static enum handoff_type hear(struct stub *s)
{
	enum handoff_type type;

	while ((type = hear_any(s)) == HANDOFF_CERTIFY)
		;
	return type;
}

static const void *expect(struct stub *s, enum handoff_type type)
{
	assert_int_equal(hear(s), type);
	return s->fields;
}

static bool is_silent(struct stub *s, int ms)
{
	struct pollfd p = {.fd = s->channel, .events = POLLIN};

	return !buf_left(&s->in) && poll(&p, 1, ms) == 0;
}

static void confirm(struct stub *s, uint64_t version, int r)
{
	const struct handoff_stored stored = {.version = version, .result = (uint64_t)-r};

	say(s, HANDOFF_STORED, &stored);
}

static uint64_t expect_store(struct stub *s)
{
	return ((const struct handoff_store *)expect(s, HANDOFF_STORE))->version;
}

static struct handoff_handoff given(void)
{
	struct handoff_handoff h = {.tenant = view_text("t"), .seed = view_of(seed, 32), .generation = 1, .lease_epoch = 9, .incarnation = 1, .guest_domid = 3};

	memset(h.uuid.b, 0x31, UUID_SIZE);
	return h;
}

/* From HELLO to a guest that is connected; its start's state is stored. */
static struct stub start_serving(int *again)
{
	struct stub s = start(again);
	const struct handoff_handoff h = given();

	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	expect(&s, HANDOFF_READY);
	confirm(&s, expect_store(&s), 0);
	say(&s, HANDOFF_SERVE, NULL);
	assert_int_equal(frontend_open(&s.guest, s.port), 0);
	assert_int_equal(frontend_await(&s.guest, XENBUS_INIT_WAIT, WAIT_MS), 0);
	assert_int_equal(frontend_say(&s.guest, XENBUS_INITIALISED), 0);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	assert_int_equal(((const struct handoff_frontend *)expect(&s, HANDOFF_FRONTEND))->connected, 1);
	return s;
}

static void finish(struct stub *s)
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

static void close_in_order(struct stub *s)
{
	enum handoff_type type;

	say(s, HANDOFF_CLOSE, NULL);
	while ((type = hear(s)) == HANDOFF_STORE || type == HANDOFF_FRONTEND || type == HANDOFF_READY)
		if (type == HANDOFF_STORE)
			confirm(s, ((const struct handoff_store *)(const void *)s->fields)->version, 0);
	assert_int_equal(type, HANDOFF_CLOSED);
	finish(s);
}

static void assert_works(struct stub *s)
{
	uint8_t response[TPMIF_DATA_MAX];
	struct tpm_command c;

	tpm_get_random(&c, 16);
	assert_int_equal(frontend_command(&s->guest, c.bytes, c.b.len, response, WAIT_MS), 28);
	assert_int_equal(tpm_u32(response + 6), 0);
}

/* Submit and return at once. */
static void submit_define(struct stub *s, uint32_t index)
{
	struct tpm_command c;

	tpm_nv_define(&c, index, 0);
	frontend_submit(&s->guest, c.bytes, c.b.len);
}

static uint32_t response_code(struct stub *s)
{
	assert_int_equal(frontend_wait(&s->guest, WAIT_MS), 0);
	assert_int_equal(s->guest.page[4], TPMIF_FINISH);
	return tpm_u32(s->guest.page + TPMIF_HEADER_SIZE + 6);
}

/* --- the tests --- */

static void a_vtpm_is_handed_over_served_and_closed(void **state)
{
	struct stub s = start(NULL);
	const struct handoff_hello *hello = expect(&s, HANDOFF_HELLO);
	const struct handoff_handoff h = given();

	(void)state;
	assert_int_equal(hello->program.p[0], 0xaa);
	assert_memory_equal(hello->engine.p, "libtpms ", 8);
	assert_null(hello->vtpm.p);
	say(&s, HANDOFF_HANDOFF, &h);
	assert_int_equal(((const struct handoff_ready *)expect(&s, HANDOFF_READY))->state_version, 0);
	assert_int_equal(expect_store(&s), 1);
	close_in_order(&s);
}

static void a_guest_is_served_before_the_starts_state_is_confirmed(void **state)
{
	struct stub s = start(NULL);
	const struct handoff_handoff h = given();

	(void)state;
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	expect(&s, HANDOFF_READY);
	expect_store(&s);
	say(&s, HANDOFF_SERVE, NULL);
	frontend_open(&s.guest, s.port);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	assert_works(&s);
	close_in_order(&s);
}

static void a_guest_that_waits_with_a_request_is_served_at_once(void **state)
{
	struct stub s = start(NULL);
	const struct handoff_handoff h = given();
	struct tpm_command c;

	(void)state;
	frontend_open(&s.guest, s.port);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	say(&s, HANDOFF_SERVE, NULL);
	assert_int_equal(response_code(&s), 0);
	close_in_order(&s);
}

static void a_command_that_changes_nothing_waits_for_nobody(void **state)
{
	struct stub s = start_serving(NULL);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_works(&s);
	assert_true(is_silent(&s, 50));
	close_in_order(&s);
}

static void the_response_to_a_change_comes_after_it_is_stored(void **state)
{
	struct stub s = start_serving(NULL);
	uint64_t version;

	(void)state;
	submit_define(&s, 0x1500001);
	version = expect_store(&s);
	assert_int_equal(version, 2);
	assert_int_equal(frontend_wait(&s.guest, 100), -1);
	assert_int_equal(s.guest.page[4], TPMIF_SUBMIT);
	confirm(&s, version - 1, 0); /* of another */
	assert_int_equal(frontend_wait(&s.guest, 100), -1);
	confirm(&s, version, 0);
	assert_int_equal(response_code(&s), 0);
	close_in_order(&s);
}

static void a_change_that_is_not_stored_has_not_happened(void **state)
{
	struct stub s = start_serving(NULL);

	(void)state;
	submit_define(&s, 0x1500001);
	confirm(&s, expect_store(&s), E_IO);
	assert_int_equal(response_code(&s), TPMIF_RC_NV_UNAVAILABLE);
	assert_works(&s);
	submit_define(&s, 0x1500001); /* not "already defined" */
	confirm(&s, expect_store(&s), 0);
	assert_int_equal(response_code(&s), 0);
	close_in_order(&s);
}

static void a_relay_that_goes_away_and_comes_back_finds_its_vtpm(void **state)
{
	int again;
	struct stub s = start_serving(&again);
	const struct handoff_hello *hello;
	struct uuid uuid = given().uuid;
	uint64_t version;

	(void)state;
	submit_define(&s, 0x1500001);
	version = expect_store(&s);
	close(s.channel); /* before it answers */
	buf_reset(&s.in);
	s.channel = again;
	hello = expect(&s, HANDOFF_HELLO);
	assert_memory_equal(hello->vtpm.p, uuid.b, UUID_SIZE);
	assert_int_equal(hello->lease_epoch, 9);
	assert_int_equal(hello->connected, 1);
	assert_int_equal(expect_store(&s), version);
	confirm(&s, version, 0);
	assert_int_equal(response_code(&s), 0);
	assert_works(&s);
	close_in_order(&s);
}

static void a_prepared_stub_domain_waits_for_the_next_relay(void **state)
{
	int again;
	struct stub s = start(&again);
	const struct handoff_handoff h = given();

	(void)state;
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_STAY, NULL);
	close(s.channel);
	buf_reset(&s.in);
	s.channel = again;
	assert_null(((const struct handoff_hello *)expect(&s, HANDOFF_HELLO))->vtpm.p);
	say(&s, HANDOFF_HANDOFF, &h);
	expect(&s, HANDOFF_READY);
	close_in_order(&s);
}

/* A stub domain in the place of one that died, with the guest's driver connected as it was. */
static struct stub start_standing_in(int *again)
{
	struct handoff_stand_in q = {.guest_domid = 3};
	struct stub s = start(again);

	memset(q.uuid.b, 0x31, UUID_SIZE);
	expect(&s, HANDOFF_HELLO);
	frontend_open(&s.guest, s.port);
	say(&s, HANDOFF_STAND_IN, &q);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	assert_int_equal(((const struct handoff_frontend *)expect(&s, HANDOFF_FRONTEND))->connected, 1);
	return s;
}

static uint32_t ask_standin(struct stub *s, const char *command, size_t n, uint16_t tag)
{
	uint8_t response[TPMIF_DATA_MAX];

	assert_int_equal(frontend_command(&s->guest, command, n, response, WAIT_MS), 10);
	assert_int_equal(response[0] << 8 | response[1], tag);
	return tpm_u32(response + 6);
}

static void a_stand_in_starts_no_tpm(void **state)
{
	struct stub s = start_standing_in(NULL);
	static const char startup[] = "\x80\x01\0\0\0\x0c\0\0\x01\x44\0\0", pcr_extend[] = "\x80\x02\0\0\0\x0a\0\0\x01\x82";

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask_standin(&s, startup, 12, 0x8001), 0x100);
		assert_int_equal(ask_standin(&s, pcr_extend, 10, 0x8001), 0x100);
	}
	assert_int_equal(ask_standin(&s, "\0\xc1\0\0\0\x0e\0\0\0\x46\0\0\0\x08", 14, 0x00c4), 0x26); /* of TPM 1.2, by Linux's kernel */
	close_in_order(&s);
}

static void a_stand_in_answers_the_command_that_the_dead_one_left(void **state)
{
	struct handoff_stand_in q = {.guest_domid = 3};
	struct stub s = start(NULL);
	struct tpm_command c;

	(void)state;
	frontend_open(&s.guest, s.port);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_STAND_IN, &q);
	assert_int_equal(response_code(&s), 0x100);
	close_in_order(&s);
}

static void a_stand_in_outlives_its_relay_and_says_what_it_is(void **state)
{
	int again;
	struct stub s = start_standing_in(&again);
	const struct handoff_hello *hello;
	const struct handoff_handoff h = given();

	(void)state;
	close(s.channel);
	buf_reset(&s.in);
	s.channel = again;
	hello = expect(&s, HANDOFF_HELLO);
	assert_memory_equal(hello->vtpm.p, h.uuid.b, UUID_SIZE);
	assert_int_equal(hello->lease_epoch, 0);
	assert_int_equal(hello->connected, 1);
	say(&s, HANDOFF_HANDOFF, &h); /* it will never be a TPM */
	assert_int_equal(ask_standin(&s, "\x80\x01\0\0\0\x0c\0\0\x01\x7b\0\x08", 12, 0x8001), 0x100);
	close_in_order(&s);
}

static void a_relay_that_leaves_before_the_handoff_ends_the_work(void **state)
{
	struct stub s = start(NULL);

	(void)state;
	expect(&s, HANDOFF_HELLO);
	finish(&s);
}

static void what_cant_be_opened_fails_with_the_reason(void **state)
{
	struct stub s = start(NULL);
	struct handoff_handoff h = given();
	const struct handoff_failed *failed;

	(void)state;
	h.state_version = 7;
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	failed = expect(&s, HANDOFF_FAILED);
	assert_int_equal(failed->code, -E_DENIED);
	assert_true(failed->reason.n > 20);
	finish(&s);
}

static void a_second_handoff_changes_nothing(void **state)
{
	struct stub s = start_serving(NULL);
	struct handoff_handoff h = given();

	(void)state;
	h.uuid.b[0] ^= 1;
	say(&s, HANDOFF_HANDOFF, &h);
	say(&s, HANDOFF_SERVE, NULL);
	assert_works(&s);
	assert_true(is_silent(&s, 50));
	close_in_order(&s);
}

static void a_relay_that_talks_nonsense_is_left(void **state)
{
	struct stub s = start(NULL);

	(void)state;
	expect(&s, HANDOFF_HELLO);
	assert_int_equal(send(s.channel, "\0\0\0\3abc", 7, 0), 7);
	assert_int_equal(hear(&s), 0);
	finish(&s);
}

/* Certificates of the keys of the TPM that given() describes: as long as real ones, and the right key in them. */
static void make_certificates(struct handoff_certificates *c, uint8_t bytes[1000])
{
	const struct handoff_handoff h = given();
	const struct epochs epochs = {0};
	struct endorsement_key key;
	struct engine *e = engine_new();
	struct tpm_command startup;
	struct secret *roots;
	struct derive d;
	const uint8_t *p;
	size_t n;

	assert_int_equal(derive_init(&d, h.seed.p, h.seed.n, &h.uuid, h.generation), 0);
	roots = derive_roots(&d, &epochs);
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), 0);
	tpm_startup_clear(&startup);
	assert_int_equal(engine_process(e, 0, startup.bytes, startup.b.len, &p, &n), 0);
	assert_int_equal(endorsement_key(e, ENDORSEMENT_ECC, &key), 0);
	memset(bytes, 0x30, 1000);
	memcpy(bytes + 500, key.bytes, key.size);
	*c = (struct handoff_certificates){.rsa = view_of(bytes, 1000), .ecc = view_of(bytes, 1000)};
	secret_free(&roots);
	derive_free(&d);
	engine_free(&e);
}

static void a_vtpm_without_certificates_asks_for_them_and_stores_what_it_gets(void **state)
{
	const struct handoff_handoff h = given();
	struct handoff_certificates c;
	uint8_t bytes[1000];
	uint64_t version;
	struct stub s;

	(void)state;
	make_certificates(&c, bytes);
	s = start(NULL);
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	expect(&s, HANDOFF_READY);
	assert_int_equal(hear_any(&s), HANDOFF_CERTIFY);
	say(&s, HANDOFF_CERTIFICATES, &c); /* before the start's own state is confirmed: they have to wait for that */
	version = expect_store(&s);
	assert_true(is_silent(&s, 100));
	confirm(&s, version, 0);
	assert_int_equal(expect_store(&s), version + 1);
	confirm(&s, version + 1, 0);
	say(&s, HANDOFF_CERTIFICATES, &c); /* nobody asked for these */
	assert_true(is_silent(&s, 100));
	close_in_order(&s);
}

static void certificates_of_another_key_change_nothing(void **state)
{
	uint8_t bytes[700] = {0x30};
	const struct handoff_certificates c = {.rsa = view_of(bytes, 700), .ecc = view_of(bytes, 700)};
	struct stub s = start_serving(NULL);

	(void)state;
	say(&s, HANDOFF_CERTIFICATES, &c);
	assert_true(is_silent(&s, 100));
	assert_works(&s);
	close_in_order(&s);
}

static void status_counts_commands(void **state)
{
	struct stub s = start_serving(NULL);
	const struct handoff_status_reply *reply;

	(void)state;
	assert_works(&s);
	assert_works(&s);
	say(&s, HANDOFF_STATUS, NULL);
	reply = expect(&s, HANDOFF_STATUS_REPLY);
	assert_int_equal(reply->commands, 2);
	assert_int_equal(reply->malformed, 0);
	assert_int_equal(reply->connected, 1);
	assert_true(reply->service_ns > 0);
	assert_true(reply->resident_kib > 100);
	close_in_order(&s);
}

/* --- a guest with bad manners --- */

static void a_driver_can_be_unloaded_and_loaded_and_the_tpm_is_not_reset(void **state)
{
	struct stub s = start_serving(NULL);
	uint8_t response[TPMIF_DATA_MAX], pcr[32], zero[32] = {0};
	struct tpm_command c;

	(void)state;
	tpm_pcr_extend(&c, 16, 5);
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	tpm_pcr_read(&c, 16);
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	memcpy(pcr, response + 30, 32);
	assert_memory_not_equal(pcr, zero, 32);
	for (int i = 0; i < 20; i++) {
		frontend_say(&s.guest, XENBUS_CLOSING);
		frontend_say(&s.guest, XENBUS_CLOSED);
		assert_int_equal(((const struct handoff_frontend *)expect(&s, HANDOFF_FRONTEND))->connected, 0);
		assert_int_equal(frontend_await(&s.guest, XENBUS_INIT_WAIT, WAIT_MS), 0);
		s.guest.ring_ref++;
		frontend_say(&s.guest, XENBUS_INITIALISED); /* 6 -> 3 */
		assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
		assert_int_equal(((const struct handoff_frontend *)expect(&s, HANDOFF_FRONTEND))->connected, 1);
	}
	frontend_command(&s.guest, c.bytes, c.b.len, response, WAIT_MS);
	assert_memory_equal(response + 30, pcr, 32);
	close_in_order(&s);
}

static void a_request_that_was_there_before_the_backend_is_served(void **state)
{
	struct stub s = start_serving(NULL);
	struct tpm_command c;

	(void)state;
	frontend_say(&s.guest, XENBUS_CLOSED);
	expect(&s, HANDOFF_FRONTEND);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	s.guest.ring_ref++;
	frontend_say(&s.guest, XENBUS_INITIALISED);
	expect(&s, HANDOFF_FRONTEND);
	assert_int_equal(response_code(&s), 0);
	frontend_wait(&s.guest, 20);
	close_in_order(&s);
}

static void rubbish_in_page_and_states_costs_the_guest_only_its_answers(void **state)
{
	struct stub s = start_serving(NULL);
	uint32_t random = 1;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		for (int j = 0; j < 12; j++) {
			random = random * 1664525 + 1013904223;
			s.guest.page[j] = (uint8_t)(random >> 24);
		}
		if (i % 3 == 0)
			memset(s.guest.page + 1, 0, 3); /* a small length now and then */
		if (i % 2 == 0)
			s.guest.page[4] = TPMIF_SUBMIT;
		frontend_notify(&s.guest);
		if (i % 7 == 0)
			frontend_say(&s.guest, random);
		if (i % 50 == 0)
			frontend_wait(&s.guest, 1);
	}
	frontend_say(&s.guest, XENBUS_CLOSED);
	s.guest.ring_ref++;
	frontend_say(&s.guest, XENBUS_INITIALISED);
	/* the control channel was never starved */
	say(&s, HANDOFF_STATUS, NULL);
	while (hear(&s) != HANDOFF_STATUS_REPLY)
		;
	while (frontend_await(&s.guest, XENBUS_CONNECTED, 500) == 0)
		;
	while (frontend_wait(&s.guest, 100) == 0)
		;
	assert_works(&s);
	close_in_order(&s);
}

static void a_ring_that_cant_be_mapped_is_not_connected(void **state)
{
	struct stub s = start_serving(NULL);

	(void)state;
	frontend_say(&s.guest, XENBUS_CLOSED);
	expect(&s, HANDOFF_FRONTEND);
	assert_int_equal(frontend_await(&s.guest, XENBUS_INIT_WAIT, WAIT_MS), 0);
	assert_int_equal(ftruncate(s.guest.page_fd, 100), 0); /* no page */
	s.guest.ring_ref++;
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_true(is_silent(&s, 100));
	assert_int_equal(ftruncate(s.guest.page_fd, TPMIF_PAGE_SIZE), 0);
	s.guest.ring_ref++;
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	expect(&s, HANDOFF_FRONTEND);
	assert_works(&s);
	close_in_order(&s);
}

static void malformed_requests_are_answered_and_counted(void **state)
{
	struct stub s = start_serving(NULL);
	uint8_t response[TPMIF_DATA_MAX];

	(void)state;
	assert_int_equal(frontend_command(&s.guest, "short", 5, response, WAIT_MS), 10);
	assert_int_equal(tpm_u32(response + 6), TPMIF_RC_COMMAND_SIZE);
	say(&s, HANDOFF_STATUS, NULL);
	assert_int_equal(((const struct handoff_status_reply *)expect(&s, HANDOFF_STATUS_REPLY))->malformed, 1);
	close_in_order(&s);
}

static void a_cancellation_while_idle_is_confirmed(void **state)
{
	struct stub s = start_serving(NULL);

	(void)state;
	s.guest.page[4] = TPMIF_CANCEL;
	frontend_notify(&s.guest);
	assert_int_equal(frontend_wait(&s.guest, WAIT_MS), 0);
	assert_int_equal(s.guest.page[4], TPMIF_IDLE);
	assert_works(&s);
	close_in_order(&s);
}

static void a_guest_that_vanishes_while_its_change_is_stored_hurts_nobody(void **state)
{
	struct stub s = start_serving(NULL);
	uint64_t version;

	(void)state;
	submit_define(&s, 0x1500001);
	version = expect_store(&s);
	frontend_say(&s.guest, XENBUS_CLOSED);
	assert_int_equal(((const struct handoff_frontend *)expect(&s, HANDOFF_FRONTEND))->connected, 0);
	s.guest.ring_ref++;
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(((const struct handoff_frontend *)expect(&s, HANDOFF_FRONTEND))->connected, 1);
	submit_define(&s, 0x1500002);
	assert_int_equal(frontend_wait(&s.guest, 100), -1);
	confirm(&s, version, 0); /* the answer is the old ring's; now the new one's turn comes */
	confirm(&s, expect_store(&s), 0);
	assert_int_equal(response_code(&s), 0);
	assert_works(&s);
	close_in_order(&s);
}

static void the_end_brings_the_tpm_to_rest_first(void **state)
{
	struct stub s = start_serving(NULL);

	(void)state;
	say(&s, HANDOFF_CLOSE, NULL);
	confirm(&s, expect_store(&s), 0);
	expect(&s, HANDOFF_CLOSED);
	finish(&s);
}

static void a_device_that_cant_be_reached_fails_with_the_reason(void **state)
{
	const struct handoff_handoff h = given();
	const struct handoff_failed *failed;
	struct stub s;
	uint64_t version;

	(void)state;
	unreachable = true;
	s = start(NULL);
	unreachable = false;
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	expect(&s, HANDOFF_READY);
	version = expect_store(&s);
	say(&s, HANDOFF_SERVE, NULL);
	failed = expect(&s, HANDOFF_FAILED);
	assert_non_null(memmem(failed->reason.p, failed->reason.n, "can't reach the guest's device", 30));
	confirm(&s, version, 0); /* it was on its way */
	close_in_order(&s);
}

/* --- a guest that sleeps --- */

static struct handoff_frozen freeze_for(struct stub *s, uint64_t image)
{
	const struct handoff_freeze freeze = {.image = image, .lease_epoch = 9};

	say(s, HANDOFF_FREEZE, &freeze);
	return *(const struct handoff_frozen *)expect(s, HANDOFF_FROZEN);
}

static void thaw(struct stub *s, uint64_t lease_epoch)
{
	const struct handoff_thaw t = {.lease_epoch = lease_epoch};

	say(s, HANDOFF_THAW, &t);
}

static void a_frozen_tpm_serves_nothing_until_it_is_thawed(void **state)
{
	struct stub s = start_serving(NULL);
	struct handoff_frozen frozen = freeze_for(&s, 4);

	(void)state;
	assert_true(frozen.version > 1);
	submit_define(&s, 0x1500001);
	assert_true(is_silent(&s, 50));
	assert_int_equal(s.guest.page[4], TPMIF_SUBMIT);
	thaw(&s, 10);
	assert_int_equal(expect_store(&s), frozen.version + 1);
	confirm(&s, expect_store(&s), 0);
	assert_int_equal(response_code(&s), 0);
	close_in_order(&s);
}

static void a_relay_that_asks_again_gets_the_same_frozen_state(void **state)
{
	struct stub s = start_serving(NULL);
	uint64_t version = freeze_for(&s, 4).version;

	(void)state;
	assert_int_equal(freeze_for(&s, 4).version, version);
	assert_int_equal(freeze_for(&s, 6).version, version + 1); /* the guest slept again: another image */
	say(&s, HANDOFF_CLOSE, NULL);
	expect(&s, HANDOFF_CLOSED); /* without a last state: what was frozen is the last one */
	finish(&s);
}

static void a_change_that_waits_to_be_stored_is_answered_before_the_freeze(void **state)
{
	const struct handoff_freeze freeze = {.image = 4, .lease_epoch = 9};
	struct stub s = start_serving(NULL);
	uint64_t version;

	(void)state;
	submit_define(&s, 0x1500001);
	version = expect_store(&s);
	say(&s, HANDOFF_FREEZE, &freeze);
	assert_true(is_silent(&s, 50));
	confirm(&s, version, 0);
	assert_int_equal(response_code(&s), 0);
	assert_int_equal(((const struct handoff_frozen *)expect(&s, HANDOFF_FROZEN))->version, version + 1);
	say(&s, HANDOFF_CLOSE, NULL);
	expect(&s, HANDOFF_CLOSED);
	finish(&s);
}

static void a_frozen_stub_domain_says_so_to_the_next_relay(void **state)
{
	int again;
	struct stub s = start_serving(&again);

	(void)state;
	freeze_for(&s, 4);
	close(s.channel);
	s.channel = again;
	buf_reset(&s.in);
	assert_non_null(((const struct handoff_hello *)expect(&s, HANDOFF_HELLO))->held.p);
	thaw(&s, 10);
	expect_store(&s);
	assert_works(&s);
	close_in_order(&s);
}

/* What was frozen in one stub domain, handed to another, for image 4. */
static void hand_on(struct stub *s, struct buf *state, struct buf *transient, struct handoff_handoff *h)
{
	struct handoff_frozen f = freeze_for(s, 4);

	assert_int_equal(buf_init(state, f.state.n), 0);
	assert_int_equal(buf_init(transient, f.transient.n), 0);
	buf_put(state, f.state.p, f.state.n);
	buf_put(transient, f.transient.p, f.transient.n);
	*h = given();
	h->incarnation = 5;
	h->state_version = f.version;
	h->state = view_of(buf_ptr(state), buf_left(state));
	h->transient = view_of(buf_ptr(transient), buf_left(transient));
	say(s, HANDOFF_CLOSE, NULL);
	expect(s, HANDOFF_CLOSED);
	finish(s);
}

static void a_resumed_guest_is_met_at_once_and_served_when_it_is_thawed(void **state)
{
	struct stub s = start_serving(NULL);
	struct buf permanent, transient;
	struct handoff_handoff h;
	struct tpm_command c;

	(void)state;
	hand_on(&s, &permanent, &transient, &h);
	s = start(NULL);
	expect(&s, HANDOFF_HELLO);
	say(&s, HANDOFF_HANDOFF, &h);
	assert_int_equal(((const struct handoff_ready *)expect(&s, HANDOFF_READY))->state_version, h.state_version);
	say(&s, HANDOFF_SERVE, NULL);
	frontend_open(&s.guest, s.port);
	tpm_get_random(&c, 8);
	frontend_submit(&s.guest, c.bytes, c.b.len);
	frontend_say(&s.guest, XENBUS_INITIALISED);
	assert_int_equal(frontend_await(&s.guest, XENBUS_CONNECTED, WAIT_MS), 0);
	expect(&s, HANDOFF_FRONTEND);
	assert_true(is_silent(&s, 50));
	assert_int_equal(s.guest.page[4], TPMIF_SUBMIT);
	thaw(&s, 10);
	assert_int_equal(response_code(&s), 0);
	close_in_order(&s);
	buf_free(&permanent);
	buf_free(&transient);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vtpm_is_handed_over_served_and_closed),
		cmocka_unit_test(a_guest_is_served_before_the_starts_state_is_confirmed),
		cmocka_unit_test(a_guest_that_waits_with_a_request_is_served_at_once),
		cmocka_unit_test(a_command_that_changes_nothing_waits_for_nobody),
		cmocka_unit_test(the_response_to_a_change_comes_after_it_is_stored),
		cmocka_unit_test(a_change_that_is_not_stored_has_not_happened),
		cmocka_unit_test(a_relay_that_goes_away_and_comes_back_finds_its_vtpm),
		cmocka_unit_test(a_prepared_stub_domain_waits_for_the_next_relay),
		cmocka_unit_test(a_stand_in_starts_no_tpm),
		cmocka_unit_test(a_stand_in_answers_the_command_that_the_dead_one_left),
		cmocka_unit_test(a_stand_in_outlives_its_relay_and_says_what_it_is),
		cmocka_unit_test(a_relay_that_leaves_before_the_handoff_ends_the_work),
		cmocka_unit_test(what_cant_be_opened_fails_with_the_reason),
		cmocka_unit_test(a_second_handoff_changes_nothing),
		cmocka_unit_test(a_relay_that_talks_nonsense_is_left),
		cmocka_unit_test(a_vtpm_without_certificates_asks_for_them_and_stores_what_it_gets),
		cmocka_unit_test(certificates_of_another_key_change_nothing),
		cmocka_unit_test(status_counts_commands),
		cmocka_unit_test(a_driver_can_be_unloaded_and_loaded_and_the_tpm_is_not_reset),
		cmocka_unit_test(a_request_that_was_there_before_the_backend_is_served),
		cmocka_unit_test(rubbish_in_page_and_states_costs_the_guest_only_its_answers),
		cmocka_unit_test(a_ring_that_cant_be_mapped_is_not_connected),
		cmocka_unit_test(malformed_requests_are_answered_and_counted),
		cmocka_unit_test(a_cancellation_while_idle_is_confirmed),
		cmocka_unit_test(a_guest_that_vanishes_while_its_change_is_stored_hurts_nobody),
		cmocka_unit_test(the_end_brings_the_tpm_to_rest_first),
		cmocka_unit_test(a_device_that_cant_be_reached_fails_with_the_reason),
		cmocka_unit_test(a_frozen_tpm_serves_nothing_until_it_is_thawed),
		cmocka_unit_test(a_relay_that_asks_again_gets_the_same_frozen_state),
		cmocka_unit_test(a_change_that_waits_to_be_stored_is_answered_before_the_freeze),
		cmocka_unit_test(a_frozen_stub_domain_says_so_to_the_next_relay),
		cmocka_unit_test(a_resumed_guest_is_met_at_once_and_served_when_it_is_thawed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
