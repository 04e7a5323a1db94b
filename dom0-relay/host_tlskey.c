/* The host's TLS key in its TPM, through tpm2-tss' Esys. */
#include "dom0-relay/host_tlskey.h"

#include <string.h>

#include <tss2/tss2_mu.h>

#include "common/error.h"
#include "dom0-relay/host_identity.h"
#include "dom0-relay/host_tpm_esys.h"

#define PASSWORD ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE

static const TPM2B_PUBLIC tls_template = {
	.publicArea = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
				    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_NODA,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc.x = {.size = 15, .buffer = "xen-vtpm/tls/v1"}, /* a key of its own */
	},
};

static TSS2_RC make(struct host_tpm *tpm, ESYS_TR *handle, TPM2B_PUBLIC **public)
{
	return host_tpm_make_primary(tpm, ESYS_TR_RH_ENDORSEMENT, &tls_template, handle, public);
}

int host_tlskey_read(struct host_tpm *tpm, struct host_tlskey *key, char why[HOST_TPM_WHY])
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPM2B_PUBLIC *public = NULL;
	TSS2_RC rc = make(tpm, &handle, &public);
	const TPMS_ECC_POINT *point;
	int n = 0;

	memset(key, 0, sizeof(*key));
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPMT_PUBLIC_Marshal(&public->publicArea, key->area, sizeof(key->area), &key->area_size);
	if (rc == TSS2_RC_SUCCESS) {
		point = &public->publicArea.unique.ecc;
		n = eckey_spki_of(view_of(point->x.buffer, point->x.size), view_of(point->y.buffer, point->y.size), key->spki);
		key->spki_size = n > 0 ? (size_t)n : 0;
	}
	Esys_Free(public);
	host_tpm_flush(tpm, &handle);
	if (rc != TSS2_RC_SUCCESS)
		return host_tpm_complain(why, "can't make the TLS key", rc);
	return n > 0 ? 0 : n;
}

int host_tlskey_sign(struct host_tpm *tpm, const uint8_t digest[32], uint8_t signature[ECKEY_SIGNATURE_MAX], char why[HOST_TPM_WHY])
{
	static const TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
	const TPMT_SIG_SCHEME own = {.scheme = TPM2_ALG_NULL};
	TPM2B_DIGEST d = {.size = 32};
	ESYS_TR handle = ESYS_TR_NONE;
	TPMT_SIGNATURE *s = NULL;
	TSS2_RC rc = make(tpm, &handle, NULL);
	int n = E_CRYPTO;

	memcpy(d.buffer, digest, 32);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Sign(tpm->esys, handle, PASSWORD, &d, &own, &ticket, &s);
	if (rc == TSS2_RC_SUCCESS)
		n = eckey_signature_of(view_of(s->signature.ecdsa.signatureR.buffer, s->signature.ecdsa.signatureR.size),
				       view_of(s->signature.ecdsa.signatureS.buffer, s->signature.ecdsa.signatureS.size), signature);
	Esys_Free(s);
	host_tpm_flush(tpm, &handle);
	return rc == TSS2_RC_SUCCESS ? n : host_tpm_complain(why, "can't sign with the TLS key", rc);
}

int host_tlskey_certify(struct host_tpm *tpm, const uint8_t qualifying[32], struct host_certified *c, char why[HOST_TPM_WHY])
{
	const TPMT_SIG_SCHEME own = {.scheme = TPM2_ALG_NULL};
	ESYS_TR key = ESYS_TR_NONE, ak = ESYS_TR_NONE;
	TPM2B_DATA data = {.size = 32};
	TPMT_SIGNATURE *signature = NULL;
	TPM2B_ATTEST *attest = NULL;
	TSS2_RC rc = make(tpm, &key, NULL);

	memset(c, 0, sizeof(*c));
	memcpy(data.buffer, qualifying, 32);
	if (rc == TSS2_RC_SUCCESS)
		rc = host_identity_make_ak(tpm, &ak);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Certify(tpm->esys, key, ak, ESYS_TR_PASSWORD, ESYS_TR_PASSWORD, ESYS_TR_NONE, &data, &own, &attest, &signature);
	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_MU_TPMT_SIGNATURE_Marshal(signature, c->signature, sizeof(c->signature), &c->signature_size);
	if (rc == TSS2_RC_SUCCESS && attest->size > sizeof(c->attest))
		rc = TPM2_RC_SIZE;
	if (rc == TSS2_RC_SUCCESS)
		memcpy(c->attest, attest->attestationData, c->attest_size = attest->size);
	Esys_Free(attest);
	Esys_Free(signature);
	host_tpm_flush(tpm, &ak);
	host_tpm_flush(tpm, &key);
	return rc == TSS2_RC_SUCCESS ? 0 : host_tpm_complain(why, "TPM2_Certify of the TLS key", rc);
}
