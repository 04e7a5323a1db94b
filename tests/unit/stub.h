/* A stub domain for a test: a child process runs the whole service over its Unix twins, and the test is relay and guest. */
#ifndef TESTS_UNIT_STUB_H
#define TESTS_UNIT_STUB_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/handoff.h"
#include "common/log.h"
#include "tests/ring2/frontend.h"
#include "tests/unit/unit.h"

#define WAIT_MS 20000

struct stub {
	pid_t pid;
	int channel; /* -1: closed */
	int port;
	struct buf in;
	struct frontend guest;
	_Alignas(max_align_t) uint8_t fields[256]; /* of the last message */
};

/* What it logs, to standard error: nothing, unless a test wants it. */
extern enum log_level stub_log_level;

/* stub_start() - @again, unless NULL: the channel for a second relay. */
struct stub stub_start(int *again);

/* Likewise, with a guest's device that can't be reached. */
struct stub stub_start_unreachable(void);

/* Likewise, from HELLO to a guest that is connected; its start's state is stored. */
struct stub stub_start_serving(int *again);

/* Likewise, with a TPM that fails at the guest's first change: libtpms' failure mode. */
struct stub stub_start_failing(int *again);

/* Its end: after the relay left, or after CLOSE with all that it asks for. It has to end with status 0. */
void stub_finish(struct stub *s);
void stub_close(struct stub *s);

/* --- as the relay --- */

/* The vTPM that all tests hand over. */
struct handoff_handoff stub_handoff(void);

void stub_say(struct stub *s, enum handoff_type type, const void *fields);

/* The next message: its type, its fields in s->fields; 0 at the end of the channel. */
enum handoff_type stub_hear_any(struct stub *s);

/* But for CERTIFY: most tests are not about it, and it need not be answered. */
enum handoff_type stub_hear(struct stub *s);

/* The next message's fields; it must be of that type. */
const void *stub_expect(struct stub *s, enum handoff_type type);

/* The version of the state that is to be stored. */
uint64_t stub_expect_store(struct stub *s);
void stub_expect_frontend(struct stub *s, bool connected);
bool stub_is_silent(struct stub *s, int ms);

/* HELLO, HANDOFF, READY: its state's version. */
uint64_t stub_hand_over(struct stub *s, const struct handoff_handoff *h);

/* SERVE, and the guest connects. */
void stub_connect(struct stub *s);

/* STORED; @r: 0 or an error. */
void stub_confirm(struct stub *s, uint64_t version, int r);

/* This one goes; the other comes over @again. */
void stub_next_relay(struct stub *s, int again);

/* --- as the guest --- */

/* A command that changes nothing is served. */
void stub_assert_works(struct stub *s);

/* One that changes something; it returns at once. */
void stub_submit_define(struct stub *s, uint32_t index);

/* Of the command under way, once it is answered. */
uint32_t stub_response_code(struct stub *s);

#endif
