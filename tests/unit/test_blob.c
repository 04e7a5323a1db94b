/* libtpms' blobs: roots are found and replaced in every known format, and nothing that is not one is touched. */
#include "vtpm-stubdom/blob.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/engine.h"

#define SAMPLES "tests/fuzz/corpus/blob"

static struct roots old_roots, new_roots;

/* The blobs of a TPM that is in use: auth values, policies and NV indices move everything about. */
static struct secret *permanent, *transient;

static void run(struct engine *e, struct tpm_command *c)
{
	const uint8_t *p;
	size_t n;

	assert_int_equal(engine_process(e, 0, c->bytes, c->b.len, &p, &n), 0);
	assert_int_equal(tpm_u32(p + 6), 0);
}

static void set_policy(struct engine *e)
{
	struct tpm_command c;

	tpm_begin(&c, 0x8002, 0x12e); /* SetPrimaryPolicy */
	buf_put_u32(&c.b, TPM_LOCKOUT);
	tpm_auth(&c, "");
	buf_put_u16(&c.b, 32);
	for (int i = 0; i < 32; i++)
		buf_put_u8(&c.b, (uint8_t)i);
	buf_put_u16(&c.b, 0x000b);
	tpm_end(&c);
	run(e, &c);
}

static void set_auth(struct engine *e)
{
	struct tpm_command c;

	tpm_begin(&c, 0x8002, 0x129); /* HierarchyChangeAuth */
	buf_put_u32(&c.b, TPM_ENDORSEMENT);
	tpm_auth(&c, "");
	buf_put_u16(&c.b, 7);
	buf_put(&c.b, "secret!", 7);
	tpm_end(&c);
	run(e, &c);
}

static int make_blobs(void **state)
{
	struct engine *e = engine_new();
	struct tpm_command c;

	(void)state;
	for (int i = 0; i < ROOT_COUNT; i++) {
		memset(old_roots.value[i], 0x10 + i, DERIVE_ROOT_SIZE);
		memset(new_roots.value[i], 0x80 + i, DERIVE_ROOT_SIZE);
	}
	assert_non_null(e);
	assert_int_equal(engine_manufacture(e, &old_roots), 0);
	tpm_startup_clear(&c);
	run(e, &c);
	set_policy(e);
	set_auth(e);
	tpm_nv_define(&c, 0x1500001, 0);
	run(e, &c);
	permanent = secret_dup(engine_permanent(e)->data, engine_permanent(e)->size);
	assert_non_null(permanent);
	assert_int_equal(engine_transient(e, &transient), 0);
	engine_free(&e);
	return 0;
}

static int drop_blobs(void **state)
{
	(void)state;
	secret_free(&permanent);
	secret_free(&transient);
	return 0;
}

static struct secret *copy(const struct secret *s)
{
	struct secret *c = secret_dup(s->data, s->size);

	assert_non_null(c);
	return c;
}

static void roots_are_found_and_replaced(void **state)
{
	struct secret *p = copy(permanent);
	size_t changed = 0;

	(void)state;
	assert_int_equal(blob_check_permanent(p->data, p->size), 0);
	assert_int_equal(blob_has_roots(p->data, p->size, &old_roots), 0);
	assert_int_equal(blob_has_roots(p->data, p->size, &new_roots), E_INTEGRITY);
	assert_int_equal(blob_set_roots(p->data, p->size, &new_roots), 0);
	assert_int_equal(blob_has_roots(p->data, p->size, &new_roots), 0);
	for (size_t i = 0; i < p->size; i++)
		changed += p->data[i] != permanent->data[i];
	assert_int_equal(changed, ROOT_COUNT * DERIVE_ROOT_SIZE);
	secret_free(&p);
}

static void one_differing_root_is_noticed(void **state)
{
	(void)state;
	for (int i = 0; i < ROOT_COUNT; i++) {
		struct roots r = old_roots;

		r.value[i][DERIVE_ROOT_SIZE - 1] ^= 1;
		assert_int_equal(blob_has_roots(permanent->data, permanent->size, &r), E_INTEGRITY);
	}
}

