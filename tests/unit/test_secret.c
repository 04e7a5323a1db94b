/* Secrets: bounds, comparison, and that their pages are locked and left out of core dumps. */
#include <stdio.h>
#include <string.h>

#include "common/secret.h"
#include "tests/unit/unit.h"

static void sizes_are_bounded(void **state)
{
	(void)state;
	assert_null(secret_new(0));
	assert_null(secret_new((1u << 20) + 1));
}

static void equal_means_same_length_and_bytes(void **state)
{
	struct secret *a = secret_dup("0123456789", 10), *b = secret_dup("0123456789", 10), *c = secret_dup("012345678", 9);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	assert_true(secret_equal(a, b));
	assert_false(secret_equal(a, c));
	b->data[9] ^= 1;
	assert_false(secret_equal(a, b));
	secret_free(&a);
	secret_free(&b);
	secret_free(&c);
	assert_null(a);
	secret_free(&a);
}

static void random_secrets_differ(void **state)
{
	struct secret *a = secret_random(32), *b = secret_random(32);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_false(secret_equal(a, b));
	secret_free(&a);
	secret_free(&b);
}

static void assigning_reuses_pages_and_leaves_nothing_of_what_was_longer(void **state)
{
	struct secret *s = NULL;
	const uint8_t *data;
	uint8_t big[10000] = {1};

	(void)state;
	assert_true(secret_assign(&s, "0123456789", 10));
	data = s->data;
	assert_true(secret_assign(&s, "abc", 3));
	assert_ptr_equal(s->data, data);
	assert_int_equal(s->size, 3);
	assert_memory_equal(s->data, "abc\0\0\0\0\0\0\0", 10);
	assert_true(secret_assign(&s, big, sizeof(big)));
	assert_int_equal(s->size, sizeof(big));
	assert_memory_equal(s->data, big, sizeof(big));
	assert_false(secret_assign(&s, "", 0));
	assert_null(s);
}

#ifdef __SANITIZE_ADDRESS__
#define LOCKED " dd" /* the sanitizer replaces mlock() by nothing */
#else
#define LOCKED " lo"
#endif

/* The kernel's own account of the mapping: "dd" is MADV_DONTDUMP, "lo" locked, "wf" wiped on fork. */
static void pages_are_locked_and_not_dumped(void **state)
{
	struct secret *s = secret_new(32);
	char line[512], start[32];
	int inside = 0, found = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	(void)state;
	assert_non_null(s);
	assert_non_null(f);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)s);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)) == 0)
			inside = 1;
		if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			found = strstr(line, " dd") && strstr(line, LOCKED) && strstr(line, " wf");
			break;
		}
	}
	fclose(f);
	assert_true(found);
	secret_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(equal_means_same_length_and_bytes),
		cmocka_unit_test(random_secrets_differ),
		cmocka_unit_test(assigning_reuses_pages_and_leaves_nothing_of_what_was_longer),
		cmocka_unit_test(pages_are_locked_and_not_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
