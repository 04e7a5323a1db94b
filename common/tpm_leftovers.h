/* What a program that was killed has left in a TPM (tss2). */
#ifndef COMMON_TPM_LEFTOVERS_H
#define COMMON_TPM_LEFTOVERS_H

#include <tss2/tss2_esys.h>

#define TPM_LEFTOVERS_OBJECTS ((UINT32)TPM2_HT_TRANSIENT << 24) /* the library's own TPM2_TRANSIENT_FIRST shifts an int out of its range */
#define TPM_LEFTOVERS_SESSIONS ((UINT32)TPM2_LOADED_SESSION_FIRST)

/**
 * tpm_leftovers_flush() - flush all handles of one kind, from @first on
 *
 * For a TPM without resource manager, which nobody else may use at the same time. Behind one (/dev/tpmrm0) everybody sees only their own, and there is
 * nothing.
 */
TSS2_RC tpm_leftovers_flush(ESYS_CONTEXT *esys, UINT32 first);

#endif
