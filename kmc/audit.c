/* The audit trail's formats and checks. */
#include "kmc/audit.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"

#define AUDIT_VERSION 1
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NAME(key, s, m) MSG_FIELD_TEXT(key, s, m, 1, KMC_NAME_MAX)
#define NAME_OPT(key, s, m) MSG_FIELD_TEXT_OPT(key, s, m, 1, KMC_NAME_MAX)

static const struct msg_field record[] = {
	MSG_FIELD_UINT(3, struct audit_record, time, INT64_MAX),
	MSG_FIELD_BYTES(4, struct audit_record, prev, AUDIT_HASH_SIZE, AUDIT_HASH_SIZE),
	NAME(5, struct audit_record, kmc),
	NAME_OPT(6, struct audit_record, actor),
	MSG_FIELD_BYTES_OPT(7, struct audit_record, vtpm, UUID_SIZE, UUID_SIZE),
	NAME_OPT(8, struct audit_record, host),
	NAME_OPT(9, struct audit_record, pool),
	MSG_FIELD_UINT(10, struct audit_record, lease_epoch, INT64_MAX),
	MSG_FIELD_UINT(11, struct audit_record, code, 255),
	MSG_FIELD_TEXT_OPT(12, struct audit_record, detail, 1, 240),
};

static const struct msg_field head[] = {
	NAME(3, struct audit_head, kmc),
	MSG_FIELD_BYTES(4, struct audit_head, hash, AUDIT_HASH_SIZE, AUDIT_HASH_SIZE),
	MSG_FIELD_UINT(5, struct audit_head, time, INT64_MAX),
};

static const struct msg_field signature[] = {
	MSG_FIELD_BYTES(3, struct audit_signed, head, 1, AUDIT_HEAD_MAX),
	MSG_FIELD_BYTES(4, struct audit_signed, signature, 1, AUDIT_SIGNATURE_MAX),
};

static const struct msg_schema head_schema = {
	.type = 1, .name = "head", .fields = head, .n_fields = COUNT(head), .size = sizeof(struct audit_head)};
static const struct msg_schema signed_schema = {
	.type = 2, .name = "signed head", .fields = signature, .n_fields = COUNT(signature), .size = sizeof(struct audit_signed)};

const char *audit_event_name(uint64_t event)
{
	static const char *const names[] = {
		[AUDIT_SEED_RELEASED] = "seed-released",
		[AUDIT_LEASE_RETURNED] = "lease-returned",
		[AUDIT_REFUSED] = "refused",
		[AUDIT_TAKEN_OVER] = "taken-over",
		[AUDIT_VTPM_REGISTERED] = "vtpm-registered",
		[AUDIT_POOL_ADDED] = "pool-added",
		[AUDIT_POOL_CHANGED] = "pool-changed",
		[AUDIT_HOST_ADDED] = "host-added",
		[AUDIT_HOST_REMOVED] = "host-removed",
		[AUDIT_KEYS_RETIRED] = "keys-retired",
		[AUDIT_STATE_RESTORED] = "state-restored",
		[AUDIT_TOKEN_MADE] = "token-made",
		[AUDIT_HOST_ENROLLED] = "host-enrolled",
		[AUDIT_POLICY_CHANGED] = "policy-changed",
		[AUDIT_HOST_ACCEPTED] = "host-accepted",
		[AUDIT_REPLICA_ADDED] = "replica-added",
		[AUDIT_SUSPENDED] = "suspended",
		[AUDIT_RESUMED] = "resumed",
		[AUDIT_RESERVED] = "reserved",
		[AUDIT_COMMITTED] = "committed",
		[AUDIT_CANCELLED] = "reservation-cancelled",
		[AUDIT_IMAGE_ALLOWED] = "image-allowed",
		[AUDIT_RECOVERED] = "recovered",
		[AUDIT_EK_CERTIFIED] = "ek-certified",
		[AUDIT_VTPM_CLONED] = "vtpm-cloned",
		[AUDIT_VTPM_REKEYED] = "vtpm-rekeyed",
		[AUDIT_VTPM_RETIRED] = "vtpm-retired",
		[AUDIT_RETIREMENT_CANCELLED] = "retirement-cancelled",
		[AUDIT_SEED_DESTROYED] = "seed-destroyed",
		[AUDIT_SERVER_RENEWED] = "server-renewed",
		[AUDIT_CLOCK_BACK] = "clock-set-back",
		[AUDIT_HOST_RENEWED] = "host-renewed",
		[AUDIT_CA_MADE] = "ca-made",
		[AUDIT_CA_SWITCHED] = "ca-switched",
		[AUDIT_CA_RETIRED] = "ca-retired",
		[AUDIT_WRAPPING_MADE] = "wrapping-key-made",
		[AUDIT_WRAPPING_REPLACED] = "wrapping-key-replaced",
		[AUDIT_WRAPPING_DESTROYED] = "wrapping-key-destroyed",
		[AUDIT_KEYS_SHARED] = "keys-shared",
		[AUDIT_VTPM_EXPORTED] = "vtpm-exported",
		[AUDIT_EXPORT_CANCELLED] = "export-cancelled",
		[AUDIT_VTPM_MOVED] = "vtpm-moved",
		[AUDIT_VTPM_IMPORTED] = "vtpm-imported",
	};

	_Static_assert(COUNT(names) == AUDIT_EVENTS, "every event needs its name");
	return event < COUNT(names) ? names[event] : NULL;
}

