/* Configuration files: INI text read against a table of options. Only config.c sees inih. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stddef.h>
#include <stdint.h>

enum config_kind {
	CONFIG_TEXT,	/* char *, not empty */
	CONFIG_PATH,	/* char *, absolute */
	CONFIG_UINT,	/* uint64_t between min and max */
	CONFIG_BOOL,	/* bool: yes or no */
	CONFIG_SECONDS, /* uint64_t seconds; 90, 90s, 15m, 24h or 30d, between min and max seconds */
	CONFIG_CHOICE,	/* unsigned int: index into the space-separated words of @words */
};

struct config_option {
	const char *section, *key;
	enum config_kind kind;
	size_t offset;	      /* in the program's struct */
	const char *fallback; /* as if written in the file; NULL: the option may be absent (member stays 0) */
	uint64_t min, max;
	const char *words;
};

#define CONFIG_WHY 256 /* bytes for an error's text */

/**
 * config_read() - read @path into the struct at @out
 * @out: zeroed by this function; text members are allocated and released by config_free()
 * @why: CONFIG_WHY bytes; on error one line that names file, line, option, problem and remedy
 *
 * An unknown section or option, a value out of its bounds, an option given twice and an overlong line are errors.
 * A @path of NULL reads the fallbacks only.
 *
 * Return: 0, E_CONFIG, E_NOTFOUND or E_NOMEM.
 */
int config_read(const char *path, const struct config_option *options, size_t n, void *out, size_t size, char why[CONFIG_WHY]);

/** config_free() - release the text members of the struct at @out. */
void config_free(const struct config_option *options, size_t n, void *out);

#endif
