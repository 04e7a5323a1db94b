/* The KMC's own TPM, through tpm2-tss' Esys. */
#include "kmc/kmctpm.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "common/tpm_leftovers.h"
#include "kmc/kmctpm_esys.h"

#define NONE ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE /* no sessions */


int kmctpm_complain(char *why, const char *what, TSS2_RC rc)
{
	snprintf(why, KMCTPM_WHY, "the KMC's TPM: %s: %s", what, Tss2_RC_Decode(rc));
	return E_TPM;
}

/* The storage primary: the TCG's default ECC template, so that any tool can find it. */
TSS2_RC kmctpm_make_primary(struct kmctpm *t, TPM2B_PUBLIC **public)
{
	static const TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
			.parameters.eccDetail = {
				.symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB},
				.scheme.scheme = TPM2_ALG_NULL,
				.curveID = TPM2_ECC_NIST_P256,
				.kdf.scheme = TPM2_ALG_NULL,
			},
			.unique.ecc = {.x.size = 32, .y.size = 32},
		},
	};
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPM2B_DATA outside;
	static const TPML_PCR_SELECTION pcrs;

	return Esys_CreatePrimary(t->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside,
				  &pcrs, &t->primary, public, NULL, NULL, NULL);
}

static TSS2_RC start_session(struct kmctpm *t)
{
	static const TPMT_SYM_DEF aes = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};

	return Esys_StartAuthSession(t->esys, t->primary, ESYS_TR_NONE, NONE, NULL, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256,
				     &t->session);
}

/* Say for the next command which of its first parameters are encrypted. */
TSS2_RC kmctpm_protect(struct kmctpm *t, TPMA_SESSION directions)
{
	return Esys_TRSess_SetAttributes(t->esys, t->session, TPMA_SESSION_CONTINUESESSION | directions, 0xff);
}

void kmctpm_flush(struct kmctpm *t, ESYS_TR *handle)
{
	if (*handle != ESYS_TR_NONE)
		Esys_FlushContext(t->esys, *handle);
	*handle = ESYS_TR_NONE;
}

int kmctpm_open(struct kmctpm **tpm, const char *tcti, char why[KMCTPM_WHY])
{
	struct kmctpm *t = calloc(1, sizeof(*t));
	TSS2_RC rc;
	int r = 0;

	*tpm = NULL;
	snprintf(why, KMCTPM_WHY, "out of memory");
	if (!t)
		return E_NOMEM;
	t->primary = t->parent = t->session = t->hmac_key = ESYS_TR_NONE;
	setenv("TSS2_LOG", "all+none", 0); /* errors come back to us: the library need not print them */
	rc = Tss2_TctiLdr_Initialize(tcti, &t->tcti);
	if (rc != TSS2_RC_SUCCESS)
		r = kmctpm_complain(why, tcti, rc);
	if (r == 0 && (rc = Esys_Initialize(&t->esys, t->tcti, NULL)) != TSS2_RC_SUCCESS)
		r = kmctpm_complain(why, "can't talk to it", rc);
	if (r == 0 && (rc = Esys_Startup(t->esys, TPM2_SU_CLEAR)) != TSS2_RC_SUCCESS && rc != TPM2_RC_INITIALIZE)
		r = kmctpm_complain(why, "TPM2_Startup", rc);
	if (r == 0 && ((rc = tpm_leftovers_flush(t->esys, TPM_LEFTOVERS_OBJECTS)) != TSS2_RC_SUCCESS ||
		       (rc = tpm_leftovers_flush(t->esys, TPM_LEFTOVERS_SESSIONS)) != TSS2_RC_SUCCESS))
		r = kmctpm_complain(why, "can't clear what an earlier run left", rc);
	if (r == 0 && (rc = kmctpm_make_primary(t, NULL)) != TSS2_RC_SUCCESS)
		r = kmctpm_complain(why, "can't make the storage primary (is the owner's authorisation empty?)", rc);
	if (r == 0 && (rc = start_session(t)) != TSS2_RC_SUCCESS)
		r = kmctpm_complain(why, "TPM2_StartAuthSession", rc);
	if (r != 0)
		kmctpm_close(&t);
	*tpm = t;
	return r;
}

void kmctpm_close(struct kmctpm **tpm)
{
	struct kmctpm *t = *tpm;

	if (!t)
		return;
	if (t->esys) {
		kmctpm_flush(t, &t->hmac_key);
		kmctpm_flush(t, &t->session);
		kmctpm_flush(t, &t->parent);
		kmctpm_flush(t, &t->primary);
	}
	Esys_Finalize(&t->esys);
	Tss2_TctiLdr_Finalize(&t->tcti);
	free(t);
	*tpm = NULL;
}

