/* Public-key operations in the host TPM, through tpm2-tss' Esys. */
#include "dom0-relay/host_tpm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tss2/tss2_rc.h>
#include <tss2/tss2_sys.h>
#include <tss2/tss2_tctildr.h>

#include "common/error.h"
#include "common/secret.h"
#include "common/tpm_leftovers.h"
#include "dom0-relay/host_tpm_esys.h"

TSS2_RC host_tpm_make_primary(struct host_tpm *tpm, ESYS_TR hierarchy, const TPM2B_PUBLIC *template, ESYS_TR *handle, TPM2B_PUBLIC **public)
{
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPML_PCR_SELECTION pcrs;
	static const TPM2B_DATA outside;

	host_tpm_flush(tpm, &tpm->kmc_key); /* a TPM has room for three, and so has a resource manager's program */
	return Esys_CreatePrimary(tpm->esys, hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, template, &outside, &pcrs,
				  handle, public, NULL, NULL, NULL);
}

void host_tpm_flush(struct host_tpm *tpm, ESYS_TR *handle)
{
	if (*handle != ESYS_TR_NONE && Esys_FlushContext(tpm->esys, *handle) != TSS2_RC_SUCCESS)
		Esys_TR_Close(tpm->esys, handle); /* it was reset: the library forgets it, too */
	*handle = ESYS_TR_NONE;
}

int host_tpm_complain(char *why, const char *what, TSS2_RC rc)
{
	snprintf(why, HOST_TPM_WHY, "host TPM: %s: %s", what, Tss2_RC_Decode(rc));
	return E_TPM;
}

int host_tpm_open(struct host_tpm **tpm, const char *tcti, char why[HOST_TPM_WHY])
{
	struct host_tpm *t = calloc(1, sizeof(*t));
	TSS2_RC rc;
	int r = 0;

	*tpm = NULL;
	if (!t)
		return E_NOMEM;
	t->kmc_key = ESYS_TR_NONE;
	setenv("TSS2_LOG", "all+none", 0); /* errors come back to us: the library need not print them */
	rc = Tss2_TctiLdr_Initialize(tcti, &t->tcti);
	if (rc != TSS2_RC_SUCCESS)
		r = host_tpm_complain(why, tcti, rc);
	if (r == 0 && (rc = Esys_Initialize(&t->esys, t->tcti, NULL)) != TSS2_RC_SUCCESS)
		r = host_tpm_complain(why, "can't start a session with it", rc);
	if (r == 0 && ((rc = tpm_leftovers_flush(t->esys, TPM_LEFTOVERS_OBJECTS)) != TSS2_RC_SUCCESS ||
		       (rc = tpm_leftovers_flush(t->esys, TPM_LEFTOVERS_SESSIONS)) != TSS2_RC_SUCCESS))
		r = host_tpm_complain(why, "it does not answer TPM2_GetCapability", rc);
	if (r != 0)
		host_tpm_close(&t);
	*tpm = t;
	return r;
}

void host_tpm_close(struct host_tpm **tpm)
{
	if (!*tpm)
		return;
	if ((*tpm)->esys)
		host_tpm_flush(*tpm, &(*tpm)->kmc_key);
	Esys_Finalize(&(*tpm)->esys);
	Tss2_TctiLdr_Finalize(&(*tpm)->tcti);
	free(*tpm);
	*tpm = NULL;
}

static bool is_loaded(const struct host_tpm *tpm, const struct host_tpm_key *key)
{
	return tpm->kmc_key != ESYS_TR_NONE && tpm->exponent == key->exponent && tpm->modulus_size == key->modulus.n &&
	       memcmp(tpm->modulus, key->modulus.p, key->modulus.n) == 0;
}

static int load(struct host_tpm *tpm, const struct host_tpm_key *key, char why[HOST_TPM_WHY])
{
	TPM2B_PUBLIC public = {
		.publicArea = {
			.type = TPM2_ALG_RSA,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_DECRYPT | TPMA_OBJECT_USERWITHAUTH,
			.parameters.rsaDetail = {
				.symmetric.algorithm = TPM2_ALG_NULL,
				.scheme.scheme = TPM2_ALG_NULL,
				.keyBits = (UINT16)(key->modulus.n * 8),
				.exponent = key->exponent == 65537 ? 0 : key->exponent,
			},
		},
	};
	TSS2_RC rc;

	_Static_assert(sizeof(tpm->modulus) <= sizeof(public.publicArea.unique.rsa.buffer), "a key that is kept can be loaded");
	if (key->modulus.n > sizeof(tpm->modulus))
		return E_RANGE;
	host_tpm_flush(tpm, &tpm->kmc_key);
	public.publicArea.unique.rsa.size = (UINT16)key->modulus.n;
	memcpy(public.publicArea.unique.rsa.buffer, key->modulus.p, key->modulus.n);
	rc = Esys_LoadExternal(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, &public, ESYS_TR_RH_NULL, &tpm->kmc_key);
	if (rc != TSS2_RC_SUCCESS) {
		tpm->kmc_key = ESYS_TR_NONE;
		return host_tpm_complain(why, "can't load the KMC's public key", rc);
	}
	memcpy(tpm->modulus, key->modulus.p, key->modulus.n);
	tpm->modulus_size = key->modulus.n;
	tpm->exponent = key->exponent;
	return 0;
}

