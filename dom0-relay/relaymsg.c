/* The message tables between the relay's processes. */
#include "dom0-relay/relaymsg.h"

#include "common/kmcmsg.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct msg_field failed[] = {
	MSG_FIELD_TEXT(3, struct relay_failed, reason, 1, RELAY_REASON_MAX),
};

static const struct msg_field inspect[] = {
	MSG_FIELD_UINT(3, struct builder_inspect, domid, 0x7fef),
};

static const struct msg_field domain[] = {
	MSG_FIELD_UINT(3, struct builder_domain, domid, 0x7fef),
	MSG_FIELD_UINT(4, struct builder_domain, exists, 1),
	MSG_FIELD_UUID(5, struct builder_domain, handle),
	MSG_FIELD_UINT(6, struct builder_domain, incarnation, UINT32_MAX),
	MSG_FIELD_UINT(7, struct builder_domain, shutdown, 256),
	MSG_FIELD_UINT(8, struct builder_domain, paused, 1),
};

static const struct msg_field mark[] = {
	MSG_FIELD_UINT(3, struct builder_mark, domid, 0x7fef),
	MSG_FIELD_UINT(4, struct builder_mark, image, UINT32_MAX),
};

static const struct msg_field build[] = {
	MSG_FIELD_TEXT(3, struct builder_build, name, 1, 64),
	MSG_FIELD_UINT(4, struct builder_build, headroom_mib, UINT32_MAX),
	MSG_FIELD_UINT(5, struct builder_build, domid, 0x7fef),
};

static const struct msg_field name[] = {
	MSG_FIELD_UINT(3, struct builder_name, domid, 0x7fef),
	MSG_FIELD_TEXT(4, struct builder_name, name, 1, 64),
};

static const struct msg_field free_memory[] = {
	MSG_FIELD_UINT(3, struct builder_free, mib, UINT64_MAX),
};

static const struct msg_field built[] = {
	MSG_FIELD_UINT(3, struct builder_built, domid, 0x7fef),
};

static const struct msg_field destroy[] = {
	MSG_FIELD_UINT(3, struct builder_destroy, domid, 0x7fef),
};

static const struct msg_field keep[] = {
	MSG_FIELD_UINT(3, struct builder_keep, domid, 0x7fef),
};

#define SCHEMA(t, n, s, f) {.type = (t), .name = (n), .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct s)}
#define EMPTY(t, n) {.type = (t), .name = (n), .size = sizeof(struct relay_empty)}

static const struct msg_field image[] = {
	MSG_FIELD_BYTES_OPT(3, struct builder_image, digest, 32, 32),
};

static const struct msg_schema builder_schemas[] = {
	SCHEMA(BUILDER_INSPECT, "inspect", builder_inspect, inspect),
	SCHEMA(BUILDER_DOMAIN, "domain", builder_domain, domain),
	SCHEMA(BUILDER_BUILD, "build", builder_build, build),
	SCHEMA(BUILDER_BUILT, "built", builder_built, built),
	SCHEMA(BUILDER_DESTROY, "destroy", builder_destroy, destroy),
	EMPTY(BUILDER_DESTROYED, "destroyed"),
	SCHEMA(BUILDER_KEEP, "keep", builder_keep, keep),
	EMPTY(BUILDER_KEPT, "kept"),
	EMPTY(BUILDER_SWEEP, "sweep"),
	EMPTY(BUILDER_SWEPT, "swept"),
	SCHEMA(BUILDER_NAME, "name", builder_name, name),
	EMPTY(BUILDER_NAMED, "named"),
	EMPTY(BUILDER_MEMORY, "memory"),
	SCHEMA(BUILDER_FREE, "free", builder_free, free_memory),
	SCHEMA(BUILDER_FAILED, "failed", relay_failed, failed),
	SCHEMA(BUILDER_MARK, "mark", builder_mark, mark),
	EMPTY(BUILDER_MARKED, "marked"),
	SCHEMA(BUILDER_IMAGE, "image", builder_image, image),
};

const struct privsep_protocol builder_protocol = {
	.name = "builder", .body_max = 512, .schemas = builder_schemas, .n_schemas = COUNT(builder_schemas)};

static const struct msg_field wrap[] = {
	MSG_FIELD_UUID(3, struct tpm_wrap, uuid),
	MSG_FIELD_BYTES(4, struct tpm_wrap, key_id, KMC_KEY_ID_SIZE, KMC_KEY_ID_SIZE),
	MSG_FIELD_BYTES(5, struct tpm_wrap, modulus, 256, KMC_RSA_MAX),
	MSG_FIELD_UINT(6, struct tpm_wrap, exponent, UINT32_MAX),
};

