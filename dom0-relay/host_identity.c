/* Who a host is, through tpm2-tss' Esys. */
#include "dom0-relay/host_identity.h"

#include <stdio.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include "common/error.h"
#include "common/secret.h"
#include "dom0-relay/host_tpm_esys.h"

#define NONE ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE /* no sessions */
#define PASSWORD ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE
#define READS_MAX 8 /* of PCRs that change while they are read */

/* TCG EK Credential Profile 2.4, B.3: where a TPM's maker put the certificates. */
#define NV_RSA_CERTIFICATE 0x01c00002
#define NV_ECC_CERTIFICATE 0x01c0000a

#define EK_ATTRIBUTES                                                                                                              \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_ADMINWITHPOLICY |          \
	 TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT)
/* PolicySecret(endorsement hierarchy) */
#define EK_POLICY                                                                                                                  \
	{.size = 32, .buffer = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,    \
				0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa}}
#define AES128 {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB}

/* B.3.3, template L-1 */
static const TPM2B_PUBLIC ek_rsa = {
	.publicArea = {
		.type = TPM2_ALG_RSA, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = EK_ATTRIBUTES, .authPolicy = EK_POLICY,
		.parameters.rsaDetail = {.symmetric = AES128, .scheme.scheme = TPM2_ALG_NULL, .keyBits = 2048},
		.unique.rsa.size = 256,
	},
};

/* B.3.4, template L-2 */
static const TPM2B_PUBLIC ek_ecc = {
	.publicArea = {
		.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = EK_ATTRIBUTES, .authPolicy = EK_POLICY,
		.parameters.eccDetail = {.symmetric = AES128, .scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
					 .kdf.scheme = TPM2_ALG_NULL},
		.unique.ecc = {.x.size = 32, .y.size = 32},
	},
};

/* Restricted: it signs what its TPM made, and no message that anybody brings. */
static const TPM2B_PUBLIC ak_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_NODA,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc.x = {.size = 14, .buffer = "xen-vtpm/ak/v1"}, /* a key of its own */
	},
};

/* A primary of the endorsement hierarchy; its public area too, if @area is given. */
static TSS2_RC make_primary(struct host_tpm *tpm, const TPM2B_PUBLIC *template, ESYS_TR *handle, uint8_t *area, size_t cap, size_t *size)
{
	TPM2B_PUBLIC *public = NULL;
	TSS2_RC rc = host_tpm_make_primary(tpm, ESYS_TR_RH_ENDORSEMENT, template, handle, &public);

	if (rc == TSS2_RC_SUCCESS && area) {
		*size = 0;
		rc = Tss2_MU_TPMT_PUBLIC_Marshal(&public->publicArea, area, cap, size);
	}
	Esys_Free(public);
	if (rc != TSS2_RC_SUCCESS)
		host_tpm_flush(tpm, handle);
	return rc;
}

TSS2_RC host_identity_make_ak(struct host_tpm *tpm, ESYS_TR *handle)
{
	return make_primary(tpm, &ak_template, handle, NULL, 0, NULL);
}

static TSS2_RC read_nv(struct host_tpm *tpm, ESYS_TR index, uint8_t *out, size_t size)
{
	TSS2_RC rc = TSS2_RC_SUCCESS;

	for (size_t at = 0; rc == TSS2_RC_SUCCESS && at < size;) {
		UINT16 n = (UINT16)(size - at < 512 ? size - at : 512);
		TPM2B_MAX_NV_BUFFER *data = NULL;

		rc = Esys_NV_Read(tpm->esys, index, index, PASSWORD, n, (UINT16)at, &data);
		if (rc == TSS2_RC_SUCCESS && data->size == n)
			memcpy(out + at, data->buffer, n);
		else if (rc == TSS2_RC_SUCCESS)
			rc = TPM2_RC_FAILURE;
		Esys_Free(data);
		at += n;
	}
	return rc;
}

/* The bytes of the certificate itself, which an index may have padding behind; 0: it holds none. */
static size_t der_size(const uint8_t *p, size_t n)
{
	size_t size = n >= 4 && p[0] == 0x30 && p[1] == 0x82 ? 4 + ((size_t)p[2] << 8 | p[3]) : 0;

	return size <= n ? size : 0;
}

/* 0 bytes if there is no such index, or one that is not what it should be. */
static size_t read_certificate(struct host_tpm *tpm, UINT32 index, uint8_t out[HOST_IDENTITY_CERT_MAX])
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPM2B_NV_PUBLIC *public = NULL;
	size_t n = 0;
	TSS2_RC rc = Esys_TR_FromTPMPublic(tpm->esys, index, NONE, &handle);

	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_NV_ReadPublic(tpm->esys, handle, NONE, &public, NULL);
	if (rc == TSS2_RC_SUCCESS && public->nvPublic.dataSize <= HOST_IDENTITY_CERT_MAX)
		n = public->nvPublic.dataSize;
	if (n && read_nv(tpm, handle, out, n) != TSS2_RC_SUCCESS)
		n = 0;
	Esys_Free(public);
	if (handle != ESYS_TR_NONE)
		Esys_TR_Close(tpm->esys, &handle);
	return der_size(out, n);
}

