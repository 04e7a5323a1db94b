/* One vTPM: what it starts from, what it refuses to start from, epochs, and undoing what could not be stored. */
#include "vtpm-stubdom/vtpm.h"

#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/sealed.h"
#include "vtpm-stubdom/tpmif.h"

static uint8_t seed[32];
static char why[VTPM_WHY];

static struct handoff_handoff given(void)
{
	struct handoff_handoff h = {.tenant = view_text("pool"), .seed = view_of(seed, sizeof(seed)), .generation = 1, .lease_epoch = 5, .incarnation = 1};

	memset(seed, 0x42, sizeof(seed));
	memset(h.uuid.b, 0x77, UUID_SIZE);
	return h;
}

static struct vtpm *open_ok(const struct handoff_handoff *h)
{
	struct vtpm *v;

	why[0] = '\0';
	if (vtpm_open(&v, h, why) != 0)
		fail_msg("refused: %s", why);
	return v;
}

static void open_refused(const struct handoff_handoff *h, int r, const char *words)
{
	struct vtpm *v;

	assert_int_equal(vtpm_open(&v, h, why), r);
	assert_null(v);
	assert_non_null(strstr(why, words));
}

static struct view command(struct vtpm *v, struct tpm_command *c, uint32_t rc)
{
	struct view r = vtpm_command(v, 0, c->bytes, c->b.len);

	assert_true(r.n >= 10);
	assert_int_equal(tpm_u32(r.p + 6), rc);
	return r;
}

/* The x coordinate and more of a primary's public area. */
static void primary(struct vtpm *v, uint32_t hierarchy, uint8_t out[100])
{
	struct tpm_command c;
	struct view r;

	tpm_create_primary(&c, hierarchy);
	r = command(v, &c, 0);
	memcpy(out, r.p + 18, 100);
	tpm_begin(&c, 0x8001, 0x165);
	buf_put_u32(&c.b, tpm_u32(r.p + 10));
	tpm_end(&c);
	command(v, &c, 0);
}

static struct handoff_store seal(struct vtpm *v, struct buf *out)
{
	struct handoff_store s;

	buf_reset(out);
	assert_int_equal(vtpm_seal(v, out, &s), 0);
	return s;
}

static struct buf sealed_buf(void)
{
	struct buf b;

	assert_int_equal(buf_init(&b, SEALED_MAX), 0);
	return b;
}

static void define(struct vtpm *v)
{
	struct tpm_command c;

	tpm_nv_define(&c, 0x1500001, 0);
	command(v, &c, 0);
}

static void write_nv(struct vtpm *v, const char text[8])
{
	struct tpm_command c;

	tpm_nv_write(&c, 0x1500001, text);
	command(v, &c, 0);
}

static void assert_nv(struct vtpm *v, const char text[8])
{
	struct tpm_command c;

	tpm_nv_read(&c, 0x1500001);
	assert_memory_equal(command(v, &c, 0).p + 16, text, 8);
}

static void a_new_vtpm_has_version_0_and_its_start_is_a_change(void **state)
{
	struct handoff_handoff h = given();
	struct vtpm *v = open_ok(&h);

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
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);
	struct handoff_store s;
	uint8_t before[100], after[100];

	(void)state;
	define(v);
	write_nv(v, "12345678");
	primary(v, TPM_OWNER, before);
	assert_int_equal(seal(v, &sealed).version, 1);
	s = seal(v, &sealed);
	assert_int_equal(s.version, 2);
	vtpm_close(&v);

	h.state = s.state;
	h.state_version = 2;
	v = open_ok(&h);
	assert_int_equal(vtpm_version(v), 2);
	assert_nv(v, "12345678");
	primary(v, TPM_OWNER, after);
	assert_memory_equal(before, after, 100);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void an_older_version_than_on_record_is_refused_a_newer_is_not(void **state)
{
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);

	(void)state;
	h.state = seal(v, &sealed).state;
	vtpm_close(&v);
	h.state_version = 2;
	open_refused(&h, E_DENIED, "roll-back");
	h.state_version = 0;
	v = open_ok(&h);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void a_state_on_record_that_was_not_handed_over_is_missed(void **state)
{
	struct handoff_handoff h = given();

	(void)state;
	h.state_version = 1;
	open_refused(&h, E_DENIED, "not handed over");
}

