/* One vTPM for a test: what it is opened with, and what it is asked. */
#ifndef TESTS_UNIT_ONE_VTPM_H
#define TESTS_UNIT_ONE_VTPM_H

#include "common/buf.h"
#include "tests/unit/tpm.h"
#include "tests/unit/unit.h"
#include "vtpm-stubdom/vtpm.h"

/* A hand-off of a vTPM that has no state yet. */
struct handoff_handoff one_handoff(void);
extern uint8_t one_seed[32]; /* its seed */

/* It opens; or is refused with that error, and these words are among the reason's. */
struct vtpm *one_open(const struct handoff_handoff *h);
void one_refused(const struct handoff_handoff *h, int r, const char *words);

/* The answer to a command, whose code must be @rc. */
struct view one_command(struct vtpm *v, struct tpm_command *c, uint32_t rc);

/* Its state as it is to be stored, in @out; a buffer for that. */
struct handoff_store one_seal(struct vtpm *v, struct buf *out);
struct buf one_sealed_buf(void);

/* The x coordinate and more of a primary's public area. */
void one_primary(struct vtpm *v, uint32_t hierarchy, uint8_t out[100]);

/* An NV index of 8 bytes: made, written, and read. */
void one_define(struct vtpm *v);
void one_write_nv(struct vtpm *v, const char text[8]);
void one_assert_nv(struct vtpm *v, const char text[8]);

#endif
