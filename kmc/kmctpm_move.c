/* Duplication of the KMC's parent, through tpm2-tss' Esys. */
#include "kmc/kmctpm_move.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include <tss2/tss2_mu.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/kmctpm_esys.h"

#define NONE ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE /* no sessions */
#define PASSWORD ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE
#define OK TSS2_RC_SUCCESS

/* TCG EK Credential Profile 2.4, B.3: templates L-1 and L-2, and where a TPM's maker put the certificates. */
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

static const TPMT_SYM_DEF_OBJECT aes128 = AES128;

static const TPM2B_PUBLIC ek_rsa = {
	.publicArea = {
		.type = TPM2_ALG_RSA, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = EK_ATTRIBUTES, .authPolicy = EK_POLICY,
		.parameters.rsaDetail = {.symmetric = AES128, .scheme.scheme = TPM2_ALG_NULL, .keyBits = 2048},
		.unique.rsa.size = 256,
	},
};

static const TPM2B_PUBLIC ek_ecc = {
	.publicArea = {
		.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA256, .objectAttributes = EK_ATTRIBUTES, .authPolicy = EK_POLICY,
		.parameters.eccDetail = {.symmetric = AES128, .scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
					 .kdf.scheme = TPM2_ALG_NULL},
		.unique.ecc = {.x.size = 32, .y.size = 32},
	},
};

static int damaged(char why[KMCTPM_WHY], const char *what)
{
	snprintf(why, KMCTPM_WHY, "%s can't be read", what);
	return E_FORMAT;
}

/* --- who this TPM is --- */

static TSS2_RC make_ek(struct kmctpm *t, bool is_ecc, ESYS_TR *handle, TPM2B_PUBLIC **public)
{
	static const TPM2B_SENSITIVE_CREATE sensitive;
	static const TPML_PCR_SELECTION pcrs;
	static const TPM2B_DATA outside;

	return Esys_CreatePrimary(t->esys, ESYS_TR_RH_ENDORSEMENT, PASSWORD, &sensitive, is_ecc ? &ek_ecc : &ek_rsa, &outside, &pcrs, handle,
				  public, NULL, NULL, NULL);
}

static size_t read_nv(struct kmctpm *t, ESYS_TR index, uint8_t *out, size_t size)
{
	TSS2_RC rc = OK;

	for (size_t at = 0; at < size; at += 512) {
		UINT16 n = (UINT16)(size - at < 512 ? size - at : 512);
		TPM2B_MAX_NV_BUFFER *data = NULL;

		rc = Esys_NV_Read(t->esys, index, index, PASSWORD, n, (UINT16)at, &data);
		if (rc != OK || data->size != n) {
			Esys_Free(data);
			return 0;
		}
		memcpy(out + at, data->buffer, n);
		Esys_Free(data);
	}
	return size;
}

/* A certificate without the padding that an index may have behind it; 0 bytes if there is none. */
static size_t read_certificate(struct kmctpm *t, UINT32 index, uint8_t out[KMCTPM_CERT_MAX])
{
	ESYS_TR handle = ESYS_TR_NONE;
	TPM2B_NV_PUBLIC *public = NULL;
	size_t n = 0, der = 0;

	if (Esys_TR_FromTPMPublic(t->esys, index, NONE, &handle) == OK && Esys_NV_ReadPublic(t->esys, handle, NONE, &public, NULL) == OK &&
	    public->nvPublic.dataSize <= KMCTPM_CERT_MAX)
		n = read_nv(t, handle, out, public->nvPublic.dataSize);
	Esys_Free(public);
	if (handle != ESYS_TR_NONE)
		Esys_TR_Close(t->esys, &handle);
	if (n >= 4 && out[0] == 0x30 && out[1] == 0x82)
		der = 4 + ((size_t)out[2] << 8 | out[3]);
	return der <= n ? der : 0;
}

static TSS2_RC marshal_area(const TPM2B_PUBLIC *public, uint8_t area[KMCTPM_AREA_MAX], size_t *size)
{
	*size = 0;
	return Tss2_MU_TPMT_PUBLIC_Marshal(&public->publicArea, area, KMCTPM_AREA_MAX, size);
}

