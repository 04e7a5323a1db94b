/* The model's decision tables (docs/models): each situation has one row, and kmc/lease.c decides as lease.table says. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kmc/lease.h"
#include "tests/unit/unit.h"

#define TABLE "docs/models/lease.table"
#define COLUMNS_MAX 16
#define ROWS_MAX 64
#define VALUES_MAX 10
#define WORD 24

struct table {
	size_t columns, equals, rows;
	char name[COLUMNS_MAX][WORD];
	char cell[ROWS_MAX][COLUMNS_MAX][WORD];
	size_t values[COLUMNS_MAX]; /* of each column left of "=" */
	char value[COLUMNS_MAX][VALUES_MAX][WORD];
	bool used[ROWS_MAX];
};

/* A situation: one value of each column left of "=". */
typedef const char *situation[COLUMNS_MAX];

static void copy_word(char to[WORD], const char *word)
{
	size_t n = strlen(word);

	assert_true(n < WORD);
	memcpy(to, word, n + 1);
}

static size_t split(char *line, const char *separators, char words[][WORD], size_t max)
{
	char *save = NULL;
	size_t n = 0;

	for (char *w = strtok_r(line, separators, &save); w; w = strtok_r(NULL, separators, &save)) {
		assert_true(n < max);
		copy_word(words[n++], w);
	}
	return n;
}

static void learn_value(struct table *t, size_t column, const char *value)
{
	for (size_t i = 0; i < t->values[column]; i++)
		if (strcmp(t->value[column][i], value) == 0)
			return;
	assert_true(t->values[column] < VALUES_MAX);
	copy_word(t->value[column][t->values[column]++], value);
}

static void learn_cell(struct table *t, size_t column, const char *cell)
{
	char copy[WORD], words[VALUES_MAX][WORD];
	size_t n;

	copy_word(copy, cell);
	n = split(copy, "|", words, VALUES_MAX);
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], "*") != 0)
			learn_value(t, column, words[i]);
}

static void read_line(struct table *t, char *line)
{
	if (strncmp(line, "# act ", 6) == 0) {
		t->columns = split(line + 2, " \n", t->name, COLUMNS_MAX);
		while (t->equals < t->columns && strcmp(t->name[t->equals], "=") != 0)
			t->equals++;
		assert_true(t->equals < t->columns);
	}
	if (line[0] == '#' || line[0] == '\n')
		return;
	assert_true(t->rows < ROWS_MAX && t->columns);
	assert_int_equal(split(line, " \n", t->cell[t->rows], COLUMNS_MAX), t->columns);
	assert_string_equal(t->cell[t->rows][t->equals], "=");
	for (size_t i = 0; i < t->equals; i++)
		learn_cell(t, i, t->cell[t->rows][i]);
	t->rows++;
}

static void read_table(struct table *t, const char *path)
{
	char line[240];
	FILE *f = fopen(path, "re");

	memset(t, 0, sizeof(*t));
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		read_line(t, line);
	fclose(f);
	assert_true(t->rows);
}

static bool cell_holds(const char *cell, const char *value)
{
	size_t n = strlen(value);

	if (strcmp(cell, "*") == 0)
		return true;
	for (const char *p = strstr(cell, value); p; p = strstr(p + 1, value))
		if ((p == cell || p[-1] == '|') && (p[n] == '\0' || p[n] == '|'))
			return true;
	return false;
}

/* The one row for a situation. */
static size_t row_of(const struct table *t, const situation s)
{
	size_t found = t->rows;

	for (size_t row = 0; row < t->rows; row++) {
		size_t i = 0;

		while (i < t->equals && cell_holds(t->cell[row][i], s[i]))
			i++;
		if (i < t->equals)
			continue;
		if (found < t->rows)
			print_error("rows %zu and %zu both fit one situation of \"%s\"\n", found + 1, row + 1, s[0]);
		assert_true(found == t->rows);
		found = row;
	}
	if (found == t->rows)
		for (size_t i = 0; i < t->equals; i++)
			print_error("no row for %s = %s\n", t->name[i], s[i]);
	assert_true(found < t->rows);
	return found;
}

static void each_situation(struct table *t, void (*check)(const struct table *t, size_t row, const situation s))
{
	size_t at[COLUMNS_MAX] = {0}, i;
	situation s;

	do {
		for (i = 0; i < t->equals; i++)
			s[i] = t->value[i][at[i]];
		size_t row = row_of(t, s);

		t->used[row] = true;
		if (check)
			check(t, row, s);
		for (i = 0; i < t->equals && ++at[i] == t->values[i]; i++)
			at[i] = 0;
	} while (i < t->equals);
	for (i = 0; i < t->rows; i++)
		assert_true(t->used[i]);
}

static const char *of(const struct table *t, const situation s, const char *column)
{
	for (size_t i = 0; i < t->equals; i++)
		if (strcmp(t->name[i], column) == 0)
			return s[i];
	fail_msg("the table has no column %s", column);
	return "";
}

static const char *verdict(const struct table *t, size_t row, const char *column)
{
	for (size_t i = t->equals + 1; i < t->columns; i++)
		if (strcmp(t->name[i], column) == 0)
			return t->cell[row][i];
	fail_msg("the table has no column %s", column);
	return "";
}

/* --- a situation as the code sees it --- */

