/* Secrets: bounds, comparison, and that their pages are locked and left out of core dumps. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
static bool is_locked_and_not_dumped(const void *p)
{
	unsigned long start, end;
	bool inside = false, found = false;
	char line[512];
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (uintptr_t)p && (uintptr_t)p < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dd") && strstr(line, LOCKED) && strstr(line, " wf");
	}
	if (f)
		fclose(f);
	return found;
}

static void pages_are_locked_and_not_dumped(void **state)
{
	struct secret *s = secret_new(32), *big = secret_new(10000);

	(void)state;
	assert_non_null(s);
	assert_non_null(big);
	assert_true(is_locked_and_not_dumped(s));
	assert_true(is_locked_and_not_dumped(big));
	secret_free(&s);
	secret_free(&big);
}

static void a_page_that_is_used_again_is_empty_and_locked(void **state)
{
	static const uint8_t zero[1000];
	struct secret *s;

	(void)state;
	for (int i = 0; i < 30; i++) {
		s = secret_new(sizeof(zero));
		assert_non_null(s);
		assert_int_equal(s->size, sizeof(zero));
		assert_memory_equal(s->data, zero, sizeof(zero));
		memset(s->data, 0xa5, s->size);
		assert_true(is_locked_and_not_dumped(s));
		secret_free(&s);
	}
}

static void a_forked_child_gets_pages_of_its_own(void **state)
{
	struct secret *s = secret_dup("0123456789", 10), *t;
	int status;
	pid_t pid;

	(void)state;
	secret_free(&s);
	pid = fork();
	if (pid == 0) {
		t = secret_new(10);
		_exit(t && is_locked_and_not_dumped(t) && t->size == 10 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(equal_means_same_length_and_bytes),
		cmocka_unit_test(random_secrets_differ),
		cmocka_unit_test(assigning_reuses_pages_and_leaves_nothing_of_what_was_longer),
		cmocka_unit_test(pages_are_locked_and_not_dumped),
		cmocka_unit_test(a_page_that_is_used_again_is_empty_and_locked),
		cmocka_unit_test(a_forked_child_gets_pages_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