int kmctpm_identify(struct kmctpm *tpm, struct kmctpm_identity *id, char why[KMCTPM_WHY])
{
	ESYS_TR ek = ESYS_TR_NONE;
	TPM2B_PUBLIC *public = NULL;
	TSS2_RC rc;

	memset(id, 0, sizeof(*id));
	id->certificate_size = read_certificate(tpm, NV_RSA_CERTIFICATE, id->certificate);
	if (!id->certificate_size) {
		id->certificate_size = read_certificate(tpm, NV_ECC_CERTIFICATE, id->certificate);
		id->is_ecc = id->certificate_size != 0;
	}
	rc = make_ek(tpm, id->is_ecc, &ek, &public);
	if (rc == OK)
		rc = marshal_area(public, id->ek, &id->ek_size);
	Esys_Free(public);
	kmctpm_flush(tpm, &ek);
	if (rc != OK)
		return kmctpm_complain(why, "can't make the endorsement key (is the endorsement hierarchy's authorisation empty?)", rc);
	public = NULL;
	kmctpm_flush(tpm, &tpm->primary);
	rc = kmctpm_make_primary(tpm, &public);
	if (rc == OK)
		rc = marshal_area(public, id->storage, &id->storage_size);
	Esys_Free(public);
	return rc == OK ? 0 : kmctpm_complain(why, "can't make the storage primary", rc);
}

/* --- public areas --- */

static int read_area(struct view area, TPM2B_PUBLIC *public)
{
	size_t at = 0;

	memset(public, 0, sizeof(*public));
	return Tss2_MU_TPMT_PUBLIC_Unmarshal(area.p, area.n, &at, &public->publicArea) == OK && at == area.n ? 0 : E_FORMAT;
}

bool kmctpm_is_storage(struct view area)
{
	const TPMA_OBJECT wanted = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT |
				   TPMA_OBJECT_SENSITIVEDATAORIGIN;
	TPM2B_PUBLIC public;

	return read_area(area, &public) == 0 && public.publicArea.nameAlg == TPM2_ALG_SHA256 && public.publicArea.type == TPM2_ALG_ECC &&
	       (public.publicArea.objectAttributes & (wanted | TPMA_OBJECT_SIGN_ENCRYPT)) == wanted;
}

int kmctpm_area_name(struct view area, uint8_t name[34])
{
	TPM2B_PUBLIC public;
	int r = read_area(area, &public);

	return r != 0 ? r : kmctpm_name(&public.publicArea, name);
}

static TPM2B_PUBLIC recovery_public(const uint8_t x[32], const uint8_t y[32])
{
	TPM2B_PUBLIC public = {
		.publicArea = {
			.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA,
			.parameters.eccDetail = {.symmetric = AES128, .scheme.scheme = TPM2_ALG_NULL, .curveID = TPM2_ECC_NIST_P256,
						 .kdf.scheme = TPM2_ALG_NULL},
			.unique.ecc = {.x.size = 32, .y.size = 32},
		},
	};

	memcpy(public.publicArea.unique.ecc.x.buffer, x, 32);
	memcpy(public.publicArea.unique.ecc.y.buffer, y, 32);
	return public;
}

int kmctpm_recovery_area(const uint8_t x[32], const uint8_t y[32], uint8_t area[KMCTPM_AREA_MAX])
{
	const TPM2B_PUBLIC public = recovery_public(x, y);
	size_t n;

	return marshal_area(&public, area, &n) == OK ? (int)n : E_CRYPTO;
}

static int read_public(const uint8_t *p, size_t n, TPM2B_PUBLIC *public)
{
	size_t at = 0;

	memset(public, 0, sizeof(*public));
	return Tss2_MU_TPM2B_PUBLIC_Unmarshal(p, n, &at, public) == OK ? 0 : E_FORMAT;
}

/* --- what the authority signs --- */

static void put_name(const uint8_t name[KMCTPM_NAME_SIZE], TPM2B_NAME *out)
{
	out->size = KMCTPM_NAME_SIZE;
	memcpy(out->name, name, KMCTPM_NAME_SIZE);
}

