/*
 * The storage engines, SQLite against a real file and PostgreSQL against a real server: rows come back as they were, transactions are
 * whole, versions are checked. The same tests for both, and a few for what only one has.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/error.h"
#include "kmc/store_sql.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/test-kmc-store-XXXXXX", path[120], why[STORE_WHY];
static bool is_pgsql; /* else SQLite */
static struct store *s;
static const struct store_pool pool = {.name = "p"};
static const struct store_host host = {.name = "h", .pool = "p", .fingerprint = {1, 2, [31] = 3}, .added_at = 5, .expires_at = 7};

static int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int shell(const char *fmt, ...)
{
	char command[4000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

/* Go behind the engine's back. */
static void sql(const char *text)
{
	assert_int_equal(is_pgsql ? shell("tests/pgsql sql %s/pg \"%s\"", dir, text) : shell("sqlite3 %s \"%s\"", path, text), 0);
}

static int open_store(struct store **store, bool create)
{
	return is_pgsql ? store_pgsql_open(store, path, create, why) : store_sqlite_open(store, path, create, why);
}

static struct store_vtpm a_vtpm(uint8_t last)
{
	return (struct store_vtpm){.uuid = {{9, [15] = last}}, .generation = 3, .seed = {1, 2, 3}, .seed_size = 3, .created_at = 10,
		.opened_at = 11,
				   .stored_at = 12,
				   .lease = {.pool = "p", .holder = "h", .last_holder = "", .epoch = 4, .state_version = 5,
					   .owner_epoch = 6,
					     .endorsement_epoch = 7, .platform_epoch = 8}};
}

static void hosts_and_pools_come_back(void **state)
{
	struct store_pool p;
	struct store_host h;

	(void)state;
	assert_int_equal(s->ops->pool_get(s, "p", &p), 0);
	assert_false(p.registered_only);
	assert_int_equal(s->ops->pool_get(s, "P", &p), E_NOTFOUND);
	assert_int_equal(s->ops->host_get(s, "h", &h), 0);
	assert_string_equal(h.pool, "p");
	assert_memory_equal(h.fingerprint, host.fingerprint, 32);
	assert_int_equal(h.expires_at, 7);
	h.removed = true;
	assert_int_equal(s->ops->host_put(s, &h), 0);
	assert_int_equal(s->ops->host_get(s, "h", &h), 0);
	assert_true(h.removed);
	assert_int_equal(s->ops->host_get(s, "nobody", &h), E_NOTFOUND);
}

static void a_vtpm_comes_back(void **state)
{
	struct store_vtpm v = a_vtpm(1), w;

	(void)state;
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &w), E_NOTFOUND);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	memset(&w, 0xee, sizeof(w));
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &w), 0);
	assert_true(uuid_equal(&v.uuid, &w.uuid));
	assert_string_equal(w.lease.holder, "h");
	assert_string_equal(w.lease.last_holder, "");
	assert_int_equal(w.lease.epoch, 4);
	assert_int_equal(w.lease.state_version, 5);
	assert_int_equal(w.lease.owner_epoch, 6);
	assert_int_equal(w.lease.endorsement_epoch, 7);
	assert_int_equal(w.lease.platform_epoch, 8);
	assert_int_equal(w.generation, 3);
	assert_int_equal(w.seed_size, 3);
	assert_memory_equal(w.seed, v.seed, 3);
	assert_int_equal(w.stored_at, 12);
	v.lease.holder[0] = '\0';
	v.seed_size = 0;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &w), 0);
	assert_string_equal(w.lease.holder, "");
	assert_int_equal(w.seed_size, 0);
}

/* A letter for each vTPM that has these keys and still a seed. */
static const char *sharing(uint8_t uuid, uint32_t generation)
{
	static char out[10];
	const struct origin keys = {.uuid = {{9, [15] = uuid}}, .generation = generation};
	struct uuid at = {{0}};
	size_t n = 0;

	while (n < sizeof(out) - 1 && s->ops->vtpm_sharing(s, &keys, &at, &at) == 0)
		out[n++] = (char)('a' + at.b[15] - 1);
	out[n] = '\0';
	return out;
}

static void who_shares_keys_is_found_while_its_seed_is_there(void **state)
{
	struct store_vtpm v[4] = {a_vtpm(1), a_vtpm(2), a_vtpm(3), a_vtpm(4)}, w;
	struct store_retirement end = {.uuid = v[0].uuid, .seed = {1, 2, 3}, .seed_size = 3, .due_at = 9};

	(void)state;
	v[1].origin = v[2].origin = (struct origin){.uuid = v[0].uuid, .generation = 3};
	for (int i = 0; i < 4; i++)
		assert_int_equal(s->ops->vtpm_put(s, &v[i]), 0);
	memset(&w, 0xee, sizeof(w));
	assert_int_equal(s->ops->vtpm_get(s, &v[0].uuid, &w), 0);
	assert_true(w.origin.generation == 0 && uuid_is_nil(&w.origin.uuid));
	assert_int_equal(s->ops->vtpm_get(s, &v[1].uuid, &w), 0);
	assert_true(w.origin.generation == 3 && uuid_equal(&w.origin.uuid, &v[0].uuid));
	assert_string_equal(sharing(1, 3), "abc");
	assert_string_equal(sharing(4, 3), "d");
	assert_string_equal(sharing(1, 2), "");
	assert_string_equal(sharing(2, 3), ""); /* it has others' keys, not its own */
	v[0].generation = 4; /* a new seed */
	v[2].origin.generation = 0;
	assert_int_equal(s->ops->vtpm_put(s, &v[0]), 0);
	assert_int_equal(s->ops->vtpm_put(s, &v[2]), 0);
	assert_string_equal(sharing(1, 3), "b");
	assert_string_equal(sharing(1, 4), "a");
	assert_string_equal(sharing(3, 3), "c");
	v[0].generation = 3;
	v[0].seed_size = 0; /* retired */
	assert_int_equal(s->ops->vtpm_put(s, &v[0]), 0);
	assert_int_equal(s->ops->retirement_put(s, &end), 0);
	assert_string_equal(sharing(1, 3), "ab");
	end.seed_size = 0;
	end.destroyed_at = 10;
	assert_int_equal(s->ops->retirement_put(s, &end), 0);
	assert_string_equal(sharing(1, 3), "b");
	sql("UPDATE vtpms SET key_generation = 0 WHERE key_uuid IS NOT NULL"); /* one without the other */
	assert_int_equal(s->ops->vtpm_get(s, &v[1].uuid, &w), E_DB);
}

