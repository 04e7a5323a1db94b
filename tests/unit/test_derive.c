/* Derivation: RFC 5869's and NIST's vectors, known answers of an independent implementation, and what each root depends on. */
#include "vtpm-stubdom/derive.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "tests/unit/derive_vectors.h"
#include "tests/unit/unit.h"

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
	return n;
}

static void assert_hex(const void *p, const char *hex)
{
	uint8_t want[128];
	size_t n = unhex(hex, want);

	assert_memory_equal(p, want, n);
}

static void hkdf(const char *ikm, const char *salt, const char *info, const char *okm)
{
	uint8_t i[128], s[128], f[128], out[128];
	size_t n_i = unhex(ikm, i), n_s = unhex(salt, s), n_f = unhex(info, f);

	assert_int_equal(derive_hkdf(view_of(i, n_i), view_of(s, n_s), view_of(f, n_f), out, strlen(okm) / 2), 0);
	assert_hex(out, okm);
}

static void hkdf_gives_the_vectors_of_rfc_5869(void **state)
{
	(void)state;
	hkdf("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
	     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	hkdf("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40"
	     "4142434445464748494a4b4c4d4e4f",
	     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0"
	     "a1a2a3a4a5a6a7a8a9aaabacadaeaf",
	     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0"
	     "f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
	     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30"
	     "c58179ec3e87c14c01d5c1f3434f1d87");
	hkdf("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
	     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

/* NIST's sample vectors of ACVP, KDA HKDF (SP 800-56C), SHA2-256: cases 91, 92, 97. Info is both parties' and the output's bits, u32. */
static void hkdf_gives_nists_vectors(void **state)
{
	(void)state;
	hkdf("8faac97fdb01c87ef85864c9580144648d1be5978c5ee3766c163c1db22f27e0b35d2f",
	     "a814d6b2034877bccf2afeab8b5c756f120e8ba4bf52dd568e0511f5b5288fc8048da0dafd2ef423301d3653c3a4412ea8e44f6f7c62bd48eed3e1f86ca8da06",
	     "1eb1eb5eecb492954f3ec240eb2ed8473644e31793996caf37c3b205a24d2fb7bf44ce39aded3a3a543436ce7be9042d63af488fb307a55b14ea8e091db3ee42"
	     "61461900000400",
	     "c9195d6189ff58608f20c503001ba54481687fa7476f55254bd732f9178def69eb6db0d11567c961bf36f3618cff9afd0f842d3cc46f6ea01b8ff18970d281c0"
	     "ea9e9ecf65b524908f23b52844f958ecd693bf62b8018d5c1662cf82c1bf6e431e4f6d2a63013069f49fed4fba21c99377e8949181d3bc37c185829d87795144");
	hkdf("f9bacac202139d48e1a403e7cdaf5fc79093d2113e5eb9f4324192ca24b47523d51cd0",
	     "9396b3b2ec123db0fde8c1e78b0f7b142ad0ca64ca4d6176b500af8592a1eba9b43a6f43a4bea3dca2280755a8f6927aaa46160f7ed10b02d958718feee0d904",
	     "1a01ff5243f48ea6f8445660b5acf547fe296f3e7e2ddcd2d020ed4f2133ce2300000400",
	     "07848cd8f5a1ac51fa49eef2fed6bdb9f51e0eaa45eed0a08dfe273324fd81e70404ac28baaed6c4fa596041a1881ecc254f3082fdf48154786c0737abac4950"
	     "ac15599daa81ce10a50eb53053ab60c9d966b7d9952a1cca9fdc7819a0315e6ea63387f31fc963e037acffbdb3309df36b290869315266090bdf7e44a7b1f0eb");
	hkdf("511d1436329577ba4e1d28c0f954276aedf9b879b0cfbf494fde94f5",
	     "b3d25e7e611f02cfa6f018b9faefdfe1d9faf0709de574d91994fa54ecba264b4f71a92efe01baeac4c45062d2d10daa23ac03762ae3675c015d7f1c09c793f6",
	     "00803e102190aa11dba832a17a9a32da9715e8787e384c7e1d47d57da13419abfe7df8844156a125aea73b02391d394490b5a375d8341395f67b3efb00000400",
	     "06f3da603dd908b1c8ac5344d17225e110ceaf60a9ac9d5b36b9aad7f343f96d6a122ed5c050712546f22fdfa84ab69efeb8d7215e09096efbf7d2295aab1e52"
	     "5a9c394cdb7176112172c9414f9cf2433feefa4a135af7d6dd720400db3f870ba1226f305daaf758230395bd6d71bd535a1c732d041db73d92298b55fea123c6");
}

static const struct epochs epochs = {.owner = 3, .endorsement = 5, .platform = 0x100000002};

static struct derive make(unsigned int seed_start, uint8_t uuid_last, uint64_t generation)
{
	struct derive d;
	struct uuid uuid;
	uint8_t seed[32];

	for (unsigned int i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)(seed_start + i);
	unhex("00112233445566778899aabbccddeeff", uuid.b);
	uuid.b[15] = uuid_last;
	assert_int_equal(derive_init(&d, seed, sizeof(seed), &uuid, generation), 0);
	return d;
}

static void roots_are_those_of_an_independent_implementation(void **state)
{
	struct derive d = make(1, 0xff, 7);
	struct secret *s = derive_roots(&d, &epochs), *key = derive_state_key(&d);
	const struct roots *roots;

	(void)state;
	assert_non_null(s);
	assert_non_null(key);
	roots = (const struct roots *)s->data;
	assert_hex(roots->value[ROOT_EPS], VECTOR_EPS);
	assert_hex(roots->value[ROOT_SPS], VECTOR_SPS);
	assert_hex(roots->value[ROOT_PPS], VECTOR_PPS);
	assert_hex(roots->value[ROOT_PH_PROOF], VECTOR_PH_PROOF);
	assert_hex(roots->value[ROOT_SH_PROOF], VECTOR_SH_PROOF);
	assert_hex(roots->value[ROOT_EH_PROOF], VECTOR_EH_PROOF);
	assert_int_equal(key->size, 32);
	assert_hex(key->data, VECTOR_STATE_KEY);
	secret_free(&s);
	secret_free(&key);
	derive_free(&d);
}

/* A bit for each root that differs. */
static unsigned int differing(const struct derive *a, const struct epochs *ea, const struct derive *b, const struct epochs *eb)
{
	struct secret *sa = derive_roots(a, ea), *sb = derive_roots(b, eb);
	const struct roots *ra = (const struct roots *)sa->data, *rb = (const struct roots *)sb->data;
	unsigned int bits = 0;

	for (unsigned int i = 0; i < ROOT_COUNT; i++)
		bits |= memcmp(ra->value[i], rb->value[i], DERIVE_ROOT_SIZE) ? 1u << i : 0;
	secret_free(&sa);
	secret_free(&sb);
	return bits;
}

#define ALL ((1u << ROOT_COUNT) - 1)
#define BIT(root) (1u << (root))

static void an_epoch_renews_the_roots_that_its_command_renews(void **state)
{
	struct derive d = make(1, 0xff, 7);
	struct epochs e;

	(void)state;
	assert_int_equal(differing(&d, &epochs, &d, &epochs), 0);
	e = epochs;
	e.owner++; /* TPM2_Clear */
	assert_int_equal(differing(&d, &epochs, &d, &e), BIT(ROOT_SPS) | BIT(ROOT_SH_PROOF) | BIT(ROOT_EH_PROOF));
	e = epochs;
	e.endorsement++; /* TPM2_ChangeEPS */
	assert_int_equal(differing(&d, &epochs, &d, &e), BIT(ROOT_EPS) | BIT(ROOT_EH_PROOF));
	e = epochs;
	e.platform++; /* TPM2_ChangePPS */
	assert_int_equal(differing(&d, &epochs, &d, &e), BIT(ROOT_PPS) | BIT(ROOT_PH_PROOF));
	derive_free(&d);
}

static void seed_uuid_and_generation_each_change_everything(void **state)
{
	struct derive a = make(1, 0xff, 7), b = make(2, 0xff, 7), c = make(1, 0xfe, 7), d = make(1, 0xff, 8);
	struct secret *ka = derive_state_key(&a), *kb = derive_state_key(&b), *kc = derive_state_key(&c), *kd = derive_state_key(&d);

	(void)state;
	assert_int_equal(differing(&a, &epochs, &b, &epochs), ALL);
	assert_int_equal(differing(&a, &epochs, &c, &epochs), ALL);
	assert_int_equal(differing(&a, &epochs, &d, &epochs), ALL);
	assert_false(secret_equal(ka, kb));
	assert_false(secret_equal(ka, kc));
	assert_false(secret_equal(ka, kd));
	secret_free(&ka);
	secret_free(&kb);
	secret_free(&kc);
	secret_free(&kd);
	derive_free(&a);
	derive_free(&b);
	derive_free(&c);
	derive_free(&d);
}

/* The roots are the other's, under any epochs; the state key is its own. */
static void who_shares_keys_has_the_origins_roots_and_a_state_key_of_its_own(void **state)
{
	struct derive a = make(1, 0xff, 7), b = make(1, 0xfe, 1), other = make(2, 0xfe, 1);
	const struct origin origin = {.uuid = a.uuid, .generation = 7}, generation = {.uuid = a.uuid, .generation = 8}, none = {.generation = 0};
	struct secret *ka = derive_state_key(&a), *kb, *own = derive_state_key(&b);
	struct epochs cleared = epochs;

	(void)state;
	cleared.owner++;
	derive_share(&b, &origin);
	assert_int_equal(differing(&a, &epochs, &b, &epochs), 0);
	assert_int_equal(differing(&a, &cleared, &b, &cleared), 0);
	assert_int_not_equal(differing(&a, &epochs, &b, &cleared), 0);
	kb = derive_state_key(&b);
	assert_true(secret_equal(kb, own));
	assert_false(secret_equal(kb, ka));
	derive_share(&other, &origin); /* without the seed it is worth nothing */
	assert_int_equal(differing(&a, &epochs, &other, &epochs), ALL);
	derive_share(&b, &generation);
	assert_int_equal(differing(&a, &epochs, &b, &epochs), ALL);
	derive_share(&b, &none);
	assert_int_equal(differing(&a, &epochs, &b, &epochs), ALL);
	secret_free(&ka);
	secret_free(&kb);
	secret_free(&own);
	derive_free(&a);
	derive_free(&b);
	derive_free(&other);
}

static void all_roots_of_one_vtpm_differ(void **state)
{
	struct derive d = make(1, 0xff, 7);
	const struct epochs zero = {0};
	struct secret *s = derive_roots(&d, &zero);
	const struct roots *r = (const struct roots *)s->data;

	(void)state;
	for (int i = 0; i < ROOT_COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(r->value[i], r->value[j], DERIVE_ROOT_SIZE);
	secret_free(&s);
	derive_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hkdf_gives_the_vectors_of_rfc_5869),
		cmocka_unit_test(hkdf_gives_nists_vectors),
		cmocka_unit_test(roots_are_those_of_an_independent_implementation),
		cmocka_unit_test(an_epoch_renews_the_roots_that_its_command_renews),
		cmocka_unit_test(seed_uuid_and_generation_each_change_everything),
		cmocka_unit_test(who_shares_keys_has_the_origins_roots_and_a_state_key_of_its_own),
		cmocka_unit_test(all_roots_of_one_vtpm_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