/* TPM 2.0 Part 3, 23.15 TPM2_PolicyDuplicationSelect, the object included, from a policy that was empty. */
int kmctpm_approval(const struct kmctpm_blob *parent, struct view to, uint8_t out[KMCTPM_APPROVAL_SIZE])
{
	uint8_t text[32 + 4 + 2 * KMCTPM_NAME_SIZE + 1], object[KMCTPM_NAME_SIZE], target[KMCTPM_NAME_SIZE];
	static const uint8_t zeroes[32];
	TPM2B_PUBLIC public;
	struct buf b;
	int r;

	_Static_assert(KMCTPM_APPROVAL_SIZE == 32 + sizeof(KMCTPM_REFERENCE) - 1, "a digest and the reference");
	if ((r = read_public(parent->data, parent->size, &public)) != 0 || (r = kmctpm_name(&public.publicArea, object)) != 0 ||
	    (r = kmctpm_area_name(to, target)) != 0)
		return r;
	buf_over(&b, text, sizeof(text));
	buf_put(&b, zeroes, sizeof(zeroes));
	buf_put_u32(&b, TPM2_CC_PolicyDuplicationSelect);
	buf_put(&b, object, sizeof(object));
	buf_put(&b, target, sizeof(target));
	buf_put_u8(&b, 1);
	memcpy(out + 32, KMCTPM_REFERENCE, KMCTPM_APPROVAL_SIZE - 32);
	return kmctpm_sha256(text, sizeof(text), "", 0, out);
}

/* A number of a DER signature as the TPM takes it. */
static bool put_number(const BIGNUM *n, TPM2B_ECC_PARAMETER *out)
{
	out->size = 32;
	return BN_bn2binpad(n, out->buffer, 32) == 32;
}

static int read_signature(struct view der, TPMT_SIGNATURE *out)
{
	const unsigned char *p = der.p;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
	bool ok;

	*out = (TPMT_SIGNATURE){.sigAlg = TPM2_ALG_ECDSA, .signature.ecdsa.hash = TPM2_ALG_SHA256};
	ok = s && put_number(ECDSA_SIG_get0_r(s), &out->signature.ecdsa.signatureR) &&
	     put_number(ECDSA_SIG_get0_s(s), &out->signature.ecdsa.signatureS);
	ECDSA_SIG_free(s);
	return ok ? 0 : E_FORMAT;
}

/* --- the copy --- */

/* The TPM's word that the authority signed @approval, and its key's name. */
static TSS2_RC verify(struct kmctpm *t, const struct kmctpm_order *o, const uint8_t approval[KMCTPM_APPROVAL_SIZE],
		      const TPMT_SIGNATURE *signature, TPMT_TK_VERIFIED **ticket)
{
	const TPM2B_PUBLIC public = {.publicArea = kmctpm_authority_public(&o->authority)};
	TPM2B_DIGEST digest = {.size = 32};
	ESYS_TR key = ESYS_TR_NONE;
	TSS2_RC rc = kmctpm_sha256(approval, KMCTPM_APPROVAL_SIZE, "", 0, digest.buffer) == 0 ? OK : TPM2_RC_FAILURE;

	if (rc == OK)
		rc = Esys_LoadExternal(t->esys, NONE, NULL, &public, ESYS_TR_RH_OWNER, &key);
	if (rc == OK)
		rc = Esys_VerifySignature(t->esys, key, NONE, &digest, signature, ticket);
	kmctpm_flush(t, &key);
	return rc;
}

