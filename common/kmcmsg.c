/* The table of messages between a host and the KMC. */
#include "common/kmcmsg.h"

#include "common/buf.h"
#include "common/error.h"

static const struct msg_field hello[] = {
	MSG_FIELD_TEXT(3, struct kmc_hello, software, 1, 64),
};

static const struct msg_field welcome[] = {
	MSG_FIELD_TEXT(3, struct kmc_welcome, kmc, 1, KMC_NAME_MAX),
	MSG_FIELD_TEXT(4, struct kmc_welcome, host, 1, KMC_NAME_MAX),
	MSG_FIELD_TEXT(5, struct kmc_welcome, pool, 1, KMC_NAME_MAX),
	MSG_FIELD_UINT(6, struct kmc_welcome, time, UINT64_MAX),
	MSG_FIELD_BYTES_OPT(7, struct kmc_welcome, audit, 1, KMC_AUDIT_HEAD_MAX),
};

static const struct msg_field protected[] = {
	MSG_FIELD_BYTES(3, struct kmc_protected, key_id, KMC_KEY_ID_SIZE, KMC_KEY_ID_SIZE),
	MSG_FIELD_BYTES(4, struct kmc_protected, modulus, 256, KMC_RSA_MAX),
	MSG_FIELD_UINT(5, struct kmc_protected, exponent, UINT32_MAX),
	MSG_FIELD_UINT(6, struct kmc_protected, expires, UINT64_MAX),
};

static const struct msg_field open[] = {
	MSG_FIELD_BYTES(3, struct kmc_open, key_id, KMC_KEY_ID_SIZE, KMC_KEY_ID_SIZE),
	MSG_FIELD_BYTES(4, struct kmc_open, cipher, 256, KMC_RSA_MAX),
};

