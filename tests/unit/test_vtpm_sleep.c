/* One vTPM whose guest was suspended: what goes on from there, and what does not. */
#include "vtpm-stubdom/vtpm.h"

#include <string.h>

#include "common/error.h"
#include "tests/unit/one_vtpm.h"
#include "tests/unit/tpm_failing.h"

static void a_resumed_guest_needs_the_state_that_was_suspended_with_it(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);

	(void)state;
	h.state = one_seal(v, &sealed).state;
	vtpm_close(&v);
	h.incarnation = 2;
	one_refused(&h, E_DENIED, "incarnation");
	buf_free(&sealed);
}

/* A vTPM with something in PCR 16, frozen for image 8; @h is for the guest that is restored from it. */
struct sleeper {
	struct handoff_handoff h;
	struct buf state, transient;
};

static struct sleeper put_to_sleep(void)
{
	struct sleeper s = {.h = one_handoff(), .state = one_sealed_buf(), .transient = one_sealed_buf()};
	struct vtpm *v = one_open(&s.h);
	struct handoff_frozen f;
	struct tpm_command c;

	tpm_pcr_extend(&c, 16, 9);
	one_command(v, &c, 0);
	assert_int_equal(vtpm_freeze(v, 8, &s.state, &s.transient, &f), 0);
	assert_int_equal(f.version, vtpm_version(v));
	assert_false(vtpm_take_changed(v));
	vtpm_close(&v);
	s.h.state = f.state;
	s.h.transient = f.transient;
	s.h.state_version = f.version;
	s.h.incarnation = 9;
	return s;
}

static void wake(struct sleeper *s)
{
	buf_free(&s->state);
	buf_free(&s->transient);
}

static bool pcr_is_zero(struct vtpm *v)
{
	static const uint8_t zero[32];
	struct tpm_command c;

	tpm_pcr_read(&c, 16);
	return memcmp(one_command(v, &c, 0).p + 30, zero, sizeof(zero)) == 0;
}

static void a_frozen_tpm_goes_on_with_the_next_incarnation_only(void **state)
{
	struct sleeper s = put_to_sleep();
	struct vtpm *v;

	(void)state;
	s.h.incarnation = 8;
	one_refused(&s.h, E_DENIED, "incarnation");
	s.h.incarnation = 10;
	one_refused(&s.h, E_DENIED, "incarnation");
	s.h.incarnation = 9;
	v = one_open(&s.h);
	assert_false(pcr_is_zero(v));
	assert_false(vtpm_take_changed(v));
	vtpm_close(&v);
	wake(&s);
}

static void a_cold_start_does_not_wear_frozen_pcrs(void **state)
{
	struct sleeper s = put_to_sleep();
	struct vtpm *v;

	(void)state;
	s.h.incarnation = 1;
	v = one_open(&s.h);
	assert_true(pcr_is_zero(v));
	vtpm_close(&v);
	wake(&s);
}

static void the_halves_of_two_states_do_not_go_together(void **state)
{
	struct sleeper s = put_to_sleep(), other;
	struct handoff_handoff h = s.h;
	struct buf sealed = one_sealed_buf();
	struct vtpm *v;

	(void)state;
	h.incarnation = 1;
	v = one_open(&h);
	h = s.h;
	h.state = one_seal(v, &sealed).state; /* a later version */
	vtpm_close(&v);
	one_refused(&h, E_INTEGRITY, "does not belong");
	h = s.h;
	h.transient = s.h.state;
	one_refused(&h, E_INTEGRITY, "does not belong");
	h = s.h;
	h.state = s.h.transient;
	one_refused(&h, E_INTEGRITY, "");
	other = put_to_sleep();
	h = other.h;
	h.transient = (struct view){0};
	one_refused(&h, E_DENIED, "not suspended with it");
	buf_free(&sealed);
	wake(&other);
	wake(&s);
}

static void two_resumes_of_one_state_draw_different_random_numbers(void **state)
{
	struct sleeper s = put_to_sleep();
	uint8_t first[16], second[16];
	struct tpm_command c;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct vtpm *v = one_open(&s.h);

		tpm_get_random(&c, 16);
		memcpy(i ? second : first, one_command(v, &c, 0).p + 12, 16);
		vtpm_close(&v);
	}
	assert_memory_not_equal(first, second, 16);
	wake(&s);
}

static void a_transient_state_is_no_permanent_one(void **state)
{
	struct sleeper s = put_to_sleep();

	(void)state;
	s.h.state = s.h.transient;
	one_refused(&s.h, E_INTEGRITY, "transient");
	wake(&s);
}

/* A TPM in failure mode, frozen for image 8: it went there by @c. */
static struct sleeper put_failed_to_sleep(struct tpm_command *c)
{
	struct sleeper s = {.h = one_handoff(), .state = one_sealed_buf(), .transient = one_sealed_buf()};
	struct vtpm *v = one_open(&s.h);
	struct handoff_frozen f;

	one_define(v);
	one_write_nv(v, "remember");
	assert_null(vtpm_failure(v));
	vtpm_take_changed(v);
	tpm_failing();
	one_command(v, c, 0x101);
	assert_false(vtpm_take_changed(v));
	assert_non_null(strstr(vtpm_failure(v), "failure mode"));
	assert_int_equal(vtpm_freeze(v, 8, &s.state, &s.transient, &f), 0);
	vtpm_close(&v);
	s.h.state = f.state;
	s.h.transient = f.transient;
	s.h.state_version = f.version;
	s.h.incarnation = 9;
	return s;
}

static void a_tpm_that_failed_moves_and_is_whole_at_the_next_boot(void **state)
{
	struct tpm_command c;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sleeper s;
		struct vtpm *v;

		if (i == 0)
			tpm_nv_write(&c, 0x1500001, "whatever");
		else /* in the midst of which libtpms has other seeds than are stored */
			tpm_simple(&c, 0x126, TPM_PLATFORM);
		s = put_failed_to_sleep(&c);
		v = one_open(&s.h);
		assert_non_null(strstr(vtpm_failure(v), "failure mode"));
		assert_false(vtpm_take_changed(v));
		assert_false(vtpm_wants_certificates(v));
		tpm_pcr_read(&c, 16);
		one_command(v, &c, 0x101);
		vtpm_close(&v);
		s.h.incarnation = 1;
		v = one_open(&s.h);
		assert_null(vtpm_failure(v));
		one_assert_nv(v, "remember");
		vtpm_close(&v);
		wake(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_resumed_guest_needs_the_state_that_was_suspended_with_it),
		cmocka_unit_test(a_frozen_tpm_goes_on_with_the_next_incarnation_only),
		cmocka_unit_test(a_cold_start_does_not_wear_frozen_pcrs),
		cmocka_unit_test(the_halves_of_two_states_do_not_go_together),
		cmocka_unit_test(a_transient_state_is_no_permanent_one),
		cmocka_unit_test(two_resumes_of_one_state_draw_different_random_numbers),
		cmocka_unit_test(a_tpm_that_failed_moves_and_is_whole_at_the_next_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
