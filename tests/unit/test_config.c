/* Options are read by the table, and every mistake is named with its line. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/error.h"
#include "tests/unit/unit.h"

struct settings {
	char *address, *state, *extra;
	uint64_t port, age;
	bool strict;
	unsigned int durability;
};

static const struct config_option options[] = {
	{.section = "kmc", .key = "address", .kind = CONFIG_TEXT, .offset = offsetof(struct settings, address), .fallback = "localhost"},
	{.section = "kmc", .key = "extra", .kind = CONFIG_TEXT, .offset = offsetof(struct settings, extra)},
	{.section = "kmc", .key = "port", .kind = CONFIG_UINT, .offset = offsetof(struct settings, port), .fallback = "7000", .min = 1, .max = 65535},
	{.section = "relay", .key = "state", .kind = CONFIG_PATH, .offset = offsetof(struct settings, state), .fallback = "/var/lib/x"},
	{.section = "relay", .key = "age", .kind = CONFIG_SECONDS, .offset = offsetof(struct settings, age), .fallback = "15m", .min = 60, .max = 86400},
	{.section = "relay", .key = "strict", .kind = CONFIG_BOOL, .offset = offsetof(struct settings, strict), .fallback = "yes"},
	{.section = "relay", .key = "durability", .kind = CONFIG_CHOICE, .offset = offsetof(struct settings, durability), .fallback = "host", .words = "none host kmc"},
};
#define N (sizeof(options) / sizeof(options[0]))

static char path[] = "/tmp/test-config-XXXXXX";
static char why[CONFIG_WHY];

static int read_text(const char *text, struct settings *s)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	return config_read(path, options, N, s, sizeof(*s), why);
}

static void refused(const char *text, const char *expected)
{
	struct settings s;

	assert_int_equal(read_text(text, &s), E_CONFIG);
	if (!strstr(why, expected))
		fail_msg("'%s' lacks '%s'", why, expected);
	assert_null(s.address);
}

static void defaults_hold_where_the_file_is_silent(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(config_read(NULL, options, N, &s, sizeof(s), why), 0);
	assert_string_equal(s.address, "localhost");
	assert_string_equal(s.state, "/var/lib/x");
	assert_null(s.extra);
	assert_int_equal(s.port, 7000);
	assert_int_equal(s.age, 900);
	assert_true(s.strict);
	assert_int_equal(s.durability, 1);
	config_free(options, N, &s);
	assert_null(s.address);
}

static void the_file_wins(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(read_text("# a comment\n[kmc]\naddress = 10.0.0.1\nextra=e\n\n[relay]\nage = 2h\nstrict = no\ndurability = kmc\n", &s), 0);
	assert_string_equal(s.address, "10.0.0.1");
	assert_string_equal(s.extra, "e");
	assert_int_equal(s.age, 7200);
	assert_false(s.strict);
	assert_int_equal(s.durability, 2);
	config_free(options, N, &s);
}

static void mistakes_are_named(void **state)
{
	char text[600] = "[kmc]\naddress = ";

	(void)state;
	refused("[kmc]\naddres = x\n", "line 2: [kmc] addres: there is no such option");
	refused("[kmcd]\naddress = x\n", "[kmcd] address");
	refused("[kmc]\nport = 0\n", "line 2: port: 0 is not between 1 and 65535");
	refused("[kmc]\nport = 65536\n", "not between");
	refused("[kmc]\nport = -1\n", "not a number");
	refused("[kmc]\nport = 99999999999999999999999\n", "not a number");
	refused("[kmc]\nport = 1x\n", "'1x' is not a number");
	refused("[relay]\nage = 1w\n", "not a time");
	refused("[relay]\nage = 2d\n", "not between");
	refused("[relay]\nage = 300000000000000000d\n", "not between");
	refused("[relay]\nstrict = 1\n", "write yes or no");
	refused("[relay]\nstate = var\n", "absolute path");
	refused("[relay]\ndurability = hos\n", "none of: none host kmc");
	refused("[kmc]\naddress =\n", "missing");
	refused("[kmc]\naddress = a\naddress = b\n", "line 3: address: given twice");
	refused("[kmc]\nrubbish\n", "neither");
	memset(text + strlen(text), 'a', 400);
	refused(text, "too long");
}

static void a_missing_file_is_another_error(void **state)
{
	struct settings s;

	(void)state;
	assert_int_equal(config_read("/nonexistent/relay.conf", options, N, &s, sizeof(s), why), E_NOTFOUND);
	assert_non_null(strstr(why, "can't open /nonexistent/relay.conf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_where_the_file_is_silent),
		cmocka_unit_test(the_file_wins),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(a_missing_file_is_another_error),
	};
	int r;

	close(mkstemp(path));
	r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
