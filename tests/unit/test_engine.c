/* The engine: the same roots give the same keys, state comes back, random bytes never do. */
#include "vtpm-stubdom/engine.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/tpm.h"
#include "tests/unit/tpm_failing.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/blob.h"

static const struct epochs zero;

static struct secret *roots_of(uint8_t seed_byte, const struct epochs *e)
{
	struct uuid uuid = {{1, 2, 3}};
	struct secret *s;
	struct derive d;
	uint8_t seed[32];

	memset(seed, seed_byte, sizeof(seed));
	assert_int_equal(derive_init(&d, seed, sizeof(seed), &uuid, 1), 0);
	s = derive_roots(&d, e);
	assert_non_null(s);
	derive_free(&d);
	return s;
}

/* Execute: the response, which is good until the next command; its code has to be @rc. */
static const uint8_t *run(struct engine *e, struct tpm_command *c, uint32_t rc, size_t *n)
{
	const uint8_t *p;
	size_t size;

	assert_int_equal(engine_process(e, 0, c->bytes, c->b.len, &p, &size), 0);
	assert_true(size >= 10);
	assert_int_equal(tpm_u32(p + 6), rc);
	if (n)
		*n = size;
	return p;
}

static struct engine *start(uint8_t seed_byte)
{
	struct secret *roots = roots_of(seed_byte, &zero);
	struct engine *e = engine_new();
	struct tpm_command c;

	assert_non_null(e);
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), 0);
	secret_free(&roots);
	tpm_startup_clear(&c);
	run(e, &c, 0, NULL);
	return e;
}

/* The public area of a primary: what its name is made of. */
static void primary(struct engine *e, uint32_t hierarchy, uint8_t out[128])
{
	struct tpm_command c;
	const uint8_t *p;
	size_t n;

	tpm_create_primary(&c, hierarchy);
	p = run(e, &c, 0, &n);
	assert_true(n > 10 + 4 + 4 + 100);
	memset(out, 0, 128);
	memcpy(out, p + 18, 100);
	tpm_begin(&c, 0x8001, 0x165); /* FlushContext */
	buf_put_u32(&c.b, tpm_u32(p + 10));
	tpm_end(&c);
	run(e, &c, 0, NULL);
}

static void the_same_seed_gives_the_same_primaries_and_another_gives_others(void **state)
{
	const uint32_t hierarchies[] = {TPM_OWNER, TPM_ENDORSEMENT, TPM_PLATFORM};

	(void)state;
	for (int i = 0; i < 3; i++) {
		uint8_t a[128], b[128], c[128];
		struct engine *e = start(1);

		primary(e, hierarchies[i], a);
		engine_free(&e);
		e = start(1);
		primary(e, hierarchies[i], b);
		engine_free(&e);
		e = start(2);
		primary(e, hierarchies[i], c);
		engine_free(&e);
		assert_memory_equal(a, b, 128);
		assert_memory_not_equal(a, c, 128);
	}
}

static void only_one_engine_at_a_time(void **state)
{
	struct engine *e = engine_new();

	(void)state;
	assert_non_null(e);
	assert_null(engine_new());
	engine_free(&e);
	e = engine_new();
	assert_non_null(e);
	engine_free(&e);
}

static void an_engine_without_a_tpm_executes_nothing(void **state)
{
	struct engine *e = engine_new();
	struct secret *s = NULL;
	struct tpm_command c;
	const uint8_t *p;
	size_t n;

	(void)state;
	tpm_get_random(&c, 8);
	assert_int_equal(engine_process(e, 0, c.bytes, c.b.len, &p, &n), E_STATE);
	assert_int_equal(engine_transient(e, &s), E_STATE);
	assert_null(s);
	engine_free(&e);
}

static void manufacture_is_once_for_ever(void **state)
{
	struct secret *roots = roots_of(1, &zero);
	struct engine *e = engine_new();

	(void)state;
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), 0);
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), E_STATE);
	secret_free(&roots);
	engine_free(&e);
}

static void only_commands_that_write_nv_change_permanent_state(void **state)
{
	struct engine *e = start(1);
	uint8_t out[128];
	struct tpm_command c;

	(void)state;
	assert_true(engine_take_changed(e)); /* Startup */
	assert_false(engine_take_changed(e));
	tpm_get_random(&c, 8);
	run(e, &c, 0, NULL);
	tpm_pcr_extend(&c, 16, 1);
	run(e, &c, 0, NULL);
	tpm_pcr_read(&c, 16);
	run(e, &c, 0, NULL);
	primary(e, TPM_OWNER, out);
	assert_false(engine_take_changed(e));
	tpm_nv_define(&c, 0x1500001, 0);
	run(e, &c, 0, NULL);
	assert_true(engine_take_changed(e));
	engine_free(&e);
}

