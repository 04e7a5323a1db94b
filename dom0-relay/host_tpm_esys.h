/* The host TPM's insides, shared by the files that see tss2: host_tpm.c, host_seal.c, host_identity.c and host_tlskey.c. */
#ifndef DOM0_RELAY_HOST_TPM_ESYS_H
#define DOM0_RELAY_HOST_TPM_ESYS_H

#include <tss2/tss2_esys.h>

#include "common/kmcmsg.h"

/*
 * The KMC's key stays loaded from one open to the next. Behind a resource manager each command saves and reloads what its program has
 * loaded, so TPM2_LoadExternal and TPM2_FlushContext cost an open more than what they are for. It makes room for other keys.
 */
struct host_tpm {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR kmc_key; /* ESYS_TR_NONE: not loaded */
	uint8_t modulus[KMC_RSA_MAX]; /* its */
	size_t modulus_size;
	uint32_t exponent;
};

/** host_tpm_complain() - what failed and the TPM's words for it into @why, HOST_TPM_WHY bytes. Return: E_TPM. */
int host_tpm_complain(char *why, const char *what, TSS2_RC rc);

/** host_tpm_make_primary() - a primary object by @template; @public: its public area, for Esys_Free(), or NULL. The caller flushes @handle. */
TSS2_RC host_tpm_make_primary(struct host_tpm *tpm, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, ESYS_TR *handle, TPM2B_PUBLIC **public);

/** host_tpm_flush() - what @handle names leaves the TPM; nothing if it is ESYS_TR_NONE, which it is afterwards. */
void host_tpm_flush(struct host_tpm *tpm, ESYS_TR *handle);

/** host_identity_make_ak() - load the attestation key of host_identity.h; the caller flushes it. */
TSS2_RC host_identity_make_ak(struct host_tpm *tpm, ESYS_TR *handle);

#endif
