/* One vTPM: undoing what could not be stored, and epochs of renewed roots. */
#include "vtpm-stubdom/vtpm.h"

#include <stdlib.h>
#include <string.h>

#include <libtpms/tpm_library.h>

#include "common/error.h"
#include "tests/unit/one_vtpm.h"

static void a_change_can_be_undone_until_it_is_stored(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);
	struct tpm_command c;
	uint8_t pcr[32];

	(void)state;
	one_define(v);
	one_write_nv(v, "first---");
	vtpm_stored(v, one_seal(v, &sealed).version);
	tpm_pcr_extend(&c, 16, 3);
	one_command(v, &c, 0);
	tpm_pcr_read(&c, 16);
	memcpy(pcr, one_command(v, &c, 0).p + 30, 32);
	one_write_nv(v, "second--");
	one_seal(v, &sealed);
	assert_true(vtpm_undo(v, false));
	assert_false(vtpm_take_changed(v));
	one_assert_nv(v, "first---");
	tpm_pcr_read(&c, 16);
	assert_memory_equal(one_command(v, &c, 0).p + 30, pcr, 32);
	one_write_nv(v, "third---");
	vtpm_stored(v, one_seal(v, &sealed).version);
	assert_false(vtpm_undo(v, true));
	one_assert_nv(v, "third---");
	vtpm_close(&v);
	buf_free(&sealed);
}

static void versions_grow_over_an_undo(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);

	(void)state;
	one_define(v);
	assert_int_equal(one_seal(v, &sealed).version, 1);
	assert_true(vtpm_undo(v, true));
	assert_int_equal(one_seal(v, &sealed).version, 2);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void a_failed_authorisation_is_counted_whether_stored_or_not(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);
	struct tpm_command c;

	(void)state;
	vtpm_take_changed(v);
	tpm_begin(&c, 0x8002, 0x139); /* DictionaryAttackLockReset */
	buf_put_u32(&c.b, TPM_LOCKOUT);
	tpm_auth(&c, "wrong");
	tpm_end(&c);
	one_command(v, &c, 0x98e); /* TPM_RC_AUTH_FAIL of session 1 */
	assert_true(vtpm_take_changed(v));
	assert_false(vtpm_undo(v, true));
	one_command(v, &c, 0x921); /* TPM_RC_LOCKOUT: one try is all that lockout auth has */
	vtpm_close(&v);
}

/* All that libtpms writes of what its user asks for, of which few are asked for ever. */
static void a_set_of_algorithms_can_be_undone(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);
	struct tpm_command c;

	(void)state;
	vtpm_take_changed(v);
	tpm_begin(&c, 0x8002, 0x13f); /* SetAlgorithmSet */
	buf_put_u32(&c.b, TPM_PLATFORM);
	tpm_auth(&c, "");
	buf_put_u32(&c.b, 1);
	tpm_end(&c);
	one_command(v, &c, 0);
	assert_true(vtpm_take_changed(v));
	assert_true(vtpm_undo(v, true));
	vtpm_close(&v);
}

static void an_orderly_end_is_a_change_to_store(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);

	(void)state;
	vtpm_take_changed(v);
	vtpm_shutdown(v);
	assert_true(vtpm_take_changed(v));
	vtpm_close(&v);
}

/* libtpms has other seeds all at once, as no command of a guest could bring about. */
static void what_could_not_be_started_from_is_not_sealed(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);
	unsigned char *response = NULL;
	uint32_t n = 0, cap = 0;
	struct handoff_frozen frozen;
	struct handoff_store store;
	struct tpm_command c;

	(void)state;
	assert_int_equal(one_seal(v, &sealed).version, 1);
	tpm_simple(&c, 0x124, TPM_PLATFORM); /* ChangeEPS */
	assert_int_equal(TPMLIB_Process(&response, &n, &cap, c.bytes, (uint32_t)c.b.len), 0);
	assert_int_equal(tpm_u32(response + 6), 0);
	free(response);
	assert_int_equal(vtpm_seal(v, &sealed, &store), E_INTEGRITY);
	assert_int_equal(vtpm_freeze(v, 8, &sealed, &sealed, &frozen), E_INTEGRITY);
	assert_int_equal(vtpm_version(v), 1);
	vtpm_close(&v);
	buf_free(&sealed);
}

/* --- epochs --- */

enum { CC_CHANGE_EPS = 0x124, CC_CHANGE_PPS = 0x125, CC_CLEAR = 0x126 }; /* TPM 2.0 part 2, 6.5.2 */