static size_t index_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	fail_msg("the code knows no \"%s\"", word);
	return n;
}
#define INDEX(word, ...) index_of(word, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static uint64_t compared(const char *word, uint64_t present)
{
	const uint64_t values[] = {0, present - 1, present, present + 1};

	return values[INDEX(word, "none", "older", "present", "newer")];
}

/* @variant: which of the three hierarchies differs; and whether "nobody" was another host or never anybody. */
static void set_up(const struct table *t, const situation s, unsigned int variant, struct lease *l, struct lease_request *q)
{
	const char *holders[][2] = {{"a", ""}, {"b", ""}, {"", "a"}, {"", variant ? "b" : ""}};
	size_t holder = INDEX(of(t, s, "holder"), "asker", "other", "former", "nobody");
	bool full = INDEX(of(t, s, "counter"), "room", "full") == 1;
	size_t relation = INDEX(of(t, s, "hierarchies"), "same", "ahead", "behind");

	*l = (struct lease){.pool = "p", .epoch = full ? INT64_MAX : 5, .state_version = 7, .owner_epoch = 3, .endorsement_epoch = 3,
			    .platform_epoch = 3};
	snprintf(l->holder, sizeof(l->holder), "%s", holders[holder][0]);
	snprintf(l->last_holder, sizeof(l->last_holder), "%s", holders[holder][1]);
	*q = (struct lease_request){
		.act = (enum lease_act)INDEX(of(t, s, "act"), "open", "store", "release", "takeover"),
		.host = "a",
		.pool = INDEX(of(t, s, "pool"), "own", "other") == 0 ? "p" : "another",
		.registered_only = INDEX(of(t, s, "policy"), "auto", "registered") == 1,
		.epoch = compared(of(t, s, "epoch"), l->epoch),
		.version = compared(of(t, s, "version"), l->state_version),
		.same_state = INDEX(of(t, s, "bytes"), "differ", "same") == 1,
	};
	uint64_t epochs[3] = {3, 3, 3};

	if (relation == 2) /* one behind is enough, whatever the others are */
		epochs[0] = epochs[1] = epochs[2] = 4;
	if (relation)
		epochs[variant] = relation == 1 ? 4 : 2;
	q->owner_epoch = epochs[0];
	q->endorsement_epoch = epochs[1];
	q->platform_epoch = epochs[2];
	if (q->act == LEASE_TAKEOVER)
		q->host = q->pool = NULL;
}

static enum kmc_refusal code_of(const char *word)
{
	static const enum kmc_refusal codes[] = {KMC_REFUSED_POLICY, KMC_REFUSED_HELD, KMC_REFUSED_EPOCH, KMC_REFUSED_ROLLBACK,
						 KMC_REFUSED_INTERNAL};

	return codes[INDEX(word, "policy", "held", "epoch", "rollback", "internal")];
}

static void becomes(const char *word, const struct lease *before, const struct lease *after, const struct lease_request *q)
{
	bool held = strcmp(word, "held") == 0, stored = strcmp(word, "stored") == 0, taken = strcmp(word, "taken") == 0;

	assert_true(held || stored || taken || strcmp(word, "free") == 0);
	assert_int_equal(after->epoch, before->epoch + (held || taken));
	assert_string_equal(after->holder, held ? q->host : stored ? before->holder : "");
	assert_string_equal(after->last_holder, held || stored ? "" : before->holder);
	assert_int_equal(after->state_version, stored ? q->version : before->state_version);
	assert_int_equal(after->owner_epoch, stored ? q->owner_epoch : before->owner_epoch);
	assert_int_equal(after->endorsement_epoch, stored ? q->endorsement_epoch : before->endorsement_epoch);
	assert_int_equal(after->platform_epoch, stored ? q->platform_epoch : before->platform_epoch);
	assert_string_equal(after->pool, "p");
}

static void decides_so(const struct table *t, size_t row, const situation s, unsigned int variant)
{
	bool known = INDEX(of(t, s, "vtpm"), "unknown", "known") == 1;
	struct lease before, after;
	struct lease_request q;
	struct lease_verdict v;
	enum lease_result result = (enum lease_result)INDEX(verdict(t, row, "result"), "refused", "create", "apply", "already");

	set_up(t, s, variant, &before, &q);
	v = lease_decide(known ? &before : NULL, &q);
	if (v.result != result)
		print_error("row %zu (%s): the code says %d, the table %s\n", row + 1, s[0], v.result, verdict(t, row, "result"));
	assert_int_equal(v.result, result);
	if (result == LEASE_REFUSED)
		assert_int_equal(v.code, code_of(verdict(t, row, "code")));
	if (result == LEASE_CREATE) {
		before = (struct lease){.epoch = 0};
		q.pool = "p";
	}
	after = before;
	if (result == LEASE_CREATE || result == LEASE_APPLY) {
		lease_apply(&after, &q);
		becomes(verdict(t, row, "becomes"), &before, &after, &q);
	}
}

static void decides(const struct table *t, size_t row, const situation s)
{
	for (unsigned int variant = 0; variant < 3; variant++)
		decides_so(t, row, s, variant);
}

static void the_code_decides_as_the_table_says(void **state)
{
	static struct table t;

	(void)state;
	read_table(&t, TABLE);
	each_situation(&t, decides);
}

static void each_situation_of_a_move_has_one_row(void **state)
{
	static struct table t;

	(void)state;
	read_table(&t, "docs/models/migrate.table");
	each_situation(&t, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_code_decides_as_the_table_says),
		cmocka_unit_test(each_situation_of_a_move_has_one_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