/* One schema for all events: the type tells them apart. */
static struct msg_schema record_schema(uint64_t event)
{
	return (struct msg_schema){.type = (uint16_t)event, .name = "audit record", .fields = record, .n_fields = COUNT(record),
				   .size = sizeof(struct audit_record)};
}

int audit_write(struct buf *out, uint64_t seq, enum audit_event event, const struct audit_record *r)
{
	const struct msg_schema schema = record_schema(event);

	return msg_write(out, &schema, AUDIT_VERSION, seq, r);
}

/* The one whole message of @frame. */
static int read_frame(struct view frame, struct msg *m)
{
	struct buf b;
	int r;

	buf_view(&b, frame.p, frame.n);
	if ((r = msg_next(&b, AUDIT_RECORD_MAX, m)) != 0)
		return r == E_AGAIN_IN ? E_TRUNCATED : r;
	if ((r = buf_done(&b)) != 0)
		return r;
	return m->head.version == AUDIT_VERSION ? 0 : E_VERSION;
}

int audit_read(struct view frame, uint64_t *seq, uint64_t *event, struct audit_record *r)
{
	struct msg_schema schema;
	struct msg m = {0};
	int e = read_frame(frame, &m);

	if (e != 0)
		return e;
	*seq = m.head.id;
	*event = m.head.type;
	schema = record_schema(m.head.type);
	return audit_event_name(m.head.type) ? msg_fields(&m, &schema, r) : E_UNKNOWN;
}

int audit_hash(struct view frame, uint8_t hash[AUDIT_HASH_SIZE])
{
	return EVP_Digest(frame.p, frame.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

int audit_head_write(struct buf *out, uint64_t seq, const struct audit_head *h)
{
	return msg_write(out, &head_schema, AUDIT_VERSION, seq, h);
}

int audit_signed_write(struct buf *out, uint64_t seq, const struct audit_signed *s)
{
	return msg_write(out, &signed_schema, AUDIT_VERSION, seq, s);
}

static int read_as(struct view frame, const struct msg_schema *schema, uint64_t *seq, void *fields)
{
	struct msg m = {0};
	int r = read_frame(frame, &m);

	if (r != 0)
		return r;
	*seq = m.head.id;
	return m.head.type == schema->type ? msg_fields(&m, schema, fields) : E_UNKNOWN;
}

int audit_signed_read(struct view frame, uint64_t *seq, struct audit_signed *s, struct audit_head *h)
{
	uint64_t outer;
	int r;

	if ((r = read_as(frame, &signed_schema, &outer, s)) != 0 || (r = read_as(s->head, &head_schema, seq, h)) != 0)
		return r;
	return outer == *seq ? 0 : E_FORMAT;
}

int audit_signed_bytes(struct buf *out, struct view bytes)
{
	int r = buf_put(out, AUDIT_LABEL, sizeof(AUDIT_LABEL));

	return r != 0 ? r : buf_put(out, bytes.p, bytes.n);
}

static int complain(char why[AUDIT_WHY], int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int complain(char why[AUDIT_WHY], int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, AUDIT_WHY, fmt, ap);
	va_end(ap);
	return r;
}

int audit_chain_add(struct audit_chain *c, uint64_t number, struct view frame, char why[AUDIT_WHY])
{
	uint64_t seq = 0, event, next = c->seq + 1;
	struct audit_record rec;
	int r = audit_read(frame, &seq, &event, &rec);

	if (number != next)
		return complain(why, E_INTEGRITY, "record %" PRIu64 " is missing: it was removed", next);
	if (r != 0)
		return complain(why, r, "record %" PRIu64 " can't be read: it was altered", number);
	if (seq != number)
		return complain(why, E_INTEGRITY, "under number %" PRIu64 " stands another record: they were put into another order", number);
	if (memcmp(rec.prev.p, c->hash, AUDIT_HASH_SIZE) != 0)
		return complain(why, E_INTEGRITY, "the chain is broken between records %" PRIu64 " and %" PRIu64 ": one of them was altered",
				c->seq, number);
	if ((r = audit_hash(frame, c->hash)) != 0)
		return complain(why, r, "can't hash record %" PRIu64, number);
	c->seq = number;
	return 0;
}
