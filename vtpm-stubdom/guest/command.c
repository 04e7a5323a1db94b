/* One command's life. */
#include "vtpm-stubdom/guest/command.h"

#include <linux/vtpm_proxy.h>

#define HELD_PATIENCE_MS 5000	     /* then TPM_RC_RETRY, which makes the kernel send it again, eight times in all */
#define SUBMITTED_PATIENCE_MS 310000 /* longer than the kernel's own for the slowest command (300 s) */

#define ST_NO_SESSIONS 0x8001
#define ST_SESSIONS 0x8002
#define HT_TRANSIENT 0x80

/* TPM 2.0, part 2, "TPM_CC". */
enum {
	CC_INCREMENTAL_SELF_TEST = 0x142, CC_SELF_TEST = 0x143, CC_SHUTDOWN = 0x145, CC_STIR_RANDOM = 0x146, CC_CONTEXT_SAVE = 0x162,
	CC_ECDH_KEYGEN = 0x163, CC_FLUSH_CONTEXT = 0x165, CC_MAKE_CREDENTIAL = 0x168, CC_NV_READ_PUBLIC = 0x169, CC_READ_PUBLIC = 0x173,
	CC_RSA_ENCRYPT = 0x174, CC_VERIFY_SIGNATURE = 0x177, CC_ECC_PARAMETERS = 0x178, CC_GET_CAPABILITY = 0x17a, CC_GET_RANDOM = 0x17b,
	CC_GET_TEST_RESULT = 0x17c, CC_HASH = 0x17d, CC_PCR_READ = 0x17e, CC_READ_CLOCK = 0x181, CC_POLICY_GET_DIGEST = 0x189,
	CC_TEST_PARMS = 0x18a,
};

static const uint32_t harmless[] = {
	/* They only read, compute or draw random bytes. */
	CC_GET_CAPABILITY, CC_TEST_PARMS, CC_GET_TEST_RESULT, CC_READ_PUBLIC, CC_NV_READ_PUBLIC, CC_PCR_READ, CC_READ_CLOCK, CC_GET_RANDOM,
	CC_HASH, CC_VERIFY_SIGNATURE, CC_MAKE_CREDENTIAL, CC_RSA_ENCRYPT, CC_ECDH_KEYGEN, CC_ECC_PARAMETERS, CC_POLICY_GET_DIGEST,
	/* Twice is as good as once. FlushContext: no handle is given out in between, so the second can hit nothing else. */
	CC_SELF_TEST, CC_INCREMENTAL_SELF_TEST, CC_STIR_RANDOM, CC_SHUTDOWN, CC_FLUSH_CONTEXT,
};

static uint32_t get_u16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get_u32(const uint8_t *p)
{
	return get_u16(p) << 16 | get_u16(p + 2);
}

bool command_well_formed(const uint8_t *command, size_t n)
{
	return n >= COMMAND_HEADER_SIZE && get_u32(command + 2) == n;
}

bool command_repeatable(const uint8_t *command, size_t n)
{
	uint32_t cc;

	if (!command_well_formed(command, n) || get_u16(command) != ST_NO_SESSIONS)
		return false;
	cc = get_u32(command + 6);
	/* Saving a session ends it in the TPM; saving an object does not. */
	if (cc == CC_CONTEXT_SAVE)
		return n >= COMMAND_HEADER_SIZE + 4 && command[COMMAND_HEADER_SIZE] == HT_TRANSIENT;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (cc == harmless[i])
			return true;
	return false;
}

int command_locality(const uint8_t *command, size_t n)
{
	if (n != COMMAND_HEADER_SIZE + 1 || get_u16(command) != ST_SESSIONS || get_u32(command + 6) != TPM2_CC_SET_LOCALITY)
		return -1;
	return command[COMMAND_HEADER_SIZE];
}

uint64_t command_patience_ms(enum command_state state)
{
	switch (state) {
	case COMMAND_HELD:
	case COMMAND_QUEUED:
		return HELD_PATIENCE_MS;
	case COMMAND_SUBMITTED:
		return SUBMITTED_PATIENCE_MS;
	case COMMAND_NONE:
	case COMMAND_CLEARING:
		break;
	}
	return 0;
}

static struct command_step step(enum command_state next, unsigned int actions)
{
	return (struct command_step){.next = next, .actions = actions};
}

static struct command_step step_held(enum command_event event)
{
	if (event == COMMAND_CONNECTED)
		return step(COMMAND_SUBMITTED, COMMAND_DO_SUBMIT);
	if (event == COMMAND_DEADLINE)
		return step(COMMAND_NONE, COMMAND_DO_RETRY);
	if (event == COMMAND_ABANDONED)
		return step(COMMAND_NONE, 0);
	return step(COMMAND_HELD, 0); /* a newer one takes its place: the kernel waits for that one alone */
}

static struct command_step step_submitted(enum command_event event, bool again)
{
	switch (event) {
	case COMMAND_ARRIVED:
		return step(COMMAND_QUEUED, COMMAND_DO_CANCEL);
	case COMMAND_FINISHED:
		return step(COMMAND_NONE, COMMAND_DO_ANSWER);
	case COMMAND_IDLED:
		return step(COMMAND_NONE, COMMAND_DO_FAIL);
	case COMMAND_LOST:
		return again ? step(COMMAND_HELD, 0) : step(COMMAND_NONE, COMMAND_DO_FAIL);
	case COMMAND_DEADLINE:
		return step(COMMAND_CLEARING, COMMAND_DO_CANCEL | COMMAND_DO_FAIL);
	case COMMAND_ABANDONED:
		return step(COMMAND_CLEARING, COMMAND_DO_CANCEL);
	case COMMAND_CONNECTED:
		break;
	}
	return step(COMMAND_SUBMITTED, 0);
}

static struct command_step step_clearing(enum command_event event)
{
	if (event == COMMAND_ARRIVED)
		return step(COMMAND_QUEUED, 0);
	if (event == COMMAND_FINISHED || event == COMMAND_IDLED || event == COMMAND_LOST)
		return step(COMMAND_NONE, 0);
	return step(COMMAND_CLEARING, 0);
}

static struct command_step step_queued(enum command_event event, bool connected)
{
	bool clear = event == COMMAND_FINISHED || event == COMMAND_IDLED;

	if (clear && connected)
		return step(COMMAND_SUBMITTED, COMMAND_DO_SUBMIT);
	if (clear || event == COMMAND_LOST)
		return step(COMMAND_HELD, 0);
	if (event == COMMAND_DEADLINE)
		return step(COMMAND_CLEARING, COMMAND_DO_RETRY);
	if (event == COMMAND_ABANDONED)
		return step(COMMAND_CLEARING, 0);
	return step(COMMAND_QUEUED, 0);
}

struct command_step command_step(enum command_state now, enum command_event event, bool connected, bool repeatable)
{
	switch (now) {
	case COMMAND_NONE:
		if (event != COMMAND_ARRIVED)
			break;
		return connected ? step(COMMAND_SUBMITTED, COMMAND_DO_SUBMIT) : step(COMMAND_HELD, 0);
	case COMMAND_HELD:
		return step_held(event);
	case COMMAND_SUBMITTED:
		return step_submitted(event, repeatable);
	case COMMAND_CLEARING:
		return step_clearing(event);
	case COMMAND_QUEUED:
		return step_queued(event, connected);
	}
	return step(now, 0);
}
