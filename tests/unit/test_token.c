/* Enrolment tokens: what was written is read back, and whatever was copied badly is not. */
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/token.h"
#include "tests/unit/unit.h"

static struct token a_token(const char *addresses)
{
	struct token t = {.secret = {1, 2, 3, [23] = 0xff}, .ca = {9, [31] = 0xab}};

	snprintf(t.addresses, sizeof(t.addresses), "%s", addresses);
	return t;
}

static char text[TOKEN_TEXT_MAX + 1];

static void write_one(void)
{
	const struct token t = a_token("kmc.example:7443");

	assert_int_equal(token_format(&t, text), 0);
}

static void what_was_written_is_read(void **state)
{
	static const char *const lists[] = {"a:1", "kmc.example:7443", "192.0.2.1:7443,[2001:db8::1]:7443", "vchan:net_fwd:kmc1.example,kmc1.example:7443"};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const struct token t = a_token(lists[i]);
		struct token back;

		assert_int_equal(token_format(&t, text), 0);
		assert_int_equal(token_parse(text, &back), 0);
		assert_memory_equal(&t, &back, sizeof(t));
	}
}

static void the_longest_fits(void **state)
{
	struct token t = a_token(""), back;

	(void)state;
	memset(t.addresses, 'a', TOKEN_ADDRESSES_MAX);
	assert_int_equal(token_format(&t, text), 0);
	assert_int_equal(strlen(text), TOKEN_TEXT_MAX);
	assert_int_equal(token_parse(text, &back), 0);
}

static void white_space_around_it_is_no_harm(void **state)
{
	char spaced[TOKEN_TEXT_MAX + 9];
	struct token t;

	(void)state;
	write_one();
	snprintf(spaced, sizeof(spaced), " \t%s\r\n", text);
	assert_int_equal(token_parse(spaced, &t), 0);
	snprintf(spaced, sizeof(spaced), "%s x", text);
	assert_int_equal(token_parse(spaced, &t), E_FORMAT);
}

static void every_changed_character_is_noticed(void **state)
{
	struct token t;

	(void)state;
	write_one();
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];

		text[i] = was == '7' ? '8' : '7';
		assert_int_not_equal(token_parse(text, &t), 0);
		text[i] = was;
	}
	assert_int_equal(token_parse(text, &t), 0);
}

static void every_cut_is_noticed(void **state)
{
	struct token t;

	(void)state;
	write_one();
	for (size_t n = strlen(text); n-- > 0;) {
		text[n] = '\0';
		assert_int_not_equal(token_parse(text, &t), 0);
	}
}

static void what_is_no_token_is_said_to_be_so(void **state)
{
	struct token t;

	(void)state;
	assert_int_equal(token_parse("", &t), E_FORMAT);
	assert_int_equal(token_parse("xvt1/", &t), E_FORMAT);
	assert_int_equal(token_parse("xvt2/a:1/0/0/0", &t), E_VERSION);
	assert_int_equal(token_parse("hello", &t), E_FORMAT);
	assert_int_equal(token_parse("xvt1/a:1/00/00/00", &t), E_FORMAT);
}

static void one_bad_character_spoils_a_copy_by_its_check(void **state)
{
	struct token t;

	(void)state;
	write_one();
	text[strlen("xvt1/kmc.example:7443/")] ^= 1;
	assert_int_equal(token_parse(text, &t), E_INTEGRITY);
}

static void addresses_that_would_break_the_text_are_not_written(void **state)
{
	static const char *const bad[] = {"", ",", "a:1,", ",a:1", "a:1,,b:1", "a/b:1", "a b:1", "a\n:1", "\xc3\xa4:1"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct token t = a_token(bad[i]);

		assert_int_equal(token_format(&t, text), E_ARG);
	}
}

static void addresses_are_taken_one_by_one(void **state)
{
	const struct token t = a_token("a:1,[::1]:2,c:3");
	char address[16], small[3];

	(void)state;
	assert_int_equal(token_address(&t, 0, address, sizeof(address)), 0);
	assert_string_equal(address, "a:1");
	assert_int_equal(token_address(&t, 1, address, sizeof(address)), 0);
	assert_string_equal(address, "[::1]:2");
	assert_int_equal(token_address(&t, 2, address, sizeof(address)), 0);
	assert_string_equal(address, "c:3");
	assert_int_equal(token_address(&t, 3, address, sizeof(address)), E_NOTFOUND);
	assert_int_equal(token_address(&t, 9, address, sizeof(address)), E_NOTFOUND);
	assert_int_equal(token_address(&t, 0, small, sizeof(small)), E_RANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(the_longest_fits),
		cmocka_unit_test(white_space_around_it_is_no_harm),
		cmocka_unit_test(every_changed_character_is_noticed),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(what_is_no_token_is_said_to_be_so),
		cmocka_unit_test(one_bad_character_spoils_a_copy_by_its_check),
		cmocka_unit_test(addresses_that_would_break_the_text_are_not_written),
		cmocka_unit_test(addresses_are_taken_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
