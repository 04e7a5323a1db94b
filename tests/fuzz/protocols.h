/* Every protocol whose messages are read by common/msg.c, for the message fuzzer and its seeds. */
#ifndef TESTS_FUZZ_PROTOCOLS_H
#define TESTS_FUZZ_PROTOCOLS_H

#include "common/handoff.h"
#include "common/kmcmsg.h"
#include "dom0-relay/ctlmsg.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/statemsg.h"

static const struct msg_schema *builder_schema(uint64_t type)
{
	return msg_schema_find(builder_protocol.schemas, builder_protocol.n_schemas, type);
}

static const struct msg_schema *tpm_schema(uint64_t type)
{
	return msg_schema_find(tpm_protocol.schemas, tpm_protocol.n_schemas, type);
}

static const struct msg_schema *state_schema(uint64_t type)
{
	return msg_schema_find(state_protocol.schemas, state_protocol.n_schemas, type);
}

/* An input's first byte chooses one. */
static const struct {
	const char *name;
	const struct msg_schema *(*schema)(uint64_t type);
	size_t body_max;
} protocols[] = {
	{"kmc", kmc_schema, KMC_BODY_MAX},	   {"handoff", handoff_schema, HANDOFF_BODY_MAX}, {"ctl", ctl_schema, CTL_BODY_MAX},
	{"builder", builder_schema, 512}, {"tpm", tpm_schema, 2048},
	{"state", state_schema, STATE_BODY_MAX},
};
#define N_PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

#endif
