/* One vTPM for a test. */
#include "tests/unit/one_vtpm.h"

#include <string.h>

#include "common/error.h"
#include "vtpm-stubdom/sealed.h"

uint8_t one_seed[32];
static char why[VTPM_WHY];

struct handoff_handoff one_handoff(void)
{
	struct handoff_handoff h = {.tenant = view_text("pool"), .seed = view_of(one_seed, sizeof(one_seed)), .generation = 1, .lease_epoch = 5, .incarnation = 1};

	memset(one_seed, 0x42, sizeof(one_seed));
	memset(h.uuid.b, 0x77, UUID_SIZE);
	return h;
}

struct vtpm *one_open(const struct handoff_handoff *h)
{
	struct vtpm *v;

	why[0] = '\0';
	if (vtpm_open(&v, h, why) != 0)
		fail_msg("refused: %s", why);
	return v;
}

void one_refused(const struct handoff_handoff *h, int r, const char *words)
{
	struct vtpm *v;

	assert_int_equal(vtpm_open(&v, h, why), r);
	assert_null(v);
	assert_non_null(strstr(why, words));
}

struct view one_command(struct vtpm *v, struct tpm_command *c, uint32_t rc)
{
	struct view r = vtpm_command(v, 0, c->bytes, c->b.len);

	assert_true(r.n >= 10);
	assert_int_equal(tpm_u32(r.p + 6), rc);
	return r;
}

void one_primary(struct vtpm *v, uint32_t hierarchy, uint8_t out[100])
{
	struct tpm_command c;
	struct view r;

	tpm_create_primary(&c, hierarchy);
	r = one_command(v, &c, 0);
	memcpy(out, r.p + 18, 100);
	tpm_begin(&c, 0x8001, 0x165);
	buf_put_u32(&c.b, tpm_u32(r.p + 10));
	tpm_end(&c);
	one_command(v, &c, 0);
}

struct handoff_store one_seal(struct vtpm *v, struct buf *out)
{
	struct handoff_store s;

	buf_reset(out);
	assert_int_equal(vtpm_seal(v, out, &s), 0);
	return s;
}

struct buf one_sealed_buf(void)
{
	struct buf b;

	assert_int_equal(buf_init(&b, SEALED_MAX), 0);
	return b;
}

void one_define(struct vtpm *v)
{
	struct tpm_command c;

	tpm_nv_define(&c, 0x1500001, 0);
	one_command(v, &c, 0);
}

void one_write_nv(struct vtpm *v, const char text[8])
{
	struct tpm_command c;

	tpm_nv_write(&c, 0x1500001, text);
	one_command(v, &c, 0);
}

void one_assert_nv(struct vtpm *v, const char text[8])
{
	struct tpm_command c;

	tpm_nv_read(&c, 0x1500001);
	assert_memory_equal(one_command(v, &c, 0).p + 16, text, 8);
}