static void a_suspended_vtpm_comes_back(void **state)
{
	struct store_vtpm v = a_vtpm(1), w;

	(void)state;
	v.lease.holder[0] = '\0';
	strcpy(v.lease.last_holder, "h");
	v.lease.suspended = true;
	v.lease.image = 0xfffffffe;
	v.suspended_at = 13;
	strcpy(v.lease.reserver, "other");
	memcpy(v.lease.reservation, "sixteen bytes..!", KMC_REQUEST_ID_SIZE);
	v.reserved_at = 14;
	v.lease.committed = true;
	memcpy(v.lease.commit, "another sixteen.", KMC_REQUEST_ID_SIZE);
	v.lease.resumed_from = 3;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	memset(&w, 0, sizeof(w));
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &w), 0);
	assert_true(w.lease.suspended && w.lease.committed);
	assert_int_equal(w.lease.image, 0xfffffffe);
	assert_int_equal(w.suspended_at, 13);
	assert_string_equal(w.lease.reserver, "other");
	assert_memory_equal(w.lease.reservation, v.lease.reservation, KMC_REQUEST_ID_SIZE);
	assert_int_equal(w.reserved_at, 14);
	assert_memory_equal(w.lease.commit, v.lease.commit, KMC_REQUEST_ID_SIZE);
	assert_int_equal(w.lease.resumed_from, 3);
	v.lease = a_vtpm(1).lease;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &w), 0);
	assert_false(w.lease.suspended || w.lease.committed || w.lease.reserver[0] || w.lease.resumed_from);
}

/* The marks that are there, the latest last, as letters. */
static const char *images(const struct store_vtpm *v)
{
	static char text[16];
	struct store_image i = {0};
	size_t n = 0;

	while (n < sizeof(text) - 1 && s->ops->image_next(s, &v->uuid, i.number, &i) == 0)
		text[n++] = (char)i.image;
	text[n] = '\0';
	return text;
}

static void put_image(const struct store_vtpm *v, char image, const char *text)
{
	const struct store_image i = {.image = (uint64_t)image, .version = 2, .suspended_at = 77};

	assert_int_equal(s->ops->image_put(s, &v->uuid, &i, view_text(text)), 0);
}

static void volatile_states_come_back_until_they_are_destroyed(void **state)
{
	const struct store_vtpm v = a_vtpm(1), other = a_vtpm(2);
	struct store_image i;
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 64), 0);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->vtpm_put(s, &other), 0);
	put_image(&v, 'c', "first");
	put_image(&v, 'b', "second");
	put_image(&v, 'a', "third");
	put_image(&v, 'c', "once more");
	put_image(&other, 'a', "another's");
	assert_string_equal(images(&v), "bac");
	assert_int_equal(s->ops->image_get(s, &v.uuid, 'c', &b), 0);
	assert_memory_equal(b.data, "once more", 9);
	assert_int_equal(s->ops->image_get(s, &v.uuid, 'd', &b), E_NOTFOUND);
	assert_int_equal(s->ops->image_next(s, &v.uuid, 0, &i), 0);
	assert_int_equal(i.version, 2);
	assert_int_equal(i.suspended_at, 77);
	assert_int_equal(s->ops->image_prune(s, &v.uuid, 'b', 1), 0);
	assert_string_equal(images(&v), "bc");
	assert_int_equal(s->ops->image_prune(s, &v.uuid, 'c', 0), 0);
	assert_string_equal(images(&v), "c");
	assert_int_equal(s->ops->image_prune(s, &v.uuid, 0, 0), 0);
	assert_string_equal(images(&v), "");
	assert_string_equal(images(&other), "a");
	buf_free(&b);
}

static int put_state(const struct store_vtpm *v, uint64_t version, const char *text);
static const char *versions(const struct store_vtpm *v);

static void the_state_of_a_kept_image_is_kept(void **state)
{
	const struct store_vtpm v = a_vtpm(1);

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	for (uint64_t i = 1; i <= 4; i++)
		assert_int_equal(put_state(&v, i, "x"), 0);
	put_image(&v, 'a', "of version 2");
	assert_int_equal(s->ops->state_prune(s, &v.uuid, 4, &(const struct store_keep){.states = 1, .bytes = 1}), 0);
	assert_string_equal(versions(&v), "24");
}

static void sessions_of_a_host_grow(void **state)
{
	uint64_t session;

	(void)state;
	assert_int_equal(s->ops->session_get(s, "h", &session), E_NOTFOUND);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(s->ops->session_next(s, "h"), 0);
		assert_int_equal(s->ops->session_get(s, "h", &session), 0);
		assert_int_equal(session, i);
	}
	assert_int_equal(s->ops->session_next(s, "nobody"), E_DB);
}

static void vtpms_are_listed_in_order(void **state)
{
	struct store_vtpm v;
	uint8_t last = 0;
	int n = 0, r;

	(void)state;
	for (uint8_t i = 5; i >= 1; i--) {
		v = a_vtpm(i);
		assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	}
	for (r = s->ops->vtpm_next(s, NULL, &v); r == 0; n++) {
		const struct uuid at = v.uuid;

		assert_true(at.b[15] > last);
		last = at.b[15];
		r = s->ops->vtpm_next(s, &at, &v);
	}
	assert_int_equal(r, E_NOTFOUND);
	assert_int_equal(n, 5);
}

static void a_vtpm_of_no_pool_is_refused(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	strcpy(v.lease.pool, "nowhere");
	assert_int_equal(s->ops->vtpm_put(s, &v), E_DB);
	assert_non_null(strcasestr(s->why, "foreign key"));
}

