/* A forwarder's way to the KMC: bytes cross in order and whole, ends are passed on after the last words, nobody is waited for without end. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/error.h"
#include "common/loop.h"
#include "kmc/forwarder.h"
#include "kmc/offers.h"
#include "kmc/passage.h"
#include "tests/unit/unit.h"

static const struct passage_limits patient = {.dial_ms = 20000, .stall_ms = 20000, .end_ms = 20000};

struct world {
	struct loop *loop;
	struct source *stop;
	int listener, kmc; /* kmc: the KMC's end of the connection, once accepted */
	struct sockaddr_storage addr;
	socklen_t size;
	struct channel *client;
	struct passage *passage;
	unsigned int ends;
	char why[PASSAGE_WHY];
};

static void on_stop(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

static void turn(struct world *w)
{
	source_set_ms(w->stop, 2);
	assert_int_equal(loop_run(w->loop), 0);
}

static void on_closed(void *arg, struct passage *p, const char *why)
{
	struct world *w = arg;

	assert_ptr_equal(p, w->passage);
	w->ends++;
	snprintf(w->why, sizeof(w->why), "%s", why);
	passage_free(&w->passage);
}

static void open_world(struct world *w)
{
	struct sockaddr_in *in = (void *)&w->addr;

	memset(w, 0, sizeof(*w));
	w->kmc = -1;
	w->loop = loop_new();
	assert_non_null(w->loop);
	w->stop = source_timer(w->loop, on_stop, w->loop);
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->size = sizeof(*in);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&w->addr, w->size), 0);
	assert_int_equal(listen(w->listener, 64), 0);
	assert_int_equal(getsockname(w->listener, (struct sockaddr *)&w->addr, &w->size), 0);
}

static void close_world(struct world *w)
{
	passage_free(&w->passage);
	channel_close(&w->client);
	source_free(&w->stop);
	loop_free(&w->loop);
	close(w->listener);
	if (w->kmc >= 0)
		close(w->kmc);
}

static void let_in(struct world *w, const struct passage_limits *limits)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	w->client = channel_unix(fd[0]);
	w->passage = passage_new(w->loop, channel_unix(fd[1]), &w->addr, w->size, limits, on_closed, w);
	assert_non_null(w->passage);
}

static void begin(struct world *w, const struct passage_limits *limits)
{
	open_world(w);
	let_in(w, limits);
}

static int take_kmc(struct world *w)
{
	int fd = -1;

	for (int i = 0; i < 2000 && fd < 0; i++) {
		turn(w);
		fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK);
	}
	assert_true(fd >= 0);
	return fd;
}

static void until_ended(struct world *w)
{
	for (int i = 0; i < 5000 && !w->ends; i++)
		turn(w);
	assert_int_equal(w->ends, 1);
}

#define MANY 300000

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8));
}

static void bytes_cross_whole_and_in_order(void **state)
{
	static uint8_t out[MANY], up[MANY], down[MANY];
	size_t sent = 0, upped = 0, answered = 0, downed = 0, n;
	struct world w;
	ssize_t r;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		out[i] = byte_at(i);
	begin(&w, &patient);
	w.kmc = take_kmc(&w);
	for (int i = 0; i < 5000 && (upped < MANY || downed < MANY); i++) {
		if (sent < MANY && channel_write(w.client, out + sent, MANY - sent, &n) == 0)
			sent += n;
		if ((r = recv(w.kmc, up + upped, MANY - upped, 0)) > 0)
			upped += (size_t)r;
		if (answered < MANY && (r = send(w.kmc, out + answered, MANY - answered, 0)) > 0)
			answered += (size_t)r;
		channel_wait(w.client);
		if (downed < MANY && channel_read(w.client, down + downed, MANY - downed, &n) == 0)
			downed += n;
		turn(&w);
	}
	assert_int_equal(upped, MANY);
	assert_int_equal(downed, MANY);
	assert_memory_equal(up, out, MANY);
	assert_memory_equal(down, out, MANY);
	assert_int_equal(w.ends, 0);
	close_world(&w);
}