static struct secret *copy(const struct secret *s)
{
	return secret_dup(s->data, s->size);
}

static void permanent_state_survives_power_off(void **state)
{
	struct engine *e = start(1);
	struct engine_state s = {0};
	uint8_t before[128], after[128];
	struct tpm_command c;
	const uint8_t *p;

	(void)state;
	tpm_nv_define(&c, 0x1500001, 0);
	run(e, &c, 0, NULL);
	tpm_nv_write(&c, 0x1500001, "remember");
	run(e, &c, 0, NULL);
	primary(e, TPM_OWNER, before);
	s.permanent = copy(engine_permanent(e));
	engine_free(&e);

	e = engine_new();
	assert_int_equal(engine_resume(e, &s), 0);
	tpm_nv_read(&c, 0x1500001);
	run(e, &c, 0x100, NULL); /* TPM_RC_INITIALIZE: not before Startup */
	tpm_startup_clear(&c);
	run(e, &c, 0, NULL);
	tpm_nv_read(&c, 0x1500001);
	p = run(e, &c, 0, NULL);
	assert_memory_equal(p + 16, "remember", 8);
	primary(e, TPM_OWNER, after);
	assert_memory_equal(before, after, 128);
	engine_state_free(&s);
	engine_free(&e);
}

static void transient_state_keeps_pcrs_and_random_bytes_do_not_repeat(void **state)
{
	struct engine *e = start(1);
	struct engine_state s = {0};
	uint8_t pcr[32], first[16];
	struct tpm_command c;

	(void)state;
	tpm_pcr_extend(&c, 16, 7);
	run(e, &c, 0, NULL);
	tpm_pcr_read(&c, 16);
	memcpy(pcr, run(e, &c, 0, NULL) + 30, 32);
	s.permanent = copy(engine_permanent(e));
	assert_int_equal(engine_transient(e, &s.transient), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(engine_resume(e, &s), 0);
		tpm_pcr_read(&c, 16);
		assert_memory_equal(run(e, &c, 0, NULL) + 30, pcr, 32);
		tpm_get_random(&c, 16);
		if (i == 0)
			memcpy(first, run(e, &c, 0, NULL) + 12, 16);
		else
			assert_memory_not_equal(run(e, &c, 0, NULL) + 12, first, 16);
	}
	engine_state_free(&s);
	engine_free(&e);
}

static void a_damaged_state_is_refused_and_nothing_runs_in_its_place(void **state)
{
	struct engine *e = start(1);
	struct engine_state s = {.permanent = copy(engine_permanent(e))};
	struct tpm_command c;
	const uint8_t *p;
	size_t n;

	(void)state;
	engine_free(&e);
	e = engine_new();
	s.permanent->data[2] ^= 1;
	assert_int_equal(engine_resume(e, &s), E_TPM);
	tpm_startup_clear(&c);
	assert_int_equal(engine_process(e, 0, c.bytes, c.b.len, &p, &n), E_STATE);
	s.permanent->data[2] ^= 1;
	assert_int_equal(engine_resume(e, &s), 0); /* the whole one is not */
	engine_state_free(&s);
	engine_free(&e);
}

static void transient_state_of_another_tpm_is_refused(void **state)
{
	struct engine *e = start(1);
	struct engine_state s = {0};

	(void)state;
	assert_int_equal(engine_transient(e, &s.transient), 0);
	engine_free(&e);
	e = start(2);
	s.permanent = copy(engine_permanent(e));
	assert_int_equal(engine_resume(e, &s), E_TPM);
	engine_state_free(&s);
	engine_free(&e);
}

static void roots_can_be_renewed_in_a_running_tpm(void **state)
{
	const struct epochs next = {.endorsement = 1};
	struct secret *roots = roots_of(1, &next);
	const struct roots *new = (const struct roots *)roots->data;
	struct engine *e = start(1);
	struct engine_state s = {0};
	uint8_t before[128], after[128], pcr[32];
	struct tpm_command c;

	(void)state;
	primary(e, TPM_ENDORSEMENT, before);
	tpm_pcr_extend(&c, 16, 7);
	run(e, &c, 0, NULL);
	tpm_pcr_read(&c, 16);
	memcpy(pcr, run(e, &c, 0, NULL) + 30, 32);
	s.permanent = copy(engine_permanent(e));
	assert_int_equal(engine_transient(e, &s.transient), 0);
	assert_int_equal(blob_set_roots(s.permanent->data, s.permanent->size, new), 0);
	assert_int_equal(blob_set_volatile(s.transient->data, s.transient->size, new), 0);
	assert_int_equal(engine_resume(e, &s), 0);
	primary(e, TPM_ENDORSEMENT, after);
	assert_memory_not_equal(before, after, 128);
	tpm_pcr_read(&c, 16);
	assert_memory_equal(run(e, &c, 0, NULL) + 30, pcr, 32);
	assert_int_equal(blob_has_roots(engine_permanent(e)->data, engine_permanent(e)->size, new), 0);
	engine_state_free(&s);
	secret_free(&roots);
	engine_free(&e);
}