static int put_state(const struct store_vtpm *v, uint64_t version, const char *text)
{
	const struct store_state st = {.version = version, .owner_epoch = version + 10, .endorsement_epoch = 2, .platform_epoch = 3,
				       .stored_at = 99};

	return s->ops->state_put(s, &v->uuid, &st, view_text(text));
}

static void a_state_comes_back_as_it_was(void **state)
{
	const struct store_vtpm v = a_vtpm(1);
	struct store_state st;
	struct buf b;

	(void)state;
	assert_int_equal(buf_init(&b, 4096), 0);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->state_get(s, &v.uuid, 2, &b), E_NOTFOUND);
	assert_int_equal(put_state(&v, 2, "two!"), 0);
	assert_int_equal(put_state(&v, 2, "two?"), E_DB);
	assert_int_equal(s->ops->state_get(s, &v.uuid, 2, &b), 0);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "two!", 4);
	b.cap = 6;
	assert_int_equal(s->ops->state_get(s, &v.uuid, 2, &b), E_RANGE);
	b.cap = 4096;
	buf_free(&b);
	assert_int_equal(s->ops->state_next(s, &v.uuid, 0, &st), 0);
	assert_int_equal(st.version, 2);
	assert_int_equal(st.size, 4);
	assert_int_equal(st.owner_epoch, 12);
	assert_int_equal(st.endorsement_epoch, 2);
	assert_int_equal(st.platform_epoch, 3);
	assert_int_equal(st.stored_at, 99);
	assert_int_equal(s->ops->state_next(s, &v.uuid, 2, &st), E_NOTFOUND);
}

/* The versions that are there, as digits. */
static const char *versions(const struct store_vtpm *v)
{
	static char text[16];
	struct store_state st = {0};
	size_t n = 0;

	while (n < sizeof(text) - 1 && s->ops->state_next(s, &v->uuid, st.version, &st) == 0)
		text[n++] = (char)('0' + st.version);
	text[n] = '\0';
	return text;
}

static void the_last_states_are_kept_by_number_and_by_size(void **state)
{
	const struct store_vtpm v = a_vtpm(1), other = a_vtpm(2);

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->vtpm_put(s, &other), 0);
	assert_int_equal(put_state(&other, 1, "another's"), 0);
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(put_state(&v, i, "1234567890"), 0);
	assert_int_equal(s->ops->state_prune(s, &v.uuid, 5, &(const struct store_keep){.states = 4, .bytes = 1000}), 0);
	assert_string_equal(versions(&v), "2345");
	assert_int_equal(s->ops->state_prune(s, &v.uuid, 5, &(const struct store_keep){.states = 4, .bytes = 39}), 0);
	assert_string_equal(versions(&v), "345");
	assert_int_equal(s->ops->state_prune(s, &v.uuid, 5, &(const struct store_keep){.states = 1, .bytes = 5}), 0);
	assert_string_equal(versions(&v), "5");
	assert_string_equal(versions(&other), "1");
	assert_int_equal(put_state(&v, 6, "x"), 0);
	assert_int_equal(s->ops->state_drop(s, &v.uuid, 5), 0);
	assert_string_equal(versions(&v), "5");
}

static void a_rolled_back_transaction_leaves_nothing(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(put_state(&v, 5, "x"), 0);
	s->ops->rollback(s);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), E_NOTFOUND);
	s->ops->rollback(s); /* outside of one: no harm */
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->commit(s), 0);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), 0);
}

static void what_was_committed_survives_the_process(void **state)
{
	struct store_vtpm v = a_vtpm(1);
	char copy[130];
	struct store *other;

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	/* what a power cut would leave: the files as they are, without closing the database */
	snprintf(copy, sizeof(copy), "%s.copy", path);
	assert_int_equal(shell("cp %s %s && cp %s-wal %s-wal", path, copy, path, copy), 0);
	assert_int_equal(store_sqlite_open(&other, copy, false, why), 0);
	assert_int_equal(other->ops->vtpm_get(other, &v.uuid, &v), 0);
	other->ops->close(other);
}

static int put_second(struct store *st, void *arg)
{
	return st->ops->vtpm_put(st, arg);
}

/* What is written while reads are held is there for others at once, and a transaction sees what others wrote. */
static void a_held_store_writes_as_ever(void **state)
{
	struct store_vtpm v = a_vtpm(1), second = a_vtpm(2), third = a_vtpm(3), got;
	struct store *other;

	(void)state;
	assert_int_equal(open_store(&other, false), 0);
	s->ops->hold(s);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &got), E_NOTFOUND);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(other->ops->vtpm_get(other, &v.uuid, &got), 0);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &got), 0);
	assert_int_equal(store_transact(s, put_second, &second), 0);
	assert_int_equal(other->ops->vtpm_get(other, &second.uuid, &got), 0);
	assert_int_equal(s->ops->vtpm_get(s, &third.uuid, &got), E_NOTFOUND);
	assert_int_equal(other->ops->vtpm_put(other, &third), 0);
	s->ops->let_go(s);
	assert_int_equal(s->ops->vtpm_get(s, &third.uuid, &got), 0);
	other->ops->close(other);
}