static void state_of_another_vtpm_seed_generation_or_later_lease_is_refused(void **state)
{
	struct handoff_handoff h = given(), other;
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);

	(void)state;
	h.state = seal(v, &sealed).state;
	vtpm_close(&v);
	other = h;
	other.uuid.b[0] ^= 1;
	open_refused(&other, E_INTEGRITY, "key");
	other = h;
	other.generation++;
	open_refused(&other, E_INTEGRITY, "key");
	seed[0] ^= 1;
	open_refused(&h, E_INTEGRITY, "key");
	seed[0] ^= 1;
	other = h;
	other.lease_epoch--;
	open_refused(&other, E_DENIED, "lease");
	v = open_ok(&h);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void primaries(const struct handoff_handoff *h, struct buf *sealed, struct view *state, uint8_t out[3][100])
{
	static const uint32_t hierarchies[] = {TPM_OWNER, TPM_ENDORSEMENT, TPM_PLATFORM};
	struct vtpm *v = open_ok(h);

	for (size_t i = 0; i < 3; i++)
		primary(v, hierarchies[i], out[i]);
	*state = seal(v, sealed).state;
	vtpm_close(&v);
}

/* Two vTPMs with the same keys: neither starts from what the other has sealed, whatever is said of its origin. */
static void who_shares_keys_has_the_same_primaries_and_a_state_of_its_own(void **state)
{
	struct handoff_handoff h = given(), clone = given(), wrong;
	struct buf sealed = sealed_buf(), clones = sealed_buf();
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
	open_refused(&wrong, E_INTEGRITY, "key");
	wrong = clone;
	wrong.state = theirs;
	open_refused(&wrong, E_INTEGRITY, "key");
	wrong = clone; /* its own state, and the roots of others */
	wrong.state = its;
	wrong.origin = (struct view){0};
	open_refused(&wrong, E_INTEGRITY, "does not start");
	wrong.origin = view_of(room, ORIGIN_SIZE - 1);
	open_refused(&wrong, E_FORMAT, "keys");
	clone.state = its;
	primaries(&clone, &sealed, &again, other);
	assert_memory_equal(first, other, sizeof(first));
	buf_free(&sealed);
	buf_free(&clones);
}

static void older_epochs_than_on_record_are_refused(void **state)
{
	struct handoff_handoff h = given(), other;
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);

	(void)state;
	h.state = seal(v, &sealed).state;
	vtpm_close(&v);
	other = h;
	other.owner_epoch = 1;
	open_refused(&other, E_DENIED, "roll-back");
	other = h;
	other.endorsement_epoch = 1;
	open_refused(&other, E_DENIED, "roll-back");
	other = h;
	other.platform_epoch = 1;
	open_refused(&other, E_DENIED, "roll-back");
	buf_free(&sealed);
}

static void a_resumed_guest_needs_the_state_that_was_suspended_with_it(void **state)
{
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);

	(void)state;
	h.state = seal(v, &sealed).state;
	vtpm_close(&v);
	h.incarnation = 2;
	open_refused(&h, E_DENIED, "incarnation");
	buf_free(&sealed);
}

/* A vTPM with something in PCR 16, frozen for image 8; @h is for the guest that is restored from it. */
struct sleeper {
	struct handoff_handoff h;
	struct buf state, transient;
};

static struct sleeper put_to_sleep(void)
{
	struct sleeper s = {.h = given(), .state = sealed_buf(), .transient = sealed_buf()};
	struct vtpm *v = open_ok(&s.h);
	struct handoff_frozen f;
	struct tpm_command c;

	tpm_pcr_extend(&c, 16, 9);
	command(v, &c, 0);
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
	return memcmp(command(v, &c, 0).p + 30, zero, sizeof(zero)) == 0;
}

static void a_frozen_tpm_goes_on_with_the_next_incarnation_only(void **state)
{
	struct sleeper s = put_to_sleep();
	struct vtpm *v;

	(void)state;
	s.h.incarnation = 8;
	open_refused(&s.h, E_DENIED, "incarnation");
	s.h.incarnation = 10;
	open_refused(&s.h, E_DENIED, "incarnation");
	s.h.incarnation = 9;
	v = open_ok(&s.h);
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
	v = open_ok(&s.h);
	assert_true(pcr_is_zero(v));
	vtpm_close(&v);
	wake(&s);
}

