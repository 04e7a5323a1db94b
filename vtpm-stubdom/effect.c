/* What TPM 2.0 commands do to the state of the TPM (TPM 2.0 Part 2, 6.5.2 has the codes, Part 3 the commands). */
#include "vtpm-stubdom/effect.h"

#include <stddef.h>

static bool is_among(const uint16_t *codes, size_t n, uint32_t code)
{
	for (size_t i = 0; i < n; i++)
		if (codes[i] == code)
			return true;
	return false;
}

bool effect_is_undoable(uint32_t code)
{
	static const uint16_t codes[] = {
		0x11f, /* NV_UndefineSpaceSpecial */
		0x120, /* EvictControl */
		0x121, /* HierarchyControl */
		0x122, /* NV_UndefineSpace */
		COMMAND_CHANGE_EPS,
		COMMAND_CHANGE_PPS,
		COMMAND_CLEAR,
		0x127, /* ClearControl */
		0x128, /* ClockSet */
		0x129, /* HierarchyChangeAuth */
		0x12a, /* NV_DefineSpace */
		0x12b, /* PCR_Allocate */
		0x12c, /* PCR_SetAuthPolicy */
		0x12d, /* PP_Commands */
		0x12e, /* SetPrimaryPolicy */
		0x130, /* ClockRateAdjust */
		0x132, /* NV_GlobalWriteLock */
		0x134, /* NV_Increment */
		0x135, /* NV_SetBits */
		0x136, /* NV_Extend */
		0x137, /* NV_Write */
		0x138, /* NV_WriteLock */
		0x139, /* DictionaryAttackLockReset */
		0x13a, /* DictionaryAttackParameters */
		0x13b, /* NV_ChangeAuth */
		0x13f, /* SetAlgorithmSet */
		0x140, /* SetCommandCodeAuditStatus */
		0x14f, /* NV_ReadLock */
	};

	return is_among(codes, sizeof(codes) / sizeof(codes[0]), code);
}

bool effect_is_transient(uint32_t code)
{
	static const uint16_t codes[] = {
		0x131, /* CreatePrimary */
		0x13c, /* PCR_Event */
		0x13d, /* PCR_Reset */
		0x13e, /* SequenceComplete */
		0x153, /* Create */
		0x157, /* Load */
		0x15b, /* HMAC_Start */
		0x15c, /* SequenceUpdate */
		0x161, /* ContextLoad */
		0x162, /* ContextSave */
		0x165, /* FlushContext */
		0x167, /* LoadExternal */
		0x176, /* StartAuthSession */
		0x182, /* PCR_Extend */
		0x185, /* EventSequenceComplete */
		0x186, /* HashSequenceStart */
		0x191, /* CreateLoaded */
	};

	return is_among(codes, sizeof(codes) / sizeof(codes[0]), code);
}