static void every_truncation_is_refused(void **state)
{
	(void)state;
	for (size_t n = 0; n < permanent->size; n++) {
		struct secret *p = n ? secret_dup(permanent->data, n) : NULL; /* so that a sanitizer sees a read too far */

		assert_int_not_equal(blob_check_permanent(p ? p->data : NULL, n), 0);
		secret_free(&p);
	}
}

static size_t find(const struct secret *s, const char *bytes, size_t n)
{
	const uint8_t *p = memmem(s->data, s->size, bytes, n);

	assert_non_null(p);
	return (size_t)(p - s->data);
}

/* A damaged byte of a magic, version or length must not pass; one of a value may. */
static void damage(size_t at, size_t n)
{
	struct secret *p = copy(permanent);

	for (size_t i = at; i < at + n; i++)
		for (int bit = 0; bit < 8; bit++) {
			p->data[i] ^= (uint8_t)(1 << bit);
			assert_int_not_equal(blob_has_roots(p->data, p->size, &old_roots), 0);
			p->data[i] ^= (uint8_t)(1 << bit);
		}
	secret_free(&p);
}

static void every_damaged_magic_is_refused(void **state)
{
	(void)state;
	damage(2, 4);					       /* PERSISTENT_ALL */
	damage(find(permanent, "\xc9\xea\x64\x31", 4), 4);     /* compile constants */
	damage(find(permanent, "\x12\x21\x34\x43", 4), 4);     /* PERSISTENT_DATA */
	damage(find(permanent, "\x56\x65\x78\x87", 4), 4);     /* ORDERLY_DATA */
	damage(permanent->size - 4, 4);			       /* closing */
}

static void every_damaged_length_up_to_orderly_data_is_refused(void **state)
{
	size_t data = find(permanent, "\x12\x21\x34\x43", 4) - 2, roots = find(permanent, "\x00\x40\x10\x10", 4);

	(void)state;
	damage(16, 4); /* number of compile constants */
	for (int i = 0; i < ROOT_COUNT; i++)
		damage(roots + (size_t)i * (2 + DERIVE_ROOT_SIZE), 2 + DERIVE_ROOT_SIZE);
	damage(data + 8 + 1 + 6, 2);		      /* ownerPolicy, empty */
	damage(roots + ROOT_COUNT * 66 + 12 + 1, 2);  /* of the block of PCR policies */
}

static void a_blob_with_a_byte_more_or_less_anywhere_is_refused(void **state)
{
	size_t orderly = find(permanent, "\x56\x65\x78\x87", 4);
	uint8_t *p = malloc(permanent->size + 1);

	(void)state;
	assert_non_null(p);
	for (size_t at = 0; at < orderly; at++) {
		memcpy(p, permanent->data, at);
		p[at] = permanent->data[at];
		memcpy(p + at + 1, permanent->data + at, permanent->size - at);
		assert_int_not_equal(blob_has_roots(p, permanent->size + 1, &old_roots), 0);
		memcpy(p + at, permanent->data + at + 1, permanent->size - at - 1);
		assert_int_not_equal(blob_has_roots(p, permanent->size - 1, &old_roots), 0);
	}
	free(p);
}

static void another_seed_compatibility_level_is_noticed_and_set(void **state)
{
	/* block { shadow PCR selection ..., block { 1, 1, 1, block {} } }, ORDERLY_DATA */
	size_t orderly = find(permanent, "\x56\x65\x78\x87", 4) - 2, levels = orderly - 3 - 3;
	struct secret *p = copy(permanent);

	(void)state;
	assert_memory_equal(p->data + levels, "\1\1\1", 3);
	for (int i = 0; i < 3; i++) {
		p->data[levels + (size_t)i] = 0;
		assert_int_equal(blob_has_roots(p->data, p->size, &old_roots), E_INTEGRITY);
		assert_int_equal(blob_set_roots(p->data, p->size, &old_roots), 0);
	}
	assert_memory_equal(p->data, permanent->data, p->size);
	secret_free(&p);
}

