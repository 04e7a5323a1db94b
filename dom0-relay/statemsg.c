/* The messages between the relay and its state process, and the record of a lease. */
#include "dom0-relay/statemsg.h"

#include "common/buf.h"
#include "common/error.h"
#include "common/kmcmsg.h"

#define RECORD_VERSION 2

static const struct msg_field next[] = {
	MSG_FIELD_UINT(3, struct state_next, number, 1u << 20),
};

#define RECORD_FIELDS \
	MSG_FIELD_UUID(3, struct state_record, uuid), \
	MSG_FIELD_UUID(4, struct state_record, handle), \
	MSG_FIELD_UUID(5, struct state_record, boot), \
	MSG_FIELD_UINT(6, struct state_record, guest, 0x7fef), \
	MSG_FIELD_UINT(7, struct state_record, dev, UINT16_MAX), \
	MSG_FIELD_UINT(8, struct state_record, stub, 0x7fef), \
	MSG_FIELD_UINT(9, struct state_record, lease_epoch, UINT64_MAX), \
	MSG_FIELD_UINT(10, struct state_record, version, UINT64_MAX), \
	MSG_FIELD_UINT(11, struct state_record, owner_epoch, UINT32_MAX), \
	MSG_FIELD_UINT(12, struct state_record, endorsement_epoch, UINT32_MAX), \
	MSG_FIELD_UINT(13, struct state_record, platform_epoch, UINT32_MAX), \
	MSG_FIELD_BYTES_OPT(14, struct state_record, state, 1, HANDOFF_STATE_MAX), \
	MSG_FIELD_UINT(15, struct state_record, phase, PHASE_OPENING), \
	MSG_FIELD_UINT(16, struct state_record, image, UINT32_MAX), \
	MSG_FIELD_BYTES_OPT(17, struct state_record, request, KMC_REQUEST_ID_SIZE, KMC_REQUEST_ID_SIZE), \
	MSG_FIELD_BYTES_OPT(18, struct state_record, transient, 1, HANDOFF_TRANSIENT_MAX), \
	MSG_FIELD_BYTES_OPT(19, struct state_record, grace, 1, STATE_GRACE_MAX)

/* As a file has it, and as the two processes say it. */
static const struct msg_field record[] = {RECORD_FIELDS};
static const struct msg_field placed[] = {
	RECORD_FIELDS,
	MSG_FIELD_UINT(20, struct state_placed, place, STATE_PLACES - 1),
	MSG_FIELD_UINT(21, struct state_placed, unreadable, 1),
};

static const struct msg_field listed[] = {
	MSG_FIELD_UINT(3, struct state_listed, contact, UINT64_MAX),
};

static const struct msg_field touch[] = {
	MSG_FIELD_UINT(3, struct state_touch, contact, UINT64_MAX),
};

static const struct msg_field identity[] = {
	MSG_FIELD_BYTES(3, struct state_identity, pem, 1, STATE_IDENTITY_MAX),
};

static const struct msg_field note[] = {
	MSG_FIELD_UUID(3, struct state_note, uuid),
	MSG_FIELD_UINT(4, struct state_note, guest, 0x7fef),
	MSG_FIELD_UINT(5, struct state_note, dev, UINT16_MAX),
	MSG_FIELD_UINT(6, struct state_note, event, UINT8_MAX),
	MSG_FIELD_TEXT_OPT(7, struct state_note, detail, 1, 240),
};

static const struct msg_field name[] = {
	MSG_FIELD_UUID(3, struct state_name, uuid),
	MSG_FIELD_UINT(4, struct state_name, place, STATE_PLACES - 1),
};

static const struct msg_field failed[] = {
	MSG_FIELD_TEXT(3, struct state_failed, reason, 1, 240),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SCHEMA(t, n, s, f) {.type = (t), .name = (n), .fields = (f), .n_fields = COUNT(f), .size = sizeof(struct s)}
#define EMPTY(t, n) {.type = (t), .name = (n), .size = sizeof(struct state_empty)}

static const struct msg_schema schemas[] = {
	SCHEMA(STATE_NEXT, "next", state_next, next),
	SCHEMA(STATE_RECORD, "record", state_placed, placed),
	SCHEMA(STATE_LISTED, "listed", state_listed, listed),
	SCHEMA(STATE_SAVE, "save", state_placed, placed),
	EMPTY(STATE_SAVED, "saved"),
	SCHEMA(STATE_DROP, "drop", state_name, name),
	EMPTY(STATE_DROPPED, "dropped"),
	SCHEMA(STATE_FAILED, "failed", state_failed, failed),
	SCHEMA(STATE_TOUCH, "touch", state_touch, touch),
	EMPTY(STATE_TOUCHED, "touched"),
	SCHEMA(STATE_IDENTITY, "identity", state_identity, identity),
	EMPTY(STATE_IDENTIFIED, "identified"),
	SCHEMA(STATE_NOTE, "note", state_note, note),
};

const struct privsep_protocol state_protocol = {
	.name = "state", .body_max = STATE_BODY_MAX, .schemas = schemas, .n_schemas = COUNT(schemas)};

static const struct msg_schema in_file = SCHEMA(STATE_RECORD, "record", state_record, record);

int state_record_write(struct buf *out, const struct state_record *r)
{
	return msg_write(out, &in_file, RECORD_VERSION, 0, r);
}

int state_record_read(struct buf *in, struct state_record *r)
{
	struct msg m;
	int e = msg_next(in, STATE_BODY_MAX, &m);

	if (e == E_AGAIN_IN)
		return E_TRUNCATED;
	if (e != 0 || (e = buf_done(in)) != 0)
		return e;
	if (m.head.version != RECORD_VERSION)
		return E_VERSION;
	if (m.head.type != STATE_RECORD)
		return E_UNKNOWN;
	return msg_fields(&m, &in_file, r);
}