static void the_halves_of_two_states_do_not_go_together(void **state)
{
	struct sleeper s = put_to_sleep(), other;
	struct handoff_handoff h = s.h;
	struct buf sealed = sealed_buf();
	struct vtpm *v;

	(void)state;
	h.incarnation = 1;
	v = open_ok(&h);
	h = s.h;
	h.state = seal(v, &sealed).state; /* a later version */
	vtpm_close(&v);
	open_refused(&h, E_INTEGRITY, "does not belong");
	h = s.h;
	h.transient = s.h.state;
	open_refused(&h, E_INTEGRITY, "does not belong");
	h = s.h;
	h.state = s.h.transient;
	open_refused(&h, E_INTEGRITY, "");
	other = put_to_sleep();
	h = other.h;
	h.transient = (struct view){0};
	open_refused(&h, E_DENIED, "not suspended with it");
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
		struct vtpm *v = open_ok(&s.h);

		tpm_get_random(&c, 16);
		memcpy(i ? second : first, command(v, &c, 0).p + 12, 16);
		vtpm_close(&v);
	}
	assert_memory_not_equal(first, second, 16);
	wake(&s);
}

static void altered_state_is_refused(void **state)
{
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);

	(void)state;
	h.state = seal(v, &sealed).state;
	vtpm_close(&v);
	sealed.data[sealed.len - 20] ^= 1;
	open_refused(&h, E_INTEGRITY, "integrity");
	h.state.n--;
	open_refused(&h, E_TRUNCATED, "key");
	buf_free(&sealed);
}

static const struct {
	uint32_t code, handle, hierarchy;
} renewals[] = {{0x126, TPM_PLATFORM, TPM_OWNER}, {0x124, TPM_PLATFORM, TPM_ENDORSEMENT}, {0x125, TPM_PLATFORM, TPM_PLATFORM}};

static uint64_t epoch_of(const struct handoff_store *s, uint32_t code)
{
	return code == 0x126 ? s->owner_epoch : code == 0x124 ? s->endorsement_epoch : s->platform_epoch;
}

static void set_epoch(struct handoff_handoff *h, uint32_t code, uint64_t epoch)
{
	*(code == 0x126 ? &h->owner_epoch : code == 0x124 ? &h->endorsement_epoch : &h->platform_epoch) = epoch;
}

static void renewed_roots_are_those_of_the_next_epoch(void **state)
{
	struct buf sealed = sealed_buf();

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct handoff_handoff h = given();
		struct vtpm *v = open_ok(&h);
		uint8_t before[100], renewed[100], recovered[100];
		struct handoff_store s;
		struct tpm_command c;

		primary(v, renewals[i].hierarchy, before);
		vtpm_take_changed(v);
		tpm_simple(&c, renewals[i].code, renewals[i].handle);
		command(v, &c, 0);
		assert_true(vtpm_take_changed(v));
		primary(v, renewals[i].hierarchy, renewed);
		assert_memory_not_equal(before, renewed, 100);
		s = seal(v, &sealed);
		assert_int_equal(epoch_of(&s, renewals[i].code), 1);
		assert_int_equal(s.owner_epoch + s.endorsement_epoch + s.platform_epoch, 1);
		vtpm_close(&v);
		/* from the state */
		h.state = s.state;
		v = open_ok(&h);
		primary(v, renewals[i].hierarchy, recovered);
		assert_memory_equal(renewed, recovered, 100);
		vtpm_close(&v);
		/* and after its total loss, from seed and epoch */
		h = given();
		set_epoch(&h, renewals[i].code, 1);
		v = open_ok(&h);
		primary(v, renewals[i].hierarchy, recovered);
		assert_memory_equal(renewed, recovered, 100);
		vtpm_close(&v);
	}
	buf_free(&sealed);
}

static void a_renewal_that_the_tpm_refuses_advances_nothing(void **state)
{
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);
	struct handoff_store s;
	struct tpm_command c;

	(void)state;
	tpm_begin(&c, 0x8002, 0x126);
	buf_put_u32(&c.b, TPM_PLATFORM);
	tpm_auth(&c, "wrong");
	tpm_end(&c);
	command(v, &c, 0x9a2); /* TPM_RC_BAD_AUTH of session 1 */
	s = seal(v, &sealed);
	assert_int_equal(s.owner_epoch, 0);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void a_change_can_be_undone_until_it_is_stored(void **state)
{
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);
	struct tpm_command c;
	uint8_t pcr[32];

	(void)state;
	define(v);
	write_nv(v, "first---");
	vtpm_stored(v, seal(v, &sealed).version);
	tpm_pcr_extend(&c, 16, 3);
	command(v, &c, 0);
	tpm_pcr_read(&c, 16);
	memcpy(pcr, command(v, &c, 0).p + 30, 32);
	write_nv(v, "second--");
	seal(v, &sealed);
	assert_true(vtpm_undo(v, false));
	assert_false(vtpm_take_changed(v));
	assert_nv(v, "first---");
	tpm_pcr_read(&c, 16);
	assert_memory_equal(command(v, &c, 0).p + 30, pcr, 32);
	write_nv(v, "third---");
	vtpm_stored(v, seal(v, &sealed).version);
	assert_false(vtpm_undo(v, true));
	assert_nv(v, "third---");
	vtpm_close(&v);
	buf_free(&sealed);
}

