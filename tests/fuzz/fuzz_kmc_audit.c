/* Audit records and signed heads as kmcctl gets them from a database that somebody may have written to. */
#include <string.h>

#include "common/buf.h"
#include "kmc/audit.h"
#include "tests/fuzz/fuzz.h"

/* What was read is written again, byte for byte. */
static void try_record(struct view frame)
{
	uint8_t room[AUDIT_RECORD_MAX + 4];
	struct audit_record r;
	uint64_t seq, event;
	struct buf b;

	if (audit_read(frame, &seq, &event, &r) != 0)
		return;
	must(audit_event_name(event) && r.prev.n == AUDIT_HASH_SIZE);
	buf_over(&b, room, sizeof(room));
	must(audit_write(&b, seq, (enum audit_event)event, &r) == 0 && b.len == frame.n && memcmp(room, frame.p, frame.n) == 0);
}

static void try_head(struct view frame)
{
	uint8_t room[AUDIT_RECORD_MAX + 4];
	struct audit_signed s;
	struct audit_head h;
	uint64_t seq;
	struct buf b;

	if (audit_signed_read(frame, &seq, &s, &h) != 0)
		return;
	must(h.hash.n == AUDIT_HASH_SIZE);
	buf_over(&b, room, sizeof(room));
	must(audit_signed_write(&b, seq, &s) == 0 && b.len == frame.n && memcmp(room, frame.p, frame.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct view frame = view_of(data, size);
	struct audit_chain chain = {0};
	char why[AUDIT_WHY];

	try_record(frame);
	try_head(frame);
	if (audit_chain_add(&chain, 1, frame, why) == 0)
		must(chain.seq == 1);
	else
		must(strlen(why) > 0);
	return 0;
}