/* A policy session that lets the parent go to @target. */
static TSS2_RC satisfy(struct kmctpm *t, const struct kmctpm_order *o, const TPM2B_NAME *object, const TPM2B_NAME *target,
		       const TPMT_SIGNATURE *signature, const uint8_t approval[KMCTPM_APPROVAL_SIZE], ESYS_TR *session)
{
	static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
	const TPMT_PUBLIC authority = kmctpm_authority_public(&o->authority);
	TPM2B_NONCE reference = {.size = KMCTPM_APPROVAL_SIZE - 32};
	TPM2B_DIGEST approved = {.size = 32};
	uint8_t name[KMCTPM_NAME_SIZE];
	TPMT_TK_VERIFIED *ticket = NULL;
	TPM2B_NAME key;
	TSS2_RC rc = kmctpm_name(&authority, name) == 0 ? verify(t, o, approval, signature, &ticket) : TPM2_RC_FAILURE;

	put_name(name, &key);
	memcpy(approved.buffer, approval, 32);
	memcpy(reference.buffer, KMCTPM_REFERENCE, reference.size);
	if (rc == OK)
		rc = Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, NONE, NULL, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, session);
	if (rc == OK)
		rc = Esys_PolicyDuplicationSelect(t->esys, *session, NONE, object, target, TPM2_YES);
	if (rc == OK)
		rc = Esys_PolicyAuthorize(t->esys, *session, NONE, &approved, &reference, &key, ticket);
	Esys_Free(ticket);
	return rc;
}

static int pack_copy(const TPM2B_PUBLIC *public, const TPM2B_PRIVATE *duplicate, const TPM2B_ENCRYPTED_SECRET *seed, struct kmctpm_copy *out)
{
	memset(out, 0, sizeof(*out));
	return Tss2_MU_TPM2B_PUBLIC_Marshal(public, out->public, sizeof(out->public), &out->public_size) == OK &&
	       Tss2_MU_TPM2B_PRIVATE_Marshal(duplicate, out->duplicate, sizeof(out->duplicate), &out->duplicate_size) == OK &&
	       Tss2_MU_TPM2B_ENCRYPTED_SECRET_Marshal(seed, out->seed, sizeof(out->seed), &out->seed_size) == OK ? 0 : E_RANGE;
}

int kmctpm_copy_fill(struct kmctpm_copy *copy, struct view public, struct view duplicate, struct view seed)
{
	if (public.n > sizeof(copy->public) || duplicate.n > sizeof(copy->duplicate) || seed.n > sizeof(copy->seed))
		return E_RANGE;
	memcpy(copy->public, public.p, copy->public_size = public.n);
	memcpy(copy->duplicate, duplicate.p, copy->duplicate_size = duplicate.n);
	memcpy(copy->seed, seed.p, copy->seed_size = seed.n);
	return 0;
}

static int unpack_copy(const struct kmctpm_copy *copy, TPM2B_PUBLIC *public, TPM2B_PRIVATE *duplicate, TPM2B_ENCRYPTED_SECRET *seed)
{
	size_t at_duplicate = 0, at_seed = 0;

	*duplicate = (TPM2B_PRIVATE){.size = 0};
	*seed = (TPM2B_ENCRYPTED_SECRET){.size = 0};
	return read_public(copy->public, copy->public_size, public) == 0 &&
	       Tss2_MU_TPM2B_PRIVATE_Unmarshal(copy->duplicate, copy->duplicate_size, &at_duplicate, duplicate) == OK &&
	       at_duplicate == copy->duplicate_size &&
	       Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(copy->seed, copy->seed_size, &at_seed, seed) == OK && at_seed == copy->seed_size
		       ? 0 : E_FORMAT;
}

static TPM2B_DATA inner_key(const struct secret *inner)
{
	TPM2B_DATA key = {.size = KMCTPM_INNER_SIZE};

	memcpy(key.buffer, inner->data, KMCTPM_INNER_SIZE);
	return key;
}