int kmctpm_pack(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *private, struct kmctpm_blob *out)
{
	out->size = 0;
	return Tss2_MU_TPM2B_PUBLIC_Marshal(public, out->data, sizeof(out->data), &out->size) == TSS2_RC_SUCCESS &&
	       Tss2_MU_TPM2B_PRIVATE_Marshal(private, out->data, sizeof(out->data), &out->size) == TSS2_RC_SUCCESS ? 0 : E_RANGE;
}

static int create(struct kmctpm *t, ESYS_TR parent, const TPM2B_SENSITIVE_CREATE *sensitive, const TPM2B_PUBLIC *template,
		  struct kmctpm_blob *out, char why[KMCTPM_WHY])
{
	static const TPM2B_DATA outside;
	static const TPML_PCR_SELECTION pcrs;
	TPM2B_PRIVATE *private = NULL;
	TPM2B_PUBLIC *public = NULL;
	TSS2_RC rc;
	int r = 0;

	rc = kmctpm_protect(t, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Create(t->esys, parent, t->session, ESYS_TR_NONE, ESYS_TR_NONE, sensitive, template, &outside, &pcrs, &private,
				 &public, NULL, NULL, NULL);
	if (rc != TSS2_RC_SUCCESS)
		r = kmctpm_complain(why, "TPM2_Create", rc);
	else if ((r = kmctpm_pack(public, private, out)) != 0)
		snprintf(why, KMCTPM_WHY, "the KMC's TPM: it made an object that is too large to keep");
	Esys_Free(private);
	Esys_Free(public);
	return r;
}

/* What may leave this TPM, and only encrypted: neither fixedTPM nor fixedParent, if the policy is met. */
int kmctpm_make_parent(struct kmctpm *tpm, const struct kmctpm_authority *authority, struct kmctpm_blob *out, char why[KMCTPM_WHY])
{
	static const TPM2B_SENSITIVE_CREATE sensitive;
	TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
					    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_ENCRYPTEDDUPLICATION,
			.authPolicy.size = 32,
			.parameters.eccDetail = {
				.symmetric = {.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB},
				.scheme.scheme = TPM2_ALG_NULL,
				.curveID = TPM2_ECC_NIST_P256,
				.kdf.scheme = TPM2_ALG_NULL,
			},
		},
	};
	int r = kmctpm_authority_policy(authority, template.publicArea.authPolicy.buffer);

	if (r != 0) {
		snprintf(why, KMCTPM_WHY, "can't compute the parent's policy: %s", error_text(r));
		return r;
	}
	return create(tpm, tpm->primary, &sensitive, &template, out, why);
}

/* Children of a parent that may be duplicated: fixed to it, and its encryptedDuplication is theirs. */
#define CHILD (TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_ENCRYPTEDDUPLICATION | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA)

int kmctpm_make_hmac_key(struct kmctpm *tpm, struct kmctpm_blob *out, char why[KMCTPM_WHY])
{
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = CHILD | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_SENSITIVEDATAORIGIN,
			.parameters.keyedHashDetail.scheme = {.scheme = TPM2_ALG_HMAC, .details.hmac.hashAlg = TPM2_ALG_SHA256},
		},
	};

	return create(tpm, tpm->parent, &sensitive, &template, out, why);
}

int kmctpm_seal(struct kmctpm *tpm, const struct secret *data, struct kmctpm_blob *out, char why[KMCTPM_WHY])
{
	static const TPM2B_PUBLIC template = {
		.publicArea = {
			.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = CHILD,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL,
		},
	};
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = (UINT16)data->size};
	int r;

	if (data->size > 128) {
		snprintf(why, KMCTPM_WHY, "the KMC's TPM: can't seal %zu bytes", data->size);
		return E_ARG;
	}
	memcpy(sensitive.sensitive.data.buffer, data->data, data->size);
	r = create(tpm, tpm->parent, &sensitive, &template, out, why);
	wipe(&sensitive, sizeof(sensitive));
	return r;
}