static void keys_are_current_until_retired_or_old(void **state)
{
	struct store_key k = {.id = {1}, .host = "h", .modulus_size = 256, .exponent = 65537, .created_at = 1, .expires_at = 100,
		.wrapped_size = 9}, got;

	(void)state;
	assert_int_equal(s->ops->key_put(s, &k), 0);
	k.id[0] = 2;
	k.expires_at = 200;
	assert_int_equal(s->ops->key_put(s, &k), 0);
	assert_int_equal(s->ops->key_put(s, &k), E_DB); /* an id serves once */
	assert_int_equal(s->ops->key_current(s, "h", 50, &got), 0);
	assert_int_equal(got.id[0], 2);
	assert_int_equal(got.modulus_size, 256);
	assert_int_equal(got.wrapped_size, 9);
	assert_int_equal(s->ops->key_current(s, "h", 200, &got), E_NOTFOUND);
	assert_int_equal(s->ops->key_current(s, "other", 0, &got), E_NOTFOUND);
	assert_int_equal(s->ops->key_retire(s, "other"), 0);
	assert_int_equal(s->ops->key_current(s, "h", 50, &got), 0);
	assert_int_equal(s->ops->key_retire(s, ""), 0);
	assert_int_equal(s->ops->key_current(s, "h", 50, &got), E_NOTFOUND);
	assert_int_equal(s->ops->key_get(s, k.id, &got), 0);
	assert_true(got.retired);
	assert_int_equal(s->ops->key_purge(s, 150), 0);
	assert_int_equal(s->ops->key_get(s, k.id, &got), 0);
	k.id[0] = 1;
	assert_int_equal(s->ops->key_get(s, k.id, &got), E_NOTFOUND);
}

static void numbers_beyond_the_database_are_refused(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	v.lease.epoch = (uint64_t)INT64_MAX + 1;
	assert_int_equal(s->ops->vtpm_put(s, &v), E_DB);
}

static void a_row_that_was_tampered_with_is_an_error(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	sql(is_pgsql ? "UPDATE vtpms SET seed = decode(repeat('00', 1000), 'hex')" : "UPDATE vtpms SET seed = zeroblob(1000)");
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), E_DB);
	sql("UPDATE vtpms SET seed = NULL, lease_epoch = -1");
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), E_DB);
	assert_non_null(strstr(s->why, "changed by hand"));
}

static void there_must_be_one_or_none(void **state)
{
	struct store *other;
	char none[120];

	(void)state;
	snprintf(none, sizeof(none), "%s/none", dir);
	assert_int_equal(open_store(&other, true), E_EXISTS);
	if (is_pgsql) {
		sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
		assert_int_equal(open_store(&other, false), E_NOTFOUND);
		assert_non_null(strstr(why, "kmcctl init"));
		return;
	}
	assert_int_equal(store_sqlite_open(&other, none, false, why), E_NOTFOUND);
	assert_non_null(strstr(why, "kmcctl init"));
	assert_int_equal(access(none, F_OK), -1);
}

static void a_newer_schema_is_refused(void **state)
{
	struct store *other;

	(void)state;
	sql("UPDATE schema_version SET version = 999");
	assert_int_equal(open_store(&other, false), E_VERSION);
	assert_non_null(strstr(why, "upgrade"));
}

/* The first schema that there was, with rows in it. */
static void an_older_schema_is_brought_up(void **state)
{
	char old[120];
	struct store_vtpm v;
	struct store_state st;
	struct audit_chain last;
	struct store *other;

	(void)state;
	snprintf(old, sizeof(old), "%s/old", dir);
	assert_int_equal(shell("sqlite3 %s \"CREATE TABLE schema_version (version INTEGER NOT NULL); INSERT INTO schema_version VALUES (1)\"", old), 0);
	snprintf(path, sizeof(path), "%s", old);
	sql(store_schema[0]);
	sql("INSERT INTO pools VALUES ('p', 0); INSERT INTO vtpms VALUES (zeroblob(16), 'p', 3, NULL, 6, 7, 8, NULL, NULL, 4, 5, 10, 11, 12);"
	    "INSERT INTO states VALUES (zeroblob(16), 5, 'bytes')");
	assert_int_equal(store_sqlite_open(&other, old, false, why), 0);
	assert_int_equal(other->ops->vtpm_next(other, NULL, &v), 0);
	assert_int_equal(v.lease.epoch, 4);
	assert_int_equal(v.origin.generation, 0); /* its keys are its own */
	assert_int_equal(other->ops->state_next(other, &v.uuid, 0, &st), 0);
	assert_int_equal(st.version, 5);
	assert_int_equal(st.owner_epoch, 6);
	assert_int_equal(st.platform_epoch, 8);
	assert_int_equal(st.stored_at, 12);
	assert_int_equal(other->ops->audit_last(other, &last), 0);
	assert_int_equal(last.seq, 0);
	other->ops->close(other);
}

static void what_is_no_database_is_refused(void **state)
{
	struct store *other;
	char text[120];
	FILE *f;

	(void)state;
	snprintf(text, sizeof(text), "%s/text", dir);
	f = fopen(text, "w");
	for (int i = 0; i < 500; i++)
		fputs("this is no database\n", f);
	fclose(f);
	assert_int_equal(store_sqlite_open(&other, text, false, why), E_DB);
	assert_non_null(strstr(why, "not a database"));
}

static void parked_leases_come_back_the_first_recalled_first(void **state)
{
	struct store_parked p = {.uuid = {{9, [15] = 1}}, .holder = "h", .epoch = 4}, q = p, found = {.epoch = 0};

	(void)state;
	q.uuid.b[15] = 2;
	assert_int_equal(s->ops->parked_get(s, &p.uuid, &found), E_NOTFOUND);
	assert_int_equal(s->ops->parked_put(s, &p), 0);
	assert_int_equal(s->ops->parked_recalled(s, "h", &found), E_NOTFOUND);
	p.recalled_at = 20;
	q.recalled_at = 10;
	assert_int_equal(s->ops->parked_put(s, &p), 0);
	assert_int_equal(s->ops->parked_put(s, &q), 0);
	assert_int_equal(s->ops->parked_get(s, &p.uuid, &found), 0);
	assert_memory_equal(&found, &p, sizeof(p));
	assert_int_equal(s->ops->parked_recalled(s, "g", &found), E_NOTFOUND);
	assert_int_equal(s->ops->parked_recalled(s, "h", &found), 0);
	assert_int_equal(found.uuid.b[15], 2);
	q.recalled_at = 0;
	assert_int_equal(s->ops->parked_put(s, &q), 0);
	assert_int_equal(s->ops->parked_recalled(s, "h", &found), 0);
	assert_int_equal(found.uuid.b[15], 1);
}

