/* A store for a test: empty but for a pool and a host, in SQLite against a real file or in PostgreSQL against a real server. */
#ifndef TESTS_UNIT_KMC_STORE_H
#define TESTS_UNIT_KMC_STORE_H

#include <stdbool.h>

#include "common/error.h"
#include "kmc/store_sql.h"
#include "tests/unit/unit.h"

/* For cmocka: one group of tests on each engine, and a new store for each test. */
int store_on_sqlite(void **state);
int store_on_pgsql(void **state);
int store_off_pgsql(void **state);
int store_open_new(void **state);
int store_close_it(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_open_new, store_close_it)

extern bool store_is_pgsql; /* else SQLite */
extern char store_dir[];    /* of its files */
extern char store_path[120], store_why[STORE_WHY];
extern struct store *tested;
extern const struct store_host store_a_host; /* "h", of pool "p" */

/* gives(R, OPERATION, ARGUMENTS...) - what the tested store answers; does(): it does it. */
#define gives(r, operation, ...) assert_int_equal(tested->ops->operation(tested, __VA_ARGS__), r)
#define does(operation, ...) gives(0, operation, __VA_ARGS__)

/* The same store once more. */
int store_open_tested(struct store **store, bool create);

int store_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Go behind the engine's back. */
void store_by_hand(const char *text);

/* Held by that host; @last: the end of its UUID. */
struct store_vtpm a_vtpm(uint8_t last);
int put_state(const struct store_vtpm *v, uint64_t version, const char *text);

#endif
