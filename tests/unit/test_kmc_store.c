/*
 * The storage engines: transactions are whole, versions are checked, damage is told, and a few things that only one of them has. What is
 * stored stands in test_kmc_store_hosts.c and test_kmc_store_vtpms.c.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kmc_store.h"

static void a_rolled_back_transaction_leaves_nothing(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	assert_int_equal(tested->ops->begin(tested), 0);
	does(vtpm_put, &v);
	assert_int_equal(put_state(&v, 5, "x"), 0);
	tested->ops->rollback(tested);
	gives(E_NOTFOUND, vtpm_get, &v.uuid, &v);
	tested->ops->rollback(tested); /* outside of one: no harm */
	assert_int_equal(tested->ops->begin(tested), 0);
	does(vtpm_put, &v);
	assert_int_equal(tested->ops->commit(tested), 0);
	does(vtpm_get, &v.uuid, &v);
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
	assert_int_equal(store_open_tested(&other, false), 0);
	tested->ops->hold(tested);
	gives(E_NOTFOUND, vtpm_get, &v.uuid, &got);
	does(vtpm_put, &v);
	assert_int_equal(other->ops->vtpm_get(other, &v.uuid, &got), 0);
	does(vtpm_get, &v.uuid, &got);
	assert_int_equal(store_transact(tested, put_second, &second), 0);
	assert_int_equal(other->ops->vtpm_get(other, &second.uuid, &got), 0);
	gives(E_NOTFOUND, vtpm_get, &third.uuid, &got);
	assert_int_equal(other->ops->vtpm_put(other, &third), 0);
	tested->ops->let_go(tested);
	does(vtpm_get, &third.uuid, &got);
	other->ops->close(other);
}

static void counts_count(void **state)
{
	struct store_vtpm v = a_vtpm(1);
	struct store_counts c;

	(void)state;
	does(vtpm_put, &v);
	assert_int_equal(put_state(&v, 1, "12345"), 0);
	v = a_vtpm(2);
	v.lease.holder[0] = '\0';
	does(vtpm_put, &v);
	does(count, &c);
	assert_int_equal(c.hosts, 1);
	assert_int_equal(c.vtpms, 2);
	assert_int_equal(c.held, 1);
	assert_int_equal(c.states, 1);
	assert_int_equal(c.state_bytes, 5);
}

static void numbers_beyond_the_database_are_refused(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	v.lease.epoch = (uint64_t)INT64_MAX + 1;
	gives(E_DB, vtpm_put, &v);
}

static void a_row_that_was_tampered_with_is_an_error(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	does(vtpm_put, &v);
	store_by_hand(store_is_pgsql ? "UPDATE vtpms SET seed = decode(repeat('00', 1000), 'hex')" : "UPDATE vtpms SET seed = zeroblob(1000)");
	gives(E_DB, vtpm_get, &v.uuid, &v);
	store_by_hand("UPDATE vtpms SET seed = NULL, lease_epoch = -1");
	gives(E_DB, vtpm_get, &v.uuid, &v);
	assert_non_null(strstr(tested->why, "changed by hand"));
}

