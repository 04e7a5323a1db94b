/* Copies for a start without KMC. */
#include "dom0-relay/grace.h"

#include <stddef.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/kmcmsg.h"
#include "common/origin.h"
#include "dom0-relay/statemsg.h"

#define COPY_VERSION 1
#define COPY_TYPE 1
#define BACK_S 3600 /* a clock that went back by more since the last contact is not believed */

static const struct msg_field copy_fields[] = {
	MSG_FIELD_TEXT(3, struct grace_copy, tenant, 1, KMC_NAME_MAX),
	MSG_FIELD_UINT(4, struct grace_copy, generation, UINT32_MAX),
	MSG_FIELD_UINT(5, struct grace_copy, pcrs, 0xffffff),
	MSG_FIELD_BYTES(6, struct grace_copy, sealed, 1, 512),
	MSG_FIELD_BYTES_OPT(7, struct grace_copy, origin, ORIGIN_SIZE, ORIGIN_SIZE),
};

static const struct msg_schema copy_schema = {
	.type = COPY_TYPE, .name = "grace", .fields = copy_fields, .n_fields = sizeof(copy_fields) / sizeof(copy_fields[0]),
	.size = sizeof(struct grace_copy)};

int grace_copy_write(struct buf *out, const struct grace_copy *c)
{
	return msg_write(out, &copy_schema, COPY_VERSION, 0, c);
}

int grace_copy_read(struct view v, struct grace_copy *c)
{
	struct msg m;
	struct buf b;
	int r;

	buf_view(&b, v.p, v.n);
	r = msg_next(&b, STATE_GRACE_MAX, &m);
	if (r == E_AGAIN_IN)
		return E_TRUNCATED;
	if (r != 0 || (r = buf_done(&b)) != 0)
		return r;
	return m.head.version == COPY_VERSION && m.head.type == COPY_TYPE ? msg_fields(&m, &copy_schema, c) : E_VERSION;
}

const char *grace_why_not(uint64_t grace_s, uint64_t contact, uint64_t now)
{
	if (!grace_s)
		return "no grace is configured";
	if (!contact)
		return "this host has not reached a KMC since grace was configured";
	if (now + BACK_S < contact)
		return "this host's clock is behind the last contact with the KMC";
	if (now > contact && now - contact > grace_s)
		return "the KMC has been away for longer than the configured grace";
	return NULL;
}
