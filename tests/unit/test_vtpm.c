/* One vTPM: what it starts from, what it refuses to start from, and how it takes commands. */
#include "vtpm-stubdom/vtpm.h"

#include <string.h>

#include "common/error.h"
#include "tests/unit/one_vtpm.h"
#include "vtpm-stubdom/tpmif.h"

static void a_new_vtpm_has_version_0_and_its_start_is_a_change(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);

	(void)state;
	assert_int_equal(vtpm_version(v), 0);
	assert_true(vtpm_take_changed(v));
	assert_false(vtpm_take_changed(v));
	assert_true(uuid_equal(vtpm_uuid(v), &h.uuid));
	assert_int_equal(vtpm_lease_epoch(v), 5);
	vtpm_close(&v);
	assert_null(v);
}

static void state_comes_back_and_versions_grow(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);
	struct handoff_store s;
	uint8_t before[100], after[100];

	(void)state;
	one_define(v);
	one_write_nv(v, "12345678");
	one_primary(v, TPM_OWNER, before);
	assert_int_equal(one_seal(v, &sealed).version, 1);
	s = one_seal(v, &sealed);
	assert_int_equal(s.version, 2);
	vtpm_close(&v);

	h.state = s.state;
	h.state_version = 2;
	v = one_open(&h);
	assert_int_equal(vtpm_version(v), 2);
	one_assert_nv(v, "12345678");
	one_primary(v, TPM_OWNER, after);
	assert_memory_equal(before, after, 100);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void an_older_version_than_on_record_is_refused_a_newer_is_not(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);

	(void)state;
	h.state = one_seal(v, &sealed).state;
	vtpm_close(&v);
	h.state_version = 2;
	one_refused(&h, E_DENIED, "roll-back");
	h.state_version = 0;
	v = one_open(&h);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void a_state_on_record_that_was_not_handed_over_is_missed(void **state)
{
	struct handoff_handoff h = one_handoff();

	(void)state;
	h.state_version = 1;
	one_refused(&h, E_DENIED, "not handed over");
}

static void state_of_another_vtpm_seed_generation_or_later_lease_is_refused(void **state)
{
	struct handoff_handoff h = one_handoff(), other;
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);

	(void)state;
	h.state = one_seal(v, &sealed).state;
	vtpm_close(&v);
	other = h;
	other.uuid.b[0] ^= 1;
	one_refused(&other, E_INTEGRITY, "key");
	other = h;
	other.generation++;
	one_refused(&other, E_INTEGRITY, "key");
	one_seed[0] ^= 1;
	one_refused(&h, E_INTEGRITY, "key");
	one_seed[0] ^= 1;
	other = h;
	other.lease_epoch--;
	one_refused(&other, E_DENIED, "lease");
	v = one_open(&h);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void older_epochs_than_on_record_are_refused(void **state)
{
	struct handoff_handoff h = one_handoff(), other;
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);

	(void)state;
	h.state = one_seal(v, &sealed).state;
	vtpm_close(&v);
	other = h;
	other.owner_epoch = 1;
	one_refused(&other, E_DENIED, "roll-back");
	other = h;
	other.endorsement_epoch = 1;
	one_refused(&other, E_DENIED, "roll-back");
	other = h;
	other.platform_epoch = 1;
	one_refused(&other, E_DENIED, "roll-back");
	buf_free(&sealed);
}

static void altered_state_is_refused(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct buf sealed = one_sealed_buf();
	struct vtpm *v = one_open(&h);

	(void)state;
	h.state = one_seal(v, &sealed).state;
	vtpm_close(&v);
	sealed.data[sealed.len - 20] ^= 1;
	one_refused(&h, E_INTEGRITY, "integrity");
	h.state.n--;
	one_refused(&h, E_TRUNCATED, "key");
	buf_free(&sealed);
}

static void primaries(const struct handoff_handoff *h, struct buf *sealed, struct view *state, uint8_t out[3][100])
{
	static const uint32_t hierarchies[] = {TPM_OWNER, TPM_ENDORSEMENT, TPM_PLATFORM};
	struct vtpm *v = one_open(h);

	for (size_t i = 0; i < 3; i++)
		one_primary(v, hierarchies[i], out[i]);
	*state = one_seal(v, sealed).state;
	vtpm_close(&v);
}