static void rubbish_is_answered_with_a_tpm_error(void **state)
{
	struct engine *e = start(1);
	uint8_t bytes[4088];

	(void)state;
	for (unsigned int fill = 0; fill < 256; fill += 15)
		for (size_t n = 10; n <= sizeof(bytes); n += 37) {
			const uint8_t *p;
			size_t size;

			memset(bytes, (int)fill, sizeof(bytes));
			assert_int_equal(engine_process(e, 0, bytes, n, &p, &size), 0);
			assert_int_equal(size, 10);
			assert_int_not_equal(tpm_u32(p + 6), 0);
		}
	engine_free(&e);
}

/* --- failure mode --- */

/* An NV index is there; then libtpms can't store, and the next command that would change something brings it into failure mode. */
static void make_fail(struct engine *e)
{
	struct tpm_command c;

	tpm_nv_define(&c, 0x1500001, 0);
	run(e, &c, 0, NULL);
	tpm_nv_write(&c, 0x1500001, "remember");
	run(e, &c, 0, NULL);
	assert_true(engine_take_changed(e));
	tpm_failing();
	tpm_nv_write(&c, 0x1500001, "whatever");
	run(e, &c, 0x101, NULL);
}

static void assert_failed(struct engine *e)
{
	struct tpm_command c;

	assert_non_null(engine_failure(e));
	tpm_get_random(&c, 16);
	run(e, &c, 0x101, NULL);
	tpm_begin(&c, 0x8001, 0x17c); /* GetTestResult */
	tpm_end(&c);
	run(e, &c, 0, NULL);
}

static void a_tpm_in_failure_mode_says_so_and_changes_nothing(void **state)
{
	struct engine *e = start(1);

	(void)state;
	assert_null(engine_failure(e));
	make_fail(e);
	assert_failed(e);
	assert_non_null(strstr(engine_failure(e), "line "));
	assert_false(engine_take_changed(e));
	engine_free(&e);
}

static void a_tpm_in_failure_mode_is_resumed_as_such(void **state)
{
	struct engine *e = start(1);
	struct engine_state s = {0};
	struct secret *again = NULL;
	char failure[128];

	(void)state;
	make_fail(e);
	snprintf(failure, sizeof(failure), "%s", engine_failure(e));
	s.permanent = copy(engine_permanent(e));
	assert_int_equal(engine_transient(e, &s.transient), 0);
	engine_free(&e);
	for (int i = 0; i < 2; i++) {
		e = engine_new();
		assert_int_equal(engine_resume(e, &s), 0);
		assert_failed(e);
		assert_string_equal(engine_failure(e), failure);
		assert_int_equal(engine_transient(e, &again), 0); /* it may move once more */
		secret_free(&s.transient);
		s.transient = again;
		again = NULL;
		engine_free(&e);
	}
	engine_state_free(&s);
}

static void a_power_cut_ends_failure_mode(void **state)
{
	struct engine *e = start(1);
	struct engine_state s = {0};
	struct tpm_command c;

	(void)state;
	make_fail(e);
	s.permanent = copy(engine_permanent(e));
	engine_free(&e);
	e = engine_new();
	assert_int_equal(engine_resume(e, &s), 0);
	assert_null(engine_failure(e));
	tpm_startup_clear(&c);
	run(e, &c, 0, NULL);
	tpm_nv_read(&c, 0x1500001);
	assert_memory_equal(run(e, &c, 0, NULL) + 16, "remember", 8);
	engine_state_free(&s);
	engine_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_primaries_and_another_gives_others),
		cmocka_unit_test(only_one_engine_at_a_time),
		cmocka_unit_test(an_engine_without_a_tpm_executes_nothing),
		cmocka_unit_test(manufacture_is_once_for_ever),
		cmocka_unit_test(only_commands_that_write_nv_change_permanent_state),
		cmocka_unit_test(permanent_state_survives_power_off),
		cmocka_unit_test(transient_state_keeps_pcrs_and_random_bytes_do_not_repeat),
		cmocka_unit_test(a_damaged_state_is_refused_and_nothing_runs_in_its_place),
		cmocka_unit_test(transient_state_of_another_tpm_is_refused),
		cmocka_unit_test(roots_can_be_renewed_in_a_running_tpm),
		cmocka_unit_test(rubbish_is_answered_with_a_tpm_error),
		cmocka_unit_test(a_tpm_in_failure_mode_says_so_and_changes_nothing),
		cmocka_unit_test(a_tpm_in_failure_mode_is_resumed_as_such),
		cmocka_unit_test(a_power_cut_ends_failure_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
