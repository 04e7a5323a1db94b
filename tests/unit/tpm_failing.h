/* libtpms in failure mode, for tests: what it is asked to store next fails, and there is nothing that it can do about that. */
#ifndef TESTS_UNIT_TPM_FAILING_H
#define TESTS_UNIT_TPM_FAILING_H

#include <libtpms/tpm_error.h>
#include <libtpms/tpm_library.h>
#include <libtpms/tpm_types.h>

#include "tests/unit/unit.h"

static inline TPM_RESULT tpm_failing_init(void)
{
	return TPM_SUCCESS;
}

static inline TPM_RESULT tpm_failing_load(unsigned char **data, uint32_t *length, uint32_t number, const char *name)
{
	(void)data, (void)length, (void)number, (void)name;
	return TPM_FAIL;
}

static inline TPM_RESULT tpm_failing_store(const unsigned char *data, uint32_t length, uint32_t number, const char *name)
{
	(void)data, (void)length, (void)number, (void)name;
	return TPM_FAIL;
}

/* The next command that would change permanent state brings the TPM of this process into failure mode; until there is another engine. */
static inline void tpm_failing(void)
{
	static struct libtpms_callbacks callbacks = {.sizeOfStruct = sizeof(callbacks), .tpm_nvram_init = tpm_failing_init,
						     .tpm_nvram_loaddata = tpm_failing_load, .tpm_nvram_storedata = tpm_failing_store,
						     .tpm_io_init = tpm_failing_init};

	assert_int_equal(TPMLIB_RegisterCallbacks(&callbacks), TPM_SUCCESS);
}

#endif
