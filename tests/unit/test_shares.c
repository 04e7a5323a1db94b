/* Shares of a secret: any M give it back, fewer or others do not, and a mistyped one is found. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/secret.h"
#include "kmc/shares.h"
#include "tests/unit/unit.h"

static const uint8_t set[SHARES_SET] = {1, 2, 3, 4, 5, 6, 7, 8};
static char why[SHARES_WHY];

static void any_three_of_five_give_the_secret_back(void **state)
{
	struct secret *s = secret_random(32), *back;
	struct share all[5], some[3];

	(void)state;
	assert_int_equal(shares_split(s, 3, 5, set, all), 0);
	for (unsigned int i = 0; i < 5; i++)
		for (unsigned int j = 0; j < 5; j++)
			for (unsigned int k = 0; k < 5; k++) {
				if (i == j || j == k || i == k)
					continue;
				some[0] = all[i], some[1] = all[j], some[2] = all[k];
				assert_int_equal(shares_join(some, 3, &back, why), 0);
				assert_true(secret_equal(s, back));
				secret_free(&back);
			}
	assert_int_equal(shares_join(all, 5, &back, why), 0);
	assert_true(secret_equal(s, back));
	secret_free(&back);
	for (int i = 0; i < 5; i++)
		share_free(&all[i]);
	secret_free(&s);
}

static void fewer_or_others_do_not(void **state)
{
	static const uint8_t other_set[SHARES_SET] = {9};
	struct secret *s = secret_random(32), *back;
	struct share all[3], others[3], two[2];

	(void)state;
	assert_int_equal(shares_split(s, 2, 3, set, all), 0);
	assert_int_equal(shares_split(s, 2, 3, other_set, others), 0);
	assert_int_equal(shares_join(all, 1, &back, why), E_ARG);
	assert_non_null(strstr(why, "1 share is there, 2 are needed"));
	two[0] = all[0], two[1] = all[0];
	assert_int_equal(shares_join(two, 2, &back, why), E_ARG);
	assert_non_null(strstr(why, "twice"));
	two[1] = others[1];
	assert_int_equal(shares_join(two, 2, &back, why), E_ARG);
	assert_non_null(strstr(why, "one set"));
	for (int i = 0; i < 3; i++) {
		assert_memory_not_equal(all[i].bytes->data, s->data, 32);
		share_free(&all[i]);
		share_free(&others[i]);
	}
	assert_int_equal(shares_split(s, 1, 3, set, all), E_ARG);
	assert_int_equal(shares_split(s, 4, 3, set, all), E_ARG);
	secret_free(&s);
}

static void a_line_is_read_back_and_a_mistyped_one_found(void **state)
{
	struct secret *s = secret_random(32), *line;
	struct share all[3], back;
	char text[SHARES_LINE + 3];
	size_t n;

	(void)state;
	assert_int_equal(shares_split(s, 2, 3, set, all), 0);
	line = share_format(&all[1]);
	snprintf(text, sizeof(text), "%s", (const char *)line->data);
	n = strlen(text);
	assert_int_equal(share_parse(text, &back), 0);
	assert_int_equal(back.index, 2);
	assert_int_equal(back.needed, 2);
	assert_true(secret_equal(back.bytes, all[1].bytes));
	share_free(&back);
	strcat(text, "\r\n");
	assert_int_equal(share_parse(text, &back), 0);
	share_free(&back);
	text[n] = '\0';
	for (size_t i = strlen("kmc-share/1 2-of-3 2 "); i < n; i++) {
		char was = text[i];

		if (!isxdigit((unsigned char)was))
			continue;
		text[i] = was == '0' ? '1' : '0';
		assert_int_equal(share_parse(text, &back), E_INTEGRITY);
		assert_null(back.bytes);
		text[i] = was;
	}
	for (size_t i = 0; i < n; i++) {
		text[i] = '\0';
		assert_int_not_equal(share_parse(text, &back), 0);
		memcpy(text, line->data, n);
	}
	assert_int_equal(share_parse("kmc-share/1 1-of-3 1 x", &back), E_FORMAT);
	assert_int_equal(share_parse("", &back), E_FORMAT);
	for (int i = 0; i < 3; i++)
		share_free(&all[i]);
	secret_free(&line);
	secret_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_three_of_five_give_the_secret_back),
		cmocka_unit_test(fewer_or_others_do_not),
		cmocka_unit_test(a_line_is_read_back_and_a_mistyped_one_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
