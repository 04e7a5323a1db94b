/* The control socket's message table. */
#include "dom0-relay/ctlmsg.h"

#include "common/buf.h"
#include "common/error.h"

static const struct msg_field status[] = {
	MSG_FIELD_TEXT(3, struct ctl_status, kmc, 1, CTL_REASON_MAX),
	MSG_FIELD_UINT(4, struct ctl_status, kmc_up, 1),
	MSG_FIELD_UINT(5, struct ctl_status, spares_ready, UINT16_MAX),
	MSG_FIELD_UINT(6, struct ctl_status, spares_wanted, UINT16_MAX),
	MSG_FIELD_UINT(7, struct ctl_status, software_key, 1),
	MSG_FIELD_UINT(8, struct ctl_status, certificate_until, UINT64_MAX),
	MSG_FIELD_UINT(9, struct ctl_status, renew_at, UINT64_MAX),
	MSG_FIELD_UINT(10, struct ctl_status, renewals, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(11, struct ctl_status, renew_failed, 1, CTL_REASON_MAX),
};

static const struct msg_field entry[] = {
	MSG_FIELD_UINT(3, struct ctl_entry, guest, 0x7fef),
	MSG_FIELD_UINT(4, struct ctl_entry, dev, UINT16_MAX),
	MSG_FIELD_UUID(5, struct ctl_entry, uuid),
	MSG_FIELD_UINT(6, struct ctl_entry, stub, 0x7fef),
	MSG_FIELD_TEXT(7, struct ctl_entry, state, 1, 32),
	MSG_FIELD_UINT(8, struct ctl_entry, since, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(9, struct ctl_entry, reason, 1, CTL_REASON_MAX),
	MSG_FIELD_UINT(10, struct ctl_entry, connected, 1),
	MSG_FIELD_UINT(11, struct ctl_entry, commands, UINT64_MAX),
	MSG_FIELD_UINT(12, struct ctl_entry, malformed, UINT64_MAX),
	MSG_FIELD_UINT(13, struct ctl_entry, service_ns, UINT64_MAX),
	MSG_FIELD_UINT(14, struct ctl_entry, memory_kib, UINT64_MAX),
	MSG_FIELD_TEXT_OPT(15, struct ctl_entry, backend, 1, CTL_NAME_MAX),
};

static const struct msg_field prepare[] = {
	MSG_FIELD_UUID(3, struct ctl_prepare, uuid),
	MSG_FIELD_TEXT(4, struct ctl_prepare, name, 1, CTL_NAME_MAX),
};

static const struct msg_field unprepare[] = {
	MSG_FIELD_TEXT(3, struct ctl_unprepare, name, 1, CTL_NAME_MAX),
};

static const struct msg_field refused[] = {
	MSG_FIELD_TEXT(3, struct ctl_refused, reason, 1, CTL_REASON_MAX),
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct msg_schema schemas[] = {
	{.type = CTL_LIST, .name = "list", .size = sizeof(struct ctl_empty)},
	{.type = CTL_RENEW, .name = "renew", .size = sizeof(struct ctl_empty)},
	{.type = CTL_STATUS, .name = "status", .fields = status, .n_fields = COUNT(status), .size = sizeof(struct ctl_status)},
	{.type = CTL_ENTRY, .name = "entry", .fields = entry, .n_fields = COUNT(entry), .size = sizeof(struct ctl_entry)},
	{.type = CTL_PREPARE, .name = "prepare", .fields = prepare, .n_fields = COUNT(prepare), .size = sizeof(struct ctl_prepare)},
	{.type = CTL_UNPREPARE, .name = "unprepare", .fields = unprepare, .n_fields = COUNT(unprepare), .size = sizeof(struct ctl_unprepare)},
	{.type = CTL_REFUSED, .name = "refused", .fields = refused, .n_fields = COUNT(refused), .size = sizeof(struct ctl_refused)},
	{.type = CTL_END, .name = "end", .size = sizeof(struct ctl_empty)},
};

const struct msg_schema *ctl_schema(uint64_t type)
{
	return msg_schema_find(schemas, COUNT(schemas), type);
}

int ctl_write(struct buf *out, enum ctl_type type, const void *fields)
{
	static const struct ctl_empty none;
	const struct msg_schema *schema = ctl_schema(type);

	return schema ? msg_write(out, schema, CTL_VERSION, 0, fields ? fields : &none) : E_ARG;
}