static void counts_count(void **state)
{
	struct store_vtpm v = a_vtpm(1);
	struct store_counts c;

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(put_state(&v, 1, "12345"), 0);
	v = a_vtpm(2);
	v.lease.holder[0] = '\0';
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->count(s, &c), 0);
	assert_int_equal(c.hosts, 1);
	assert_int_equal(c.vtpms, 2);
	assert_int_equal(c.held, 1);
	assert_int_equal(c.states, 1);
	assert_int_equal(c.state_bytes, 5);
}

/* --- only PostgreSQL --- */

static void a_server_that_was_killed_costs_a_transaction_and_no_more(void **state)
{
	struct store_vtpm v = a_vtpm(1), w = a_vtpm(2);

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(s->ops->vtpm_put(s, &w), 0);
	assert_int_equal(shell("tests/pgsql kill %s/pg", dir), 0);
	assert_int_equal(s->ops->commit(s), E_DB);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), E_DB); /* nobody is there */
	assert_non_null(strstr(s->why, "can't connect"));
	assert_int_equal(shell("tests/pgsql start %s/pg", dir), 0);
	sleep(1); /* the engine's pause */
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), 0);
	assert_int_equal(s->ops->vtpm_get(s, &w.uuid, &w), E_NOTFOUND);
	assert_int_equal(s->ops->begin(s), 0);
	assert_int_equal(s->ops->vtpm_put(s, &w), 0);
	assert_int_equal(s->ops->commit(s), 0);
}

/* The statement or begin() that finds the connection dead makes a new one. */
static void a_lost_connection_is_not_noticed(void **state)
{
	static const char cut[] = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kmcd'";
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	sql(cut);
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), 0);
	sql(cut);
	assert_int_equal(s->ops->begin(s), 0);
	sql(cut);
	assert_int_equal(s->ops->vtpm_put(s, &v), E_DB);
	s->ops->rollback(s);
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
}

static int count_up(struct store *store, void *arg)
{
	const struct uuid *uuid = arg;
	struct store_vtpm v;
	int r = store->ops->vtpm_get(store, uuid, &v);

	v.lease.epoch++;
	usleep(1000);
	return r != 0 ? r : store->ops->vtpm_put(store, &v);
}