static void versions_grow_over_an_undo(void **state)
{
	struct handoff_handoff h = given();
	struct buf sealed = sealed_buf();
	struct vtpm *v = open_ok(&h);

	(void)state;
	define(v);
	assert_int_equal(seal(v, &sealed).version, 1);
	assert_true(vtpm_undo(v, true));
	assert_int_equal(seal(v, &sealed).version, 2);
	vtpm_close(&v);
	buf_free(&sealed);
}

static void a_failed_authorisation_is_counted_whether_stored_or_not(void **state)
{
	struct handoff_handoff h = given();
	struct vtpm *v = open_ok(&h);
	struct tpm_command c;

	(void)state;
	vtpm_take_changed(v);
	tpm_begin(&c, 0x8002, 0x139); /* DictionaryAttackLockReset */
	buf_put_u32(&c.b, TPM_LOCKOUT);
	tpm_auth(&c, "wrong");
	tpm_end(&c);
	command(v, &c, 0x98e); /* TPM_RC_AUTH_FAIL of session 1 */
	assert_true(vtpm_take_changed(v));
	assert_false(vtpm_undo(v, true));
	command(v, &c, 0x921); /* TPM_RC_LOCKOUT: one try is all that lockout auth has */
	vtpm_close(&v);
}

static void a_new_epoch_is_undone_only_if_it_is_certain_that_nobody_has_it(void **state)
{
	struct buf sealed = sealed_buf();

	(void)state;
	for (int certain = 0; certain < 2; certain++) {
		struct handoff_handoff h = given();
		struct vtpm *v = open_ok(&h);
		uint8_t before[100], after[100];
		struct tpm_command c;

		primary(v, TPM_OWNER, before);
		tpm_simple(&c, 0x126, TPM_PLATFORM);
		command(v, &c, 0);
		assert_int_equal(seal(v, &sealed).owner_epoch, 1);
		assert_int_equal(vtpm_undo(v, certain), certain);
		assert_int_equal(seal(v, &sealed).owner_epoch, certain ? 0 : 1);
		primary(v, TPM_OWNER, after);
		assert_int_equal(memcmp(before, after, 100) == 0, certain);
		vtpm_close(&v);
	}
	buf_free(&sealed);
}

static void localities_beyond_4_are_refused(void **state)
{
	struct handoff_handoff h = given();
	struct vtpm *v = open_ok(&h);
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
	struct handoff_handoff h = given();
	struct vtpm *v = open_ok(&h);
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
	struct handoff_handoff h = given();
	struct vtpm *v = open_ok(&h);
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

static void an_orderly_end_is_a_change_to_store(void **state)
{
	struct handoff_handoff h = given();
	struct vtpm *v = open_ok(&h);

	(void)state;
	vtpm_take_changed(v);
	vtpm_shutdown(v);
	assert_true(vtpm_take_changed(v));
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
		cmocka_unit_test(who_shares_keys_has_the_same_primaries_and_a_state_of_its_own),
		cmocka_unit_test(older_epochs_than_on_record_are_refused),
		cmocka_unit_test(a_resumed_guest_needs_the_state_that_was_suspended_with_it),
		cmocka_unit_test(a_frozen_tpm_goes_on_with_the_next_incarnation_only),
		cmocka_unit_test(a_cold_start_does_not_wear_frozen_pcrs),
		cmocka_unit_test(the_halves_of_two_states_do_not_go_together),
		cmocka_unit_test(two_resumes_of_one_state_draw_different_random_numbers),
		cmocka_unit_test(altered_state_is_refused),
		cmocka_unit_test(renewed_roots_are_those_of_the_next_epoch),
		cmocka_unit_test(a_renewal_that_the_tpm_refuses_advances_nothing),
		cmocka_unit_test(a_change_can_be_undone_until_it_is_stored),
		cmocka_unit_test(versions_grow_over_an_undo),
		cmocka_unit_test(a_failed_authorisation_is_counted_whether_stored_or_not),
		cmocka_unit_test(a_new_epoch_is_undone_only_if_it_is_certain_that_nobody_has_it),
		cmocka_unit_test(localities_beyond_4_are_refused),
		cmocka_unit_test(locality_reaches_the_tpm),
		cmocka_unit_test(the_kernels_commands_are_answered_too),
		cmocka_unit_test(an_orderly_end_is_a_change_to_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
