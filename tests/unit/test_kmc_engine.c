/* The engine between front, vault and database: what is told to whom when one of them fails or is late. The other two processes are the test's, the database is real. */
/* NOLINTNEXTLINE(bugprone-suspicious-include): for what it does with the links' messages */
#include "kmc/engine_process.c"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kmc/store_sql.h"
#include "tests/unit/unit.h"

#define PATIENCE_MS 3000

static char dir[] = "/tmp/test-kmc-engine-XXXXXX", path[60];
static char name[] = "kmc";
static const struct kmcconf conf = {.name = name, .connections = 4, .states_kept = 4, .states_quota_kib = 1024, .images_kept = 1};
static const struct uuid vtpm = {{1, 2, 3}};

static struct world {
	struct loop *loop;
	struct link *front, *vault;
	struct store_ops ops; /* as the engine sees them */
	unsigned int waits_for; /* messages to come */
	unsigned int cuts, answers, cut_first, endorses;
	char cut[STORE_NAME];
	uint64_t forgotten, code;
} w;

static struct engine *e;

static void arrived(void)
{
	if (w.waits_for && --w.waits_for == 0)
		loop_stop(w.loop);
}

static void on_front_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	const struct front_answer *m = fields;
	union {
		struct kmc_refused refused;
		struct kmc_certified certified;
	} answer;
	struct msg frame = {0};
	struct buf b;

	(void)arg, (void)id;
	if (type == FRONT_CUT) {
		w.cuts++;
		w.cut_first += w.answers == 0;
		view_copy_text(((const struct front_cut *)fields)->host, w.cut, sizeof(w.cut));
	} else {
		assert_int_equal(type, FRONT_ANSWER);
		buf_view(&b, m->frame.p, m->frame.n);
		assert_int_equal(msg_next(&b, KMC_BODY_MAX, &frame), 0);
		assert_true(frame.head.type == KMC_REFUSED || frame.head.type == KMC_CERTIFIED);
		assert_int_equal(msg_fields(&frame, kmc_schema((enum kmc_type)frame.head.type), &answer), 0);
		w.answers++;
		if (frame.head.type == KMC_REFUSED)
			w.code = answer.refused.code;
	}
	arrived();
}

static void on_vault_message(void *arg, uint64_t type, uint64_t id, const void *fields)
{
	(void)arg, (void)fields;
	assert_true(type == VAULT_FORGET || type == VAULT_ENDORSE);
	if (type == VAULT_FORGET)
		w.forgotten = id;
	else
		w.endorses++;
	arrived();
}

static void on_patience(void *arg, unsigned int what)
{
	(void)what;
	loop_stop(arg);
}

/* Until so many messages have come, or too long. */
static void run(unsigned int messages)
{
	struct source *patience = source_timer(w.loop, on_patience, w.loop);

	source_set_ms(patience, PATIENCE_MS);
	w.waits_for = messages;
	loop_run(w.loop);
	source_free(&patience);
}

static int begin_world(void **state)
{
	const struct store_pool pool = {.name = "p"};
	const struct store_host host = {.name = "h", .pool = "p", .fingerprint = {1}, .added_at = 1, .expires_at = INT64_MAX};
	char why[STORE_WHY];
	int front[2], vault[2];

	(void)state;
	w = (struct world){.loop = loop_new()};
	e = &engine;
	*e = (struct engine){.conf = &conf};
	snprintf(path, sizeof(path), "%s/db", dir);
	if (privsep_pair(front) != 0 || privsep_pair(vault) != 0 || store_sqlite_open(&e->store, path, true, why) != 0)
		return -1;
	e->front = link_new(w.loop, front[0], "front", &front_protocol, on_front, e);
	w.front = link_new(w.loop, front[1], "engine", &front_protocol, on_front_message, NULL);
	e->vault = link_new(w.loop, vault[0], "vault", &vault_protocol, on_vault, e);
	w.vault = link_new(w.loop, vault[1], "engine", &vault_protocol, on_vault_message, NULL);
	e->timer = source_timer(w.loop, on_tick, e);
	engine_session_start(e);
	engine_clock_start(1000000);
	if (buf_init(&e->frame, FRONT_FRAME_MAX) != 0 || auditlog_open(&e->audit, e->store, name) != 0 || e->store->ops->pool_put(e->store, &pool) != 0 ||
	    e->store->ops->host_put(e->store, &host) != 0 || e->store->ops->session_next(e->store, "h") != 0)
		return -1;
	w.ops = *e->store->ops;
	e->store->ops = &w.ops;
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	e->store->ops->close(e->store);
	link_free(&e->front);
	link_free(&e->vault);
	link_free(&w.front);
	link_free(&w.vault);
	source_free(&e->timer);
	buf_free(&e->frame);
	free(e->sessions);
	loop_free(&w.loop);
	return unlink(path);
}

/* Of the host, over its present connection, for a vTPM that is new and whose seed the vault has made. */
static struct ticket *an_open(void)
{
	struct ticket *t = engine_ticket(e, TICKET_OPEN);

	t->asker = (struct asker){.conn = 4, .id = 7, .session = 1, .host = "h", .pool = "p"};
	t->uuid = vtpm;
	t->vtpm = (struct store_vtpm){.generation = 1, .seed = {1, 0, 0, 0, 1}, .seed_size = 40};
	return t;
}