static const struct msg_field wrapped[] = {
	MSG_FIELD_BYTES(3, struct tpm_wrapped, cipher, 256, KMC_RSA_MAX),
};

static const struct msg_field believe[] = {
	MSG_FIELD_TEXT(3, struct tpm_believe, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct tpm_believe, reply, 256, KMC_RSA_MAX + 64),
	MSG_FIELD_UINT(5, struct tpm_believe, generation, UINT32_MAX),
	MSG_FIELD_UINT(6, struct tpm_believe, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(7, struct tpm_believe, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct tpm_believe, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(9, struct tpm_believe, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(10, struct tpm_believe, state_version, UINT64_MAX),
	MSG_FIELD_UINT(11, struct tpm_believe, image, UINT32_MAX),
	MSG_FIELD_BYTES_OPT(12, struct tpm_believe, request, KMC_REQUEST_ID_SIZE, KMC_REQUEST_ID_SIZE),
	MSG_FIELD_BYTES_OPT(13, struct tpm_believe, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field seed[] = {
	MSG_FIELD_BYTES(3, struct tpm_seed, seed, 32, 32),
};

static const struct msg_field attest[] = {
	MSG_FIELD_BYTES(3, struct tpm_attest, qualifying, 32, 32),
	MSG_FIELD_UINT(4, struct tpm_attest, pcrs, 0xffffff),
};

static const struct msg_field attested[] = {
	MSG_FIELD_BYTES(3, struct tpm_attested, quote, 1, 512),
	MSG_FIELD_BYTES(4, struct tpm_attested, signature, 1, 128),
	MSG_FIELD_BYTES(5, struct tpm_attested, values, 0, 768),
};

static const struct msg_field seal[] = {
	MSG_FIELD_UUID(3, struct tpm_seal, uuid),
	MSG_FIELD_TEXT(4, struct tpm_seal, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(5, struct tpm_seal, seed, 32, 32),
	MSG_FIELD_UINT(6, struct tpm_seal, generation, UINT32_MAX),
	MSG_FIELD_UINT(7, struct tpm_seal, pcrs, 0xffffff),
	MSG_FIELD_BYTES_OPT(8, struct tpm_seal, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field sealed[] = {
	MSG_FIELD_BYTES(3, struct tpm_sealed, sealed, 1, 512),
};

static const struct msg_field unseal[] = {
	MSG_FIELD_UUID(3, struct tpm_unseal, uuid),
	MSG_FIELD_TEXT(4, struct tpm_unseal, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(5, struct tpm_unseal, sealed, 1, 512),
	MSG_FIELD_UINT(6, struct tpm_unseal, generation, UINT32_MAX),
	MSG_FIELD_UINT(7, struct tpm_unseal, pcrs, 0xffffff),
	MSG_FIELD_BYTES_OPT(8, struct tpm_unseal, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field sign[] = {
	MSG_FIELD_BYTES(3, struct tpm_sign, digest, 32, 32),
};

static const struct msg_field signed_digest[] = {
	MSG_FIELD_BYTES(3, struct tpm_signed, signature, 1, 80),
};

static const struct msg_schema tpm_schemas[] = {
	SCHEMA(TPM_WRAP, "wrap", tpm_wrap, wrap),
	SCHEMA(TPM_WRAPPED, "wrapped", tpm_wrapped, wrapped),
	SCHEMA(TPM_BELIEVE, "believe", tpm_believe, believe),
	SCHEMA(TPM_SEED, "seed", tpm_seed, seed),
	EMPTY(TPM_FORGET, "forget"),
	SCHEMA(TPM_FAILED, "failed", relay_failed, failed),
	SCHEMA(TPM_ATTEST, "attest", tpm_attest, attest),
	SCHEMA(TPM_ATTESTED, "attested", tpm_attested, attested),
	SCHEMA(TPM_SEAL, "seal", tpm_seal, seal),
	SCHEMA(TPM_SEALED, "sealed", tpm_sealed, sealed),
	SCHEMA(TPM_UNSEAL, "unseal", tpm_unseal, unseal),
	SCHEMA(TPM_SIGN, "sign", tpm_sign, sign),
	SCHEMA(TPM_SIGNED, "signed", tpm_signed, signed_digest),
};

const struct privsep_protocol tpm_protocol = {
	.name = "host-tpm", .body_max = 2048, .schemas = tpm_schemas, .n_schemas = COUNT(tpm_schemas)};