static TSS2_RC make_ek(struct host_tpm *tpm, struct host_identity *id, ESYS_TR *handle)
{
	return make_primary(tpm, id->is_ecc ? &ek_ecc : &ek_rsa, handle, id->ek, sizeof(id->ek), &id->ek_size);
}

int host_identity_read(struct host_tpm *tpm, struct host_identity *id, char why[HOST_TPM_WHY])
{
	ESYS_TR handle = ESYS_TR_NONE;
	TSS2_RC rc;

	memset(id, 0, sizeof(*id));
	id->certificate_size = read_certificate(tpm, NV_RSA_CERTIFICATE, id->certificate);
	if (!id->certificate_size) {
		id->certificate_size = read_certificate(tpm, NV_ECC_CERTIFICATE, id->certificate);
		id->is_ecc = id->certificate_size != 0;
	}
	rc = make_ek(tpm, id, &handle);
	if (rc != TSS2_RC_SUCCESS && !id->certificate_size) {
		id->is_ecc = true;
		rc = make_ek(tpm, id, &handle);
	}
	host_tpm_flush(tpm, &handle);
	if (rc != TSS2_RC_SUCCESS)
		return host_tpm_complain(why, "can't make the endorsement key (is the endorsement hierarchy's authorisation empty?)", rc);
	rc = make_primary(tpm, &ak_template, &handle, id->ak, sizeof(id->ak), &id->ak_size);
	host_tpm_flush(tpm, &handle);
	return rc == TSS2_RC_SUCCESS ? 0 : host_tpm_complain(why, "can't make the attestation key", rc);
}

/* A session that satisfies the endorsement key's policy. */
static TSS2_RC start_policy(struct host_tpm *tpm, ESYS_TR *session)
{
	static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
	TSS2_RC rc = Esys_StartAuthSession(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, NONE, NULL, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, session);

	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_PolicySecret(tpm->esys, ESYS_TR_RH_ENDORSEMENT, *session, PASSWORD, NULL, NULL, NULL, 0, NULL, NULL);
	return rc;
}

static int read_challenge(struct view blob, struct view secret, TPM2B_ID_OBJECT *b, TPM2B_ENCRYPTED_SECRET *s)
{
	size_t at = 0, at_secret = 0;

	return Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(blob.p, blob.n, &at, b) == TSS2_RC_SUCCESS && at == blob.n &&
	       Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret.p, secret.n, &at_secret, s) == TSS2_RC_SUCCESS && at_secret == secret.n
		       ? 0 : E_FORMAT;
}

int host_identity_activate(struct host_tpm *tpm, const struct host_identity *id, struct view blob, struct view secret, struct secret **answer,
			   char why[HOST_TPM_WHY])
{
	ESYS_TR ek = ESYS_TR_NONE, ak = ESYS_TR_NONE, session = ESYS_TR_NONE;
	TPM2B_ENCRYPTED_SECRET s = {0};
	TPM2B_DIGEST *found = NULL;
	TPM2B_ID_OBJECT b = {0};
	TSS2_RC rc;
	int r = 0;

	*answer = NULL;
	if (read_challenge(blob, secret, &b, &s) != 0) {
		snprintf(why, HOST_TPM_WHY, "the KMC's challenge can't be read");
		return E_FORMAT;
	}
	rc = make_primary(tpm, id->is_ecc ? &ek_ecc : &ek_rsa, &ek, NULL, 0, NULL);
	if (rc == TSS2_RC_SUCCESS)
		rc = make_primary(tpm, &ak_template, &ak, NULL, 0, NULL);
	if (rc == TSS2_RC_SUCCESS)
		rc = start_policy(tpm, &session);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_ActivateCredential(tpm->esys, ak, ek, ESYS_TR_PASSWORD, session, ESYS_TR_NONE, &b, &s, &found);
	if (rc != TSS2_RC_SUCCESS)
		r = host_tpm_complain(why, "TPM2_ActivateCredential", rc);
	else if (!(*answer = secret_dup(found->buffer, found->size)))
		r = E_NOMEM;
	if (found)
		wipe(found, sizeof(*found));
	Esys_Free(found);
	host_tpm_flush(tpm, &session);
	host_tpm_flush(tpm, &ak);
	host_tpm_flush(tpm, &ek);
	return r;
}

