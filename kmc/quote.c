/* What a host's TPM says, taken apart. */
#include "kmc/quote.h"

#include <stddef.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"

/* TPM 2.0 Library Part 2, 6.3 TPM_ALG_ID, 6.9 TPM_ST, 6.4 TPM_ECC_CURVE */
enum {
	ALG_RSA = 0x0001, ALG_AES = 0x0006, ALG_SHA256 = 0x000b, ALG_NULL = 0x0010, ALG_ECDSA = 0x0018, ALG_ECC = 0x0023,
	ALG_CFB = 0x0043, ST_ATTEST_CERTIFY = 0x8017, ST_ATTEST_QUOTE = 0x8018, CURVE_P256 = 0x0003,
};
#define MAGIC 0xff544347u /* TPM_GENERATED_VALUE: nobody can have a TPM sign this but by an attestation */

/* 8.3 TPMA_OBJECT */
#define FIXED_TPM (1u << 1)
#define FIXED_PARENT (1u << 4)
#define SENSITIVE_DATA_ORIGIN (1u << 5)
#define ADMIN_WITH_POLICY (1u << 7)
#define ENCRYPTED_DUPLICATION (1u << 11)
#define RESTRICTED (1u << 16)
#define DECRYPT (1u << 17)
#define SIGN (1u << 18)
#define NEVER_OUTSIDE (FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN)

static int get_sized(struct buf *b, size_t least, size_t most, struct view *v)
{
	uint16_t n;
	int r = buf_get_u16(b, &n);

	if (r != 0)
		return r;
	if (n < least || n > most)
		return E_FORMAT;
	v->n = n;
	return buf_get_view(b, &v->p, n);
}

/* The next numbers of 16 bits must be these. */
static int expect(struct buf *b, const uint16_t *numbers, size_t n)
{
	uint16_t found;
	int r;

	for (size_t i = 0; i < n; i++) {
		if ((r = buf_get_u16(b, &found)) != 0)
			return r;
		if (found != numbers[i])
			return E_FORMAT;
	}
	return 0;
}
#define EXPECT(b, ...) expect(b, (const uint16_t[]){__VA_ARGS__}, sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t))

static int get_attributes(struct buf *b, uint32_t wanted, uint32_t unwanted)
{
	uint32_t a;
	int r = buf_get_u32(b, &a);

	if (r != 0)
		return r;
	return (a & wanted) == wanted && (a & unwanted) == 0 ? 0 : E_FORMAT;
}

static int get_signing_key(struct view area, uint32_t wanted, uint32_t unwanted, struct quote_ak *ak)
{
	struct view policy;
	struct buf b;
	int r;

	buf_view(&b, area.p, area.n);
	if ((r = EXPECT(&b, ALG_ECC, ALG_SHA256)) != 0 ||
	    (r = get_attributes(&b, wanted, unwanted)) != 0 ||
	    (r = get_sized(&b, 0, 32, &policy)) != 0 || (r = EXPECT(&b, ALG_NULL, ALG_ECDSA, ALG_SHA256, CURVE_P256, ALG_NULL)) != 0 ||
	    (r = get_sized(&b, 1, 32, &ak->x)) != 0 || (r = get_sized(&b, 1, 32, &ak->y)) != 0)
		return r;
	return buf_done(&b);
}

int quote_ak(struct view area, struct quote_ak *ak)
{
	return get_signing_key(area, NEVER_OUTSIDE | RESTRICTED | SIGN, DECRYPT | ENCRYPTED_DUPLICATION, ak);
}

int quote_tls_key(struct view area, struct quote_ak *key)
{
	return get_signing_key(area, NEVER_OUTSIDE | SIGN, RESTRICTED | DECRYPT | ENCRYPTED_DUPLICATION, key);
}

