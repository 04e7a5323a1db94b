/* Addresses over vchan: a domain, and who must answer there. */
#include "common/error.h"
#include "common/vchan_name.h"
#include "tests/unit/unit.h"

static void splits(const char *text, const char *domain, const char *peer, int named)
{
	struct vchan_name v;

	assert_int_equal(vchan_name_parse(text, &v), 0);
	assert_string_equal(v.domain, domain);
	assert_string_equal(v.peer, peer);
	assert_int_equal(v.named, named);
}

static void a_domain_is_its_kmcs_name_unless_another_is_given(void **state)
{
	(void)state;
	splits("vchan:kmc", "kmc", "kmc", 0);
	splits("vchan:net_fwd-1.x", "net_fwd-1.x", "net_fwd-1.x", 0);
	splits("vchan:fwd:kmc1.example", "fwd", "kmc1.example", 1);
	splits("vchan:3:192.0.2.1", "3", "192.0.2.1", 1);
	splits("vchan:7443:kmc", "7443", "kmc", 1);
}

static void other_addresses_are_not_ours(void **state)
{
	static const char *const others[] = {"", "kmc:7443", "vchan", "VCHAN:kmc", " vchan:kmc", "vchan.example:7443"};
	struct vchan_name v;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (vchan_name_parse(others[i], &v) != E_NOTFOUND)
			fail_msg("'%s' was taken", others[i]);
}

static void what_is_wrong_is_refused(void **state)
{
	static const char *const bad[] = {"vchan:", "vchan::", "vchan::kmc", "vchan:kmc:", "vchan:3", "vchan:-x", "vchan:.", "vchan:a/b", "vchan:a b",
					  "vchan:a:b:c", "vchan:a:b c", "vchan:a:b_c", "vchan:../x", "vchan:a:/x",
					  "vchan:0123456789012345678901234567890123456789012345678901234567890123x"};
	struct vchan_name v;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (vchan_name_parse(bad[i], &v) != E_FORMAT)
			fail_msg("'%s' was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_domain_is_its_kmcs_name_unless_another_is_given),
		cmocka_unit_test(other_addresses_are_not_ours),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