static void there_must_be_one_or_none(void **state)
{
	struct store *other;
	char none[120];

	(void)state;
	snprintf(none, sizeof(none), "%s/none", store_dir);
	assert_int_equal(store_open_tested(&other, true), E_EXISTS);
	if (store_is_pgsql) {
		store_by_hand("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
		assert_int_equal(store_open_tested(&other, false), E_NOTFOUND);
		assert_non_null(strstr(store_why, "kmcctl init"));
		return;
	}
	assert_int_equal(store_sqlite_open(&other, none, false, store_why), E_NOTFOUND);
	assert_non_null(strstr(store_why, "kmcctl init"));
	assert_int_equal(access(none, F_OK), -1);
}

static void a_newer_schema_is_refused(void **state)
{
	struct store *other;

	(void)state;
	store_by_hand("UPDATE schema_version SET version = 999");
	assert_int_equal(store_open_tested(&other, false), E_VERSION);
	assert_non_null(strstr(store_why, "upgrade"));
}

/* --- only SQLite --- */

static void what_was_committed_survives_the_process(void **state)
{
	struct store_vtpm v = a_vtpm(1);
	char copy[130];
	struct store *other;

	(void)state;
	does(vtpm_put, &v);
	/* what a power cut would leave: the files as they are, without closing the database */
	snprintf(copy, sizeof(copy), "%s.copy", store_path);
	assert_int_equal(store_shell("cp %s %s && cp %s-wal %s-wal", store_path, copy, store_path, copy), 0);
	assert_int_equal(store_sqlite_open(&other, copy, false, store_why), 0);
	assert_int_equal(other->ops->vtpm_get(other, &v.uuid, &v), 0);
	other->ops->close(other);
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
	snprintf(old, sizeof(old), "%s/old", store_dir);
	assert_int_equal(store_shell("sqlite3 %s \"CREATE TABLE schema_version (version INTEGER NOT NULL); INSERT INTO schema_version VALUES (1)\"", old), 0);
	snprintf(store_path, sizeof(store_path), "%s", old);
	store_by_hand(store_schema[0]);
	store_by_hand("INSERT INTO pools VALUES ('p', 0); INSERT INTO vtpms VALUES (zeroblob(16), 'p', 3, NULL, 6, 7, 8, NULL, NULL, 4, 5, 10, 11, 12);"
	    "INSERT INTO states VALUES (zeroblob(16), 5, 'bytes')");
	assert_int_equal(store_sqlite_open(&other, old, false, store_why), 0);
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
	snprintf(text, sizeof(text), "%s/text", store_dir);
	f = fopen(text, "w");
	for (int i = 0; i < 500; i++)
		fputs("this is no database\n", f);
	fclose(f);
	assert_int_equal(store_sqlite_open(&other, text, false, store_why), E_DB);
	assert_non_null(strstr(store_why, "not a database"));
}

/* --- only PostgreSQL --- */

static void a_server_that_was_killed_costs_a_transaction_and_no_more(void **state)
{
	struct store_vtpm v = a_vtpm(1), w = a_vtpm(2);

	(void)state;
	does(vtpm_put, &v);
	assert_int_equal(tested->ops->begin(tested), 0);
	does(vtpm_put, &w);
	assert_int_equal(store_shell("tests/pgsql kill %s/pg", store_dir), 0);
	assert_int_equal(tested->ops->commit(tested), E_EOF); /* it may have got it */
	gives(E_DB, vtpm_get, &v.uuid, &v); /* nobody is there */
	assert_non_null(strstr(tested->why, "can't connect"));
	assert_int_equal(store_shell("tests/pgsql start %s/pg", store_dir), 0);
	sleep(1); /* the engine's pause */
	does(vtpm_get, &v.uuid, &v);
	gives(E_NOTFOUND, vtpm_get, &w.uuid, &w);
	assert_int_equal(tested->ops->begin(tested), 0);
	does(vtpm_put, &w);
	assert_int_equal(tested->ops->commit(tested), 0);
}

/* The server has written it, and the connection breaks before it says so: nobody knows. */
static void a_commit_whose_answer_is_lost_is_an_error_of_its_own(void **state)
{
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	store_by_hand("ALTER SYSTEM SET synchronous_standby_names = 'nobody'"); /* a commit waits for it when it is done */
	store_by_hand("SELECT pg_reload_conf()");
	sleep(1);
	assert_int_equal(tested->ops->begin(tested), 0);
	does(vtpm_put, &v);
	assert_int_equal(store_shell("(sleep 1; tests/pgsql sql %s/pg \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'\") >/dev/null &",
				     store_dir), 0);
	assert_int_equal(tested->ops->commit(tested), E_EOF);
	store_by_hand("ALTER SYSTEM RESET synchronous_standby_names");
	store_by_hand("SELECT pg_reload_conf()");
	sleep(1);
	does(vtpm_get, &v.uuid, &v);
}

/* The statement or begin() that finds the connection dead makes a new one. */
static void a_lost_connection_is_not_noticed(void **state)
{
	static const char cut[] = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kmcd'";
	struct store_vtpm v = a_vtpm(1);

	(void)state;
	does(vtpm_put, &v);
	store_by_hand(cut);
	does(vtpm_get, &v.uuid, &v);
	store_by_hand(cut);
	assert_int_equal(tested->ops->begin(tested), 0);
	store_by_hand(cut);
	gives(E_DB, vtpm_put, &v);
	tested->ops->rollback(tested);
	does(vtpm_put, &v);
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
	does(vtpm_put, &v);
	for (int i = 0; i < WRITERS; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			struct store *mine;
			int r = store_open_tested(&mine, false);

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
	does(vtpm_get, &v.uuid, &v);
	assert_int_equal(v.lease.epoch, WRITERS * ROUNDS);
}

static void a_password_is_not_shown(void **state)
{
	struct store *other;

	(void)state;
	assert_int_equal(store_pgsql_open(&other, "host=/nowhere dbname=x user=y password=geheim", false, store_why), E_DB);
	assert_non_null(strstr(store_why, "/nowhere"));
	assert_null(strstr(store_why, "geheim"));
	assert_int_equal(store_pgsql_open(&other, "password=geheim no equals", false, store_why), E_DB);
	assert_null(strstr(store_why, "geheim"));
}

static void the_next_of_several_hosts_is_tried(void **state)
{
	struct store *other;
	struct store_pool p;
	char several[200];

	(void)state;
	snprintf(several, sizeof(several), "host=/nowhere,%s/pg dbname=postgres user=kmc", store_dir);
	assert_int_equal(store_pgsql_open(&other, several, false, store_why), 0);
	assert_int_equal(other->ops->pool_get(other, "p", &p), 0);
	other->ops->close(other);
}

/* What both engines do. */
#define FOR_BOTH \
	TEST(a_rolled_back_transaction_leaves_nothing), \
	TEST(a_held_store_writes_as_ever), \
	TEST(counts_count), \
	TEST(numbers_beyond_the_database_are_refused), \
	TEST(a_row_that_was_tampered_with_is_an_error), \
	TEST(there_must_be_one_or_none), \
	TEST(a_newer_schema_is_refused)

int main(void)
{
	const struct CMUnitTest sqlite[] = {
		FOR_BOTH,
		TEST(what_was_committed_survives_the_process),
		TEST(an_older_schema_is_brought_up),
		TEST(what_is_no_database_is_refused),
	};
	const struct CMUnitTest pgsql[] = {
		FOR_BOTH,
		TEST(a_server_that_was_killed_costs_a_transaction_and_no_more),
		TEST(a_commit_whose_answer_is_lost_is_an_error_of_its_own),
		TEST(a_lost_connection_is_not_noticed),
		TEST(writers_take_turns),
		TEST(a_password_is_not_shown),
		TEST(the_next_of_several_hosts_is_tried),
	};
	int failed = cmocka_run_group_tests_name("SQLite", sqlite, store_on_sqlite, NULL);

	return failed + cmocka_run_group_tests_name("PostgreSQL", pgsql, store_on_pgsql, store_off_pgsql);
}