static void what_is_refused_is_not_written_to(void **state)
{
	struct secret *p = copy(permanent), *q;

	(void)state;
	p->data[p->size - 1] ^= 1;
	q = copy(p);
	assert_int_equal(blob_set_roots(p->data, p->size, &new_roots), E_FORMAT);
	assert_memory_equal(p->data, q->data, p->size);
	secret_free(&p);
	secret_free(&q);
}

static void the_primary_seeds_of_a_volatile_blob_are_replaced(void **state)
{
	struct secret *t = copy(transient);

	(void)state;
	assert_int_equal(blob_set_volatile(t->data, t->size, &new_roots), 0);
	assert_non_null(memmem(t->data, t->size, new_roots.value[ROOT_EPS], DERIVE_ROOT_SIZE));
	assert_null(memmem(t->data, t->size, old_roots.value[ROOT_EPS], DERIVE_ROOT_SIZE));
	assert_null(memmem(t->data, t->size, old_roots.value[ROOT_SPS], DERIVE_ROOT_SIZE));
	assert_null(memmem(t->data, t->size, old_roots.value[ROOT_PPS], DERIVE_ROOT_SIZE));
	assert_int_equal(blob_set_volatile(t->data, t->size, &old_roots), 0);
	assert_memory_equal(t->data, transient->data, t->size);
	secret_free(&t);
}

static void every_flipped_bit_of_a_volatile_blob_is_refused(void **state)
{
	struct secret *t = copy(transient), *q;

	(void)state;
	for (size_t bit = 0; bit < t->size * 8; bit += bit < (t->size - 400) * 8 ? 61 : 1) {
		t->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		q = copy(t);
		assert_int_not_equal(blob_set_volatile(t->data, t->size, &new_roots), 0);
		assert_memory_equal(t->data, q->data, t->size);
		secret_free(&q);
		t->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < t->size; n++)
		assert_int_not_equal(blob_set_volatile(t->data, n, &new_roots), 0);
	secret_free(&t);
}

/* Blobs that libtpms 0.8, 0.9 and 0.10 wrote, with and without a profile, before their first Startup and after NV was used. */
static void blobs_of_other_libtpms_versions_are_understood(void **state)
{
	DIR *dir = opendir(SAMPLES);
	const struct dirent *entry;
	int seen = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		static uint8_t bytes[BLOB_PERMANENT_MAX];
		char path[512];
		size_t n;
		FILE *f;

		if (strncmp(entry->d_name, "permanent-", 10) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", SAMPLES, entry->d_name);
		f = fopen(path, "rb");
		assert_non_null(f);
		n = fread(bytes, 1, sizeof(bytes), f);
		fclose(f);
		assert_int_equal(blob_check_permanent(bytes, n), 0);
		assert_int_equal(blob_set_roots(bytes, n, &new_roots), 0);
		seen++;
	}
	closedir(dir);
	assert_true(seen >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_are_found_and_replaced),
		cmocka_unit_test(one_differing_root_is_noticed),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_damaged_magic_is_refused),
		cmocka_unit_test(every_damaged_length_up_to_orderly_data_is_refused),
		cmocka_unit_test(a_blob_with_a_byte_more_or_less_anywhere_is_refused),
		cmocka_unit_test(another_seed_compatibility_level_is_noticed_and_set),
		cmocka_unit_test(what_is_refused_is_not_written_to),
		cmocka_unit_test(the_primary_seeds_of_a_volatile_blob_are_replaced),
		cmocka_unit_test(every_flipped_bit_of_a_volatile_blob_is_refused),
		cmocka_unit_test(blobs_of_other_libtpms_versions_are_understood),
	};

	return cmocka_run_group_tests(tests, make_blobs, drop_blobs);
}
