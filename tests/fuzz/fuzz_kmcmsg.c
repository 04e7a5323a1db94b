/*
 * Everything that kmcd reads from a peer, by the input's first byte: hosts' frames, kmcctl's, and those between its own processes.
 * What is accepted has one encoding only, so writing it again gives the same bytes.
 */
#include "common/buf.h"
#include "common/kmcmsg.h"
#include "kmc/admmsg.h"
#include "kmc/procmsg.h"
#include "tests/fuzz/fuzz.h"

static const struct msg_schema *find(const struct privsep_protocol *p, uint64_t type)
{
	return msg_schema_find(p->schemas, p->n_schemas, type);
}

static const struct msg_schema *schema_of(unsigned int protocol, uint64_t type)
{
	switch (protocol) {
	case 0:
		return kmc_schema(type);
	case 1:
		return adm_schema(type);
	case 2:
		return find(&front_protocol, type);
	case 3:
		return find(&vault_protocol, type);
	case 4:
		return find(&keymaker_protocol, type);
	case 5:
		return find(&ekmaker_protocol, type);
	default:
		return find(&keeper_protocol, type);
	}
}

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
	while (msg_next(&in, KMC_BODY_MAX, &m) == 0) {
		const struct msg_schema *s = schema_of(data[0] % 7, m.head.type);

		if (!s || m.head.version > UINT32_MAX)
			continue;
		must(s->size <= PRIVSEP_FIELDS_MAX);
		if (msg_fields(&m, s, fields) == 0)
			write_again(&m, s, fields);
	}
	return 0;
}
