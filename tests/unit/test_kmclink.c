/* The relay's connection to the KMC: a silence while answers are awaited ends it. The wire, the clock and the credentials are the test's. */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/loop.h"
#include "common/tls.h"
#include "dom0-relay/credentials.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/kmcwire.h"
#include "dom0-relay/relayconf.h"
#include "tests/unit/unit.h"

#define SILENCE_MS 60000

static char address[] = "kmc:7443";
static const struct relayconf conf = {.kmc_address = address};

struct source {
	uint64_t ms;
	bool set;
	source_fn *fn;
	void *arg;
};

static struct world {
	struct kmclink *k;
	struct source sources[2]; /* the link's timer, then that of its return */
	size_t n_sources;
	const struct kmcwire_ops *ops;
	void *ops_arg;
	struct buf answers; /* that are there to be read */
	unsigned int wires, downs, answered;
	char why[KMCLINK_WHY];
} w;

/* --- the clock --- */

uint64_t loop_now_ms(void)
{
	return 1000000;
}

struct source *source_timer(struct loop *loop, source_fn *fn, void *arg)
{
	struct source *s = &w.sources[w.n_sources++];

	(void)loop;
	assert_true(w.n_sources <= 2);
	*s = (struct source){.fn = fn, .arg = arg};
	return s;
}

void source_set_ms(struct source *s, uint64_t ms)
{
	s->set = true;
	s->ms = ms;
}

void source_clear(struct source *s)
{
	s->set = false;
}

void source_free(struct source **s)
{
	*s = NULL;
}

/* What is set comes. */
static void wait_for_it(void)
{
	struct source *s = &w.sources[0];

	assert_true(s->set);
	s->set = false;
	s->fn(s->arg, 0);
}

/* --- the wire --- */

struct kmcwire *kmcwire_new(struct loop *loop, struct tls_context *ctx, struct xenstore *xs, const struct kmc_address *at, const char *name,
			    unsigned int ms, const struct kmcwire_ops *ops, void *arg)
{
	(void)loop, (void)ctx, (void)xs, (void)at, (void)name, (void)ms;
	w.wires++;
	w.ops = ops;
	w.ops_arg = arg;
	return (struct kmcwire *)&w;
}

void kmcwire_free(struct kmcwire **wire)
{
	*wire = NULL;
}

void kmcwire_look(struct kmcwire *wire)
{
	(void)wire;
}

void kmcwire_give(struct kmcwire *wire, const struct kmcwire_ops *ops, void *arg)
{
	(void)wire, (void)ops, (void)arg;
}

bool kmcwire_asked(struct kmcwire *wire, const struct tls *t, uint64_t ticket)
{
	(void)wire, (void)t, (void)ticket;
	return false;
}

bool kmcwire_signed(struct kmcwire *wire, uint64_t ticket, struct view signature, const char *why)
{
	(void)wire, (void)ticket, (void)signature, (void)why;
	return false;
}

int kmcwire_certificate(const struct kmcwire *wire, uint8_t hash[32])
{
	(void)wire, (void)hash;
	return E_STATE;
}

int kmcwire_root(const struct kmcwire *wire, uint8_t hash[32])
{
	(void)wire, (void)hash;
	return E_STATE;
}

int kmcwire_read(struct kmcwire *wire, void *p, size_t n, size_t *got)
{
	(void)wire;
	if (!buf_left(&w.answers))
		return E_AGAIN_IN;
	*got = n < buf_left(&w.answers) ? n : buf_left(&w.answers);
	return buf_get(&w.answers, p, *got);
}

int kmcwire_write(struct kmcwire *wire, const void *p, size_t n, size_t *put)
{
	(void)wire, (void)p;
	*put = n;
	return 0;
}

const char *kmcwire_why(const struct kmcwire *wire)
{
	(void)wire;
	return "";
}

void kmcwire_want_room(struct kmcwire *wire, bool wanted)
{
	(void)wire, (void)wanted;
}

/* --- credentials: none are needed --- */

int credentials_load(struct credentials *c, const struct relayconf *of, const struct identity *id, const struct tls_signer *signer, char why[TLS_WHY])
{
	(void)c, (void)of, (void)id, (void)signer, (void)why;
	return 0;
}

void credentials_free(struct credentials *c)
{
	(void)c;
}

int credentials_renew(struct credentials *c, struct view der)
{
	(void)c, (void)der;
	return 0;
}

int credentials_trust(struct credentials *c, const struct identity *id)
{
	(void)c, (void)id;
	return 0;
}

void credentials_fall_back(struct credentials *c)
{
	(void)c;
}

bool credentials_are_all_tried(const struct credentials *c)
{
	(void)c;
	return true;
}

int tls_context_sign(const struct tls_context *ctx, const void *message, size_t n, uint8_t signature[TLS_SIGNATURE_MAX])
{
	(void)ctx, (void)message, (void)n, (void)signature;
	return E_STATE;
}

/* --- the owner --- */

static void on_up(void *arg, const struct kmc_welcome *welcome)
{
	(void)arg, (void)welcome;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	w.downs++;
	snprintf(w.why, sizeof(w.why), "%s", why);
}

static void on_nothing(void *arg)
{
	(void)arg;
}

static void on_sign(void *arg, uint64_t ticket, const uint8_t digest[32])
{
	(void)arg, (void)ticket, (void)digest;
}