int kmctpm_duplicate(struct kmctpm *tpm, const struct kmctpm_order *o, struct kmctpm_copy *out, char why[KMCTPM_WHY])
{
	uint8_t approval[KMCTPM_APPROVAL_SIZE], object_name[KMCTPM_NAME_SIZE], target_name[KMCTPM_NAME_SIZE];
	ESYS_TR policy = ESYS_TR_NONE, target = ESYS_TR_NONE;
	TPM2B_ENCRYPTED_SECRET *seed = NULL;
	TPM2B_PRIVATE *duplicate = NULL;
	TPM2B_DATA *unused = NULL, key;
	TPM2B_PUBLIC parent, to;
	TPMT_SIGNATURE signature;
	TPM2B_NAME object, name;
	TSS2_RC rc;
	int r;

	if (read_public(o->parent->data, o->parent->size, &parent) != 0 || kmctpm_name(&parent.publicArea, object_name) != 0 ||
	    read_area(o->to, &to) != 0 || kmctpm_name(&to.publicArea, target_name) != 0 || kmctpm_approval(o->parent, o->to, approval) != 0)
		return damaged(why, "the new parent's public key");
	if (read_signature(o->signature, &signature) != 0)
		return damaged(why, "the authority's signature");
	put_name(object_name, &object);
	put_name(target_name, &name);
	rc = satisfy(tpm, o, &object, &name, &signature, approval, &policy);
	if (rc == OK)
		rc = Esys_LoadExternal(tpm->esys, NONE, NULL, &to, ESYS_TR_RH_NULL, &target);
	if (rc == OK)
		rc = kmctpm_protect(tpm, TPMA_SESSION_DECRYPT);
	key = inner_key(o->inner);
	if (rc == OK)
		rc = Esys_Duplicate(tpm->esys, tpm->parent, target, policy, tpm->session, ESYS_TR_NONE, &key, &aes128, &unused, &duplicate,
				    &seed);
	wipe(&key, sizeof(key));
	kmctpm_flush(tpm, &target);
	kmctpm_flush(tpm, &policy);
	r = rc != OK ? kmctpm_complain(why, "TPM2_Duplicate (is it the authority's signature, and over this TPM?)", rc)
	    : pack_copy(&parent, duplicate, seed, out);
	Esys_Free(unused);
	Esys_Free(duplicate);
	Esys_Free(seed);
	return r;
}

int kmctpm_import(struct kmctpm *tpm, const struct kmctpm_copy *copy, const struct secret *inner, struct kmctpm_blob *out,
		  char why[KMCTPM_WHY])
{
	TPM2B_ENCRYPTED_SECRET seed;
	TPM2B_PRIVATE duplicate, *private = NULL;
	TPM2B_PUBLIC public;
	TPM2B_DATA key;
	TSS2_RC rc;
	int r;

	if (inner->size != KMCTPM_INNER_SIZE || unpack_copy(copy, &public, &duplicate, &seed) != 0)
		return damaged(why, "the copy of the parent key");
	key = inner_key(inner);
	rc = kmctpm_protect(tpm, TPMA_SESSION_DECRYPT);
	if (rc == OK)
		rc = Esys_Import(tpm->esys, tpm->primary, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &key, &public, &duplicate, &seed, &aes128,
				 &private);
	wipe(&key, sizeof(key));
	r = rc != OK ? kmctpm_complain(why, "TPM2_Import (was this copy made for another TPM?)", rc) : kmctpm_pack(&public, private, out);
	Esys_Free(private);
	return r;
}

/* A session that satisfies the endorsement key's policy. */
static TSS2_RC start_ek_session(struct kmctpm *t, ESYS_TR *session)
{
	static const TPMT_SYM_DEF none = {.algorithm = TPM2_ALG_NULL};
	TSS2_RC rc = Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, NONE, NULL, TPM2_SE_POLICY, &none, TPM2_ALG_SHA256, session);

	return rc != OK ? rc : Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, *session, PASSWORD, NULL, NULL, NULL, 0, NULL, NULL);
}

int kmctpm_activate(struct kmctpm *tpm, struct view blob, struct view secret, struct secret **out, char why[KMCTPM_WHY])
{
	ESYS_TR ek = ESYS_TR_NONE, policy = ESYS_TR_NONE;
	TPM2B_ENCRYPTED_SECRET s = {0};
	struct kmctpm_identity id;
	TPM2B_DIGEST *found = NULL;
	TPM2B_ID_OBJECT b = {0};
	size_t at = 0, at_secret = 0;
	TSS2_RC rc;
	int r;

	*out = NULL;
	if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(blob.p, blob.n, &at, &b) != OK || at != blob.n ||
	    Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret.p, secret.n, &at_secret, &s) != OK || at_secret != secret.n)
		return damaged(why, "the credential");
	if ((r = kmctpm_identify(tpm, &id, why)) != 0)
		return r;
	rc = make_ek(tpm, id.is_ecc, &ek, NULL);
	if (rc == OK)
		rc = start_ek_session(tpm, &policy);
	if (rc == OK)
		rc = kmctpm_protect(tpm, TPMA_SESSION_ENCRYPT);
	if (rc == OK)
		rc = Esys_ActivateCredential(tpm->esys, tpm->primary, ek, tpm->session, policy, ESYS_TR_NONE, &b, &s, &found);
	if (rc != OK)
		r = kmctpm_complain(why, "TPM2_ActivateCredential (was this made for another TPM?)", rc);
	else if (!(*out = secret_dup(found->buffer, found->size)))
		r = E_NOMEM;
	if (found)
		wipe(found, sizeof(*found));
	Esys_Free(found);
	kmctpm_flush(tpm, &policy);
	kmctpm_flush(tpm, &ek);
	return r;
}

