/* Sealing to the host's TPM, through tpm2-tss' Esys. */
#include "dom0-relay/host_seal.h"

#include <stdio.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include "common/error.h"
#include "common/secret.h"
#include "dom0-relay/host_tpm_esys.h"

#define NONE ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE /* no sessions */
#define PASSWORD ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE

/* A storage key: restricted, decrypts for its TPM only. */
static const TPM2B_PUBLIC parent_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA,
		.parameters.eccDetail = {
			.symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB},
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc.x = {.size = 16, .buffer = "xen-vtpm/seal/v1"}, /* a key of its own */
	},
};

static TSS2_RC make_parent(struct host_tpm *tpm, ESYS_TR *handle)
{
	return host_tpm_make_primary(tpm, ESYS_TR_RH_OWNER, &parent_template, handle, NULL);
}

/* A policy session (or one that only computes the policy) that has seen the PCRs as they are now. */
static TSS2_RC start_policy(struct host_tpm *tpm, TPM2_SE kind, uint32_t pcrs, ESYS_TR *session)
{
	static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
	static const TPM2B_DIGEST present; /* empty: whatever they are */
	const TPML_PCR_SELECTION selection = {
		.count = 1,
		.pcrSelections[0] = {.hash = TPM2_ALG_SHA256, .sizeofSelect = 3,
				     .pcrSelect = {pcrs & 0xff, pcrs >> 8 & 0xff, pcrs >> 16 & 0xff}}};
	TSS2_RC rc = Esys_StartAuthSession(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, NONE, NULL, kind, &none, TPM2_ALG_SHA256, session);

	return rc == TSS2_RC_SUCCESS ? Esys_PolicyPCR(tpm->esys, *session, NONE, &present, &selection) : rc;
}

static TSS2_RC policy_now(struct host_tpm *tpm, uint32_t pcrs, TPM2B_DIGEST *policy)
{
	ESYS_TR session = ESYS_TR_NONE;
	TPM2B_DIGEST *digest = NULL;
	TSS2_RC rc = start_policy(tpm, TPM2_SE_TRIAL, pcrs, &session);

	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_PolicyGetDigest(tpm->esys, session, NONE, &digest);
	if (rc == TSS2_RC_SUCCESS)
		*policy = *digest;
	Esys_Free(digest);
	host_tpm_flush(tpm, &session);
	return rc;
}

static TSS2_RC create(struct host_tpm *tpm, ESYS_TR parent, const TPM2B_DIGEST *policy, const struct secret *data, uint8_t *out, size_t *n)
{
	static const TPML_PCR_SELECTION pcrs;
	static const TPM2B_DATA outside;
	const TPM2B_PUBLIC template = {
		.publicArea = {.type = TPM2_ALG_KEYEDHASH, .nameAlg = TPM2_ALG_SHA256, .authPolicy = *policy,
			       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA,
			       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = (UINT16)data->size};
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	TSS2_RC rc;

	memcpy(sensitive.sensitive.data.buffer, data->data, data->size);
	rc = Esys_Create(tpm->esys, parent, PASSWORD, &sensitive, &template, &outside, &pcrs, &private, &public, NULL, NULL, NULL);
	wipe(&sensitive, sizeof(sensitive));
	*n = 0;
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_PRIVATE_Marshal(private, out, HOST_SEALED_MAX, n);
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPM2B_PUBLIC_Marshal(public, out, HOST_SEALED_MAX, n);
	Esys_Free(private);
	Esys_Free(public);
	return rc;
}

int host_seal(struct host_tpm *tpm, uint32_t pcrs, const struct secret *data, uint8_t out[HOST_SEALED_MAX], char why[HOST_TPM_WHY])
{
	ESYS_TR parent = ESYS_TR_NONE;
	TPM2B_DIGEST policy;
	size_t n = 0;
	TSS2_RC rc;

	if (data->size > 64)
		return E_RANGE;
	rc = policy_now(tpm, pcrs, &policy);
	if (rc == TSS2_RC_SUCCESS)
		rc = make_parent(tpm, &parent);
	if (rc == TSS2_RC_SUCCESS)
		rc = create(tpm, parent, &policy, data, out, &n);
	host_tpm_flush(tpm, &parent);
	return rc == TSS2_RC_SUCCESS ? (int)n : host_tpm_complain(why, "can't seal (is the owner hierarchy's authorisation empty?)", rc);
}

static TSS2_RC unseal(struct host_tpm *tpm, ESYS_TR object, uint32_t pcrs, TPM2B_SENSITIVE_DATA **out)
{
	ESYS_TR session = ESYS_TR_NONE;
	TSS2_RC rc = start_policy(tpm, TPM2_SE_POLICY, pcrs, &session);

	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Unseal(tpm->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, out);
	host_tpm_flush(tpm, &session);
	return rc;
}

int host_unseal(struct host_tpm *tpm, uint32_t pcrs, struct view sealed, struct secret **data, char why[HOST_TPM_WHY])
{
	ESYS_TR parent = ESYS_TR_NONE, object = ESYS_TR_NONE;
	TPM2B_SENSITIVE_DATA *found = NULL;
	TPM2B_PRIVATE private = {0};
	TPM2B_PUBLIC public = {0};
	size_t at = 0;
	int r = 0;
	TSS2_RC rc;

	*data = NULL;
	if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(sealed.p, sealed.n, &at, &private) != TSS2_RC_SUCCESS ||
	    Tss2_MU_TPM2B_PUBLIC_Unmarshal(sealed.p, sealed.n, &at, &public) != TSS2_RC_SUCCESS || at != sealed.n)
		return E_FORMAT;
	rc = make_parent(tpm, &parent);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Load(tpm->esys, parent, PASSWORD, &private, &public, &object);
	if (rc == TSS2_RC_SUCCESS)
		rc = unseal(tpm, object, pcrs, &found);
	if (rc == (TPM2_RC_POLICY_FAIL | TPM2_RC_S | TPM2_RC_1)) {
		snprintf(why, HOST_TPM_WHY, "host TPM: this host was booted otherwise than when the copy was sealed");
		r = E_TPM;
	} else if (rc != TSS2_RC_SUCCESS) {
		r = host_tpm_complain(why, "can't open a sealed copy", rc);
	} else if (!(*data = secret_dup(found->buffer, found->size))) {
		r = E_NOMEM;
	}
	if (found)
		wipe(found, sizeof(*found));
	Esys_Free(found);
	host_tpm_flush(tpm, &object);
	host_tpm_flush(tpm, &parent);
	return r;
}
