/* Endorsement keys and their certificates in the TPM. */
#include "vtpm-stubdom/endorsement.h"

#include <string.h>

#include "common/error.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/engine.h"

#define RSA_INDEX 0x01c00002
#define ECC_INDEX 0x01c0000a

static struct engine *start(uint8_t seed, uint64_t endorsement)
{
	const struct epochs epochs = {.endorsement = endorsement};
	const struct uuid uuid = {{7}};
	uint8_t bytes[32];
	struct secret *roots;
	struct engine *e;
	struct derive d;
	struct tpm_command c;
	const uint8_t *p;
	size_t n;

	memset(bytes, seed, sizeof(bytes));
	assert_int_equal(derive_init(&d, bytes, sizeof(bytes), &uuid, 1), 0);
	roots = derive_roots(&d, &epochs);
	e = engine_new();
	assert_non_null(e);
	assert_int_equal(engine_manufacture(e, (const struct roots *)roots->data), 0);
	tpm_startup_clear(&c);
	assert_int_equal(engine_process(e, 0, c.bytes, c.b.len, &p, &n), 0);
	secret_free(&roots);
	derive_free(&d);
	return e;
}

static uint32_t run(struct engine *e, struct tpm_command *c)
{
	const uint8_t *p;
	size_t n;

	tpm_end(c);
	assert_int_equal(engine_process(e, 0, c->bytes, c->b.len, &p, &n), 0);
	assert_true(n >= 10);
	return tpm_u32(p + 6);
}

/* Something that is as long as a certificate, and names the key. */
static struct view certificate(struct engine *e, uint8_t bytes[1200])
{
	struct endorsement_key key;

	memset(bytes, 0x30, 1200);
	assert_int_equal(endorsement_key(e, ENDORSEMENT_ECC, &key), 0);
	memcpy(bytes + 600, key.bytes, key.size);
	return view_of(bytes, 1200);
}

static void set_auth(struct engine *e, uint32_t hierarchy)
{
	struct tpm_command c;

	tpm_begin(&c, 0x8002, 0x129); /* HierarchyChangeAuth */
	buf_put_u32(&c.b, hierarchy);
	tpm_auth(&c, "");
	buf_put_u16(&c.b, 4);
	buf_put(&c.b, "abcd", 4);
	assert_int_equal(run(e, &c), 0);
}

static void the_same_seed_gives_the_same_keys_and_another_epoch_others(void **state)
{
	struct endorsement_key a[ENDORSEMENT_KINDS], b[ENDORSEMENT_KINDS];
	struct engine *e;

	(void)state;
	for (int run_of = 0; run_of < 2; run_of++) {
		e = start(1, 0);
		for (int kind = 0; kind < ENDORSEMENT_KINDS; kind++)
			assert_int_equal(endorsement_key(e, (enum endorsement_kind)kind, run_of ? &b[kind] : &a[kind]), 0);
		engine_free(&e);
	}
	assert_true(a[ENDORSEMENT_RSA].size == 256 && a[ENDORSEMENT_ECC].size == 64);
	assert_true(a[ENDORSEMENT_RSA].bytes[0] & 0x80 && a[ENDORSEMENT_RSA].bytes[255] & 1);
	for (int kind = 0; kind < ENDORSEMENT_KINDS; kind++)
		assert_memory_equal(a[kind].bytes, b[kind].bytes, a[kind].size);
	e = start(1, 1);
	assert_int_equal(endorsement_key(e, ENDORSEMENT_ECC, &b[ENDORSEMENT_ECC]), 0);
	assert_memory_not_equal(a[ENDORSEMENT_ECC].bytes, b[ENDORSEMENT_ECC].bytes, 64);
	engine_free(&e);
}

static void a_tpm_says_what_it_is(void **state)
{
	struct engine *e = start(1, 0);
	struct endorsement_facts f;

	(void)state;
	assert_int_equal(endorsement_facts(e, &f), 0);
	assert_int_equal(f.manufacturer, 0x49424d00); /* IBM */
	assert_true(f.firmware && f.level == 0 && f.revision >= 159);
	engine_free(&e);
}