/* The templates' policy, PolicySecret(endorsement hierarchy). */
static const uint8_t ek_policy[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
				      0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

static int get_rsa(struct buf *b, struct quote_ek *ek)
{
	uint32_t exponent;
	int r;

	if ((r = EXPECT(b, ALG_AES, 128, ALG_CFB, ALG_NULL, 2048)) != 0 || (r = buf_get_u32(b, &exponent)) != 0)
		return r;
	return exponent == 0 || exponent == 65537 ? get_sized(b, 256, 256, &ek->modulus) : E_FORMAT;
}

static int get_ecc(struct buf *b, struct quote_ek *ek)
{
	int r;

	if ((r = EXPECT(b, ALG_AES, 128, ALG_CFB, ALG_NULL, CURVE_P256, ALG_NULL)) != 0 || (r = get_sized(b, 1, 32, &ek->x)) != 0)
		return r;
	return get_sized(b, 1, 32, &ek->y);
}

int quote_ek(struct view area, struct quote_ek *ek)
{
	struct view policy;
	uint16_t type;
	struct buf b;
	int r;

	memset(ek, 0, sizeof(*ek));
	buf_view(&b, area.p, area.n);
	if ((r = buf_get_u16(&b, &type)) != 0 || (r = EXPECT(&b, ALG_SHA256)) != 0 ||
	    (r = get_attributes(&b, NEVER_OUTSIDE | ADMIN_WITH_POLICY | RESTRICTED | DECRYPT, SIGN | ENCRYPTED_DUPLICATION)) != 0 ||
	    (r = get_sized(&b, 32, 32, &policy)) != 0)
		return r;
	if ((type != ALG_RSA && type != ALG_ECC) || memcmp(policy.p, ek_policy, sizeof(ek_policy)) != 0)
		return E_FORMAT;
	ek->is_rsa = type == ALG_RSA;
	r = ek->is_rsa ? get_rsa(&b, ek) : get_ecc(&b, ek);
	return r != 0 ? r : buf_done(&b);
}

/* TPML_PCR_SELECTION with one bank. */
static int get_selection(struct buf *b, uint32_t *pcrs)
{
	uint8_t size, select[QUOTE_PCRS / 8];
	uint32_t count;
	int r;

	if ((r = buf_get_u32(b, &count)) != 0 || (r = count == 1 ? EXPECT(b, ALG_SHA256) : E_FORMAT) != 0 ||
	    (r = buf_get_u8(b, &size)) != 0 || (r = size == sizeof(select) ? buf_get(b, select, sizeof(select)) : E_FORMAT) != 0)
		return r;
	*pcrs = (uint32_t)select[0] | (uint32_t)select[1] << 8 | (uint32_t)select[2] << 16;
	return 0;
}

static int get_clock(struct buf *b, struct quote *q)
{
	uint32_t resets, restarts;
	uint8_t safe;
	int r;

	if ((r = buf_get_u64(b, &q->clock_ms)) != 0 || (r = buf_get_u32(b, &resets)) != 0 || (r = buf_get_u32(b, &restarts)) != 0 ||
	    (r = buf_get_u8(b, &safe)) != 0)
		return r;
	q->reset_count = resets;
	q->restart_count = restarts;
	q->clock_safe = safe == 1;
	return safe <= 1 ? 0 : E_FORMAT;
}

int quote_parse(struct view attest, struct quote *q)
{
	struct view signer;
	uint32_t magic;
	struct buf b;
	int r;

	buf_view(&b, attest.p, attest.n);
	if ((r = buf_get_u32(&b, &magic)) != 0 || (r = magic == MAGIC ? EXPECT(&b, ST_ATTEST_QUOTE) : E_FORMAT) != 0 ||
	    (r = get_sized(&b, 0, 66, &signer)) != 0 || (r = get_sized(&b, 0, 64, &q->extra)) != 0 || (r = get_clock(&b, q)) != 0 ||
	    (r = buf_get_u64(&b, &q->firmware)) != 0 || (r = get_selection(&b, &q->pcrs)) != 0 ||
	    (r = get_sized(&b, 32, 32, &q->digest)) != 0)
		return r;
	return buf_done(&b);
}

int quote_certified(struct view attest, struct quote_certified *c)
{
	struct view signer, qualified;
	struct quote q; /* its clock is of no interest here */
	uint32_t magic;
	struct buf b;
	int r;

	buf_view(&b, attest.p, attest.n);
	if ((r = buf_get_u32(&b, &magic)) != 0 || (r = magic == MAGIC ? EXPECT(&b, ST_ATTEST_CERTIFY) : E_FORMAT) != 0 ||
	    (r = get_sized(&b, 0, 66, &signer)) != 0 || (r = get_sized(&b, 0, 64, &c->extra)) != 0 || (r = get_clock(&b, &q)) != 0 ||
	    (r = buf_get_u64(&b, &q.firmware)) != 0 || (r = get_sized(&b, 34, 34, &c->name)) != 0 ||
	    (r = get_sized(&b, 0, 66, &qualified)) != 0)
		return r;
	return buf_done(&b);
}

int quote_signature(struct view signature, struct quote_signature *s)
{
	struct buf b;
	int r;

	buf_view(&b, signature.p, signature.n);
	if ((r = EXPECT(&b, ALG_ECDSA, ALG_SHA256)) != 0 || (r = get_sized(&b, 1, 32, &s->r)) != 0 ||
	    (r = get_sized(&b, 1, 32, &s->s)) != 0)
		return r;
	return buf_done(&b);
}