static void the_kmcs_last_words_arrive_before_its_end(void **state)
{
	struct world w;
	char text[8];
	size_t n;
	int r = E_AGAIN_IN;

	(void)state;
	begin(&w, &patient);
	w.kmc = take_kmc(&w);
	assert_int_equal(send(w.kmc, "alert", 5, 0), 5);
	close(w.kmc);
	w.kmc = -1;
	until_ended(&w);
	assert_string_equal(w.why, "");
	assert_int_equal(channel_read(w.client, text, sizeof(text), &n), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(text, "alert", 5);
	r = channel_read(w.client, text, sizeof(text), &n);
	assert_int_equal(r, E_EOF);
	close_world(&w);
}

static void the_clients_last_words_arrive_before_its_end(void **state)
{
	struct world w;
	char text[8];
	size_t n;

	(void)state;
	begin(&w, &patient);
	assert_int_equal(channel_write(w.client, "bye", 3, &n), 0); /* before there is a KMC */
	channel_close(&w.client);
	w.kmc = take_kmc(&w);
	until_ended(&w);
	assert_string_equal(w.why, "");
	assert_int_equal(recv(w.kmc, text, sizeof(text), 0), 3);
	assert_memory_equal(text, "bye", 3);
	assert_int_equal(recv(w.kmc, text, sizeof(text), 0), 0);
	close_world(&w);
}

static void a_kmc_that_is_not_there_is_told_of(void **state)
{
	struct world w;
	char text[8];
	size_t n;

	(void)state;
	open_world(&w);
	close(w.listener); /* nobody listens at its address any more */
	w.listener = -1;
	let_in(&w, &patient);
	until_ended(&w);
	assert_string_equal(w.why, "Connection refused");
	assert_int_equal(channel_read(w.client, text, sizeof(text), &n), E_EOF);
	close_world(&w);
}

static void who_takes_nothing_is_given_up(void **state)
{
	static const struct passage_limits hasty = {.dial_ms = 20000, .stall_ms = 30, .end_ms = 20000};
	static const uint8_t zeros[65536];
	struct world w;

	(void)state;
	begin(&w, &hasty);
	w.kmc = take_kmc(&w);
	for (int i = 0; i < 5000 && !w.ends; i++) {
		send(w.kmc, zeros, sizeof(zeros), MSG_NOSIGNAL);
		turn(&w);
	}
	assert_int_equal(w.ends, 1);
	assert_string_equal(w.why, "the client takes no bytes any more");
	close_world(&w);
}

static void silence_is_no_reason_to_end(void **state)
{
	static const struct passage_limits hasty = {.dial_ms = 20000, .stall_ms = 10, .end_ms = 10};
	struct world w;
	char text[8];
	size_t n;

	(void)state;
	begin(&w, &hasty);
	w.kmc = take_kmc(&w);
	for (int i = 0; i < 40; i++)
		turn(&w);
	assert_int_equal(w.ends, 0);
	assert_int_equal(channel_write(w.client, "hi", 2, &n), 0);
	for (int i = 0; i < 1000 && recv(w.kmc, text, sizeof(text), 0) != 2; i++)
		turn(&w);
	assert_int_equal(w.ends, 0);
	close_world(&w);
}

/* --- the forwarder, with offers that are ours --- */

struct offers {
	int listener;
	struct sockaddr_storage addr;
	socklen_t size;
	bool offered;
	unsigned int made, withdrawn, broken;
};

struct channel *offers_next(struct offers *o)
{
	if (o->broken) {
		o->broken--;
		errno = EIO;
		return NULL;
	}
	o->made++;
	o->offered = true;
	return channel_unix_server(o->listener);
}

void offers_withdraw(struct offers *o)
{
	o->withdrawn += o->offered;
	o->offered = false;
}

static void open_offers(struct offers *o)
{
	memset(o, 0, sizeof(*o));
	o->addr.ss_family = AF_UNIX;
	o->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(o->listener, (struct sockaddr *)&o->addr, sizeof(sa_family_t)), 0); /* the kernel chooses a name */
	assert_int_equal(listen(o->listener, 64), 0);
	o->size = sizeof(o->addr);
	assert_int_equal(getsockname(o->listener, (struct sockaddr *)&o->addr, &o->size), 0);
}

static bool until_made(struct world *w, const struct offers *o, unsigned int made)
{
	for (int i = 0; i < 5000 && (o->made < made || !o->offered); i++)
		turn(w);
	return o->made == made && o->offered;
}

static int meet(const struct offers *o)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&o->addr, o->size), 0);
	return fd;
}

static void one_offer_follows_another_until_all_passages_are_used(void **state)
{
	int client[FORWARDER_PASSAGES], kmc[FORWARDER_PASSAGES];
	struct offers o;
	struct forwarder *f;
	struct world w;
	char text[8];

	(void)state;
	open_world(&w);
	open_offers(&o);
	o.broken = 1; /* the first fails, and is made again */
	f = forwarder_new(w.loop, &o, &w.addr, w.size);
	assert_non_null(f);
	for (unsigned int i = 0; i < FORWARDER_PASSAGES; i++) {
		assert_true(until_made(&w, &o, i + 1));
		client[i] = meet(&o);
		assert_int_equal(send(client[i], "x", 1, 0), 1);
		w.kmc = take_kmc(&w);
		for (int t = 0; t < 2000 && recv(w.kmc, text, sizeof(text), 0) != 1; t++)
			turn(&w);
		assert_int_equal(text[0], 'x');
		kmc[i] = w.kmc;
	}
	for (int i = 0; i < 100; i++)
		turn(&w);
	assert_int_equal(o.made, FORWARDER_PASSAGES);
	assert_false(o.offered);
	assert_int_equal(o.withdrawn, FORWARDER_PASSAGES);
	close(client[3]);
	assert_true(until_made(&w, &o, FORWARDER_PASSAGES + 1));
	forwarder_free(&f);
	assert_false(o.offered);
	for (unsigned int i = 0; i < FORWARDER_PASSAGES; i++) {
		close(kmc[i]);
		if (i != 3)
			close(client[i]);
	}
	w.kmc = -1;
	close(o.listener);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_cross_whole_and_in_order),
		cmocka_unit_test(the_kmcs_last_words_arrive_before_its_end),
		cmocka_unit_test(the_clients_last_words_arrive_before_its_end),
		cmocka_unit_test(a_kmc_that_is_not_there_is_told_of),
		cmocka_unit_test(who_takes_nothing_is_given_up),
		cmocka_unit_test(silence_is_no_reason_to_end),
		cmocka_unit_test(one_offer_follows_another_until_all_passages_are_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