int kmctpm_load(struct kmctpm *t, ESYS_TR parent, const struct kmctpm_blob *blob, ESYS_TR *handle, char *why)
{
	TPM2B_PUBLIC public = {0};
	TPM2B_PRIVATE private = {0};
	size_t at = 0;
	TSS2_RC rc;

	if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(blob->data, blob->size, &at, &public) != TSS2_RC_SUCCESS ||
	    Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob->data, blob->size, &at, &private) != TSS2_RC_SUCCESS || at != blob->size) {
		snprintf(why, KMCTPM_WHY, "the KMC's TPM: what was kept of a key is damaged");
		return E_FORMAT;
	}
	rc = kmctpm_protect(t, 0);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Load(t->esys, parent, t->session, ESYS_TR_NONE, ESYS_TR_NONE, &private, &public, handle);
	return rc == TSS2_RC_SUCCESS ? 0 : kmctpm_complain(why,
		"it does not load its key (is it the TPM that 'kmcctl init' ran with, and was it not cleared?)", rc);
}

int kmctpm_load_parent(struct kmctpm *tpm, const struct kmctpm_blob *blob, char why[KMCTPM_WHY])
{
	int r;

	kmctpm_flush(tpm, &tpm->parent);
	r = kmctpm_load(tpm, tpm->primary, blob, &tpm->parent, why);
	if (r == 0)
		kmctpm_flush(tpm, &tpm->primary); /* a TPM has room for three keys, and it has done its duty */
	return r;
}

int kmctpm_load_hmac_key(struct kmctpm *tpm, const struct kmctpm_blob *blob, char why[KMCTPM_WHY])
{
	kmctpm_flush(tpm, &tpm->hmac_key);
	return kmctpm_load(tpm, tpm->parent, blob, &tpm->hmac_key, why);
}

int kmctpm_hmac(struct kmctpm *tpm, struct view message, struct secret **mac, char why[KMCTPM_WHY])
{
	TPM2B_MAX_BUFFER in = {.size = (UINT16)message.n};
	TPM2B_DIGEST *out = NULL;
	TSS2_RC rc;
	int r = E_TPM;

	*mac = NULL;
	if (message.n > sizeof(in.buffer) || tpm->hmac_key == ESYS_TR_NONE) {
		snprintf(why, KMCTPM_WHY, "the KMC's TPM: no key, or the message is too long");
		return E_ARG;
	}
	memcpy(in.buffer, message.p, message.n);
	rc = kmctpm_protect(tpm, TPMA_SESSION_ENCRYPT | TPMA_SESSION_DECRYPT);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_HMAC(tpm->esys, tpm->hmac_key, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &in, TPM2_ALG_SHA256, &out);
	if (rc != TSS2_RC_SUCCESS)
		return kmctpm_complain(why, "TPM2_HMAC", rc);
	if (out->size != KMCTPM_MAC_SIZE)
		snprintf(why, KMCTPM_WHY, "the KMC's TPM: TPM2_HMAC gave %u bytes", out->size);
	else if (!(*mac = secret_dup(out->buffer, out->size)))
		r = E_NOMEM;
	else
		r = 0;
	wipe(out, sizeof(*out));
	Esys_Free(out);
	return r;
}

int kmctpm_unseal(struct kmctpm *tpm, const struct kmctpm_blob *blob, struct secret **data, char why[KMCTPM_WHY])
{
	TPM2B_SENSITIVE_DATA *out = NULL;
	ESYS_TR handle = ESYS_TR_NONE;
	TSS2_RC rc;
	int r;

	*data = NULL;
	r = kmctpm_load(tpm, tpm->parent, blob, &handle, why);
	if (r != 0)
		return r;
	rc = kmctpm_protect(tpm, TPMA_SESSION_ENCRYPT);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_Unseal(tpm->esys, handle, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &out);
	kmctpm_flush(tpm, &handle);
	if (rc != TSS2_RC_SUCCESS)
		return kmctpm_complain(why, "TPM2_Unseal", rc);
	*data = secret_dup(out->buffer, out->size);
	wipe(out, sizeof(*out));
	Esys_Free(out);
	if (!*data)
		snprintf(why, KMCTPM_WHY, "no memory for the unsealed key");
	return *data ? 0 : E_NOMEM;
}

static int read_ek(struct view ek, TPM2B_PUBLIC *public)
{
	size_t at = 0;

	return Tss2_MU_TPMT_PUBLIC_Unmarshal(ek.p, ek.n, &at, &public->publicArea) == TSS2_RC_SUCCESS && at == ek.n ? 0 : E_FORMAT;
}