static TSS2_RC rsa(struct host_tpm *tpm, const TPM2B_PUBLIC_KEY_RSA *in, const TPMT_RSA_DECRYPT *scheme, const TPM2B_DATA *label,
		   TPM2B_PUBLIC_KEY_RSA **out)
{
	return Esys_RSA_Encrypt(tpm->esys, tpm->kmc_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, in, scheme, label, out);
}

/* One TPM2_RSA_Encrypt; *out is to be wiped and freed by Esys_Free(). */
static int encrypt(struct host_tpm *tpm, const struct host_tpm_key *key, const struct secret *in, const TPMT_RSA_DECRYPT *scheme,
		   const TPM2B_DATA *label, TPM2B_PUBLIC_KEY_RSA **out, char why[HOST_TPM_WHY])
{
	TPM2B_PUBLIC_KEY_RSA message = {.size = (UINT16)in->size};
	bool was_loaded = is_loaded(tpm, key);
	TSS2_RC rc;
	int r;

	if (in->size > sizeof(message.buffer))
		return E_RANGE;
	if (!was_loaded && (r = load(tpm, key, why)) != 0)
		return r;
	memcpy(message.buffer, in->data, in->size);
	rc = rsa(tpm, &message, scheme, label, out);
	if (rc != TSS2_RC_SUCCESS && was_loaded && load(tpm, key, why) == 0) /* the TPM may have been reset since */
		rc = rsa(tpm, &message, scheme, label, out);
	wipe(&message, sizeof(message));
	return rc == TSS2_RC_SUCCESS ? 0 : host_tpm_complain(why, "TPM2_RSA_Encrypt", rc);
}

static void wipe_free(TPM2B_PUBLIC_KEY_RSA *p)
{
	if (p)
		wipe(p, sizeof(*p));
	Esys_Free(p);
}

int host_tpm_encrypt(struct host_tpm *tpm, const struct host_tpm_key *key, const struct secret *plain, const char *label, uint8_t *out,
		     char why[HOST_TPM_WHY])
{
	const TPMT_RSA_DECRYPT oaep = {.scheme = TPM2_ALG_OAEP, .details.oaep.hashAlg = TPM2_ALG_SHA256};
	TPM2B_DATA l = {.size = (UINT16)(strlen(label) + 1)};
	TPM2B_PUBLIC_KEY_RSA *cipher = NULL;
	int r;

	if (l.size > sizeof(l.buffer))
		return E_RANGE;
	memcpy(l.buffer, label, l.size);
	r = encrypt(tpm, key, plain, &oaep, &l, &cipher, why);
	if (r == 0 && cipher->size != key->modulus.n) {
		snprintf(why, HOST_TPM_WHY, "host TPM: TPM2_RSA_Encrypt gave %u bytes for a modulus of %zu", cipher->size, key->modulus.n);
		r = E_TPM;
	}
	if (r == 0)
		memcpy(out, cipher->buffer, cipher->size);
	wipe_free(cipher);
	return r;
}

int host_tpm_forget(struct host_tpm *tpm)
{
	static const TPM2B_MAX_BUFFER longer = {.size = TPM2_MAX_DIGEST_BUFFER};
	TSS2_SYS_CONTEXT *sys;

	return Esys_GetSysContext(tpm->esys, &sys) == TSS2_RC_SUCCESS &&
			       Tss2_Sys_Hash_Prepare(sys, &longer, TPM2_ALG_SHA256, TPM2_RH_NULL) == TSS2_RC_SUCCESS
		       ? 0
		       : E_TPM;
}

int host_tpm_recover(struct host_tpm *tpm, const struct host_tpm_key *key, const struct secret *inner, struct secret **block,
		     char why[HOST_TPM_WHY])
{
	const TPMT_RSA_DECRYPT none = {.scheme = TPM2_ALG_NULL};
	const TPM2B_DATA no_label = {0};
	TPM2B_PUBLIC_KEY_RSA *m = NULL;
	int r;

	*block = NULL;
	if (inner->size != key->modulus.n)
		return E_RANGE;
	r = encrypt(tpm, key, inner, &none, &no_label, &m, why);
	if (r == 0 && m->size != key->modulus.n)
		r = E_RANGE;
	if (r == 0) {
		*block = secret_dup(m->buffer, m->size);
		r = *block ? 0 : E_NOMEM;
	}
	wipe_free(m);
	return r;
}
