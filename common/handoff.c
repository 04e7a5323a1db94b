/* The hand-off's message table. */
#include "common/handoff.h"

#include "common/buf.h"
#include "common/error.h"

static const struct msg_field hello[] = {
	MSG_FIELD_BYTES(3, struct handoff_hello, program, 32, 32),
	MSG_FIELD_TEXT(4, struct handoff_hello, engine, 1, 64),
	MSG_FIELD_BYTES_OPT(5, struct handoff_hello, vtpm, UUID_SIZE, UUID_SIZE),
	MSG_FIELD_UINT(6, struct handoff_hello, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(7, struct handoff_hello, connected, 1),
	MSG_FIELD_BYTES_OPT(8, struct handoff_hello, held, 1, 1),
};

static const struct msg_field handoff[] = {
	MSG_FIELD_UUID(3, struct handoff_handoff, uuid),
	MSG_FIELD_TEXT(4, struct handoff_handoff, tenant, 1, 64),
	MSG_FIELD_BYTES(5, struct handoff_handoff, seed, HANDOFF_SEED_SIZE, HANDOFF_SEED_SIZE),
	MSG_FIELD_UINT(6, struct handoff_handoff, generation, UINT32_MAX),
	MSG_FIELD_UINT(7, struct handoff_handoff, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct handoff_handoff, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(9, struct handoff_handoff, platform_epoch, UINT32_MAX),
	MSG_FIELD_UINT(10, struct handoff_handoff, lease_epoch, UINT64_MAX),
	MSG_FIELD_UINT(11, struct handoff_handoff, guest_domid, 0x7fef),
	MSG_FIELD_UINT(12, struct handoff_handoff, devid, UINT16_MAX),
	MSG_FIELD_UINT(13, struct handoff_handoff, incarnation, UINT32_MAX),
	MSG_FIELD_BYTES_OPT(14, struct handoff_handoff, state, 1, HANDOFF_STATE_MAX),
	MSG_FIELD_UINT(15, struct handoff_handoff, state_version, UINT64_MAX),
	MSG_FIELD_BYTES_OPT(16, struct handoff_handoff, transient, 1, HANDOFF_TRANSIENT_MAX),
	MSG_FIELD_BYTES_OPT(17, struct handoff_handoff, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_field ready[] = {
	MSG_FIELD_UINT(3, struct handoff_ready, state_version, UINT64_MAX),
	MSG_FIELD_UINT(4, struct handoff_ready, lease_epoch, UINT64_MAX),
};

static const struct msg_field frontend[] = {
	MSG_FIELD_UINT(3, struct handoff_frontend, connected, 1),
};

static const struct msg_field store[] = {
	MSG_FIELD_UINT(3, struct handoff_store, version, UINT64_MAX),
	MSG_FIELD_UINT(4, struct handoff_store, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(5, struct handoff_store, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(6, struct handoff_store, platform_epoch, UINT32_MAX),
	MSG_FIELD_BYTES(7, struct handoff_store, state, 1, HANDOFF_STATE_MAX),
};

static const struct msg_field stored[] = {
	MSG_FIELD_UINT(3, struct handoff_stored, version, UINT64_MAX),
	MSG_FIELD_UINT(4, struct handoff_stored, result, 255),
};

static const struct msg_field status_reply[] = {
	MSG_FIELD_UINT(3, struct handoff_status_reply, commands, UINT64_MAX),
	MSG_FIELD_UINT(4, struct handoff_status_reply, malformed, UINT64_MAX),
	MSG_FIELD_UINT(5, struct handoff_status_reply, resident_kib, UINT32_MAX),
	MSG_FIELD_UINT(6, struct handoff_status_reply, connected, 1),
	MSG_FIELD_UINT(7, struct handoff_status_reply, service_ns, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(8, struct handoff_status_reply, failure, 1, 240),
};

static const struct msg_field failed[] = {
	MSG_FIELD_UINT(3, struct handoff_failed, code, 255),
	MSG_FIELD_TEXT(4, struct handoff_failed, reason, 1, 240),
};

static const struct msg_field certify[] = {
	MSG_FIELD_UINT(3, struct handoff_certify, endorsement_epoch, UINT32_MAX),
};

static const struct msg_field certificates[] = {
	MSG_FIELD_UINT(3, struct handoff_certificates, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_BYTES(4, struct handoff_certificates, rsa, 1, HANDOFF_CERTIFICATE_MAX),
	MSG_FIELD_BYTES(5, struct handoff_certificates, ecc, 1, HANDOFF_CERTIFICATE_MAX),
};

static const struct msg_field freeze[] = {
	MSG_FIELD_UINT(3, struct handoff_freeze, image, UINT32_MAX),
	MSG_FIELD_UINT(4, struct handoff_freeze, lease_epoch, UINT64_MAX),
};

static const struct msg_field frozen[] = {
	MSG_FIELD_UINT(3, struct handoff_frozen, version, UINT64_MAX),
	MSG_FIELD_UINT(4, struct handoff_frozen, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(5, struct handoff_frozen, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(6, struct handoff_frozen, platform_epoch, UINT32_MAX),
	MSG_FIELD_BYTES(7, struct handoff_frozen, state, 1, HANDOFF_STATE_MAX),
	MSG_FIELD_BYTES(8, struct handoff_frozen, transient, 1, HANDOFF_TRANSIENT_MAX),
};

static const struct msg_field thaw[] = {
	MSG_FIELD_UINT(3, struct handoff_thaw, lease_epoch, UINT64_MAX),
};

static const struct msg_field stand_in[] = {
	MSG_FIELD_UUID(3, struct handoff_stand_in, uuid),
	MSG_FIELD_UINT(4, struct handoff_stand_in, guest_domid, 0x7fef),
	MSG_FIELD_UINT(5, struct handoff_stand_in, devid, UINT16_MAX),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, s, f) {.type = (t), .name = #s, .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct handoff_##s)}
#define EMPTY(t, s) {.type = (t), .name = s, .size = sizeof(struct handoff_empty)}

static const struct msg_schema schemas[] = {
	SCHEMA(HANDOFF_HELLO, hello, hello),
	SCHEMA(HANDOFF_HANDOFF, handoff, handoff),
	SCHEMA(HANDOFF_READY, ready, ready),
	EMPTY(HANDOFF_SERVE, "serve"),
	SCHEMA(HANDOFF_FRONTEND, frontend, frontend),
	SCHEMA(HANDOFF_STORE, store, store),
	SCHEMA(HANDOFF_STORED, stored, stored),
	EMPTY(HANDOFF_STATUS, "status"),
	SCHEMA(HANDOFF_STATUS_REPLY, status_reply, status_reply),
	EMPTY(HANDOFF_CLOSE, "close"),
	EMPTY(HANDOFF_CLOSED, "closed"),
	SCHEMA(HANDOFF_FAILED, failed, failed),
	SCHEMA(HANDOFF_CERTIFY, certify, certify),
	SCHEMA(HANDOFF_CERTIFICATES, certificates, certificates),
	SCHEMA(HANDOFF_FREEZE, freeze, freeze),
	SCHEMA(HANDOFF_FROZEN, frozen, frozen),
	SCHEMA(HANDOFF_THAW, thaw, thaw),
	SCHEMA(HANDOFF_STAND_IN, stand_in, stand_in),
	EMPTY(HANDOFF_STAY, "stay"),
};

const struct msg_schema *handoff_schema(uint64_t type)
{
	return msg_schema_find(schemas, COUNT(schemas), type);
}

int handoff_write(struct buf *out, enum handoff_type type, const void *fields)
{
	static const struct handoff_empty none;
	const struct msg_schema *schema = handoff_schema(type);

	return schema ? msg_write(out, schema, HANDOFF_VERSION, 0, fields ? fields : &none) : E_ARG;
}