/* Several programs over one database: each reads a number, waits and writes it one higher; none is lost. */
static void writers_take_turns(void **state)
{
	enum { WRITERS = 4, ROUNDS = 25 };
	struct store_vtpm v = a_vtpm(1);
	pid_t child[WRITERS];

	(void)state;
	v.lease.epoch = 0;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	for (int i = 0; i < WRITERS; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			struct store *mine;
			int r = open_store(&mine, false);

			for (int n = 0; n < ROUNDS && r == 0; n++)
				r = store_transact(mine, count_up, &v.uuid);
			_exit(r != 0);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		int status;

		assert_int_equal(waitpid(child[i], &status, 0), child[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(s->ops->vtpm_get(s, &v.uuid, &v), 0);
	assert_int_equal(v.lease.epoch, WRITERS * ROUNDS);
}

static void a_password_is_not_shown(void **state)
{
	struct store *other;

	(void)state;
	assert_int_equal(store_pgsql_open(&other, "host=/nowhere dbname=x user=y password=geheim", false, why), E_DB);
	assert_non_null(strstr(why, "/nowhere"));
	assert_null(strstr(why, "geheim"));
	assert_int_equal(store_pgsql_open(&other, "password=geheim no equals", false, why), E_DB);
	assert_null(strstr(why, "geheim"));
}

static void the_next_of_several_hosts_is_tried(void **state)
{
	struct store *other;
	struct store_pool p;
	char several[200];

	(void)state;
	snprintf(several, sizeof(several), "host=/nowhere,%s/pg dbname=postgres user=kmc", dir);
	assert_int_equal(store_pgsql_open(&other, several, false, why), 0);
	assert_int_equal(other->ops->pool_get(other, "p", &p), 0);
	other->ops->close(other);
}

static int open_new(void **state)
{
	(void)state;
	if (is_pgsql)
		snprintf(path, sizeof(path), "host=%s/pg dbname=postgres user=kmc", dir);
	else
		snprintf(path, sizeof(path), "%s/db", dir);
	if (open_store(&s, true) != 0) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	return s->ops->pool_put(s, &pool) == 0 && s->ops->host_put(s, &host) == 0 ? 0 : -1;
}

static int close_it(void **state)
{
	(void)state;
	s->ops->close(s);
	return is_pgsql ? shell("tests/pgsql sql %s/pg 'DROP SCHEMA public CASCADE; CREATE SCHEMA public' 2>/dev/null", dir)
	       : shell("rm -f %s/*", dir);
}

static void certificates_come_back_and_new_ones_replace_them(void **state)
{
	struct store_vtpm v = a_vtpm(1);
	struct store_ek k = {.uuid = v.uuid, .generation = 3, .endorsement_epoch = 7, .ca = {5}, .issued_at = 99, .rsa = {1, 2}, .ecc = {3},
			     .rsa_size = 2, .ecc_size = 1}, got;

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->ek_get(s, &v.uuid, &got), E_NOTFOUND);
	assert_int_equal(s->ops->ek_put(s, &k), 0);
	k.endorsement_epoch = 8;
	assert_int_equal(s->ops->ek_put(s, &k), 0);
	assert_int_equal(s->ops->ek_get(s, &v.uuid, &got), 0);
	assert_true(got.endorsement_epoch == 8 && got.generation == 3 && got.issued_at == 99 && got.rsa_size == 2 && got.ecc_size == 1);
	assert_memory_equal(got.rsa, k.rsa, 2);
	assert_int_equal(s->ops->ek_drop(s, &v.uuid), 0);
	assert_int_equal(s->ops->ek_get(s, &v.uuid, &got), E_NOTFOUND);
}

static void certificates_of_hosts_come_back_the_newest_first(void **state)
{
	struct store_hostcert c = {.host = "h", .fingerprint = {1}, .ca = {9}, .certificate = {5, 6}, .size = 2}, got;

	(void)state;
	assert_int_equal(s->ops->hostcert_newest(s, "h", &got), E_NOTFOUND);
	for (int i = 1; i <= 6; i++) {
		c.fingerprint[0] = (uint8_t)i;
		c.issued_at = 100 + i;
		c.expires_at = 200 + i;
		assert_int_equal(s->ops->hostcert_put(s, &c), 0);
	}
	assert_int_equal(s->ops->hostcert_newest(s, "h", &got), 0);
	assert_int_equal(got.fingerprint[0], 6);
	assert_int_equal(got.expires_at, 206);
	assert_int_equal(got.ca[0], 9);
	assert_int_equal(got.size, 2);
	assert_memory_equal(got.certificate, c.certificate, 2);
	c.used_at = 150;
	assert_int_equal(s->ops->hostcert_put(s, &c), 0); /* it is used now */
	assert_int_equal(s->ops->hostcert_get(s, "h", c.fingerprint, &got), 0);
	assert_int_equal(got.used_at, 150);
	c.fingerprint[0] = 1;
	assert_int_equal(s->ops->hostcert_prune(s, "h", c.fingerprint, 2), 0);
	for (int i = 1; i <= 6; i++) {
		c.fingerprint[0] = (uint8_t)i;
		assert_int_equal(s->ops->hostcert_get(s, "h", c.fingerprint, &got), i == 1 || i >= 5 ? 0 : E_NOTFOUND);
	}
	assert_int_equal(s->ops->hostcert_drop(s, "h"), 0);
	assert_int_equal(s->ops->hostcert_newest(s, "h", &got), E_NOTFOUND);
	strcpy(c.host, "nobody");
	assert_int_equal(s->ops->hostcert_put(s, &c), E_DB);
}

static void authorities_and_who_relies_on_them_come_back(void **state)
{
	struct store_authority a = {.number = 1, .state = AUTHORITY_CURRENT, .certificate = {5, 6}, .size = 2, .key = {7}, .key_size = 1, .made_at = 8}, got;
	struct store_server v = {.name = "kmc", .authority = 1, .started_at = 9}, w;
	uint64_t trusted = 0;

	(void)state;
	assert_int_equal(s->ops->authority_next(s, 0, &got), E_NOTFOUND);
	assert_int_equal(s->ops->authority_put(s, &a), 0);
	a.number = 2;
	a.state = AUTHORITY_NEXT;
	assert_int_equal(s->ops->authority_put(s, &a), 0);
	a.number = 1;
	a.state = AUTHORITY_RETIRED;
	a.key_size = 0;
	assert_int_equal(s->ops->authority_put(s, &a), 0);
	assert_int_equal(s->ops->authority_next(s, 0, &got), 0);
	assert_int_equal(got.state, AUTHORITY_RETIRED);
	assert_int_equal(got.key_size, 0);
	assert_int_equal(got.size, 2);
	assert_int_equal(got.made_at, 8);
	assert_int_equal(s->ops->authority_next(s, 1, &got), 0);
	assert_int_equal(got.number, 2);
	assert_int_equal(got.key[0], 7);
	assert_int_equal(s->ops->authority_next(s, 2, &got), E_NOTFOUND);
	assert_int_equal(s->ops->server_put(s, &v), 0);
	v.authority = 2;
	assert_int_equal(s->ops->server_put(s, &v), 0);
	assert_int_equal(s->ops->server_next(s, "", &w), 0);
	assert_int_equal(w.authority, 2);
	assert_int_equal(s->ops->server_next(s, "kmc", &w), E_NOTFOUND);
	assert_int_equal(s->ops->trust_get(s, "h", &trusted), E_NOTFOUND);
	assert_int_equal(s->ops->trust_put(s, "h", 1), 0);
	assert_int_equal(s->ops->trust_put(s, "h", 2), 0);
	assert_int_equal(s->ops->trust_get(s, "h", &trusted), 0);
	assert_int_equal(trusted, 2);
	assert_int_equal(s->ops->trust_put(s, "nobody", 2), E_DB);
}

static void retirements_are_due_the_longest_first_until_destroyed(void **state)
{
	struct store_vtpm v[2] = {a_vtpm(1), a_vtpm(2)};
	struct store_retirement r = {.seed = {7, 7}, .seed_size = 2}, got;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(s->ops->vtpm_put(s, &v[i]), 0);
		r.uuid = v[i].uuid;
		r.due_at = 100 - i;
		assert_int_equal(s->ops->retirement_put(s, &r), 0);
	}
	assert_int_equal(s->ops->retirement_due(s, 98, &got), E_NOTFOUND);
	assert_int_equal(s->ops->retirement_due(s, 100, &got), 0);
	assert_memory_equal(got.uuid.b, v[1].uuid.b, UUID_SIZE);
	assert_int_equal(got.seed_size, 2);
	got.seed_size = 0;
	got.destroyed_at = 101;
	assert_int_equal(s->ops->retirement_put(s, &got), 0);
	assert_int_equal(s->ops->retirement_due(s, 99, &got), E_NOTFOUND);
	assert_int_equal(s->ops->retirement_get(s, &v[1].uuid, &got), 0);
	assert_true(got.seed_size == 0 && got.destroyed_at == 101);
	assert_int_equal(s->ops->retirement_drop(s, &v[0].uuid), 0);
	assert_int_equal(s->ops->retirement_get(s, &v[0].uuid, &got), E_NOTFOUND);
}

static void what_moves_to_another_kmc_is_never_due(void **state)
{
	const struct store_vtpm v = a_vtpm(1);
	struct store_retirement r = {.uuid = v.uuid, .seed = {7, 7}, .seed_size = 2, .due_at = 100, .moving = true, .move = "0123456789abcde",
				     .recipient = "another KMC", .destination = "there", .epoch = INT64_MAX}, got;

	(void)state;
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->retirement_put(s, &r), 0);
	assert_int_equal(s->ops->retirement_due(s, 1000, &got), E_NOTFOUND);
	memset(&got, 0xee, sizeof(got));
	assert_int_equal(s->ops->retirement_get(s, &v.uuid, &got), 0);
	assert_true(got.moving && got.seed_size == 2 && got.due_at == 100 && got.destroyed_at == 0 && got.epoch == INT64_MAX);
	assert_memory_equal(got.move, r.move, sizeof(r.move));
	assert_memory_equal(got.recipient, r.recipient, sizeof(r.recipient));
	assert_string_equal(got.destination, "there");
	r.moving = false;
	assert_int_equal(s->ops->retirement_put(s, &r), 0);
	assert_int_equal(s->ops->retirement_get(s, &v.uuid, &got), 0);
	assert_false(got.moving);
	assert_int_equal(s->ops->retirement_due(s, 1000, &got), 0);
}