/* Two vTPMs with the same keys: neither starts from what the other has sealed, whatever is said of its origin. */
static void who_shares_keys_has_the_same_primaries_and_a_state_of_its_own(void **state)
{
	struct handoff_handoff h = one_handoff(), clone = one_handoff(), wrong;
	struct buf sealed = one_sealed_buf(), clones = one_sealed_buf();
	const struct origin origin = {.uuid = h.uuid, .generation = 1};
	uint8_t room[ORIGIN_SIZE], first[3][100], other[3][100];
	struct view theirs, its, again;

	(void)state;
	clone.uuid.b[0] ^= 1;
	primaries(&h, &sealed, &theirs, first);
	primaries(&clone, &clones, &its, other);
	for (size_t i = 0; i < 3; i++)
		assert_memory_not_equal(first[i], other[i], 100);
	clone.origin = origin_put(&origin, room);
	primaries(&clone, &clones, &its, other);
	assert_memory_equal(first, other, sizeof(first));
	wrong = h;
	wrong.state = its;
	one_refused(&wrong, E_INTEGRITY, "key");
	wrong = clone;
	wrong.state = theirs;
	one_refused(&wrong, E_INTEGRITY, "key");
	wrong = clone; /* its own state, and the roots of others */
	wrong.state = its;
	wrong.origin = (struct view){0};
	one_refused(&wrong, E_INTEGRITY, "does not start");
	wrong.origin = view_of(room, ORIGIN_SIZE - 1);
	one_refused(&wrong, E_FORMAT, "keys");
	clone.state = its;
	primaries(&clone, &sealed, &again, other);
	assert_memory_equal(first, other, sizeof(first));
	buf_free(&sealed);
	buf_free(&clones);
}

/* --- commands --- */

static void localities_beyond_4_are_refused(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);
	struct tpm_command c;

	(void)state;
	tpm_get_random(&c, 4);
	for (unsigned int locality = 0; locality < 256; locality++) {
		struct view r = vtpm_command(v, locality, c.bytes, c.b.len);

		assert_int_equal(tpm_u32(r.p + 6), locality <= 4 ? 0 : TPMIF_RC_LOCALITY);
	}
	vtpm_close(&v);
}

static void locality_reaches_the_tpm(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);
	struct tpm_command c;

	(void)state;
	tpm_begin(&c, 0x8002, 0x13d); /* PCR_Reset of PCR 20: localities 2 and 4 may */
	buf_put_u32(&c.b, 20);
	tpm_auth(&c, "");
	tpm_end(&c);
	assert_int_equal(tpm_u32(vtpm_command(v, 0, c.bytes, c.b.len).p + 6), TPMIF_RC_LOCALITY);
	assert_int_equal(tpm_u32(vtpm_command(v, 2, c.bytes, c.b.len).p + 6), 0);
	vtpm_close(&v);
}

static void the_kernels_commands_are_answered_too(void **state)
{
	struct handoff_handoff h = one_handoff();
	struct vtpm *v = one_open(&h);
	struct tpm_command c;
	struct view r;

	(void)state;
	vtpm_take_changed(v);
	tpm_begin(&c, 0x00c1, 0x46);
	buf_put_u32(&c.b, 16);
	tpm_end(&c);
	r = vtpm_command(v, 0, c.bytes, c.b.len);
	assert_int_equal(r.n, 30);
	assert_memory_equal(r.p, "\0\xc4", 2);
	assert_false(vtpm_take_changed(v));
	vtpm_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_vtpm_has_version_0_and_its_start_is_a_change),
		cmocka_unit_test(state_comes_back_and_versions_grow),
		cmocka_unit_test(an_older_version_than_on_record_is_refused_a_newer_is_not),
		cmocka_unit_test(a_state_on_record_that_was_not_handed_over_is_missed),
		cmocka_unit_test(state_of_another_vtpm_seed_generation_or_later_lease_is_refused),
		cmocka_unit_test(older_epochs_than_on_record_are_refused),
		cmocka_unit_test(altered_state_is_refused),
		cmocka_unit_test(who_shares_keys_has_the_same_primaries_and_a_state_of_its_own),
		cmocka_unit_test(localities_beyond_4_are_refused),
		cmocka_unit_test(locality_reaches_the_tpm),
		cmocka_unit_test(the_kernels_commands_are_answered_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