/* --- another KMC's TPMs --- */

int kmctpm_card(const struct kmctpm_blob *parent, const struct kmctpm_blob *seed_key, struct kmctpm_card *out)
{
	TPM2B_PUBLIC public;
	int r;

	if ((r = read_public(parent->data, parent->size, &public)) != 0)
		return r;
	if (marshal_area(&public, out->parent, &out->parent_size) != OK)
		return E_CRYPTO;
	if ((r = read_public(seed_key->data, seed_key->size, &public)) != 0)
		return r;
	return kmctpm_name(&public.publicArea, out->seed_key);
}

bool kmctpm_is_parent(struct view area)
{
	const TPMA_OBJECT storage = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
	TPM2B_PUBLIC public;

	return read_area(area, &public) == 0 && public.publicArea.type == TPM2_ALG_ECC && public.publicArea.nameAlg == TPM2_ALG_SHA256 &&
	       (public.publicArea.objectAttributes & (storage | TPMA_OBJECT_SIGN_ENCRYPT)) == storage;
}

int kmctpm_open_credential(struct kmctpm *tpm, struct view blob, struct view secret, struct secret **out, char why[KMCTPM_WHY])
{
	TPM2B_ENCRYPTED_SECRET s = {0};
	TPM2B_DIGEST *found = NULL;
	TPM2B_ID_OBJECT b = {0};
	size_t at = 0, at_secret = 0;
	TSS2_RC rc;
	int r = 0;

	*out = NULL;
	if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(blob.p, blob.n, &at, &b) != OK || at != blob.n ||
	    Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(secret.p, secret.n, &at_secret, &s) != OK || at_secret != secret.n)
		return damaged(why, "the credential");
	rc = kmctpm_protect(tpm, TPMA_SESSION_ENCRYPT);
	if (rc == OK)
		rc = Esys_ActivateCredential(tpm->esys, tpm->hmac_key, tpm->parent, tpm->session, ESYS_TR_PASSWORD, ESYS_TR_NONE, &b, &s, &found);
	if (rc != OK)
		r = kmctpm_complain(why, "TPM2_ActivateCredential (was this made for another KMC?)", rc);
	else if (!(*out = secret_dup(found->buffer, found->size)))
		r = E_NOMEM;
	if (found)
		wipe(found, sizeof(*found));
	Esys_Free(found);
	return r;
}

/* --- the recovery key --- */

static bool crypt_cfb(const struct secret *key, const uint8_t *in, size_t n, uint8_t *out)
{
	static const uint8_t iv[16];
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int got = 0;
	bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_128_cfb128(), NULL, key->data, iv) == 1 &&
		  EVP_EncryptUpdate(c, out, &got, in, (int)n) == 1 && (size_t)got == n;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* TPM 2.0 Part 1, 23.3.2.2: inner wrapper = AES-CFB(key, TPM2B_DIGEST(H(sensitive || name)) || sensitive). */
