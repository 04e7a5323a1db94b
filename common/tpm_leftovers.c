/* Flushing a TPM's leftovers: TPM2_GetCapability, then TPM2_FlushContext for each (TPM 2.0 Part 3, 30.2 and 28.4). */
#include "common/tpm_leftovers.h"

TSS2_RC tpm_leftovers_flush(ESYS_CONTEXT *esys, UINT32 first)
{
	TPMS_CAPABILITY_DATA *found = NULL;
	TSS2_RC rc = Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, first, TPM2_MAX_CAP_HANDLES, NULL, &found);

	for (UINT32 i = 0; rc == TSS2_RC_SUCCESS && i < found->data.handles.count; i++) {
		ESYS_TR handle = ESYS_TR_NONE; /* a sequence's has no public area, and stays */

		if (Esys_TR_FromTPMPublic(esys, found->data.handles.handle[i], ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &handle) == TSS2_RC_SUCCESS)
			Esys_FlushContext(esys, handle);
	}
	Esys_Free(found);
	return rc;
}
