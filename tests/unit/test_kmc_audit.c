/* The audit trail: what is recorded is recorded with what happened, and a chain shows every change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "kmc/auditlog.h"
#include "kmc/ca.h"
#include "kmc/store.h"
#include "tests/unit/unit.h"

#define RECORDS 5

static char dir[] = "/tmp/test-kmc-audit-XXXXXX", path[99], why[AUDIT_WHY];
static struct store *s;
static struct auditlog trail;
static struct { uint8_t bytes[AUDIT_RECORD_MAX]; size_t size; } records[RECORDS];

static struct audit_act numbered(const char *host)
{
	return (struct audit_act){.event = AUDIT_HOST_ADDED, .host = host, .pool = "p"};
}

static void fill(void)
{
	static const char *const hosts[RECORDS] = {"h1", "h2", "h3", "h4", "h5"};

	for (size_t i = 0; i < RECORDS; i++) {
		const struct audit_act act = numbered(hosts[i]);
		uint64_t seq = 0;
		struct buf b;

		assert_int_equal(auditlog_add_alone(&trail, &act), 0);
		buf_over(&b, records[i].bytes, sizeof(records[i].bytes));
		assert_int_equal(s->ops->audit_next(s, i, &seq, &b), 0);
		assert_int_equal(seq, i + 1);
		records[i].size = b.len;
	}
}

static int add(struct audit_chain *c, uint64_t number, size_t i)
{
	return audit_chain_add(c, number, view_of(records[i].bytes, records[i].size), why);
}

static void what_was_written_is_a_chain(void **state)
{
	struct audit_chain c = {0}, last;

	(void)state;
	fill();
	for (size_t i = 0; i < RECORDS; i++)
		assert_int_equal(add(&c, i + 1, i), 0);
	assert_int_equal(s->ops->audit_last(s, &last), 0);
	assert_int_equal(last.seq, RECORDS);
	assert_memory_equal(last.hash, c.hash, sizeof(c.hash));
}

static void a_record_says_what_happened(void **state)
{
	const struct uuid uuid = {{7, [15] = 9}};
	const struct audit_act act = {.event = AUDIT_REFUSED, .actor = "h1", .vtpm = &uuid, .lease_epoch = 4, .code = 7, .detail = "held"};
	uint8_t room[AUDIT_RECORD_MAX];
	struct audit_record r;
	uint64_t seq, event;
	struct buf b;

	(void)state;
	assert_int_equal(auditlog_add_alone(&trail, &act), 0);
	buf_over(&b, room, sizeof(room));
	assert_int_equal(s->ops->audit_next(s, 0, &seq, &b), 0);
	assert_int_equal(audit_read(view_of(room, b.len), &seq, &event, &r), 0);
	assert_int_equal(seq, 1);
	assert_string_equal(audit_event_name(event), "refused");
	assert_memory_equal(r.actor.p, "h1", 2);
	assert_memory_equal(r.kmc.p, "kmc", 3);
	assert_memory_equal(r.vtpm.p, uuid.b, UUID_SIZE);
	assert_int_equal(r.lease_epoch, 4);
	assert_int_equal(r.code, 7);
	assert_memory_equal(r.detail.p, "held", 4);
	assert_null(r.host.p);
	assert_true(r.time > 1700000000);
}

static void every_changed_byte_is_found(void **state)
{
	(void)state;
	fill();
	for (size_t i = 0; i < records[2].size; i++) {
		struct audit_chain c = {0};
		int r;

		records[2].bytes[i] ^= 1;
		assert_int_equal(add(&c, 1, 0), 0);
		assert_int_equal(add(&c, 2, 1), 0);
		r = add(&c, 3, 2);
		if (r == 0)
			r = add(&c, 4, 3);
		assert_int_not_equal(r, 0);
		records[2].bytes[i] ^= 1;
	}
}

static void a_removed_record_is_found(void **state)
{
	struct audit_chain c = {0}, d = {0};

	(void)state;
	fill();
	assert_int_equal(add(&c, 1, 0), 0);
	assert_int_equal(add(&c, 3, 2), E_INTEGRITY);
	assert_non_null(strstr(why, "record 2 is missing"));
	assert_int_equal(add(&d, 1, 1), E_INTEGRITY); /* the first one, and the rest moved up */
}

static void another_order_is_found(void **state)
{
	struct audit_chain c = {0};

	(void)state;
	fill();
	assert_int_equal(add(&c, 1, 0), 0);
	assert_int_equal(add(&c, 2, 2), E_INTEGRITY);
	assert_non_null(strstr(why, "another order"));
}

static void what_is_rolled_back_leaves_no_record(void **state)
{
	const struct audit_act act = numbered("h1");
	struct audit_chain last;

	(void)state;
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(auditlog_add(&trail, &act), 0);
	s->ops->rollback(s);
	assert_int_equal(s->ops->audit_last(s, &last), 0);
	assert_int_equal(last.seq, 0);
}

static int refuse(struct store *store, void *arg)
{
	const struct audit_act act = numbered("h1");

	(void)arg;
	assert_int_equal(auditlog_add(&trail, &act), 0);
	assert_int_equal(store->ops->pool_put(store, &(const struct store_pool){.name = "new"}), 0);
	return E_DENIED;
}

