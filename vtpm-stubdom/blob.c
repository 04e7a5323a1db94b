/* Walking libtpms' state blobs. Names are those of libtpms' NVMarshal.c. */
#include "vtpm-stubdom/blob.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"

#define PERSISTENT_ALL_MAGIC 0xab364723u
#define PA_COMPILE_CONSTANTS_MAGIC 0xc9ea6431u
#define PERSISTENT_DATA_MAGIC 0x12213443u
#define ORDERLY_DATA_MAGIC 0x56657887u
#define VOLATILE_STATE_MAGIC 0x45637889u

#define CONSTANTS_MAX 1024 /* compile-time constants; 120 in 0.9 */
#define POLICIES 3
#define AUTHS 3
#define DIGEST_MAX 64
#define PCR_BANKS_MAX 16
#define PCR_SELECT_SIZE 3 /* bytes: 24 PCRs */
#define COMMAND_LIST_MAX 256 /* bytes of a bit map over all commands */
#define SEED_LEVELS 3
#define SEED_COMPAT_LEVEL 1 /* libtpms 0.8 and later; another one makes other RSA keys of the same seed */
#define SHA1_SIZE 20

/* Where things stand in a blob that was walked. */
struct places {
	size_t root[ROOT_COUNT]; /* offset of the value's bytes */
	size_t levels;		 /* offset of the three SEED_COMPAT_LEVEL bytes */
};

static int skip(struct buf *b, size_t n)
{
	const uint8_t *p;

	return buf_get_view(b, &p, n);
}

/* NV_HEADER: u16 version, u32 magic, and from version 2 on u16 the oldest version that can read it. */
static int header(struct buf *b, uint32_t magic, uint16_t oldest, uint16_t newest, uint16_t *version)
{
	uint32_t m;
	uint16_t least;
	int r;

	if ((r = buf_get_u16(b, version)) != 0 || (r = buf_get_u32(b, &m)) != 0)
		return r;
	if (m != magic || *version < oldest || *version > newest)
		return E_FORMAT;
	if (*version < 2)
		return 0;
	if ((r = buf_get_u16(b, &least)) != 0)
		return r;
	return least > *version ? E_FORMAT : 0;
}

static int boolean(struct buf *b, bool *v)
{
	uint8_t u;
	int r = buf_get_u8(b, &u);

	if (r == 0 && u > 1)
		r = E_FORMAT;
	if (r == 0)
		*v = u;
	return r;
}

/* BLOCK_SKIP: is the block there, and how long is it? */
static int block(struct buf *b, bool *there, uint16_t *n)
{
	int r;

	if ((r = boolean(b, there)) != 0 || (r = buf_get_u16(b, n)) != 0)
		return r;
	if (!*there && *n)
		return E_FORMAT;
	return *n > buf_left(b) ? E_TRUNCATED : 0;
}

static int skip_block(struct buf *b)
{
	bool there;
	uint16_t n;
	int r = block(b, &there, &n);

	return r != 0 ? r : skip(b, n);
}

static int skip_sized(struct buf *b, size_t max)
{
	uint16_t n;
	int r = buf_get_u16(b, &n);

	if (r == 0 && n > max)
		r = E_FORMAT;
	return r != 0 ? r : skip(b, n);
}

static int skip_pcr_selection(struct buf *b)
{
	uint32_t banks;
	uint16_t alg;
	uint8_t n;
	int r = buf_get_u32(b, &banks);

	if (r == 0 && banks > PCR_BANKS_MAX)
		r = E_FORMAT;
	for (uint32_t i = 0; r == 0 && i < banks; i++) {
		if ((r = buf_get_u16(b, &alg)) != 0 || (r = buf_get_u8(b, &n)) != 0)
			return r;
		r = n != PCR_SELECT_SIZE ? E_FORMAT : skip(b, n);
	}
	return r;
}

static int compile_constants(struct buf *b)
{
	uint16_t version;
	uint32_t n;
	int r;

	if ((r = header(b, PA_COMPILE_CONSTANTS_MAGIC, 2, 3, &version)) != 0 || (r = buf_get_u32(b, &n)) != 0)
		return r;
	if (n > CONSTANTS_MAX)
		return E_FORMAT;
	r = skip(b, n * sizeof(uint32_t));
	return r != 0 ? r : skip_block(b);
}

