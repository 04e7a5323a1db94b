/* A store for a test. */
#include "tests/unit/kmc_store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/buf.h"

bool store_is_pgsql;
char store_dir[] = "/tmp/test-kmc-store-XXXXXX", store_path[120], store_why[STORE_WHY];
struct store *tested;
const struct store_host store_a_host = {.name = "h", .pool = "p", .fingerprint = {1, 2, [31] = 3}, .added_at = 5, .expires_at = 7};

int store_shell(const char *fmt, ...)
{
	char command[4000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

void store_by_hand(const char *text)
{
	if (store_is_pgsql)
		assert_int_equal(store_shell("tests/pgsql sql %s/pg \"%s\"", store_dir, text), 0);
	else
		assert_int_equal(store_shell("sqlite3 %s \"%s\"", store_path, text), 0);
}

int store_open_tested(struct store **store, bool create)
{
	return store_is_pgsql ? store_pgsql_open(store, store_path, create, store_why) : store_sqlite_open(store, store_path, create, store_why);
}

int store_on_sqlite(void **state)
{
	(void)state;
	return mkdtemp(store_dir) && chmod(store_dir, 0711) == 0 ? 0 : -1;
}

int store_on_pgsql(void **state)
{
	(void)state;
	store_is_pgsql = true;
	return store_shell("tests/pgsql start %s/pg", store_dir);
}

int store_off_pgsql(void **state)
{
	(void)state;
	return store_shell("tests/pgsql stop %s/pg; rm -rf %s", store_dir, store_dir);
}

int store_open_new(void **state)
{
	const struct store_pool pool = {.name = "p"};

	(void)state;
	if (store_is_pgsql)
		snprintf(store_path, sizeof(store_path), "host=%s/pg dbname=postgres user=kmc", store_dir);
	else
		snprintf(store_path, sizeof(store_path), "%s/db", store_dir);
	if (store_open_tested(&tested, true) != 0) {
		fprintf(stderr, "%s\n", store_why);
		return -1;
	}
	does(pool_put, &pool);
	does(host_put, &store_a_host);
	return 0;
}

int store_close_it(void **state)
{
	(void)state;
	tested->ops->close(tested);
	return store_is_pgsql ? store_shell("tests/pgsql sql %s/pg 'DROP SCHEMA public CASCADE; CREATE SCHEMA public' 2>/dev/null", store_dir)
			      : store_shell("rm -f %s/*", store_dir);
}

struct store_vtpm a_vtpm(uint8_t last)
{
	return (struct store_vtpm){
		.uuid = {{9, [15] = last}}, .generation = 3, .seed = {1, 2, 3}, .seed_size = 3, .created_at = 10, .opened_at = 11, .stored_at = 12,
		.lease = {.pool = "p", .holder = "h", .last_holder = "", .epoch = 4, .state_version = 5, .owner_epoch = 6, .endorsement_epoch = 7,
			  .platform_epoch = 8},
	};
}

int put_state(const struct store_vtpm *v, uint64_t version, const char *text)
{
	const struct store_state st = {.version = version, .owner_epoch = version + 10, .endorsement_epoch = 2, .platform_epoch = 3, .stored_at = 99};

	return tested->ops->state_put(tested, &v->uuid, &st, view_text(text));
}