static void a_transaction_is_whole(void **state)
{
	struct audit_chain last;
	struct store_pool p;

	(void)state;
	assert_int_equal(store_transact(s, refuse, NULL), E_DENIED);
	assert_int_equal(s->ops->pool_get(s, "new", &p), E_NOTFOUND);
	assert_int_equal(s->ops->audit_last(s, &last), 0);
	assert_int_equal(last.seq, 0);
}

static int busy_twice(struct store *store, void *arg)
{
	int *tries = arg;

	return ++*tries <= 2 ? E_BUSY : store->ops->pool_put(store, &(const struct store_pool){.name = "new"});
}

static int busy(struct store *store, void *arg)
{
	(void)store;
	++*(int *)arg;
	return E_BUSY;
}

static void a_transaction_is_tried_again_but_not_for_ever(void **state)
{
	struct store_pool p;
	int tries = 0;

	(void)state;
	assert_int_equal(store_transact(s, busy_twice, &tries), 0);
	assert_int_equal(tries, 3);
	assert_int_equal(s->ops->pool_get(s, "new", &p), 0);
	assert_int_equal(store_transact(s, busy, &tries), E_DB);
	assert_true(tries < 20);
}

static void a_long_reason_is_recorded_all_the_same(void **state)
{
	char reason[241], host[STORE_NAME];
	const struct audit_act act = {.event = AUDIT_REFUSED, .actor = host, .host = host, .pool = host, .detail = reason,
				      .lease_epoch = INT64_MAX, .code = 255};

	(void)state;
	memset(reason, 'x', 240);
	reason[240] = '\0';
	memset(host, 'y', KMC_NAME_MAX);
	host[KMC_NAME_MAX] = '\0';
	assert_int_equal(auditlog_add_alone(&trail, &act), 0);
}

static void a_signed_head_comes_back_and_changes_show(void **state)
{
	uint8_t head[AUDIT_HEAD_MAX], message[AUDIT_HEAD_MAX + 64], signature[AUDIT_SIGNATURE_MAX], all[AUDIT_HEAD_MAX], pem[999];
	char pub[120];
	struct audit_signed sig, got;
	struct audit_head h = {.kmc = view_text("kmc"), .time = 5}, got_head;
	struct x509_key *key;
	struct buf b, m, o;
	uint64_t seq;
	FILE *f;
	int n;

	(void)state;
	fill();
	h.hash = view_of(records[0].bytes, AUDIT_HASH_SIZE);
	assert_int_equal(ca_key_make(&key), 0);
	snprintf(pub, sizeof(pub), "%s/pub", dir);
	assert_int_equal(ca_public_write(key, pub), 0);
	buf_over(&b, head, sizeof(head));
	buf_over(&m, message, sizeof(message));
	buf_over(&o, all, sizeof(all));
	assert_int_equal(audit_head_write(&b, 3, &h), 0);
	sig.head = view_of(head, b.len);
	assert_int_equal(audit_signed_bytes(&m, sig.head), 0);
	n = ca_key_sign(key, view_of(message, m.len), signature, sizeof(signature));
	assert_true(n > 60);
	sig.signature = view_of(signature, (size_t)n);
	assert_int_equal(audit_signed_write(&o, 3, &sig), 0);
	assert_true(auditlog_last(&trail, &(struct audit_chain){0}));
	assert_int_equal(auditlog_signed(&trail, view_of(all, o.len)), 0);
	assert_int_equal(auditlog_open(&trail, s, "kmc"), 0);
	assert_int_equal(trail.signed_seq, 3);
	assert_int_equal(audit_signed_read(auditlog_head(&trail), &seq, &got, &got_head), 0);
	assert_int_equal(seq, 3);
	f = fopen(pub, "r");
	n = (int)fread(pem, 1, sizeof(pem), f);
	fclose(f);
	assert_int_equal(ca_verify(view_of(pem, (size_t)n), view_of(message, m.len), got.signature), 0);
	message[m.len - 1] ^= 1;
	assert_int_equal(ca_verify(view_of(pem, (size_t)n), view_of(message, m.len), got.signature), E_INTEGRITY);
	assert_int_equal(ca_verify(view_text("no key"), view_of(message, m.len), got.signature), E_FORMAT);
	assert_int_equal(auditlog_signed(&trail, view_of(all, o.len - 1)), E_FORMAT);
	ca_key_free(&key);
}

static int open_new(void **state)
{
	char text[STORE_WHY];

	(void)state;
	snprintf(path, sizeof(path), "%s/db", dir);
	return store_sqlite_open(&s, path, true, text) == 0 && auditlog_open(&trail, s, "kmc") == 0 ? 0 : -1;
}

static int close_it(void **state)
{
	char command[120];

	(void)state;
	s->ops->close(s);
	snprintf(command, sizeof(command), "rm -f %s/*", dir);
	return system(command);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_new, close_it)

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_a_chain), TEST(a_record_says_what_happened), TEST(every_changed_byte_is_found),
		TEST(a_removed_record_is_found), TEST(another_order_is_found), TEST(what_is_rolled_back_leaves_no_record),
		TEST(a_transaction_is_whole), TEST(a_transaction_is_tried_again_but_not_for_ever),
		TEST(a_long_reason_is_recorded_all_the_same), TEST(a_signed_head_comes_back_and_changes_show),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
