/* A stream of frames from a peer: what is accepted has one encoding only, so writing it again gives the same bytes. */
#include "common/buf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/protocols.h"

static void write_again(const struct msg *m, const struct msg_schema *s, const void *fields)
{
	uint8_t *p = malloc(m->body.n + 64);
	struct buf b;

	must(p);
	buf_over(&b, p, m->body.n + 64);
	must(msg_write(&b, s, (unsigned int)m->head.version, m->head.id, fields) == 0);
	must(b.len == m->body.n + 4 && memcmp(p + 4, m->body.p, m->body.n) == 0);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_Alignas(max_align_t) uint8_t fields[PRIVSEP_FIELDS_MAX];
	struct buf in;
	struct msg m;

	if (size == 0)
		return 0;
	buf_view(&in, data + 1, size - 1);
	while (msg_next(&in, protocols[data[0] % N_PROTOCOLS].body_max, &m) == 0) {
		const struct msg_schema *s = protocols[data[0] % N_PROTOCOLS].schema(m.head.type);

		if (s && m.head.version <= UINT32_MAX && msg_fields(&m, s, fields) == 0)
			write_again(&m, s, fields);
	}
	return 0;
}