static const struct {
	uint32_t code, handle, hierarchy;
} renewals[] = {
	{CC_CLEAR, TPM_PLATFORM, TPM_OWNER},
	{CC_CHANGE_EPS, TPM_PLATFORM, TPM_ENDORSEMENT},
	{CC_CHANGE_PPS, TPM_PLATFORM, TPM_PLATFORM},
};

static uint64_t epoch_of(const struct handoff_store *s, uint32_t code)
{
	return code == CC_CLEAR ? s->owner_epoch : code == CC_CHANGE_EPS ? s->endorsement_epoch : s->platform_epoch;
}

static void set_epoch(struct handoff_handoff *h, uint32_t code, uint64_t epoch)
{
	*(code == CC_CLEAR ? &h->owner_epoch : code == CC_CHANGE_EPS ? &h->endorsement_epoch : &h->platform_epoch) = epoch;
}

static void renewed_roots_are_those_of_the_next_epoch(void **state)
{
	struct buf sealed = one_sealed_buf();

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct handoff_handoff h = one_handoff();
		struct vtpm *v = one_open(&h);
		uint8_t before[100], renewed[100], recovered[100];
		struct handoff_store s;
		struct tpm_command c;

		one_primary(v, renewals[i].hierarchy, before);
		vtpm_take_changed(v);
		tpm_simple(&c, renewals[i].code, renewals[i].handle);
		one_command(v, &c, 0);
		assert_true(vtpm_take_changed(v));
		one_primary(v, renewals[i].hierarchy, renewed);
		assert_memory_not_equal(before, renewed, 100);
		s = one_seal(v, &sealed);
		assert_int_equal(epoch_of(&s, renewals[i].code), 1);
		assert_int_equal(s.owner_epoch + s.endorsement_epoch + s.platform_epoch, 1);
		vtpm_close(&v);
		/* from the state */
		h.state = s.state;
		v = one_open(&h);
		one_primary(v, renewals[i].hierarchy, recovered);
		assert_memory_equal(renewed, recovered, 100);
		vtpm_close(&v);
		/* and after its total loss, from seed and epoch */
		h = one_handoff();
		set_epoch(&h, renewals[i].code, 1);
		v = one_open(&h);
		one_primary(v, renewals[i].hierarchy, recovered);
		assert_memory_equal(renewed, recovered, 100);
		vtpm_close(&v);
	}
	buf_free(&sealed);
}

static void a_renewal_that_the_tpm_refuses_advances_nothing(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);
	struct handoff_store s;
	struct tpm_command c;

	(void)state;
	tpm_begin(&c, 0x8002, CC_CLEAR);
	buf_put_u32(&c.b, TPM_PLATFORM);
	tpm_auth(&c, "wrong");
	tpm_end(&c);
	one_command(v, &c, 0x9a2); /* TPM_RC_BAD_AUTH of session 1 */
	s = one_seal(v, &sealed);
	assert_int_equal(s.owner_epoch, 0);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void a_new_epoch_is_undone_only_if_it_is_certain_that_nobody_has_it(void **state)
{
	struct buf sealed = one_sealed_buf();

	(void)state;
	for (int certain = 0; certain < 2; certain++) {
		struct handoff_handoff h = one_handoff();
		struct vtpm *v = one_open(&h);
		uint8_t before[100], after[100];
		struct tpm_command c;

		one_primary(v, TPM_OWNER, before);
		tpm_simple(&c, CC_CLEAR, TPM_PLATFORM);
		one_command(v, &c, 0);
		assert_int_equal(one_seal(v, &sealed).owner_epoch, 1);
		assert_int_equal(vtpm_undo(v, certain), certain);
		assert_int_equal(one_seal(v, &sealed).owner_epoch, certain ? 0 : 1);
		one_primary(v, TPM_OWNER, after);
		assert_int_equal(memcmp(before, after, 100) == 0, certain);
		vtpm_close(&v);
	}
	buf_free(&sealed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_can_be_undone_until_it_is_stored),
		cmocka_unit_test(versions_grow_over_an_undo),
		cmocka_unit_test(a_failed_authorisation_is_counted_whether_stored_or_not),
		cmocka_unit_test(a_set_of_algorithms_can_be_undone),
		cmocka_unit_test(an_orderly_end_is_a_change_to_store),
		cmocka_unit_test(what_could_not_be_started_from_is_not_sealed),
		cmocka_unit_test(renewed_roots_are_those_of_the_next_epoch),
		cmocka_unit_test(a_renewal_that_the_tpm_refuses_advances_nothing),
		cmocka_unit_test(a_new_epoch_is_undone_only_if_it_is_certain_that_nobody_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
