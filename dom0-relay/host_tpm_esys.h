/* The host TPM's insides, shared by the files that see tss2: host_tpm.c and host_identity.c. */
#ifndef DOM0_RELAY_HOST_TPM_ESYS_H
#define DOM0_RELAY_HOST_TPM_ESYS_H

#include <tss2/tss2_esys.h>

struct host_tpm {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
};

/** host_tpm_complain() - what failed and the TPM's words for it into @why, HOST_TPM_WHY bytes. Return: E_TPM. */
int host_tpm_complain(char *why, const char *what, TSS2_RC rc);

/** host_identity_make_ak() - load the attestation key of host_identity.h; the caller flushes it. */
TSS2_RC host_identity_make_ak(struct host_tpm *tpm, ESYS_TR *handle);

#endif