static int roots(struct buf *b, struct places *at)
{
	uint16_t n;
	int r = 0;

	for (int i = 0; r == 0 && i < ROOT_COUNT; i++) {
		r = buf_get_u16(b, &n);
		if (r == 0 && n != DERIVE_ROOT_SIZE)
			r = E_FORMAT;
		at->root[i] = b->off;
		if (r == 0)
			r = skip(b, n);
	}
	return r;
}

/* From totalResetCount to timeEpoch. */
static int counters(struct buf *b)
{
	bool lockout_auth;
	uint8_t clock_size;
	int r;

	if ((r = skip(b, sizeof(uint64_t) + sizeof(uint32_t))) != 0 ||	     /* totalResetCount, resetCount */
	    (r = skip_block(b)) != 0 ||					     /* pcrPolicies */
	    (r = skip_pcr_selection(b)) != 0 ||				     /* pcrAllocated */
	    (r = skip_sized(b, COMMAND_LIST_MAX)) != 0 ||		     /* ppList */
	    (r = skip(b, 4 * sizeof(uint32_t))) != 0 ||			     /* failedTries to lockoutRecovery */
	    (r = boolean(b, &lockout_auth)) != 0 ||			     /* lockOutAuthEnabled */
	    (r = skip(b, sizeof(uint16_t))) != 0 ||			     /* orderlyState */
	    (r = skip_sized(b, COMMAND_LIST_MAX)) != 0 ||		     /* auditCommands */
	    (r = skip(b, sizeof(uint16_t) + sizeof(uint64_t))) != 0 ||	     /* auditHashAlg, auditCounter */
	    (r = skip(b, 3 * sizeof(uint32_t))) != 0 ||			     /* algorithmSet, firmwareV1, firmwareV2 */
	    (r = buf_get_u8(b, &clock_size)) != 0)
		return r;
	if (clock_size != sizeof(uint32_t) && clock_size != sizeof(uint64_t))
		return E_FORMAT;
	return skip(b, clock_size);
}

/* The blocks that later versions appended, one within the other: pcrAllocated's shadow, then the seed levels. */
static int appendix(struct buf *b, struct places *at)
{
	bool there;
	uint16_t outer = 0, inner;
	size_t end;
	int r = block(b, &there, &outer);

	if (r == 0 && !there)
		r = E_FORMAT;
	end = b->off + outer;
	if (r != 0 || (r = skip_pcr_selection(b)) != 0 || (r = block(b, &there, &inner)) != 0)
		return r;
	if (!there || b->off + inner != end)
		return E_FORMAT;
	at->levels = b->off;
	if ((r = skip(b, SEED_LEVELS)) != 0 || (r = skip_block(b)) != 0)
		return r;
	return b->off == end ? 0 : E_FORMAT;
}

static int persistent_data(struct buf *b, struct places *at)
{
	uint16_t version;
	bool disable_clear;
	int r;

	if ((r = header(b, PERSISTENT_DATA_MAGIC, 4, 5, &version)) != 0 || (r = boolean(b, &disable_clear)) != 0 ||
	    (r = skip(b, 3 * sizeof(uint16_t))) != 0) /* ownerAlg, endorsementAlg, lockoutAlg */
		return r;
	for (int i = 0; i < POLICIES + AUTHS; i++)
		if ((r = skip_sized(b, DIGEST_MAX)) != 0)
			return r;
	if ((r = roots(b, at)) != 0 || (r = counters(b)) != 0)
		return r;
	return appendix(b, at);
}

static int walk(const uint8_t *p, size_t n, struct places *at)
{
	struct buf b, end;
	uint16_t version;
	uint32_t magic;
	int r;

	if (n > BLOB_PERMANENT_MAX)
		return E_RANGE;
	buf_view(&b, p, n);
	if ((r = header(&b, PERSISTENT_ALL_MAGIC, 3, 4, &version)) != 0)
		return r;
	if (version >= 4 && (r = skip_sized(&b, UINT16_MAX)) != 0) /* the profile, JSON */
		return r;
	if ((r = compile_constants(&b)) != 0 || (r = persistent_data(&b, at)) != 0 ||
	    (r = header(&b, ORDERLY_DATA_MAGIC, 2, 2, &version)) != 0)
		return r;
	if (buf_left(&b) < sizeof(magic))
		return E_TRUNCATED;
	buf_view(&end, p + n - sizeof(magic), sizeof(magic));
	r = buf_get_u32(&end, &magic);
	return r == 0 && magic != PERSISTENT_ALL_MAGIC ? E_FORMAT : r;
}

