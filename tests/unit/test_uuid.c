/* UUIDs: the text form both ways, and what is not one. */
#include <string.h>

#include "common/error.h"
#include "common/uuid.h"
#include "tests/unit/unit.h"

static void text_survives_the_round_trip(void **state)
{
	char text[UUID_TEXT];
	struct uuid u;

	(void)state;
	assert_int_equal(uuid_parse("00112233-4455-6677-8899-AABBCCDDEEFF", &u), 0);
	for (int i = 0; i < UUID_SIZE; i++)
		assert_int_equal(u.b[i], i * 0x11);
	assert_string_equal(uuid_format(&u, text), "00112233-4455-6677-8899-aabbccddeeff");
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
		"", "-", "0", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeeff0",
		"00112233-4455-6677-8899-aabbccddeefg", "00112233-4455-6677-8899_aabbccddeeff", " 0112233-4455-6677-8899-aabbccddeeff",
	};
	struct uuid u = {{1}};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(uuid_parse(bad[i], &u), E_FORMAT);
	assert_int_equal(u.b[0], 1);
	assert_false(uuid_is_nil(&u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_survives_the_round_trip),
		cmocka_unit_test(anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