static TPML_PCR_SELECTION selection_of(uint32_t pcrs)
{
	return (TPML_PCR_SELECTION){
		.count = 1,
		.pcrSelections[0] = {.hash = TPM2_ALG_SHA256, .sizeofSelect = 3,
				     .pcrSelect = {pcrs & 0xff, pcrs >> 8 & 0xff, pcrs >> 16 & 0xff}}};
}

/* TPM2_PCR_Read gives up to eight at a time, and says which. */
static TSS2_RC read_pcrs(struct host_tpm *tpm, uint32_t pcrs, struct host_quote *q)
{
	TSS2_RC rc = TSS2_RC_SUCCESS;

	q->values_size = 0;
	while (rc == TSS2_RC_SUCCESS && pcrs) {
		const TPML_PCR_SELECTION wanted = selection_of(pcrs);
		TPML_PCR_SELECTION *got = NULL;
		TPML_DIGEST *values = NULL;
		uint32_t mask = 0;

		rc = Esys_PCR_Read(tpm->esys, NONE, &wanted, NULL, &got, &values);
		if (rc == TSS2_RC_SUCCESS && got->count == 1 && got->pcrSelections[0].sizeofSelect >= 3)
			mask = got->pcrSelections[0].pcrSelect[0] | (uint32_t)got->pcrSelections[0].pcrSelect[1] << 8 |
			       (uint32_t)got->pcrSelections[0].pcrSelect[2] << 16;
		if (rc == TSS2_RC_SUCCESS && (!mask || (mask & ~pcrs) || values->count != (UINT32)__builtin_popcount(mask)))
			rc = TPM2_RC_FAILURE; /* there is no SHA-256 bank, or it is not all there */
		for (UINT32 i = 0; rc == TSS2_RC_SUCCESS && i < values->count; i++, q->values_size += 32)
			memcpy(q->values + q->values_size, values->digests[i].buffer, 32);
		pcrs &= ~mask;
		Esys_Free(got);
		Esys_Free(values);
	}
	return rc;
}

static TSS2_RC sign_pcrs(struct host_tpm *tpm, ESYS_TR ak, const uint8_t qualifying[32], uint32_t pcrs, struct host_quote *q)
{
	const TPML_PCR_SELECTION selection = selection_of(pcrs);
	const TPMT_SIG_SCHEME own = {.scheme = TPM2_ALG_NULL};
	TPM2B_DATA data = {.size = 32};
	TPMT_SIGNATURE *signature = NULL;
	TPM2B_ATTEST *attest = NULL;
	TSS2_RC rc;

	memcpy(data.buffer, qualifying, 32);
	rc = Esys_Quote(tpm->esys, ak, PASSWORD, &data, &own, &selection, &attest, &signature);
	q->signature_size = 0;
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, q->signature, sizeof(q->signature), &q->signature_size);
	if (rc == TSS2_RC_SUCCESS && attest->size > sizeof(q->attest))
		rc = TPM2_RC_SIZE;
	if (rc == TSS2_RC_SUCCESS)
		memcpy(q->attest, attest->attestationData, q->attest_size = attest->size);
	Esys_Free(attest);
	Esys_Free(signature);
	return rc;
}

/* Values that changed between reading and signing would not match: read them before and after. */
static TSS2_RC sign_steady(struct host_tpm *tpm, ESYS_TR ak, const uint8_t qualifying[32], uint32_t pcrs, struct host_quote *q)
{
	uint8_t before[sizeof(q->values)];
	TSS2_RC rc = read_pcrs(tpm, pcrs, q);

	for (int i = 0; rc == TSS2_RC_SUCCESS && i < READS_MAX; i++) {
		memcpy(before, q->values, sizeof(before));
		rc = sign_pcrs(tpm, ak, qualifying, pcrs, q);
		if (rc == TSS2_RC_SUCCESS)
			rc = read_pcrs(tpm, pcrs, q);
		if (rc == TSS2_RC_SUCCESS && memcmp(before, q->values, q->values_size) == 0)
			return rc;
	}
	return rc == TSS2_RC_SUCCESS ? TPM2_RC_PCR_CHANGED : rc;
}

int host_identity_quote(struct host_tpm *tpm, const uint8_t qualifying[32], uint32_t pcrs, struct host_quote *q, char why[HOST_TPM_WHY])
{
	ESYS_TR ak = ESYS_TR_NONE;
	TSS2_RC rc;

	memset(q, 0, sizeof(*q));
	rc = make_primary(tpm, &ak_template, &ak, NULL, 0, NULL);
	if (rc != TSS2_RC_SUCCESS)
		return host_tpm_complain(why, "can't make the attestation key", rc);
	rc = sign_steady(tpm, ak, qualifying, pcrs, q);
	host_tpm_flush(tpm, &ak);
	return rc == TSS2_RC_SUCCESS ? 0 : host_tpm_complain(why, "TPM2_Quote", rc);
}
