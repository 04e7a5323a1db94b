/* Configuration files against an option table, read with inih. */
#include "common/config.h"

#include <errno.h>
#include <inttypes.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

#define OPTIONS_MAX 64

struct reading {
	const struct config_option *options;
	size_t n;
	void *out;
	const char *path;
	char *why;
	bool seen[OPTIONS_MAX];
	FILE *file;
	int line; /* the one that was read last; 0: not in the file */
	int r;
};

static int complain(struct reading *rd, const char *key, const char *problem)
{
	if (rd->line)
		snprintf(rd->why, CONFIG_WHY, "%s line %d: %s: %s", rd->path, rd->line, key, problem);
	else
		snprintf(rd->why, CONFIG_WHY, "%s: %s: %s", rd->path, key, problem);
	return E_CONFIG;
}

static int set_text(struct reading *rd, const struct config_option *o, const char *value)
{
	char **member = (char **)(void *)((uint8_t *)rd->out + o->offset);

	if (!*value)
		return complain(rd, o->key, "the value is missing");
	if (o->kind == CONFIG_PATH && *value != '/')
		return complain(rd, o->key, "write an absolute path, beginning with /");
	free(*member);
	*member = strdup(value);
	return *member ? 0 : E_NOMEM;
}

/* Seconds in one unit of the suffix, 0 for an unknown one. */
static uint64_t unit_seconds(const char *suffix)
{
	static const struct {
		const char *suffix;
		uint64_t seconds;
	} units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(units[i].suffix, suffix) == 0)
			return units[i].seconds;
	return 0;
}

static int set_number(struct reading *rd, const struct config_option *o, const char *value)
{
	uint64_t n, unit = 1;
	char *end, text[96];

	errno = 0;
	n = strtoull(value, &end, 10);
	if (o->kind == CONFIG_SECONDS)
		unit = unit_seconds(end);
	if (errno || end == value || *value == '-' || (o->kind == CONFIG_UINT && *end) || unit == 0) {
		snprintf(text, sizeof(text), "'%.32s' is not a %s", value, o->kind == CONFIG_UINT ? "number" : "time such as 90s, 15m, 24h or 30d");
		return complain(rd, o->key, text);
	}
	if (n > o->max / unit || n * unit < o->min) {
		snprintf(text, sizeof(text), "%.32s is not between %" PRIu64 " and %" PRIu64, value, o->min, o->max);
		return complain(rd, o->key, text);
	}
	n *= unit;
	memcpy((uint8_t *)rd->out + o->offset, &n, sizeof(n));
	return 0;
}

static int set_bool(struct reading *rd, const struct config_option *o, const char *value)
{
	bool yes = strcmp(value, "yes") == 0;

	if (!yes && strcmp(value, "no") != 0)
		return complain(rd, o->key, "write yes or no");
	memcpy((uint8_t *)rd->out + o->offset, &yes, sizeof(yes));
	return 0;
}

static int set_choice(struct reading *rd, const struct config_option *o, const char *value)
{
	char text[CONFIG_WHY];
	const char *word = o->words;
	size_t n = strlen(value);

	for (unsigned int i = 0; *word; i++) {
		size_t length = strcspn(word, " ");

		if (length == n && memcmp(word, value, n) == 0) {
			memcpy((uint8_t *)rd->out + o->offset, &i, sizeof(i));
			return 0;
		}
		word += length;
		word += strspn(word, " ");
	}
	snprintf(text, sizeof(text), "'%.32s' is none of: %s", value, o->words);
	return complain(rd, o->key, text);
}

static int set(struct reading *rd, const struct config_option *o, const char *value)
{
	switch (o->kind) {
	case CONFIG_TEXT:
	case CONFIG_PATH:
		return set_text(rd, o, value);
	case CONFIG_UINT:
	case CONFIG_SECONDS:
		return set_number(rd, o, value);
	case CONFIG_BOOL:
		return set_bool(rd, o, value);
	case CONFIG_CHOICE:
		return set_choice(rd, o, value);
	}
	return E_ARG;
}

/* inih's handler: 1 to go on, 0 to make the line an error; the first error of ours is kept. */
static int on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct reading *rd = user;
	char key[96];

	if (rd->r != 0)
		return 0;
	for (size_t i = 0; i < rd->n; i++) {
		const struct config_option *o = &rd->options[i];

		if (strcmp(o->section, section) != 0 || strcmp(o->key, name) != 0)
			continue;
		if (rd->seen[i])
			rd->r = complain(rd, name, "given twice: remove one");
		else
			rd->r = set(rd, o, value);
		rd->seen[i] = true;
		return rd->r == 0;
	}
	snprintf(key, sizeof(key), "[%.32s] %.48s", section, name);
	rd->r = complain(rd, key, "there is no such option: see the manual page");
	return 0;
}

/* inih's reader: one line at a time, counted here because Debian's inih does not tell the handler. */
static char *next_line(char *text, int cap, void *user)
{
	struct reading *rd = user;
	size_t n;

	if (rd->r != 0 || !fgets(text, cap, rd->file))
		return NULL;
	rd->line++;
	n = strlen(text);
	if (n && text[n - 1] != '\n' && !feof(rd->file))
		rd->r = complain(rd, "this line", "is too long");
	return text;
}

static int parse(struct reading *rd)
{
	int bad;

	rd->file = fopen(rd->path, "re");
	if (!rd->file) {
		snprintf(rd->why, CONFIG_WHY, "can't open %s: %s", rd->path, strerror(errno));
		return rd->r = E_NOTFOUND;
	}
	bad = ini_parse_stream(next_line, rd, on_pair, rd);
	fclose(rd->file);
	rd->line = bad;
	if (rd->r == 0 && bad != 0)
		rd->r = complain(rd, "this line", "is neither '[section]' nor 'option = value'");
	return rd->r;
}

static void fall_back(struct reading *rd)
{
	rd->line = 0;
	for (size_t i = 0; i < rd->n && rd->r == 0; i++)
		if (!rd->seen[i] && rd->options[i].fallback)
			rd->r = set(rd, &rd->options[i], rd->options[i].fallback);
}

int config_read(const char *path, const struct config_option *options, size_t n, void *out, size_t size, char why[CONFIG_WHY])
{
	struct reading rd = {.options = options, .n = n, .out = out, .path = path ? path : "the defaults", .why = why};

	memset(out, 0, size);
	why[0] = '\0';
	if (n > OPTIONS_MAX)
		return E_ARG;
	if (path)
		parse(&rd);
	if (rd.r == 0)
		fall_back(&rd);
	if (rd.r != 0)
		config_free(options, n, out);
	return rd.r;
}

void config_free(const struct config_option *options, size_t n, void *out)
{
	for (size_t i = 0; i < n; i++) {
		char **member = (char **)(void *)((uint8_t *)out + options[i].offset);

		if (options[i].kind != CONFIG_TEXT && options[i].kind != CONFIG_PATH)
			continue;
		free(*member);
		*member = NULL;
	}
}