static void arrivals_come_back_and_are_found_by_their_keys(void **state)
{
	const struct store_vtpm v = a_vtpm(1), w = a_vtpm(2);
	struct store_arrival a = {.uuid = v.uuid, .move = "0123456789abcde", .sender = "another KMC", .from = "there", .keys = {.uuid = w.uuid, .generation = 3},
				  .epoch = 7, .arrived_at = 9}, got;
	struct origin keys = a.keys;

	(void)state;
	assert_int_equal(s->ops->arrival_put(s, &a), E_DB); /* of no vTPM */
	assert_int_equal(s->ops->vtpm_put(s, &v), 0);
	assert_int_equal(s->ops->arrival_get(s, &v.uuid, &got), E_NOTFOUND);
	assert_int_equal(s->ops->arrival_put(s, &a), 0);
	memset(&got, 0xee, sizeof(got));
	assert_int_equal(s->ops->arrival_get(s, &v.uuid, &got), 0);
	assert_true(uuid_equal(&got.uuid, &v.uuid) && got.epoch == 7 && got.arrived_at == 9);
	assert_memory_equal(got.move, a.move, sizeof(a.move));
	assert_memory_equal(got.sender, a.sender, sizeof(a.sender));
	assert_string_equal(got.from, "there");
	assert_int_equal(s->ops->arrival_of(s, &keys, &got), 0);
	assert_true(uuid_equal(&got.uuid, &v.uuid) && uuid_equal(&got.keys.uuid, &w.uuid) && got.keys.generation == 3);
	keys.generation = 4;
	assert_int_equal(s->ops->arrival_of(s, &keys, &got), E_NOTFOUND);
	keys = (struct origin){.uuid = v.uuid, .generation = 3};
	assert_int_equal(s->ops->arrival_of(s, &keys, &got), E_NOTFOUND);
	a.epoch = 8;
	assert_int_equal(s->ops->arrival_put(s, &a), 0);
	assert_int_equal(s->ops->arrival_get(s, &v.uuid, &got), 0);
	assert_int_equal(got.epoch, 8);
}

/* What is wrapped under the key with this number begins so. */
#define UNDER(number) {1, 0, 0, 0, (number), 7}
#define UNDER_SIZE 6

static struct store_wrapped next_of(enum store_wrapped_kind kind, uint32_t number)
{
	struct store_wrapped w = {.kind = kind};

	assert_int_equal(s->ops->wrapped_next(s, number, &w), 0);
	return w;
}

static void what_is_under_an_older_wrapping_key_is_found_and_exchanged(void **state)
{
	struct store_vtpm v[3] = {a_vtpm(1), a_vtpm(2), a_vtpm(3)}, got;
	struct store_key k = {.id = {1}, .host = "h", .modulus = {1}, .modulus_size = 256, .exponent = 3, .wrapped = UNDER(1), .wrapped_size = UNDER_SIZE};
	struct store_retirement r = {.uuid = v[2].uuid, .seed = UNDER(1), .seed_size = UNDER_SIZE, .due_at = 9};
	const uint8_t seed[] = UNDER(1), now[] = UNDER(2), later[] = {1, 0, 0, 0, 2, 8};
	const struct view to = {.p = now, .n = sizeof(now)};
	struct store_wrapped w;
	uint64_t all, left;

	(void)state;
	for (int i = 0; i < 3; i++) {
		memcpy(v[i].seed, seed, sizeof(seed));
		v[i].seed_size = i == 2 ? 0 : sizeof(seed); /* the third is retired */
		assert_int_equal(s->ops->vtpm_put(s, &v[i]), 0);
	}
	assert_int_equal(s->ops->retirement_put(s, &r), 0);
	assert_int_equal(s->ops->key_put(s, &k), 0);
	assert_int_equal(s->ops->wrapped_count(s, 1, &all, &left), 0);
	assert_true(all == 4 && left == 0);
	assert_int_equal(s->ops->wrapped_count(s, 2, &all, &left), 0);
	assert_true(all == 4 && left == 4);

	w = next_of(STORE_WRAPPED_SEED, 2);
	assert_memory_equal(w.id, v[0].uuid.b, UUID_SIZE);
	assert_true(strcmp(w.tenant, "p") == 0 && w.generation == 3 && w.size == sizeof(seed) && memcmp(w.wrapped, seed, sizeof(seed)) == 0);
	assert_int_equal(s->ops->wrapped_swap(s, &w, to), 0);
	assert_int_equal(s->ops->vtpm_get(s, &v[0].uuid, &got), 0);
	assert_memory_equal(got.seed, now, sizeof(now));
	assert_int_equal(s->ops->wrapped_swap(s, &w, view_of(later, sizeof(later))), 0); /* it is not any more what was read */
	assert_int_equal(s->ops->vtpm_get(s, &v[0].uuid, &got), 0);
	assert_memory_equal(got.seed, now, sizeof(now));
	assert_int_equal(s->ops->wrapped_next(s, 2, &w), 0); /* behind the first */
	assert_memory_equal(w.id, v[1].uuid.b, UUID_SIZE);
	assert_int_equal(s->ops->wrapped_swap(s, &w, to), 0);
	assert_int_equal(s->ops->wrapped_next(s, 2, &w), E_NOTFOUND);

	w = next_of(STORE_WRAPPED_RETIRED, 2);
	assert_true(memcmp(w.id, v[2].uuid.b, UUID_SIZE) == 0 && strcmp(w.tenant, "p") == 0 && w.generation == 3);
	assert_int_equal(s->ops->wrapped_swap(s, &w, to), 0);
	w = next_of(STORE_WRAPPED_KEY, 2);
	assert_memory_equal(w.id, k.id, sizeof(k.id));
	assert_int_equal(s->ops->wrapped_swap(s, &w, to), 0);
	assert_int_equal(s->ops->key_get(s, k.id, &k), 0);
	assert_memory_equal(k.wrapped, now, sizeof(now));
	assert_int_equal(s->ops->wrapped_count(s, 2, &all, &left), 0);
	assert_true(all == 4 && left == 0);
}