int blob_check_permanent(const uint8_t *p, size_t n)
{
	struct places at;

	return walk(p, n, &at);
}

int blob_has_roots(const uint8_t *p, size_t n, const struct roots *want)
{
	struct places at;
	bool same = true;
	int r = walk(p, n, &at);

	if (r != 0)
		return r;
	for (int i = 0; i < ROOT_COUNT; i++)
		same &= bytes_equal(p + at.root[i], want->value[i], DERIVE_ROOT_SIZE);
	for (int i = 0; i < SEED_LEVELS; i++)
		same &= p[at.levels + (size_t)i] == SEED_COMPAT_LEVEL;
	return same ? 0 : E_INTEGRITY;
}

int blob_set_roots(uint8_t *p, size_t n, const struct roots *new)
{
	struct places at;
	int r = walk(p, n, &at);

	if (r != 0)
		return r;
	for (int i = 0; i < ROOT_COUNT; i++)
		memcpy(p + at.root[i], new->value[i], DERIVE_ROOT_SIZE);
	for (int i = 0; i < SEED_LEVELS; i++)
		p[at.levels + (size_t)i] = SEED_COMPAT_LEVEL;
	return blob_has_roots(p, n, new);
}

/* The end of a volatile blob: block { EPS, SPS, PPS, block { 4 times, block {} } }, magic, SHA-1 over all before it. */
enum {
	TAIL_BLOCK = 3, /* there, u16 length */
	TAIL_SEED = 2 + DERIVE_ROOT_SIZE,
	TAIL_TIMES = 4 * 8,
	TAIL_INNER = TAIL_TIMES + TAIL_BLOCK,
	TAIL_OUTER = 3 * TAIL_SEED + TAIL_BLOCK + TAIL_INNER,
	TAIL_SIZE = TAIL_BLOCK + TAIL_OUTER + 4 + SHA1_SIZE,
};

static int block_of(struct buf *b, uint16_t size)
{
	bool there;
	uint16_t n;
	int r = block(b, &there, &n);

	return r == 0 && (!there || n != size) ? E_FORMAT : r;
}

static int walk_tail(struct buf *b, size_t seed[3])
{
	uint32_t magic;
	uint16_t n;
	int r = block_of(b, TAIL_OUTER);

	for (int i = 0; r == 0 && i < 3; i++) {
		r = buf_get_u16(b, &n);
		if (r == 0 && n != DERIVE_ROOT_SIZE)
			r = E_FORMAT;
		seed[i] = b->off;
		if (r == 0)
			r = skip(b, n);
	}
	if (r != 0 || (r = block_of(b, TAIL_INNER)) != 0 || (r = skip(b, TAIL_TIMES)) != 0 || (r = block_of(b, 0)) != 0 ||
	    (r = buf_get_u32(b, &magic)) != 0)
		return r;
	return magic == VOLATILE_STATE_MAGIC ? 0 : E_FORMAT;
}

static int sha1(const uint8_t *p, size_t n, uint8_t out[SHA1_SIZE])
{
	return EVP_Digest(p, n, out, NULL, EVP_sha1(), NULL) == 1 ? 0 : E_CRYPTO;
}

int blob_set_volatile(uint8_t *p, size_t n, const struct roots *new)
{
	uint8_t sum[SHA1_SIZE];
	size_t seed[3], body;
	uint16_t version;
	struct buf b;
	int r;

	if (n > BLOB_VOLATILE_MAX)
		return E_RANGE;
	if (n < TAIL_SIZE)
		return E_TRUNCATED;
	body = n - SHA1_SIZE;
	buf_view(&b, p, body);
	if ((r = header(&b, VOLATILE_STATE_MAGIC, 4, 4, &version)) != 0)
		return r;
	b.off = n - TAIL_SIZE;
	if ((r = walk_tail(&b, seed)) != 0 || (r = buf_done(&b)) != 0 || (r = sha1(p, body, sum)) != 0)
		return r;
	if (!bytes_equal(sum, p + body, SHA1_SIZE))
		return E_INTEGRITY;
	for (int i = 0; i < 3; i++)
		memcpy(p + seed[i], new->value[ROOT_EPS + i], DERIVE_ROOT_SIZE);
	return sha1(p, body, p + body);
}
