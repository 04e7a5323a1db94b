/* What vtpmctl and vtpm-relayd say: each message survives the round trip, and each rule of its table is enforced. */
#include "dom0-relay/ctlmsg.h"
#include "tests/unit/schemas.h"

static void every_message_survives_and_every_bound_holds(void **state)
{
	(void)state;
	for (uint64_t type = CTL_LIST; type <= CTL_REFUSED; type++) {
		assert_non_null(ctl_schema(type));
		check_schema(ctl_schema(type));
	}
}

static void there_are_no_other_types(void **state)
{
	(void)state;
	assert_null(ctl_schema(0));
	assert_null(ctl_schema(CTL_REFUSED + 1));
	assert_null(ctl_schema(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_and_every_bound_holds),
		cmocka_unit_test(there_are_no_other_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
