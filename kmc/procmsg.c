/* The message tables between kmcd's processes. */
#include "kmc/procmsg.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, n, s, f) {.type = (t), .name = (n), .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct s)}
#define EMPTY(t, n) {.type = (t), .name = (n), .size = sizeof(struct proc_empty)}

static const struct msg_field ask[] = {
	MSG_FIELD_UINT(3, struct front_ask, conn, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(4, struct front_ask, host, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(5, struct front_ask, fingerprint, 32, 32),
	MSG_FIELD_BYTES(6, struct front_ask, frame, 1, FRONT_FRAME_MAX),
};

static const struct msg_field answer[] = {
	MSG_FIELD_UINT(3, struct front_answer, conn, UINT64_MAX),
	MSG_FIELD_BYTES(4, struct front_answer, frame, 1, FRONT_FRAME_MAX),
};

static const struct msg_field cut[] = {
	MSG_FIELD_TEXT(3, struct front_cut, host, 1, KMC_NAME_MAX),
};

static const struct msg_field trust[] = {
	MSG_FIELD_BYTES(3, struct front_trust, authorities, 1, KMC_AUTHORITIES_MAX),
};

static const struct msg_schema front_schemas[] = {
	EMPTY(FRONT_READY, "ready"),
	SCHEMA(FRONT_ASK, "ask", front_ask, ask),
	SCHEMA(FRONT_ANSWER, "answer", front_answer, answer),
	SCHEMA(FRONT_CUT, "cut", front_cut, cut),
	SCHEMA(FRONT_TRUST, "trust", front_trust, trust),
};

const struct privsep_protocol front_protocol = {
	.name = "front", .body_max = FRONT_FRAME_MAX + 256, .schemas = front_schemas, .n_schemas = COUNT(front_schemas)};

static const struct msg_field ready[] = {
	MSG_FIELD_UINT(3, struct vault_ready, oldest, UINT32_MAX),
};

static const struct msg_field protected[] = {
	MSG_FIELD_BYTES(3, struct vault_protected, key_id, KMC_KEY_ID_SIZE, KMC_KEY_ID_SIZE),
	MSG_FIELD_BYTES(4, struct vault_protected, modulus, 256, KMC_RSA_MAX),
	MSG_FIELD_BYTES(5, struct vault_protected, wrapped, 1, VAULT_WRAPPED_MAX),
	MSG_FIELD_UINT(6, struct vault_protected, exponent, UINT32_MAX),
};

static const struct msg_field decrypt[] = {
	MSG_FIELD_BYTES(3, struct vault_decrypt, key_id, KMC_KEY_ID_SIZE, KMC_KEY_ID_SIZE),
	MSG_FIELD_BYTES(4, struct vault_decrypt, wrapped, 1, VAULT_WRAPPED_MAX),
	MSG_FIELD_BYTES(5, struct vault_decrypt, cipher, 256, KMC_RSA_MAX),
};

static const struct msg_field decrypted[] = {
	MSG_FIELD_UUID(3, struct vault_decrypted, uuid),
};

static const struct msg_field make[] = {
	MSG_FIELD_TEXT(3, struct vault_make, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_UUID(4, struct vault_make, uuid),
	MSG_FIELD_UINT(5, struct vault_make, generation, UINT32_MAX),
	MSG_FIELD_BYTES_OPT(6, struct vault_make, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field share[] = {
	MSG_FIELD_TEXT(3, struct vault_share, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct vault_share, seed, 1, VAULT_SEED_MAX),
	MSG_FIELD_UUID(5, struct vault_share, from),
	MSG_FIELD_UUID(6, struct vault_share, to),
	MSG_FIELD_UINT(7, struct vault_share, generation, UINT32_MAX),
	MSG_FIELD_UINT(8, struct vault_share, to_generation, UINT32_MAX),
};

static const struct msg_field made[] = {
	MSG_FIELD_BYTES(3, struct vault_made, seed, 1, VAULT_SEED_MAX),
};

static const struct msg_field seal[] = {
	MSG_FIELD_TEXT(3, struct vault_seal, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct vault_seal, seed, 1, VAULT_SEED_MAX),
	MSG_FIELD_UINT(5, struct vault_seal, generation, UINT32_MAX),
	MSG_FIELD_UINT(6, struct vault_seal, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(7, struct vault_seal, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct vault_seal, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(9, struct vault_seal, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(10, struct vault_seal, state_version, UINT64_MAX),
	MSG_FIELD_UINT(11, struct vault_seal, image, UINT32_MAX),
	MSG_FIELD_BYTES_OPT(12, struct vault_seal, request, KMC_REQUEST_ID_SIZE, KMC_REQUEST_ID_SIZE),
	MSG_FIELD_BYTES_OPT(13, struct vault_seal, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field sealed[] = {
	MSG_FIELD_BYTES(3, struct vault_sealed, reply, 256, KMC_RSA_MAX + 64),
};

static const struct msg_field issue[] = {
	MSG_FIELD_TEXT(3, struct vault_issue, name, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct vault_issue, spki, 1, VAULT_SPKI_MAX),
	MSG_FIELD_UINT(5, struct vault_issue, not_before, INT64_MAX),
	MSG_FIELD_UINT(6, struct vault_issue, not_after, INT64_MAX),
	MSG_FIELD_TEXT_OPT(7, struct vault_issue, servers, 1, VAULT_NAMES_MAX),
};

static const struct msg_field issued[] = {
	MSG_FIELD_BYTES(3, struct vault_issued, cert, 1, VAULT_CERT_MAX),
};

static const struct msg_field sign[] = {
	MSG_FIELD_BYTES(3, struct vault_sign, hash, 32, 32),
	MSG_FIELD_UINT(4, struct vault_sign, seq, INT64_MAX),
	MSG_FIELD_UINT(5, struct vault_sign, time, INT64_MAX),
};

static const struct msg_field signed_head[] = {
	MSG_FIELD_BYTES(3, struct vault_signed, head, 1, KMC_AUDIT_HEAD_MAX),
};

static const struct msg_field credential[] = {
	MSG_FIELD_BYTES(3, struct vault_credential, ek, 1, 400),
	MSG_FIELD_BYTES(4, struct vault_credential, name, 34, 34),
};

static const struct msg_field challenge[] = {
	MSG_FIELD_BYTES(3, struct vault_challenge, credential, 1, 256),
	MSG_FIELD_BYTES(4, struct vault_challenge, secret, 1, 512),
	MSG_FIELD_BYTES(5, struct vault_challenge, answer, 32, 32),
};

static const struct msg_field duplicate[] = {
	MSG_FIELD_BYTES(3, struct vault_duplicate, ek, 1, 512),
	MSG_FIELD_BYTES(4, struct vault_duplicate, storage, 1, 512),
	MSG_FIELD_BYTES(5, struct vault_duplicate, authority, 64, 64),
	MSG_FIELD_BYTES(6, struct vault_duplicate, signature, 1, 80),
};

static const struct msg_field duplicated[] = {
	MSG_FIELD_BYTES(3, struct vault_duplicated, credential, 1, 256),
	MSG_FIELD_BYTES(4, struct vault_duplicated, secret, 1, 512),
	MSG_FIELD_BYTES(5, struct vault_duplicated, public, 1, 512),
	MSG_FIELD_BYTES(6, struct vault_duplicated, duplicate, 1, 512),
	MSG_FIELD_BYTES(7, struct vault_duplicated, seed, 1, 512),
};

static const struct msg_field endorse[] = {
	MSG_FIELD_TEXT(3, struct vault_endorse, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct vault_endorse, seed, 1, VAULT_SEED_MAX),
	MSG_FIELD_UUID(5, struct vault_endorse, uuid),
	MSG_FIELD_UINT(6, struct vault_endorse, generation, UINT32_MAX),
	MSG_FIELD_UINT(7, struct vault_endorse, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct vault_endorse, not_before, INT64_MAX),
	MSG_FIELD_BYTES_OPT(9, struct vault_endorse, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field endorsed[] = {
	MSG_FIELD_BYTES(3, struct vault_endorsed, rsa, 1, VAULT_CERT_MAX),
	MSG_FIELD_BYTES(4, struct vault_endorsed, ecc, 1, VAULT_CERT_MAX),
};

static const struct msg_field ca_make[] = {
	MSG_FIELD_TEXT(3, struct vault_ca_make, name, 1, KMC_NAME_MAX),
	MSG_FIELD_UINT(4, struct vault_ca_make, not_before, INT64_MAX),
	MSG_FIELD_UINT(5, struct vault_ca_make, not_after, INT64_MAX),
};

static const struct msg_field ca_made[] = {
	MSG_FIELD_BYTES(3, struct vault_ca_made, certificate, 1, VAULT_CERT_MAX),
	MSG_FIELD_BYTES(4, struct vault_ca_made, key, 1, VAULT_CA_KEY_MAX),
	MSG_FIELD_BYTES(5, struct vault_ca_made, present, 1, VAULT_CERT_MAX),
	MSG_FIELD_BYTES(6, struct vault_ca_made, present_key, 1, VAULT_CA_KEY_MAX),
};

static const struct msg_field ca[] = {
	MSG_FIELD_BYTES(3, struct vault_ca, certificate, 1, VAULT_CERT_MAX),
	MSG_FIELD_BYTES(4, struct vault_ca, key, 1, VAULT_CA_KEY_MAX),
	MSG_FIELD_UINT(5, struct vault_ca, sign, 1),
};

static const struct msg_field number[] = {
	MSG_FIELD_UINT(3, struct vault_number, number, UINT32_MAX),
};

static const struct msg_field wrapping[] = {
	MSG_FIELD_UINT(3, struct vault_wrapping, number, UINT32_MAX),
	MSG_FIELD_BYTES(4, struct vault_wrapping, sealed, 1, VAULT_SEALED_MAX),
};

static const struct msg_field rewrap[] = {
	MSG_FIELD_UINT(3, struct vault_rewrap, kind, 2),
	MSG_FIELD_BYTES(4, struct vault_rewrap, context, 1, VAULT_CONTEXT_MAX),
	MSG_FIELD_BYTES(5, struct vault_rewrap, wrapped, 1, VAULT_WRAPPED_MAX),
};

static const struct msg_field rewrapped[] = {
	MSG_FIELD_BYTES(3, struct vault_rewrapped, wrapped, 1, VAULT_WRAPPED_MAX),
};

static const struct msg_field card[] = {
	MSG_FIELD_BYTES(3, struct vault_card, card, 1, MOVE_CARD_MAX),
};

static const struct msg_field export[] = {
	MSG_FIELD_TEXT(3, struct vault_export, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct vault_export, seed, 1, VAULT_SEED_MAX),
	MSG_FIELD_BYTES(5, struct vault_export, card, 1, MOVE_CARD_MAX),
	MSG_FIELD_BYTES(6, struct vault_export, id, MOVE_ID_SIZE, MOVE_ID_SIZE),
	MSG_FIELD_UUID(7, struct vault_export, uuid),
	MSG_FIELD_BYTES_OPT(8, struct vault_export, origin, ORIGIN_SIZE, ORIGIN_SIZE),
	MSG_FIELD_BYTES_OPT(9, struct vault_export, state_hash, MOVE_HASH_SIZE, MOVE_HASH_SIZE),
	MSG_FIELD_UINT(10, struct vault_export, generation, UINT32_MAX),
	MSG_FIELD_UINT(11, struct vault_export, lease_epoch, INT64_MAX),
	MSG_FIELD_UINT(12, struct vault_export, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(13, struct vault_export, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(14, struct vault_export, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(15, struct vault_export, state_version, INT64_MAX),
	MSG_FIELD_UINT(16, struct vault_export, created_at, INT64_MAX),
	MSG_FIELD_UINT(17, struct vault_export, exported_at, INT64_MAX),
};

static const struct msg_field exported[] = {
	MSG_FIELD_BYTES(3, struct vault_exported, package, 1, MOVE_PACKAGE_MAX),
};

static const struct msg_field import[] = {
	MSG_FIELD_TEXT(3, struct vault_import, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(4, struct vault_import, from, MOVE_HASH_SIZE, MOVE_HASH_SIZE),
	MSG_FIELD_BYTES(5, struct vault_import, package, 1, MOVE_PACKAGE_MAX),
};

static const struct msg_field receipt[] = {
	MSG_FIELD_BYTES(3, struct vault_receipt, id, MOVE_ID_SIZE, MOVE_ID_SIZE),
	MSG_FIELD_BYTES(4, struct vault_receipt, from, MOVE_HASH_SIZE, MOVE_HASH_SIZE),
	MSG_FIELD_UUID(5, struct vault_receipt, uuid),
	MSG_FIELD_UINT(6, struct vault_receipt, lease_epoch, INT64_MAX),
	MSG_FIELD_UINT(7, struct vault_receipt, imported_at, INT64_MAX),
};

static const struct msg_field receipt_is[] = {
	MSG_FIELD_BYTES(3, struct vault_receipt_is, receipt, 1, MOVE_RECEIPT_MAX),
};

static const struct msg_field failed[] = {
	MSG_FIELD_UINT(3, struct vault_failed, code, 255),
	MSG_FIELD_TEXT(4, struct vault_failed, reason, 1, VAULT_REASON_MAX),
};

static const struct msg_schema vault_schemas[] = {
	SCHEMA(VAULT_READY, "ready", vault_ready, ready),
	EMPTY(VAULT_PROTECT, "protect"),
	SCHEMA(VAULT_PROTECTED, "protected", vault_protected, protected),
	SCHEMA(VAULT_DECRYPT, "decrypt", vault_decrypt, decrypt),
	SCHEMA(VAULT_DECRYPTED, "decrypted", vault_decrypted, decrypted),
	SCHEMA(VAULT_MAKE, "make", vault_make, make),
	SCHEMA(VAULT_MADE, "made", vault_made, made),
	SCHEMA(VAULT_SEAL, "seal", vault_seal, seal),
	SCHEMA(VAULT_SEALED, "sealed", vault_sealed, sealed),
	EMPTY(VAULT_FORGET, "forget"),
	SCHEMA(VAULT_ISSUE, "issue", vault_issue, issue),
	SCHEMA(VAULT_ISSUED, "issued", vault_issued, issued),
	SCHEMA(VAULT_FAILED, "failed", vault_failed, failed),
	SCHEMA(VAULT_SIGN, "sign", vault_sign, sign),
	SCHEMA(VAULT_SIGNED, "signed", vault_signed, signed_head),
	SCHEMA(VAULT_CREDENTIAL, "credential", vault_credential, credential),
	SCHEMA(VAULT_CHALLENGE, "challenge", vault_challenge, challenge),
	SCHEMA(VAULT_DUPLICATE, "duplicate", vault_duplicate, duplicate),
	SCHEMA(VAULT_DUPLICATED, "duplicated", vault_duplicated, duplicated),
	SCHEMA(VAULT_ENDORSE, "endorse", vault_endorse, endorse),
	SCHEMA(VAULT_ENDORSED, "endorsed", vault_endorsed, endorsed),
	SCHEMA(VAULT_CA_MAKE, "ca make", vault_ca_make, ca_make),
	SCHEMA(VAULT_CA_MADE, "ca made", vault_ca_made, ca_made),
	SCHEMA(VAULT_CA, "ca", vault_ca, ca),
	EMPTY(VAULT_CA_TAKEN, "ca taken"),
	SCHEMA(VAULT_CA_KEEP, "ca keep", vault_ca, ca),
	SCHEMA(VAULT_NEW_WRAPPING, "new wrapping", vault_number, number),
	SCHEMA(VAULT_NEW_WRAPPED, "new wrapped", vault_wrapping, wrapping),
	SCHEMA(VAULT_LEARN, "learn", vault_wrapping, wrapping),
	SCHEMA(VAULT_USE, "use", vault_number, number),
	SCHEMA(VAULT_DESTROY, "destroy", vault_number, number),
	EMPTY(VAULT_KEPT, "kept"),
	SCHEMA(VAULT_REWRAP, "rewrap", vault_rewrap, rewrap),
	SCHEMA(VAULT_REWRAPPED, "rewrapped", vault_rewrapped, rewrapped),
	SCHEMA(VAULT_SHARE, "share", vault_share, share),
	EMPTY(VAULT_CARD, "card"),
	SCHEMA(VAULT_CARD_IS, "card is", vault_card, card),
	SCHEMA(VAULT_EXPORT, "export", vault_export, export),
	SCHEMA(VAULT_EXPORTED, "exported", vault_exported, exported),
	SCHEMA(VAULT_IMPORT, "import", vault_import, import),
	SCHEMA(VAULT_RECEIPT, "receipt", vault_receipt, receipt),
	SCHEMA(VAULT_RECEIPT_IS, "receipt is", vault_receipt_is, receipt_is),
};

/* Larger than any message: the queue must hold what 256 hosts ask at once. */
const struct privsep_protocol vault_protocol = {
	.name = "vault", .body_max = 128 * 1024, .schemas = vault_schemas, .n_schemas = COUNT(vault_schemas)};

static const struct msg_field key[] = {
	MSG_FIELD_UINT(3, struct keymaker_key, bits, 4096),
};

static const struct msg_field key_made[] = {
	MSG_FIELD_BYTES(3, struct keymaker_made, der, 1, 2048),
};

static const struct msg_schema keymaker_schemas[] = {
	SCHEMA(KEYMAKER_KEY, "key", keymaker_key, key),
	SCHEMA(KEYMAKER_MADE, "key made", keymaker_made, key_made),
};

const struct privsep_protocol keymaker_protocol = {
	.name = "keymaker", .body_max = 4096, .schemas = keymaker_schemas, .n_schemas = COUNT(keymaker_schemas)};

static const struct msg_field keys[] = {
	MSG_FIELD_BYTES(3, struct ekmaker_keys, eps, EKMAKER_SEED_SIZE, EKMAKER_SEED_SIZE),
};

static const struct msg_field keys_made[] = {
	MSG_FIELD_BYTES(3, struct ekmaker_made, rsa, 256, 256),
	MSG_FIELD_BYTES(4, struct ekmaker_made, ecc, 64, 64),
	MSG_FIELD_UINT(5, struct ekmaker_made, manufacturer, UINT32_MAX),
	MSG_FIELD_UINT(6, struct ekmaker_made, firmware, UINT32_MAX),
	MSG_FIELD_UINT(7, struct ekmaker_made, level, UINT32_MAX),
	MSG_FIELD_UINT(8, struct ekmaker_made, revision, UINT32_MAX),
};

static const struct msg_field keys_failed[] = {
	MSG_FIELD_UINT(3, struct ekmaker_failed, code, 255),
};

static const struct msg_schema ekmaker_schemas[] = {
	SCHEMA(EKMAKER_KEYS, "keys", ekmaker_keys, keys),
	SCHEMA(EKMAKER_MADE, "keys made", ekmaker_made, keys_made),
	SCHEMA(EKMAKER_FAILED, "keys failed", ekmaker_failed, keys_failed),
};

const struct privsep_protocol ekmaker_protocol = {
	.name = "ekmaker", .body_max = 8192, .schemas = ekmaker_schemas, .n_schemas = COUNT(ekmaker_schemas)};

static const struct msg_field file_put[] = {
	MSG_FIELD_TEXT(3, struct keeper_put, name, 1, 31),
	MSG_FIELD_BYTES(4, struct keeper_put, bytes, 1, VAULT_SEALED_MAX),
};

static const struct msg_field file_remove[] = {
	MSG_FIELD_TEXT(3, struct keeper_remove, name, 1, 31),
};

static const struct msg_field keeper_trouble[] = {
	MSG_FIELD_TEXT(3, struct keeper_failed, reason, 1, VAULT_REASON_MAX),
};

static const struct msg_schema keeper_schemas[] = {
	SCHEMA(KEEPER_PUT, "put", keeper_put, file_put),
	SCHEMA(KEEPER_REMOVE, "remove", keeper_remove, file_remove),
	EMPTY(KEEPER_DONE, "done"),
	SCHEMA(KEEPER_GET, "get", keeper_remove, file_remove),
	SCHEMA(KEEPER_BYTES, "bytes", keeper_put, file_put),
	SCHEMA(KEEPER_FAILED, "keeper failed", keeper_failed, keeper_trouble),
};

const struct privsep_protocol keeper_protocol = {
	.name = "keeper", .body_max = 4096, .schemas = keeper_schemas, .n_schemas = COUNT(keeper_schemas)};