static const struct msg_field opened[] = {
	MSG_FIELD_TEXT(3, struct kmc_opened, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_UINT(4, struct kmc_opened, generation, UINT32_MAX),
	MSG_FIELD_UINT(5, struct kmc_opened, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(6, struct kmc_opened, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(7, struct kmc_opened, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct kmc_opened, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(9, struct kmc_opened, state_version, UINT64_MAX),
	MSG_FIELD_BYTES(10, struct kmc_opened, reply, 256, KMC_RSA_MAX + 64),
	MSG_FIELD_BYTES_OPT(11, struct kmc_opened, state, 1, KMC_STATE_MAX),
	MSG_FIELD_BYTES_OPT(12, struct kmc_opened, audit, 1, KMC_AUDIT_HEAD_MAX),
	MSG_FIELD_BYTES_OPT(13, struct kmc_opened, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field release[] = {
	MSG_FIELD_UUID(3, struct kmc_release, uuid),
	MSG_FIELD_UINT(4, struct kmc_release, lease_epoch, UINT64_MAX),
};

static const struct msg_field store[] = {
	MSG_FIELD_UUID(3, struct kmc_store, uuid),
	MSG_FIELD_UINT(4, struct kmc_store, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(5, struct kmc_store, version, UINT64_MAX),
	MSG_FIELD_UINT(6, struct kmc_store, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(7, struct kmc_store, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct kmc_store, platform_epoch, UINT32_MAX),
	MSG_FIELD_BYTES(9, struct kmc_store, state, 1, KMC_STATE_MAX),
};

static const struct msg_field stored[] = {
	MSG_FIELD_UINT(3, struct kmc_stored, version, UINT64_MAX),
};

static const struct msg_field refused[] = {
	MSG_FIELD_UINT(3, struct kmc_refused, code, 255),
	MSG_FIELD_TEXT(4, struct kmc_refused, reason, 1, 240),
};

static const struct msg_field nonce[] = {
	MSG_FIELD_BYTES(3, struct kmc_nonce, nonce, 32, 32),
	MSG_FIELD_UINT(4, struct kmc_nonce, pcrs, 0xffffff),
};

static const struct msg_field quote[] = {
	MSG_FIELD_BYTES(3, struct kmc_quote, quote, 1, 512),
	MSG_FIELD_BYTES(4, struct kmc_quote, signature, 1, 128),
	MSG_FIELD_BYTES(5, struct kmc_quote, values, 0, 768),
	MSG_FIELD_BYTES_OPT(6, struct kmc_quote, image, 32, 32),
};

static const struct msg_field attested[] = {
	MSG_FIELD_UINT(3, struct kmc_attested, interval, UINT32_MAX),
	MSG_FIELD_TEXT_OPT(4, struct kmc_attested, remark, 1, 240),
};

static const struct msg_field enrol[] = {
	MSG_FIELD_BYTES(3, struct kmc_enrol, token, 24, 24),
	MSG_FIELD_BYTES(4, struct kmc_enrol, ek, 1, 400),
	MSG_FIELD_BYTES(5, struct kmc_enrol, ak, 1, 128),
	MSG_FIELD_BYTES(6, struct kmc_enrol, spki, 1, 128),
	MSG_FIELD_BYTES_OPT(7, struct kmc_enrol, certificate, 1, 2048),
	MSG_FIELD_UINT(8, struct kmc_enrol, software_key, 1),
	MSG_FIELD_BYTES_OPT(9, struct kmc_enrol, tls_key, 1, 128),
};

static const struct msg_field challenge[] = {
	MSG_FIELD_BYTES(3, struct kmc_challenge, credential, 1, 256),
	MSG_FIELD_BYTES(4, struct kmc_challenge, secret, 1, 512),
	MSG_FIELD_BYTES(5, struct kmc_challenge, nonce, 32, 32),
	MSG_FIELD_UINT(6, struct kmc_challenge, pcrs, 0xffffff),
};

static const struct msg_field prove[] = {
	MSG_FIELD_BYTES(3, struct kmc_prove, credential, 1, 64),
	MSG_FIELD_BYTES(4, struct kmc_prove, quote, 1, 512),
	MSG_FIELD_BYTES(5, struct kmc_prove, signature, 1, 128),
	MSG_FIELD_BYTES(6, struct kmc_prove, values, 0, 768),
	MSG_FIELD_BYTES(7, struct kmc_prove, possession, 1, 80),
	MSG_FIELD_BYTES_OPT(8, struct kmc_prove, certified, 1, 512),
	MSG_FIELD_BYTES_OPT(9, struct kmc_prove, certified_by, 1, 128),
};

static const struct msg_field enrolled[] = {
	MSG_FIELD_TEXT(3, struct kmc_enrolled, name, 1, KMC_NAME_MAX),
	MSG_FIELD_TEXT(4, struct kmc_enrolled, pool, 1, KMC_NAME_MAX),
	MSG_FIELD_BYTES(5, struct kmc_enrolled, certificate, 1, 2048),
	MSG_FIELD_BYTES(6, struct kmc_enrolled, ca, 1, 2048),
};

static const struct msg_field certify[] = {
	MSG_FIELD_UUID(3, struct kmc_certify, uuid),
	MSG_FIELD_UINT(4, struct kmc_certify, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(5, struct kmc_certify, endorsement_epoch, UINT32_MAX),
};

static const struct msg_field certified[] = {
	MSG_FIELD_UINT(3, struct kmc_certified, later, 3600),
	MSG_FIELD_BYTES_OPT(4, struct kmc_certified, rsa, 1, KMC_CERTIFICATE_MAX),
	MSG_FIELD_BYTES_OPT(5, struct kmc_certified, ecc, 1, KMC_CERTIFICATE_MAX),
};

static const struct msg_field suspend[] = {
	MSG_FIELD_UUID(3, struct kmc_suspend, uuid),
	MSG_FIELD_UINT(4, struct kmc_suspend, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(5, struct kmc_suspend, image, UINT32_MAX),
	MSG_FIELD_UINT(6, struct kmc_suspend, version, UINT64_MAX),
	MSG_FIELD_UINT(7, struct kmc_suspend, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct kmc_suspend, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(9, struct kmc_suspend, platform_epoch, UINT32_MAX),
	MSG_FIELD_BYTES_OPT(10, struct kmc_suspend, state, 1, KMC_STATE_MAX),
	MSG_FIELD_BYTES(11, struct kmc_suspend, volatile_state, 1, KMC_VOLATILE_MAX),
};

static const struct msg_field suspended[] = {
	MSG_FIELD_UINT(3, struct kmc_suspended, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(4, struct kmc_suspended, version, UINT64_MAX),
};

static const struct msg_field resume[] = {
	MSG_FIELD_UUID(3, struct kmc_resume, uuid),
	MSG_FIELD_UINT(4, struct kmc_resume, lease_epoch, UINT64_MAX),
};

static const struct msg_field resumed[] = {
	MSG_FIELD_UINT(3, struct kmc_resumed, lease_epoch, UINT64_MAX),
};

static const struct msg_field reserve[] = {
	MSG_FIELD_BYTES(3, struct kmc_reserve, key_id, KMC_KEY_ID_SIZE, KMC_KEY_ID_SIZE),
	MSG_FIELD_BYTES(4, struct kmc_reserve, cipher, 256, KMC_RSA_MAX),
	MSG_FIELD_UINT(5, struct kmc_reserve, image, UINT32_MAX),
	MSG_FIELD_BYTES(6, struct kmc_reserve, request, KMC_REQUEST_ID_SIZE, KMC_REQUEST_ID_SIZE),
};

static const struct msg_field reserved[] = {
	MSG_FIELD_TEXT(3, struct kmc_reserved, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_UINT(4, struct kmc_reserved, generation, UINT32_MAX),
	MSG_FIELD_UINT(5, struct kmc_reserved, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(6, struct kmc_reserved, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(7, struct kmc_reserved, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct kmc_reserved, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(9, struct kmc_reserved, state_version, UINT64_MAX),
	MSG_FIELD_BYTES(10, struct kmc_reserved, reply, 256, KMC_RSA_MAX + 64),
	MSG_FIELD_BYTES(11, struct kmc_reserved, state, 1, KMC_STATE_MAX),
	MSG_FIELD_BYTES(12, struct kmc_reserved, volatile_state, 1, KMC_VOLATILE_MAX),
	MSG_FIELD_BYTES_OPT(13, struct kmc_reserved, audit, 1, KMC_AUDIT_HEAD_MAX),
	MSG_FIELD_BYTES_OPT(14, struct kmc_reserved, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field commit[] = {
	MSG_FIELD_UUID(3, struct kmc_commit, uuid),
	MSG_FIELD_BYTES(4, struct kmc_commit, request, KMC_REQUEST_ID_SIZE, KMC_REQUEST_ID_SIZE),
};

static const struct msg_field committed[] = {
	MSG_FIELD_UINT(3, struct kmc_committed, lease_epoch, UINT64_MAX),
};

static const struct msg_field cancel[] = {
	MSG_FIELD_UUID(3, struct kmc_cancel, uuid),
	MSG_FIELD_BYTES(4, struct kmc_cancel, request, KMC_REQUEST_ID_SIZE, KMC_REQUEST_ID_SIZE),
};

static const struct msg_field park[] = {
	MSG_FIELD_UUID(3, struct kmc_park, uuid),
	MSG_FIELD_UINT(4, struct kmc_park, lease_epoch, UINT64_MAX),
};

static const struct msg_field recalled[] = {
	MSG_FIELD_BYTES_OPT(3, struct kmc_recalled, uuid, UUID_SIZE, UUID_SIZE),
};

static const struct msg_field renew[] = {
	MSG_FIELD_BYTES(3, struct kmc_renew, certificate, 1, KMC_CERTIFICATE_MAX),
	MSG_FIELD_BYTES(4, struct kmc_renew, possession, 1, 80),
};

static const struct msg_field renewed[] = {
	MSG_FIELD_BYTES(3, struct kmc_renewed, certificate, 1, KMC_CERTIFICATE_MAX),
};

static const struct msg_field trust[] = {
	MSG_FIELD_BYTES(3, struct kmc_trust, have, 32, 32),
};

static const struct msg_field trusted[] = {
	MSG_FIELD_BYTES_OPT(3, struct kmc_trusted, authorities, 1, KMC_AUTHORITIES_MAX),
	MSG_FIELD_UINT(4, struct kmc_trusted, renew, 1),
	MSG_FIELD_UINT(5, struct kmc_trusted, again, 86400),
};

static const struct msg_field check[] = {
	MSG_FIELD_UUID(3, struct kmc_check, uuid),
};

static const struct msg_field verify[] = {
	MSG_FIELD_UUID(3, struct kmc_verify, uuid),
	MSG_FIELD_UINT(4, struct kmc_verify, lease_epoch, UINT64_MAX),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, s) {.type = (t), .name = #s, .fields = (s), .n_fields = COUNT(s), .size = sizeof(struct kmc_##s)}
#define EMPTY(t, s) {.type = (t), .name = s, .size = sizeof(struct kmc_empty)}

static const struct msg_schema schemas[] = {
	SCHEMA(KMC_HELLO, hello),
	SCHEMA(KMC_WELCOME, welcome),
	EMPTY(KMC_PROTECT, "protect"),
	SCHEMA(KMC_PROTECTED, protected),
	SCHEMA(KMC_OPEN, open),
	SCHEMA(KMC_OPENED, opened),
	SCHEMA(KMC_RELEASE, release),
	EMPTY(KMC_RELEASED, "released"),
	SCHEMA(KMC_STORE, store),
	SCHEMA(KMC_STORED, stored),
	SCHEMA(KMC_REFUSED, refused),
	EMPTY(KMC_ATTEST, "attest"),
	SCHEMA(KMC_NONCE, nonce),
	SCHEMA(KMC_QUOTE, quote),
	SCHEMA(KMC_ATTESTED, attested),
	SCHEMA(KMC_ENROL, enrol),
	SCHEMA(KMC_CHALLENGE, challenge),
	SCHEMA(KMC_PROVE, prove),
	SCHEMA(KMC_ENROLLED, enrolled),
	SCHEMA(KMC_CERTIFY, certify),
	SCHEMA(KMC_CERTIFIED, certified),
	SCHEMA(KMC_SUSPEND, suspend),
	SCHEMA(KMC_SUSPENDED, suspended),
	SCHEMA(KMC_RESUME, resume),
	SCHEMA(KMC_RESUMED, resumed),
	SCHEMA(KMC_RESERVE, reserve),
	SCHEMA(KMC_RESERVED, reserved),
	SCHEMA(KMC_COMMIT, commit),
	SCHEMA(KMC_COMMITTED, committed),
	SCHEMA(KMC_CANCEL, cancel),
	EMPTY(KMC_CANCELLED, "cancelled"),
	SCHEMA(KMC_PARK, park),
	EMPTY(KMC_PARKED, "parked"),
	EMPTY(KMC_RECALLS, "recalls"),
	SCHEMA(KMC_RECALLED, recalled),
	SCHEMA(KMC_RENEW, renew),
	SCHEMA(KMC_RENEWED, renewed),
	SCHEMA(KMC_TRUST, trust),
	SCHEMA(KMC_TRUSTED, trusted),
	SCHEMA(KMC_CHECK, check),
	EMPTY(KMC_CHECKED, "checked"),
	SCHEMA(KMC_VERIFY, verify),
	EMPTY(KMC_VERIFIED, "verified"),
};

const struct msg_schema *kmc_schema(uint64_t type)
{
	return msg_schema_find(schemas, COUNT(schemas), type);
}

int kmc_write(struct buf *out, enum kmc_type type, uint64_t id, const void *fields)
{
	static const struct kmc_empty none;
	const struct msg_schema *schema = kmc_schema(type);

	return schema ? msg_write(out, schema, KMC_VERSION, id, fields ? fields : &none) : E_ARG;
}

const char *kmc_refusal_text(uint64_t code)
{
	static const char *const texts[] = {
		[KMC_REFUSED_VERSION] = "protocol version",
		[KMC_REFUSED_MALFORMED] = "malformed message",
		[KMC_REFUSED_UNKNOWN_HOST] = "unknown host",
		[KMC_REFUSED_KEY] = "protection key",
		[KMC_REFUSED_ENVELOPE] = "envelope",
		[KMC_REFUSED_POLICY] = "policy",
		[KMC_REFUSED_HELD] = "in use",
		[KMC_REFUSED_EPOCH] = "stale lease",
		[KMC_REFUSED_ROLLBACK] = "roll-back",
		[KMC_REFUSED_BUSY] = "busy",
		[KMC_REFUSED_INTERNAL] = "KMC failure",
		[KMC_REFUSED_QUOTA] = "quota",
		[KMC_REFUSED_ATTESTATION] = "attestation",
		[KMC_REFUSED_ENROLMENT] = "enrolment",
		[KMC_REFUSED_IMAGE] = "another image",
		[KMC_REFUSED_RESERVATION] = "no reservation",
		[KMC_REFUSED_SESSION] = "an older connection",
		[KMC_REFUSED_PARKED] = "parked",
	};

	return code < COUNT(texts) && texts[code] ? texts[code] : "refused";
}