static int pack_credential(const TPM2B_ID_OBJECT *blob, const TPM2B_ENCRYPTED_SECRET *secret, struct kmctpm_credential *out)
{
	out->blob_size = out->secret_size = 0;
	return Tss2_MU_TPM2B_ID_OBJECT_Marshal(blob, out->blob, sizeof(out->blob), &out->blob_size) == TSS2_RC_SUCCESS &&
	       Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal(secret, out->secret, sizeof(out->secret), &out->secret_size) == TSS2_RC_SUCCESS ? 0 : E_RANGE;
}

int kmctpm_make_credential(struct kmctpm *tpm, struct view ek, struct view name, const struct secret *value, struct kmctpm_credential *out,
			   char why[KMCTPM_WHY])
{
	TPM2B_DIGEST credential = {.size = (UINT16)value->size};
	TPM2B_NAME object = {.size = (UINT16)name.n};
	TPM2B_ENCRYPTED_SECRET *secret = NULL;
	TPM2B_ID_OBJECT *blob = NULL;
	ESYS_TR handle = ESYS_TR_NONE;
	TPM2B_PUBLIC public = {0};
	TSS2_RC rc;
	int r;

	if (value->size > sizeof(credential.buffer) || name.n > sizeof(object.name) || read_ek(ek, &public) != 0) {
		snprintf(why, KMCTPM_WHY, "the host's endorsement key can't be read");
		return E_FORMAT;
	}
	memcpy(credential.buffer, value->data, value->size);
	memcpy(object.name, name.p, name.n);
	rc = Esys_LoadExternal(tpm->esys, NONE, NULL, &public, ESYS_TR_RH_NULL, &handle);
	if (rc == TSS2_RC_SUCCESS)
		rc = kmctpm_protect(tpm, TPMA_SESSION_DECRYPT);
	if (rc == TSS2_RC_SUCCESS)
		rc = Esys_MakeCredential(tpm->esys, handle, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &credential, &object, &blob, &secret);
	kmctpm_flush(tpm, &handle);
	wipe(&credential, sizeof(credential));
	r = rc != TSS2_RC_SUCCESS ? kmctpm_complain(why, "TPM2_MakeCredential for the host's endorsement key", rc) : pack_credential(blob, secret, out);
	Esys_Free(blob);
	Esys_Free(secret);
	return r;
}

int kmctpm_sha256(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t digest[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, a, a_size) == 1 &&
		 EVP_DigestUpdate(md, b, b_size) == 1 && EVP_DigestFinal_ex(md, digest, NULL) == 1;

	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

TPMT_PUBLIC kmctpm_authority_public(const struct kmctpm_authority *a)
{
	TPMT_PUBLIC public = {
		.type = TPM2_ALG_ECC,
		.nameAlg = TPM2_ALG_SHA256,
		.objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH,
		.parameters.eccDetail = {
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		},
		.unique.ecc = {.x.size = 32, .y.size = 32},
	};

	memcpy(public.unique.ecc.x.buffer, a->x, 32);
	memcpy(public.unique.ecc.y.buffer, a->y, 32);
	return public;
}

int kmctpm_name(const TPMT_PUBLIC *public, uint8_t name[KMCTPM_NAME_SIZE])
{
	uint8_t area[sizeof(*public)];
	size_t n = 0;

	if (public->nameAlg != TPM2_ALG_SHA256 || Tss2_MU_TPMT_PUBLIC_Marshal(public, area, sizeof(area), &n) != TSS2_RC_SUCCESS)
		return E_CRYPTO;
	name[0] = TPM2_ALG_SHA256 >> 8;
	name[1] = TPM2_ALG_SHA256 & 0xff;
	return kmctpm_sha256(area, n, "", 0, name + 2);
}

/* TPM 2.0 Part 3, 23.16 TPM2_PolicyAuthorize: H(H(0 || CC || name) || policyRef). */
int kmctpm_authority_policy(const struct kmctpm_authority *authority, uint8_t digest[32])
{
	const TPMT_PUBLIC public = kmctpm_authority_public(authority);
	uint8_t first[32 + 4] = {0}, name[KMCTPM_NAME_SIZE];
	struct buf code;
	int r;

	buf_over(&code, first + 32, 4);
	buf_put_u32(&code, TPM2_CC_PolicyAuthorize);
	if ((r = kmctpm_name(&public, name)) != 0 || (r = kmctpm_sha256(first, sizeof(first), name, sizeof(name), digest)) != 0)
		return r;
	return kmctpm_sha256(digest, 32, KMCTPM_REFERENCE, strlen(KMCTPM_REFERENCE), digest);
}
