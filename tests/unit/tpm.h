/* TPM 2.0 commands for tests of the engine: built by hand, so that no TSS stands between. */
#ifndef TESTS_UNIT_TPM_H
#define TESTS_UNIT_TPM_H

#include <string.h>

#include "common/buf.h"

enum { TPM_OWNER = 0x40000001, TPM_ENDORSEMENT = 0x4000000b, TPM_PLATFORM = 0x4000000c, TPM_LOCKOUT = 0x4000000a, TPM_NULL = 0x40000007 };

struct tpm_command {
	uint8_t bytes[512];
	struct buf b;
};

static inline void tpm_begin(struct tpm_command *c, uint16_t tag, uint32_t code)
{
	buf_over(&c->b, c->bytes, sizeof(c->bytes));
	buf_put_u16(&c->b, tag);
	buf_put_u32(&c->b, 0);
	buf_put_u32(&c->b, code);
}

/* One password authorisation. */
static inline void tpm_auth(struct tpm_command *c, const char *password)
{
	size_t n = strlen(password);

	buf_put_u32(&c->b, (uint32_t)(9 + n));
	buf_put_u32(&c->b, 0x40000009);
	buf_put_u16(&c->b, 0);
	buf_put_u8(&c->b, 0);
	buf_put_u16(&c->b, (uint16_t)n);
	buf_put(&c->b, password, n);
}

static inline void tpm_end(struct tpm_command *c)
{
	struct buf size;

	buf_over(&size, c->bytes + 2, sizeof(uint32_t));
	buf_put_u32(&size, (uint32_t)c->b.len);
}

static inline uint32_t tpm_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void tpm_get_random(struct tpm_command *c, uint16_t n)
{
	tpm_begin(c, 0x8001, 0x17b);
	buf_put_u16(&c->b, n);
	tpm_end(c);
}

/* A command of one handle and one authorisation, without parameters: Clear, ChangeEPS, ChangePPS, NV_Increment's kin. */
static inline void tpm_simple(struct tpm_command *c, uint32_t code, uint32_t handle)
{
	tpm_begin(c, 0x8002, code);
	buf_put_u32(&c->b, handle);
	tpm_auth(c, "");
	tpm_end(c);
}

/* A restricted decryption key on P-256, as an SRK is, below @hierarchy. */
static inline void tpm_create_primary(struct tpm_command *c, uint32_t hierarchy)
{
	struct buf size;
	size_t start;

	tpm_begin(c, 0x8002, 0x131);
	buf_put_u32(&c->b, hierarchy);
	tpm_auth(c, "");
	buf_put_u16(&c->b, 4);
	buf_put_u32(&c->b, 0); /* no auth value, no data */
	start = c->b.len;
	buf_put_u16(&c->b, 0);
	buf_put_u16(&c->b, 0x0023);	/* ECC */
	buf_put_u16(&c->b, 0x000b);	/* SHA-256 */
	buf_put_u32(&c->b, 0x00030072); /* fixedTPM fixedParent sensitiveDataOrigin userWithAuth restricted decrypt */
	buf_put_u16(&c->b, 0);
	buf_put_u16(&c->b, 0x0006); /* AES */
	buf_put_u16(&c->b, 128);
	buf_put_u16(&c->b, 0x0043); /* CFB */
	buf_put_u16(&c->b, 0x0010); /* no scheme */
	buf_put_u16(&c->b, 0x0003); /* P-256 */
	buf_put_u16(&c->b, 0x0010); /* no KDF */
	buf_put_u32(&c->b, 0);	    /* unique x, y */
	buf_over(&size, c->bytes + start, sizeof(uint16_t));
	buf_put_u16(&size, (uint16_t)(c->b.len - start - 2));
	buf_put_u16(&c->b, 0);
	buf_put_u32(&c->b, 0);
	tpm_end(c);
}

/* An ordinary index of 8 bytes, or a counter (@type 1), written with the owner's authorisation. */
static inline void tpm_nv_define(struct tpm_command *c, uint32_t index, uint32_t type)
{
	tpm_begin(c, 0x8002, 0x12a);
	buf_put_u32(&c->b, TPM_OWNER);
	tpm_auth(c, "");
	buf_put_u16(&c->b, 0);
	buf_put_u16(&c->b, 14);
	buf_put_u32(&c->b, index);
	buf_put_u16(&c->b, 0x000b);
	buf_put_u32(&c->b, 0x00020002 | type << 4); /* ownerWrite, ownerRead */
	buf_put_u16(&c->b, 0);
	buf_put_u16(&c->b, 8);
	tpm_end(c);
}

static inline void tpm_nv_write(struct tpm_command *c, uint32_t index, const char text[8])
{
	tpm_begin(c, 0x8002, 0x137);
	buf_put_u32(&c->b, TPM_OWNER);
	buf_put_u32(&c->b, index);
	tpm_auth(c, "");
	buf_put_u16(&c->b, 8);
	buf_put(&c->b, text, 8);
	buf_put_u16(&c->b, 0);
	tpm_end(c);
}

static inline void tpm_nv_read(struct tpm_command *c, uint32_t index)
{
	tpm_begin(c, 0x8002, 0x14e);
	buf_put_u32(&c->b, TPM_OWNER);
	buf_put_u32(&c->b, index);
	tpm_auth(c, "");
	buf_put_u16(&c->b, 8);
	buf_put_u16(&c->b, 0);
	tpm_end(c);
}

static inline void tpm_pcr_extend(struct tpm_command *c, uint32_t pcr, uint8_t fill)
{
	uint8_t digest[32];

	memset(digest, fill, sizeof(digest));
	tpm_begin(c, 0x8002, 0x182);
	buf_put_u32(&c->b, pcr);
	tpm_auth(c, "");
	buf_put_u32(&c->b, 1);
	buf_put_u16(&c->b, 0x000b);
	buf_put(&c->b, digest, sizeof(digest));
	tpm_end(c);
}

static inline void tpm_pcr_read(struct tpm_command *c, unsigned int pcr)
{
	const uint8_t select[3] = {pcr / 8 == 0 ? (uint8_t)(1 << pcr) : 0, pcr / 8 == 1 ? (uint8_t)(1 << (pcr - 8)) : 0,
				   pcr / 8 == 2 ? (uint8_t)(1 << (pcr - 16)) : 0};

	tpm_begin(c, 0x8001, 0x17e);
	buf_put_u32(&c->b, 1);
	buf_put_u16(&c->b, 0x000b);
	buf_put_u8(&c->b, 3);
	buf_put(&c->b, select, 3);
	tpm_end(c);
}

static inline void tpm_startup_clear(struct tpm_command *c)
{
	tpm_begin(c, 0x8001, 0x144);
	buf_put_u16(&c->b, 0);
	tpm_end(c);
}

#endif