static void wrapping_keys_and_who_has_them_come_back(void **state)
{
	struct store_wrapping k = {.number = 2, .sealed = {5, 6}, .sealed_size = 2, .made_at = 10}, got;
	struct store_kmc a = {.name = "kmc1", .newest = 2, .oldest = 1, .beat = 3, .trouble = "its TPM is away"}, b = {.name = "kmc2", .newest = 1, .oldest = 1}, kmc;

	(void)state;
	assert_int_equal(s->ops->wrapping_last(s, &got), E_NOTFOUND);
	assert_int_equal(s->ops->wrapping_put(s, &k), 0);
	k.used_at = 11;
	k.done_at = 12;
	k.sealed_size = 0;
	assert_int_equal(s->ops->wrapping_get(s, 2, &got), 0);
	assert_true(got.sealed_size == 2 && got.sealed[1] == 6 && got.made_at == 10 && got.used_at == 0 && got.done_at == 0);
	assert_int_equal(s->ops->wrapping_put(s, &k), 0);
	k.number = 3;
	k.done_at = 0;
	assert_int_equal(s->ops->wrapping_put(s, &k), 0);
	assert_int_equal(s->ops->wrapping_last(s, &got), 0);
	assert_true(got.number == 3 && got.done_at == 0);
	assert_int_equal(s->ops->wrapping_get(s, 2, &got), 0);
	assert_true(got.sealed_size == 0 && got.used_at == 11 && got.done_at == 12);

	assert_int_equal(s->ops->wrapping_kmc_put(s, &b), 0);
	assert_int_equal(s->ops->wrapping_kmc_put(s, &a), 0);
	assert_int_equal(s->ops->wrapping_kmc_next(s, "", &kmc), 0);
	assert_true(strcmp(kmc.name, "kmc1") == 0 && kmc.newest == 2 && kmc.oldest == 1 && kmc.beat == 3);
	assert_string_equal(kmc.trouble, "its TPM is away");
	b.newest = 2;
	assert_int_equal(s->ops->wrapping_kmc_put(s, &b), 0);
	assert_int_equal(s->ops->wrapping_kmc_get(s, "kmc2", &kmc), 0);
	assert_true(kmc.newest == 2 && kmc.trouble[0] == '\0');
	assert_int_equal(s->ops->wrapping_kmc_drop(s, "kmc1"), 0);
	assert_int_equal(s->ops->wrapping_kmc_get(s, "kmc1", &kmc), E_NOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_new, close_it)

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && chmod(dir, 0711) == 0 ? 0 : -1;
}

static int start_server(void **state)
{
	(void)state;
	is_pgsql = true;
	return shell("tests/pgsql start %s/pg", dir);
}

static int stop_server(void **state)
{
	(void)state;
	return shell("tests/pgsql stop %s/pg; rm -rf %s", dir, dir);
}

#define FOR_BOTH \
	TEST(hosts_and_pools_come_back), TEST(a_vtpm_comes_back), TEST(a_suspended_vtpm_comes_back), TEST(who_shares_keys_is_found_while_its_seed_is_there), \
	TEST(volatile_states_come_back_until_they_are_destroyed), TEST(the_state_of_a_kept_image_is_kept), TEST(sessions_of_a_host_grow), \
	TEST(vtpms_are_listed_in_order), TEST(a_vtpm_of_no_pool_is_refused), \
	TEST(a_state_comes_back_as_it_was), TEST(the_last_states_are_kept_by_number_and_by_size), TEST(a_rolled_back_transaction_leaves_nothing), \
	TEST(a_held_store_writes_as_ever), TEST(keys_are_current_until_retired_or_old), TEST(numbers_beyond_the_database_are_refused), \
	TEST(a_row_that_was_tampered_with_is_an_error), TEST(there_must_be_one_or_none), TEST(a_newer_schema_is_refused), \
	TEST(counts_count), TEST(parked_leases_come_back_the_first_recalled_first), \
	TEST(certificates_come_back_and_new_ones_replace_them), TEST(certificates_of_hosts_come_back_the_newest_first), TEST(authorities_and_who_relies_on_them_come_back), \
	TEST(retirements_are_due_the_longest_first_until_destroyed), TEST(what_moves_to_another_kmc_is_never_due), \
	TEST(arrivals_come_back_and_are_found_by_their_keys), \
	TEST(what_is_under_an_older_wrapping_key_is_found_and_exchanged), TEST(wrapping_keys_and_who_has_them_come_back)

int main(void)
{
	const struct CMUnitTest sqlite[] = {FOR_BOTH, TEST(what_was_committed_survives_the_process), TEST(an_older_schema_is_brought_up),
					   TEST(what_is_no_database_is_refused)};
	const struct CMUnitTest pgsql[] = {
		FOR_BOTH, TEST(a_server_that_was_killed_costs_a_transaction_and_no_more), TEST(a_lost_connection_is_not_noticed),
		TEST(writers_take_turns), TEST(a_password_is_not_shown), TEST(the_next_of_several_hosts_is_tried),
	};
	int failed = cmocka_run_group_tests_name("SQLite", sqlite, setup, NULL);

	return failed + cmocka_run_group_tests_name("PostgreSQL", pgsql, start_server, stop_server);
}