static int wrap_inner(const struct kmctpm_recovery *k, const TPM2B_PUBLIC *public, const struct secret *key, TPM2B_PRIVATE *out)
{
	TPM2B_SENSITIVE sensitive = {
		.sensitiveArea = {.sensitiveType = TPM2_ALG_ECC, .seedValue.size = 32, .sensitive.ecc.size = 32}};
	struct secret *plain = secret_new(2 + 32 + sizeof(sensitive));
	uint8_t name[KMCTPM_NAME_SIZE];
	size_t n = 0;
	int r = E_CRYPTO;

	if (!plain)
		return E_NOMEM;
	memcpy(sensitive.sensitiveArea.seedValue.buffer, k->seed->data, 32);
	memcpy(sensitive.sensitiveArea.sensitive.ecc.buffer, k->scalar->data, 32);
	plain->data[1] = 32;
	if (Tss2_MU_TPM2B_SENSITIVE_Marshal(&sensitive, plain->data + 34, plain->size - 34, &n) == OK && n + 34 <= sizeof(out->buffer) &&
	    kmctpm_name(&public->publicArea, name) == 0 && kmctpm_sha256(plain->data + 34, n, name, sizeof(name), plain->data + 2) == 0 &&
	    crypt_cfb(key, plain->data, 34 + n, out->buffer)) {
		out->size = (UINT16)(34 + n);
		r = 0;
	}
	wipe(&sensitive, sizeof(sensitive));
	secret_free(&plain);
	return r;
}

/* The recovery key, loaded below the storage primary. It is kept nowhere. */
static int load_recovery(struct kmctpm *t, const struct kmctpm_recovery *k, ESYS_TR *handle, char why[KMCTPM_WHY])
{
	static const TPM2B_ENCRYPTED_SECRET no_seed;
	const TPM2B_PUBLIC public = recovery_public(k->x, k->y);
	struct secret *inner = secret_random(KMCTPM_INNER_SIZE);
	TPM2B_PRIVATE duplicate = {0}, *private = NULL;
	struct kmctpm_blob blob;
	TPM2B_DATA key;
	TSS2_RC rc;
	int r = inner ? wrap_inner(k, &public, inner, &duplicate) : E_NOMEM;

	if (r != 0) {
		secret_free(&inner);
		snprintf(why, KMCTPM_WHY, "can't wrap the recovery key: %s", error_text(r));
		return r;
	}
	key = inner_key(inner);
	secret_free(&inner);
	rc = kmctpm_protect(t, TPMA_SESSION_DECRYPT);
	if (rc == OK)
		rc = Esys_Import(t->esys, t->primary, t->session, ESYS_TR_NONE, ESYS_TR_NONE, &key, &public, &duplicate, &no_seed, &aes128,
				 &private);
	wipe(&key, sizeof(key));
	r = rc != OK ? kmctpm_complain(why, "TPM2_Import of the recovery key", rc) : kmctpm_pack(&public, private, &blob);
	Esys_Free(private);
	return r != 0 ? r : kmctpm_load(t, t->primary, &blob, handle, why);
}

int kmctpm_rewrap(struct kmctpm *tpm, const struct kmctpm_recovery *key, const struct kmctpm_copy *in, struct kmctpm_copy *out,
		  char why[KMCTPM_WHY])
{
	TPM2B_ENCRYPTED_SECRET seed, *new_seed = NULL;
	TPM2B_PRIVATE duplicate, *new_duplicate = NULL;
	ESYS_TR recovery = ESYS_TR_NONE;
	uint8_t name[KMCTPM_NAME_SIZE];
	TPM2B_PUBLIC public;
	TPM2B_NAME object;
	TSS2_RC rc;
	int r;

	if (unpack_copy(in, &public, &duplicate, &seed) != 0 || kmctpm_name(&public.publicArea, name) != 0)
		return damaged(why, "the parent key in the backup");
	put_name(name, &object);
	r = load_recovery(tpm, key, &recovery, why);
	if (r != 0)
		return r;
	rc = kmctpm_protect(tpm, 0);
	if (rc == OK)
		rc = Esys_Rewrap(tpm->esys, recovery, tpm->primary, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, &duplicate, &object, &seed,
				 &new_duplicate, &new_seed);
	kmctpm_flush(tpm, &recovery);
	r = rc != OK ? kmctpm_complain(why, "TPM2_Rewrap", rc) : pack_copy(&public, new_duplicate, new_seed, out);
	Esys_Free(new_duplicate);
	Esys_Free(new_seed);
	return r;
}