static void certificates_go_in_are_replaced_and_outlive_clear(void **state)
{
	struct engine *e = start(1, 0);
	uint8_t bytes[1200], more[1600];
	struct view ecc = certificate(e, bytes), list[ENDORSEMENT_KINDS] = {ecc, ecc};
	struct tpm_command c;
	bool open;

	(void)state;
	assert_false(endorsement_is_certified(e, NULL));
	assert_int_equal(endorsement_provision(e, list), 0);
	assert_true(engine_take_changed(e));
	assert_true(endorsement_is_certified(e, &open) && open);
	assert_int_equal(endorsement_provision(e, list), 0); /* the same once more: nothing is written */
	assert_false(engine_take_changed(e));
	memset(more, 0, sizeof(more));
	list[ENDORSEMENT_RSA] = view_of(more, sizeof(more));
	assert_int_equal(endorsement_provision(e, list), 0);
	assert_true(endorsement_is_certified(e, NULL));

	tpm_begin(&c, 0x8002, 0x126); /* Clear */
	buf_put_u32(&c.b, TPM_LOCKOUT);
	tpm_auth(&c, "");
	assert_int_equal(run(e, &c), 0);
	assert_true(endorsement_is_certified(e, NULL));
	engine_free(&e);
}

static void the_owner_can_neither_write_nor_remove_them(void **state)
{
	struct engine *e = start(1, 0);
	uint8_t bytes[1200];
	struct view ecc = certificate(e, bytes);
	const struct view list[ENDORSEMENT_KINDS] = {ecc, ecc};
	struct tpm_command c;

	(void)state;
	assert_int_equal(endorsement_provision(e, list), 0);
	tpm_begin(&c, 0x8002, 0x137); /* NV_Write */
	buf_put_u32(&c.b, TPM_OWNER);
	buf_put_u32(&c.b, RSA_INDEX);
	tpm_auth(&c, "");
	buf_put_u16(&c.b, 1);
	buf_put_u8(&c.b, 0);
	buf_put_u16(&c.b, 0);
	assert_int_not_equal(run(e, &c), 0);
	tpm_begin(&c, 0x8002, 0x122); /* NV_UndefineSpace */
	buf_put_u32(&c.b, TPM_OWNER);
	buf_put_u32(&c.b, ECC_INDEX);
	tpm_auth(&c, "");
	assert_int_not_equal(run(e, &c), 0);
	assert_true(endorsement_is_certified(e, NULL));
	engine_free(&e);
}

static void another_keys_certificate_does_not_go_in(void **state)
{
	struct engine *e = start(1, 0);
	uint8_t bytes[1200];
	struct view ecc = certificate(e, bytes);
	const struct view list[ENDORSEMENT_KINDS] = {ecc, ecc}, none[ENDORSEMENT_KINDS] = {ecc, {0}};

	(void)state;
	assert_int_equal(endorsement_provision(e, none), E_INTEGRITY);
	engine_free(&e);
	e = start(2, 0);
	assert_int_equal(endorsement_provision(e, list), E_INTEGRITY);
	assert_false(engine_take_changed(e) && endorsement_is_certified(e, NULL));
	engine_free(&e);
}

static void a_guest_that_locks_its_hierarchies_keeps_what_it_has(void **state)
{
	struct engine *e = start(1, 0);
	uint8_t bytes[1200];
	struct view ecc = certificate(e, bytes);
	const struct view list[ENDORSEMENT_KINDS] = {ecc, ecc}, other[ENDORSEMENT_KINDS] = {view_of(bytes, ecc.n - 1), ecc};
	bool open;

	(void)state;
	set_auth(e, TPM_ENDORSEMENT);
	assert_false(endorsement_is_certified(e, NULL));
	assert_int_equal(endorsement_provision(e, list), 0);
	assert_true(endorsement_is_certified(e, &open));
	assert_false(open);
	set_auth(e, TPM_PLATFORM);
	assert_int_equal(endorsement_provision(e, list), 0); /* they are there */
	assert_int_equal(endorsement_provision(e, other), E_TPM);
	assert_true(endorsement_is_certified(e, NULL));
	engine_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_keys_and_another_epoch_others),
		cmocka_unit_test(a_tpm_says_what_it_is),
		cmocka_unit_test(certificates_go_in_are_replaced_and_outlive_clear),
		cmocka_unit_test(the_owner_can_neither_write_nor_remove_them),
		cmocka_unit_test(another_keys_certificate_does_not_go_in),
		cmocka_unit_test(a_guest_that_locks_its_hierarchies_keeps_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