static void on_answer(void *arg, enum kmc_type type, uint64_t id, const void *fields)
{
	(void)arg, (void)type, (void)id, (void)fields;
	w.answered++;
}

static void kmc_says(enum kmc_type type, uint64_t id, const void *fields)
{
	assert_int_equal(kmc_write(&w.answers, type, id, fields), 0);
	w.ops->ready(w.ops_arg);
}

static int connect_it(void **state)
{
	static const struct kmclink_ops ops = {.up = on_up, .down = on_down, .lost = on_nothing, .unwelcome = on_nothing, .sign = on_sign, .answer = on_answer};
	static const struct kmc_welcome welcome = {.kmc = {(const uint8_t *)"kmc", 3}, .host = {(const uint8_t *)"h", 1}, .pool = {(const uint8_t *)"p", 1}};
	char why[KMCLINK_WHY];

	(void)state;
	w = (struct world){.k = NULL};
	if (buf_init(&w.answers, 4096) != 0 || kmclink_new(&w.k, NULL, NULL, &conf, NULL, &ops, NULL, why) != 0)
		return -1;
	wait_for_it();
	w.ops->open(w.ops_arg);
	kmc_says(KMC_WELCOME, 1, &welcome);
	return kmclink_is_up(w.k) ? 0 : -1;
}

static int free_it(void **state)
{
	(void)state;
	kmclink_free(&w.k);
	buf_free(&w.answers);
	return 0;
}

static void ask(uint64_t id)
{
	const struct kmc_release m = {.uuid = {{1}}, .lease_epoch = 3};

	assert_int_equal(kmclink_send(w.k, KMC_RELEASE, id, &m), 0);
}

static bool is_watched(void)
{
	return w.sources[0].set && w.sources[0].ms == SILENCE_MS;
}

static void a_request_without_answer_ends_the_connection(void **state)
{
	(void)state;
	assert_false(w.sources[0].set);
	ask(8);
	assert_true(is_watched());
	wait_for_it();
	assert_int_equal(w.downs, 1);
	assert_non_null(strstr(w.why, "no answer within 60 s"));
	assert_false(kmclink_is_up(w.k));
}

static void what_is_answered_is_waited_for_no_more(void **state)
{
	(void)state;
	ask(8);
	kmc_says(KMC_RELEASED, 8, NULL);
	assert_int_equal(w.answered, 1);
	assert_false(w.sources[0].set);
}

/* A KMC that dies has mostly answered one request and not the next, which lies in its socket. */
static void the_requests_behind_an_answer_are_waited_for(void **state)
{
	(void)state;
	for (uint64_t id = 8; id < 11; id++)
		ask(id);
	kmc_says(KMC_RELEASED, 8, NULL);
	assert_true(is_watched());
	kmc_says(KMC_RELEASED, 9, NULL);
	assert_true(is_watched());
	wait_for_it();
	assert_int_equal(w.downs, 1);
	assert_non_null(strstr(w.why, "no answer within 60 s"));
}

/* What was asked over a connection that broke is not waited for on the next one. */
static void a_new_connection_waits_for_its_own(void **state)
{
	static const struct kmc_welcome welcome = {.kmc = {(const uint8_t *)"kmc", 3}, .host = {(const uint8_t *)"h", 1}, .pool = {(const uint8_t *)"p", 1}};

	(void)state;
	ask(8);
	ask(9);
	w.ops->failed(w.ops_arg, false, "it broke");
	wait_for_it();
	assert_int_equal(w.wires, 2);
	w.ops->open(w.ops_arg);
	kmc_says(KMC_WELCOME, 1, &welcome);
	assert_true(kmclink_is_up(w.k));
	assert_false(w.sources[0].set);
	ask(8);
	kmc_says(KMC_RELEASED, 8, NULL);
	assert_false(w.sources[0].set);
}

static int store(size_t size)
{
	static uint8_t state[KMC_STATE_MAX];
	const struct kmc_store m = {.uuid = {{1}}, .lease_epoch = 3, .version = 1, .state = view_of(state, size)};

	return kmclink_send(w.k, KMC_STORE, 9, &m);
}

/* States wait for their answers and are sent then. An open or an attestation would wait for nothing. */
static void states_leave_room_for_what_is_small(void **state)
{
	static const size_t sizes[] = {KMC_STATE_MAX, 20000, 1500, 100, 1};
	const uint8_t cipher[256] = {0};
	const struct kmc_open open = {.key_id = view_of(cipher, KMC_KEY_ID_SIZE), .cipher = view_of(cipher, sizeof(cipher))};
	unsigned int stores = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		while (store(sizes[i]) == 0)
			stores++;
	assert_true(stores >= 3);
	for (int i = 0; i < 256; i++)
		assert_int_equal(kmclink_send(w.k, KMC_OPEN, 8, &open), 0);
	assert_int_equal(kmclink_send(w.k, KMC_ATTEST, 8, NULL), 0);
}

#define LINKED(t) cmocka_unit_test_setup_teardown(t, connect_it, free_it)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINKED(a_request_without_answer_ends_the_connection),
		LINKED(what_is_answered_is_waited_for_no_more),
		LINKED(the_requests_behind_an_answer_are_waited_for),
		LINKED(a_new_connection_waits_for_its_own),
		LINKED(states_leave_room_for_what_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
