/* The decision tables of docs/models, read for tests that compare the code with them. */
#ifndef TESTS_UNIT_DECISION_TABLE_H
#define TESTS_UNIT_DECISION_TABLE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

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

/* Each situation has just one row, each row its situations, and @check looks at each of them. */
static void each_situation(struct table *t, void (*check)(const struct table *t, size_t row, const situation s))
{
	size_t at[COLUMNS_MAX] = {0}, i;
	situation s;

	do {
		for (i = 0; i < t->equals; i++)
			s[i] = t->value[i][at[i]];
		size_t row = row_of(t, s);

		t->used[row] = true;
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

/* The words of a column are numbered as the code knows them. */
static size_t index_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	fail_msg("the code knows no \"%s\"", word);
	return n;
}
#define INDEX(word, ...) index_of(word, (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

#endif
