/* The doctor reads guests' configurations and xl.conf as xl does. */
#include "dom0-relay/doctor.h"
#include "tests/unit/unit.h"

#define U1 "8f3c1d2e-5b6a-4c7d-9e8f-0a1b2c3d4e5f"
#define U2 "11111111-2222-4333-8444-555555555555"

static void a_line_with_uuid_is_found(void **state)
{
	struct vtpm_lines l;

	(void)state;
	doctor_vtpm_lines("name = \"web\"\nvtpm = [ \"backend=0,uuid=" U1 "\" ]\nmemory = 512\n", &l);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.without_uuid, 0);
	assert_string_equal(l.uuid[0], U1);
}

static void a_line_without_uuid_is_found(void **state)
{
	struct vtpm_lines l;

	(void)state;
	doctor_vtpm_lines("vtpm=['backend=0']\n", &l);
	assert_int_equal(l.n, 0);
	assert_int_equal(l.without_uuid, 1);
	doctor_vtpm_lines("vtpm=['backend=0,uuid=short']\n", &l);
	assert_int_equal(l.without_uuid, 1);
}

static void a_list_may_go_over_several_lines_with_comments(void **state)
{
	struct vtpm_lines l;

	(void)state;
	doctor_vtpm_lines("vtpm = [\n  'backend=0,uuid=" U1 "', # 'the first'\n  \"uuid=" U2 ",backend=0\"\n]\n", &l);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.without_uuid, 0);
	assert_string_equal(l.uuid[1], U2);
}

static void letters_of_a_uuid_are_compared_in_lower_case(void **state)
{
	struct vtpm_lines l;

	(void)state;
	doctor_vtpm_lines("vtpm=['backend=0,uuid=8F3C1D2E-5B6A-4C7D-9E8F-0A1B2C3D4E5F']", &l);
	assert_string_equal(l.uuid[0], U1);
}

static void comments_and_other_options_are_no_vtpms(void **state)
{
	struct vtpm_lines l;

	(void)state;
	doctor_vtpm_lines("# vtpm=['backend=0']\nvtpmfoo = ['x']\nextra = 'vtpm=[\"backend=0\"]'\nvtpm=[]\n", &l);
	assert_int_equal(l.n, 0);
	assert_int_equal(l.without_uuid, 0);
}

static void an_unfinished_line_ends_the_search(void **state)
{
	struct vtpm_lines l;

	(void)state;
	doctor_vtpm_lines("vtpm = [ \"backend=0", &l);
	assert_int_equal(l.n, 0);
	doctor_vtpm_lines("vtpm = ", &l);
	assert_int_equal(l.n, 0);
	doctor_vtpm_lines("vtpm", &l);
	assert_int_equal(l.n, 0);
}

static void autoballoon_goes_by_the_file_and_then_by_dom0_mem(void **state)
{
	(void)state;
	assert_true(doctor_autoballoon("", "console=vga"));
	assert_false(doctor_autoballoon("", "dom0_mem=4G,max:4G console=vga"));
	assert_false(doctor_autoballoon("autoballoon=\"off\"\n", ""));
	assert_false(doctor_autoballoon("# x\n autoballoon = 0\n", ""));
	assert_true(doctor_autoballoon("autoballoon=\"on\"\n", "dom0_mem=4G"));
	assert_true(doctor_autoballoon("autoballoon='auto'\n", ""));
	assert_false(doctor_autoballoon("#autoballoon=\"on\"\nautoballoon=\"auto\"\n", "dom0_mem=4G"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_with_uuid_is_found),
		cmocka_unit_test(a_line_without_uuid_is_found),
		cmocka_unit_test(a_list_may_go_over_several_lines_with_comments),
		cmocka_unit_test(letters_of_a_uuid_are_compared_in_lower_case),
		cmocka_unit_test(comments_and_other_options_are_no_vtpms),
		cmocka_unit_test(an_unfinished_line_ends_the_search),
		cmocka_unit_test(autoballoon_goes_by_the_file_and_then_by_dom0_mem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
