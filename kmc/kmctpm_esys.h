/* The KMC's TPM from inside, shared by the files that see tss2: kmctpm.c and kmctpm_move.c. */
#ifndef KMC_KMCTPM_ESYS_H
#define KMC_KMCTPM_ESYS_H

#include <tss2/tss2_esys.h>

struct kmctpm_authority;
struct kmctpm_blob;

#define KMCTPM_REFERENCE "xen-vtpm/duplicate" /* the policyRef of the parent's PolicyAuthorize, without its NUL */
#define KMCTPM_NAME_SIZE 34		       /* of a SHA-256 name */

struct kmctpm {
	TSS2_TCTI_CONTEXT *tcti;
	ESYS_CONTEXT *esys;
	ESYS_TR primary; /* ESYS_TR_NONE once the parent is loaded */
	ESYS_TR parent, session, hmac_key;
};

/* @why has KMCTPM_WHY bytes everywhere here. */

/** kmctpm_complain() - what failed and the TPM's words for it into @why. Return: E_TPM. */
int kmctpm_complain(char *why, const char *what, TSS2_RC rc);

/** kmctpm_make_primary() - make and load the storage primary; its public area too, if @public is given (Esys_Free()). */
TSS2_RC kmctpm_make_primary(struct kmctpm *t, TPM2B_PUBLIC **public);

/** kmctpm_protect() - say for the next command which of its first parameters are encrypted: TPMA_SESSION_... */
TSS2_RC kmctpm_protect(struct kmctpm *t, TPMA_SESSION directions);

/** kmctpm_flush() - unload *@handle, if there is one. */
void kmctpm_flush(struct kmctpm *t, ESYS_TR *handle);

/** kmctpm_pack() - an object as it is kept outside; 0 or E_RANGE. */
int kmctpm_pack(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private, struct kmctpm_blob *out);

/** kmctpm_load() - and back, below @parent. 0, E_FORMAT or E_TPM with @why. */
int kmctpm_load(struct kmctpm *t, ESYS_TR parent, const struct kmctpm_blob *blob, ESYS_TR *handle, char *why);

/** kmctpm_sha256() - of @a and @b in a row; 0 or E_CRYPTO. */
int kmctpm_sha256(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t digest[32]);

/** kmctpm_authority_public() - the authority's key as TPM2_LoadExternal() gets it. */
TPMT_PUBLIC kmctpm_authority_public(const struct kmctpm_authority *a);

/** kmctpm_name() - nameAlg || SHA-256(TPMT_PUBLIC); 0 or E_CRYPTO. */
int kmctpm_name(const TPMT_PUBLIC *public, uint8_t name[KMCTPM_NAME_SIZE]);

#endif