static void decide_it(void)
{
	e->undecided[e->n_undecided++] = an_open();
	open_decide(e);
}

static const char *holder(void)
{
	static struct store_vtpm v;

	return e->store->ops->vtpm_get(e->store, &vtpm, &v) == 0 ? v.lease.holder : "none";
}

/* Else the response key would stay there, and 64 of them keep every further open out. */
static void what_comes_too_late_for_an_open_is_forgotten_by_the_vault(void **state)
{
	static const struct vault_failed failed = {.code = 14, .reason = {(const uint8_t *)"TPM", 3}};
	static const struct vault_made made = {.seed = {(const uint8_t *)"seed", 4}};
	static const struct vault_decrypted decrypted = {.uuid = {{1}}};
	const struct {
		enum vault_type type;
		const void *fields;
	} late[] = {{VAULT_DECRYPTED, &decrypted}, {VAULT_MADE, &made}, {VAULT_FAILED, &failed}};

	(void)state;
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct ticket *t = an_open();
		const uint64_t id = t->id;

		t->given_up = true; /* its host was told to try again */
		link_send(w.vault, late[i].type, id, late[i].fields);
		run(1);
		assert_int_equal(w.forgotten, id);
		assert_int_equal(t->kind, TICKET_FREE);
	}
}

static int lose_the_answer(struct store *s)
{
	return store_rows()->commit(s) == 0 ? E_EOF : -1;
}

static int refuse_to_commit(struct store *s)
{
	s->ops->rollback(s);
	return E_DB;
}

static int be_away(struct store *s)
{
	(void)s;
	return E_DB;
}

/* It takes a refusal for no lease given, and would not ask again: nobody else would get the vTPM. */
static void a_host_whose_open_may_have_been_granted_has_to_ask_again(void **state)
{
	(void)state;
	w.ops.commit = lose_the_answer;
	decide_it();
	run(3);
	assert_string_equal(holder(), "h");
	assert_true(w.cuts == 1 && w.cut_first == 1); /* so that it does not hear the refusal */
	assert_string_equal(w.cut, "h");
	assert_int_equal(w.answers, 1); /* the front counts what is under way */
}

static void a_host_whose_open_was_not_granted_is_told(void **state)
{
	(void)state;
	w.ops.commit = refuse_to_commit;
	decide_it();
	run(2);
	assert_string_equal(holder(), "none");
	assert_int_equal(w.cuts, 0);
	assert_true(w.answers == 1 && w.code == KMC_REFUSED_INTERNAL);
}

static struct ticket *a_granted_one(void)
{
	struct ticket *t = an_open();
	struct grant g = {.t = t};

	assert_int_equal(grant_decide(e, &g, 1), 0);
	assert_int_equal(g.r, 0);
	t->vtpm = g.vtpm;
	t->granted = true;
	assert_string_equal(holder(), "h");
	return t;
}

static void a_lease_that_comes_to_nothing_is_taken_back(void **state)
{
	(void)state;
	grant_take_back(e, a_granted_one());
	assert_string_equal(holder(), "");
	assert_int_equal(w.cuts, 0);
}

static void a_lease_that_can_not_be_taken_back_is_asked_for_again(void **state)
{
	struct ticket *t;

	(void)state;
	t = a_granted_one();
	w.ops.begin = be_away;
	grant_take_back(e, t);
	run(1);
	assert_int_equal(w.cuts, 1);
	assert_string_equal(w.cut, "h");
}

/* The host @host holds vTPM number @n, and asks for its certificates. */
static void certify_one(char host, uint8_t n)
{
	const struct asker a = {.conn = 4, .id = n, .session = 1, .host = {host}, .pool = "p"};
	const struct kmc_certify m = {.uuid = {{7, n}}, .lease_epoch = 1};
	const struct store_vtpm v = {.uuid = m.uuid, .generation = 1, .seed = {1, 0, 0, 0, 1}, .seed_size = 40,
				      .lease = {.pool = "p", .holder = {host}, .epoch = 1}};

	assert_int_equal(e->store->ops->vtpm_put(e->store, &v), 0);
	certify_ask(e, &a, &m);
}

/* Each takes the maker of keys a second, and a host may ask for new ones as often as it likes. */
static void of_certificates_a_host_has_its_share(void **state)
{
	unsigned int before;

	(void)state;
	for (uint8_t n = 0; n < 40; n++)
		certify_one('h', n);
	run(1000);
	assert_int_equal(w.answers, 40); /* "later" is one */
	assert_in_range(w.endorses, 4, 16);
	before = w.endorses;
	certify_one('g', 40);
	run(2);
	assert_int_equal(w.endorses, before + 1);
}

#define ENGINE(t) cmocka_unit_test_setup_teardown(t, begin_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ENGINE(what_comes_too_late_for_an_open_is_forgotten_by_the_vault),
		ENGINE(a_host_whose_open_may_have_been_granted_has_to_ask_again),
		ENGINE(a_host_whose_open_was_not_granted_is_told),
		ENGINE(a_lease_that_comes_to_nothing_is_taken_back),
		ENGINE(a_lease_that_can_not_be_taken_back_is_asked_for_again),
		ENGINE(of_certificates_a_host_has_its_share),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(dir);
	return failed;
}
