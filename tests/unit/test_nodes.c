/* Paths are built from the list, control paths are recognised strictly, and SCHEMA.md prints just this list. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "xenstore-schema/nodes.h"

static void paths_name_their_domains(void **state)
{
	struct node_ids ids = {.guest = 7, .stub = 12, .dev = 3};
	char path[NODE_PATH_MAX];

	(void)state;
	assert_string_equal(node_path(path, NODE_CONTROL_STATE, ids), "/local/domain/0/backend/vtpm/7/3/state");
	assert_string_equal(node_path(path, NODE_BACKEND, ids), "/local/domain/12/backend/vtpm/7/3");
	assert_string_equal(node_path(path, NODE_LIBXL_UUID, ids), "/libxl/7/device/vtpm/3/uuid");
}

static void the_longest_path_fits(void **state)
{
	struct node_ids ids = {.guest = 32751, .stub = 32751, .dev = 65535};
	char path[NODE_PATH_MAX];

	(void)state;
	for (int n = 0; n < NODE_COUNT; n++) {
		node_path(path, (enum node)n, ids);
		assert_true(strlen(path) < NODE_PATH_MAX - 12);
		assert_null(strchr(path, '{'));
	}
}

static void control_paths_are_recognised(void **state)
{
	struct node_ids ids;

	(void)state;
	assert_true(node_match_control("/local/domain/0/backend/vtpm/7/0", &ids));
	assert_int_equal(ids.guest, 7);
	assert_int_equal(ids.dev, 0);
	assert_true(node_match_control("/local/domain/0/backend/vtpm/32751/65535/state", &ids));
	assert_int_equal(ids.guest, 32751);
	assert_int_equal(ids.dev, 65535);
}

static void other_paths_are_not(void **state)
{
	static const char *const paths[] = {
		"", "/", "/local/domain/0/backend/vtpm", "/local/domain/0/backend/vtpm/", "/local/domain/0/backend/vtpm/7",
		"/local/domain/0/backend/vtpm/7/", "/local/domain/0/backend/vtpm/7/x", "/local/domain/0/backend/vtpm/7/0x",
		"/local/domain/0/backend/vtpm/-7/0", "/local/domain/0/backend/vtpm/07/0", "/local/domain/0/backend/vtpm/32752/0",
		"/local/domain/0/backend/vtpm/7/65536", "/local/domain/0/backend/vtpm/99999999999999999999/0",
		"/local/domain/0/backend/vtpmx/7/0", "/local/domain/1/backend/vtpm/7/0", "local/domain/0/backend/vtpm/7/0",
	};
	struct node_ids ids;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (node_match_control(paths[i], &ids))
			fail_msg("'%s' was taken", paths[i]);
}

static void backend_directories_of_stub_domains_are_recognised(void **state)
{
	static const char *const others[] = {
		"", "/local/domain/", "/local/domain/12", "/local/domain/12/backend/vtpm", "/local/domain/12/backend/vtpm/7", "/local/domain/12/backend/vtpm/7/x",
		"/local/domain/0/backend/vtpm/7/0", "/local/domain/12/backend/vbd/7/0", "/local/domain/x/backend/vtpm/7/0", "/local/domain/12/backend/vtpmx/7/0",
		"/local/domain/32752/backend/vtpm/7/0", "/local/domain/12/backend/vtpm/32752/0", "/local/domain/012/backend/vtpm/7/0", "/local/domain/12x/backend/vtpm/7/0",
	};
	struct node_ids ids;

	(void)state;
	assert_true(node_match_backend("/local/domain/12/backend/vtpm/7/3", &ids));
	assert_int_equal(ids.stub, 12);
	assert_int_equal(ids.guest, 7);
	assert_int_equal(ids.dev, 3);
	assert_true(node_match_backend("/local/domain/32751/backend/vtpm/7/0/online", &ids));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (node_match_backend(others[i], &ids))
			fail_msg("'%s' was taken", others[i]);
}

static void schema_md_prints_the_list(void **state)
{
	char text[32768], row[512];
	FILE *f = fopen("xenstore-schema/SCHEMA.md", "r");
	const char *at = text;
	size_t n, rows = 0;

	(void)state;
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	for (int i = 0; i < NODE_COUNT; i++) {
		node_row((enum node)i, row, sizeof(row));
		if (!strstr(text, row))
			fail_msg("SCHEMA.md lacks: %s", row);
	}
	while ((at = strstr(at, "\n| ")) != NULL) {
		rows++;
		at++;
	}
	assert_int_equal(rows, NODE_COUNT + 1); /* and the heading */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_name_their_domains), cmocka_unit_test(the_longest_path_fits),
		cmocka_unit_test(control_paths_are_recognised), cmocka_unit_test(other_paths_are_not),
		cmocka_unit_test(backend_directories_of_stub_domains_are_recognised), cmocka_unit_test(schema_md_prints_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
