/* A vTPM's sealed state on its way by hand. */
#include "common/statefile.h"

#include "common/buf.h"
#include "common/error.h"

#define VERSION 1
#define TYPE 1

static const struct msg_field fields[] = {
	MSG_FIELD_UUID(3, struct statefile, uuid),
	MSG_FIELD_UINT(4, struct statefile, lease_epoch, INT64_MAX),
	MSG_FIELD_UINT(5, struct statefile, version, INT64_MAX),
	MSG_FIELD_UINT(6, struct statefile, owner_epoch, UINT32_MAX),
	MSG_FIELD_UINT(7, struct statefile, endorsement_epoch, UINT32_MAX),
	MSG_FIELD_UINT(8, struct statefile, platform_epoch, UINT32_MAX),
	MSG_FIELD_BYTES(9, struct statefile, state, 1, KMC_STATE_MAX),
};

const struct msg_schema statefile_schema = {
	.type = TYPE, .name = "state", .fields = fields, .n_fields = sizeof(fields) / sizeof(fields[0]), .size = sizeof(struct statefile)};

int statefile_write(struct buf *out, const struct statefile *f)
{
	return msg_write(out, &statefile_schema, VERSION, 0, f);
}

int statefile_read(struct view in, struct statefile *f)
{
	struct msg m = {0};
	struct buf b;
	int r;

	buf_view(&b, in.p, in.n);
	r = msg_next(&b, STATEFILE_MAX, &m);
	if (r != 0)
		return r == E_AGAIN_IN ? E_TRUNCATED : r;
	if (m.head.version != VERSION || m.head.type != TYPE || m.head.id != 0)
		return m.head.version != VERSION ? E_VERSION : E_UNKNOWN;
	r = msg_fields(&m, &statefile_schema, f);
	return r != 0 ? r : f->version == 0 ? E_FORMAT : buf_done(&b);
}
