/* What a peer says reaches a terminal without escapes, and is UTF-8 whatever it was before. */
#include <string.h>

#include "common/text.h"
#include "tests/unit/unit.h"

static void becomes(const char *text, const char *expected)
{
	char s[64];

	strcpy(s, text);
	assert_string_equal(text_make_printable(s), expected);
}

static void good_text_stays_as_it_is(void **state)
{
	(void)state;
	becomes("", "");
	becomes("KMC [::1]:7443: \xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x91 ~", "KMC [::1]:7443: \xc3\xa4 \xe2\x82\xac \xf0\x9f\x94\x91 ~");
	becomes("\xc2\xa0\xed\x9f\xbf\xf4\x8f\xbf\xbf", "\xc2\xa0\xed\x9f\xbf\xf4\x8f\xbf\xbf");
}

static void control_characters_are_taken_out(void **state)
{
	(void)state;
	becomes("a\x1b[31mred\n\r\t\x7f", "a?[31mred????");
	becomes("\xc2\x9b" "31m", "??31m"); /* CSI of the second control set */
}

static void what_is_not_utf8_is_taken_out(void **state)
{
	(void)state;
	becomes("caf\xe9", "caf?");			    /* Latin-1 */
	becomes("cut \xe2\x82", "cut ??");		    /* in the middle of a character */
	becomes("\xc0\xaf\xe0\x80\xaf", "?????");	    /* overlong */
	becomes("\xed\xa0\x80\xf4\x90\x80\x80\xff", "????????"); /* surrogate, beyond Unicode, no beginning at all */
	becomes("\x80z", "?z");
}

static void a_character_is_measured_within_its_bound(void **state)
{
	const uint8_t euro[] = {0xe2, 0x82, 0xac};

	(void)state;
	assert_int_equal(text_char(euro, 3), 3);
	for (size_t n = 0; n < 3; n++)
		assert_int_equal(text_char(euro, n), 0);
}

static void bytes_become_hex_digits(void **state)
{
	const uint8_t bytes[] = {0x00, 0x7f, 0x80, 0xff};
	char out[9] = "xxxxxxxx";

	(void)state;
	assert_string_equal(text_hex(bytes, 4, out), "007f80ff");
	assert_string_equal(text_hex(bytes, 0, out), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_text_stays_as_it_is),
		cmocka_unit_test(control_characters_are_taken_out),
		cmocka_unit_test(what_is_not_utf8_is_taken_out),
		cmocka_unit_test(a_character_is_measured_within_its_bound),
		cmocka_unit_test(bytes_become_hex_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
