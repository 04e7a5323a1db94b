/* Endorsement keys and certificates through TPM commands. */
#include "vtpm-stubdom/endorsement.h"

#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "vtpm-stubdom/engine.h"

#define COMMAND_MAX 1024
#define CHUNK 512 /* bytes of one TPM2_NV_Read or Write: below every TPM's buffer */
#define CERTIFICATE_MAX 2048

enum { ST_NO_SESSIONS = 0x8001, ST_SESSIONS = 0x8002 };
enum {
	CC_NV_UNDEFINE = 0x122, CC_NV_DEFINE = 0x12a, CC_CREATE_PRIMARY = 0x131, CC_NV_WRITE = 0x137, CC_NV_WRITE_LOCK = 0x138,
	CC_NV_READ = 0x14e, CC_FLUSH = 0x165, CC_NV_READ_PUBLIC = 0x169, CC_GET_CAPABILITY = 0x17a
};
#define RH_ENDORSEMENT 0x4000000bu
#define RH_PLATFORM 0x4000000cu
#define RS_PW 0x40000009u
#define ALG_SHA256 0x000b
#define ALG_NULL 0x0010

/*
 * The profile's attributes: written by the platform, once, and locked until they are defined anew; read by everybody; not owner's,
 * so that TPM2_Clear leaves them. PPWRITE, WRITEDEFINE, PPREAD, OWNERREAD, AUTHREAD, NO_DA, PLATFORMCREATE.
 */
#define NV_ATTRIBUTES 0x42072001u

static const uint32_t nv_index[ENDORSEMENT_KINDS] = {[ENDORSEMENT_RSA] = 0x01c00002, [ENDORSEMENT_ECC] = 0x01c0000a};

/* PolicySecret(TPM_RH_ENDORSEMENT), as the profile gives it (PolicyA). */
static const uint8_t policy_a[32] = {
	0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
	0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
};

/* One command being made; it is as long as a certificate's chunk and some. */
struct command {
	uint8_t bytes[COMMAND_MAX];
	struct buf b;
};

static void begin(struct command *c, uint16_t tag, uint32_t code)
{
	buf_over(&c->b, c->bytes, sizeof(c->bytes));
	buf_put_u16(&c->b, tag);
	buf_put_u32(&c->b, 0); /* length, see run() */
	buf_put_u32(&c->b, code);
}

/* The empty password, for one handle. */
static void put_password(struct command *c)
{
	buf_put_u32(&c->b, 9);
	buf_put_u32(&c->b, RS_PW);
	buf_put_u16(&c->b, 0);
	buf_put_u8(&c->b, 0);
	buf_put_u16(&c->b, 0);
}

static int skip(struct buf *b, size_t n)
{
	const uint8_t *p;

	return buf_get_view(b, &p, n);
}

/* Execute: 0 with the parameters (the handle first, if there is one) in *out, or E_TPM. */
static int run(struct engine *e, struct command *c, struct buf *out)
{
	const uint8_t *response;
	struct buf length;
	uint32_t rc = 1;
	size_t n;

	buf_over(&length, c->bytes + 2, 4);
	buf_put_u32(&length, (uint32_t)c->b.len);
	if (engine_process(e, 0, c->bytes, c->b.len, &response, &n) != 0)
		return E_TPM;
	buf_view(out, response, n);
	if (skip(out, 6) != 0 || buf_get_u32(out, &rc) != 0 || rc != 0)
		return E_TPM;
	return 0;
}

static void put_template(struct buf *b, enum endorsement_kind kind)
{
	static const uint8_t zeroes[256];
	bool rsa = kind == ENDORSEMENT_RSA;

	buf_put_u16(b, rsa ? 0x0001 : 0x0023);
	buf_put_u16(b, ALG_SHA256);
	buf_put_u32(b, 0x000300b2); /* fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt */
	buf_put_u16(b, sizeof(policy_a));
	buf_put(b, policy_a, sizeof(policy_a));
	buf_put_u16(b, 0x0006); /* AES-128-CFB */
	buf_put_u16(b, 128);
	buf_put_u16(b, 0x0043);
	buf_put_u16(b, ALG_NULL); /* scheme */
	if (rsa) {
		buf_put_u16(b, 2048);
		buf_put_u32(b, 0); /* the default exponent, 65537 */
		buf_put_u16(b, 256);
		buf_put(b, zeroes, 256);
	} else {
		buf_put_u16(b, 0x0003); /* P-256 */
		buf_put_u16(b, ALG_NULL); /* kdf */
		buf_put_u16(b, 32);
		buf_put(b, zeroes, 32);
		buf_put_u16(b, 32);
		buf_put(b, zeroes, 32);
	}
}

static int take(struct buf *b, size_t n, struct endorsement_key *key)
{
	uint16_t size;
	int r = buf_get_u16(b, &size);

	if (r == 0)
		r = size == n && key->size + n <= sizeof(key->bytes) ? buf_get(b, key->bytes + key->size, n) : E_FORMAT;
	key->size += n;
	return r;
}

/* The unique field of a TPM2B_PUBLIC that was made from the template. */
static int read_key(struct buf *b, enum endorsement_kind kind, struct endorsement_key *key)
{
	size_t fixed = 2 + 2 + 2 + 4 + 2 + sizeof(policy_a) + 6 + 2;
	int r;

	key->size = 0;
	if (kind == ENDORSEMENT_RSA)
		return (r = skip(b, fixed + 2 + 4)) != 0 ? r : take(b, 256, key);
	if ((r = skip(b, fixed + 2 + 2)) != 0 || (r = take(b, 32, key)) != 0)
		return r;
	return take(b, 32, key);
}

static void flush(struct engine *e, uint32_t handle)
{
	struct command c;
	struct buf out;

	begin(&c, ST_NO_SESSIONS, CC_FLUSH);
	buf_put_u32(&c.b, handle);
	run(e, &c, &out);
}

int endorsement_key(struct engine *e, enum endorsement_kind kind, struct endorsement_key *key)
{
	struct command c;
	struct buf out, template;
	uint8_t bytes[400];
	uint32_t handle;
	int r;

	buf_over(&template, bytes, sizeof(bytes));
	put_template(&template, kind);
	begin(&c, ST_SESSIONS, CC_CREATE_PRIMARY);
	buf_put_u32(&c.b, RH_ENDORSEMENT);
	put_password(&c);
	buf_put_u16(&c.b, 4); /* no authorisation, no data */
	buf_put_u32(&c.b, 0);
	buf_put_u16(&c.b, (uint16_t)template.len);
	buf_put(&c.b, template.data, template.len);
	buf_put_u16(&c.b, 0);
	buf_put_u32(&c.b, 0);
	if (run(e, &c, &out) != 0 || buf_get_u32(&out, &handle) != 0)
		return E_TPM;
	r = skip(&out, 4) != 0 || read_key(&out, kind, key) != 0 ? E_TPM : 0;
	flush(e, handle);
	return r;
}

static int property(struct engine *e, uint32_t which, uint32_t *value)
{
	struct command c;
	uint32_t count, got;
	struct buf out;

	begin(&c, ST_NO_SESSIONS, CC_GET_CAPABILITY);
	buf_put_u32(&c.b, 6); /* TPM_CAP_TPM_PROPERTIES */
	buf_put_u32(&c.b, which);
	buf_put_u32(&c.b, 1);
	if (run(e, &c, &out) != 0 || skip(&out, 5) != 0 || buf_get_u32(&out, &count) != 0 || buf_get_u32(&out, &got) != 0)
		return E_TPM;
	return count == 1 && got == which && buf_get_u32(&out, value) == 0 ? 0 : E_TPM;
}

int endorsement_facts(struct engine *e, struct endorsement_facts *f)
{
	int r;

	if ((r = property(e, 0x105, &f->manufacturer)) != 0 || (r = property(e, 0x10b, &f->firmware)) != 0 ||
	    (r = property(e, 0x101, &f->level)) != 0)
		return r;
	return property(e, 0x102, &f->revision);
}

/* Bytes in an index, 0 if there is none. */
static size_t nv_size(struct engine *e, uint32_t index)
{
	struct command c;
	struct buf out;
	uint16_t policy, size = 0;

	begin(&c, ST_NO_SESSIONS, CC_NV_READ_PUBLIC);
	buf_put_u32(&c.b, index);
	if (run(e, &c, &out) != 0 || skip(&out, 2 + 4 + 2 + 4) != 0 || buf_get_u16(&out, &policy) != 0 || skip(&out, policy) != 0 ||
	    buf_get_u16(&out, &size) != 0)
		return 0;
	return size;
}

static int nv_read(struct engine *e, uint32_t index, size_t offset, size_t n, uint8_t *to)
{
	struct command c;
	struct buf out;
	uint16_t size;

	begin(&c, ST_SESSIONS, CC_NV_READ);
	buf_put_u32(&c.b, index);
	buf_put_u32(&c.b, index);
	put_password(&c);
	buf_put_u16(&c.b, (uint16_t)n);
	buf_put_u16(&c.b, (uint16_t)offset);
	if (run(e, &c, &out) != 0 || skip(&out, 4) != 0 || buf_get_u16(&out, &size) != 0 || size != n)
		return E_TPM;
	return buf_get(&out, to, n) == 0 ? 0 : E_TPM;
}

/* Whether the point stands in the certificate: only a certificate of this key has these 64 bytes. */
static bool names(struct view certificate, const struct endorsement_key *key)
{
	return memmem(certificate.p, certificate.n, key->bytes, key->size) != NULL;
}

/* Whether @index holds these bytes. */
static bool holds(struct engine *e, uint32_t index, struct view certificate)
{
	uint8_t found[CERTIFICATE_MAX];

	if (nv_size(e, index) != certificate.n)
		return false;
	for (size_t at = 0; at < certificate.n; at += CHUNK)
		if (nv_read(e, index, at, certificate.n - at < CHUNK ? certificate.n - at : CHUNK, found + at) != 0)
			return false;
	return memcmp(found, certificate.p, certificate.n) == 0;
}

bool endorsement_is_certified(struct engine *e, bool *open)
{
	size_t n = nv_size(e, nv_index[ENDORSEMENT_ECC]);
	uint8_t certificate[CERTIFICATE_MAX];
	struct endorsement_key key;
	int r;

	if (open)
		*open = false;
	if (!n || n > sizeof(certificate) || !nv_size(e, nv_index[ENDORSEMENT_RSA]))
		return false;
	for (size_t at = 0; at < n; at += CHUNK)
		if (nv_read(e, nv_index[ENDORSEMENT_ECC], at, n - at < CHUNK ? n - at : CHUNK, certificate + at) != 0)
			return false;
	r = endorsement_key(e, ENDORSEMENT_ECC, &key);
	if (open)
		*open = r == 0;
	return r != 0 || names(view_of(certificate, n), &key);
}

static void begin_platform(struct command *c, uint32_t code, uint32_t index)
{
	begin(c, ST_SESSIONS, code);
	buf_put_u32(&c->b, RH_PLATFORM);
	if (index)
		buf_put_u32(&c->b, index);
	put_password(c);
}

static int nv_define(struct engine *e, uint32_t index, size_t n)
{
	struct command c;
	struct buf out;

	begin_platform(&c, CC_NV_DEFINE, 0);
	buf_put_u16(&c.b, 0); /* no authorisation */
	buf_put_u16(&c.b, 14);
	buf_put_u32(&c.b, index);
	buf_put_u16(&c.b, ALG_SHA256);
	buf_put_u32(&c.b, NV_ATTRIBUTES);
	buf_put_u16(&c.b, 0);
	buf_put_u16(&c.b, (uint16_t)n);
	return run(e, &c, &out);
}

static int nv_write(struct engine *e, uint32_t index, size_t offset, const uint8_t *p, size_t n)
{
	struct command c;
	struct buf out;

	begin_platform(&c, CC_NV_WRITE, index);
	buf_put_u16(&c.b, (uint16_t)n);
	buf_put(&c.b, p, n);
	buf_put_u16(&c.b, (uint16_t)offset);
	return run(e, &c, &out);
}

static int replace(struct engine *e, uint32_t index, struct view certificate)
{
	struct command c;
	struct buf out;
	int r = 0;

	if (holds(e, index, certificate))
		return 0;
	if (nv_size(e, index)) {
		begin_platform(&c, CC_NV_UNDEFINE, index);
		r = run(e, &c, &out);
	}
	if (r == 0)
		r = nv_define(e, index, certificate.n);
	for (size_t at = 0; r == 0 && at < certificate.n; at += CHUNK)
		r = nv_write(e, index, at, certificate.p + at, certificate.n - at < CHUNK ? certificate.n - at : CHUNK);
	if (r != 0)
		return r;
	begin_platform(&c, CC_NV_WRITE_LOCK, index);
	return run(e, &c, &out);
}

int endorsement_provision(struct engine *e, const struct view certificates[ENDORSEMENT_KINDS])
{
	struct endorsement_key key;
	int r;

	for (int kind = 0; kind < ENDORSEMENT_KINDS; kind++)
		if (!certificates[kind].n || certificates[kind].n > CERTIFICATE_MAX)
			return E_INTEGRITY;
	if (endorsement_key(e, ENDORSEMENT_ECC, &key) == 0 && !names(certificates[ENDORSEMENT_ECC], &key))
		return E_INTEGRITY;
	/* That of the P-256 key last: endorsement_is_certified() looks at it. */
	r = replace(e, nv_index[ENDORSEMENT_RSA], certificates[ENDORSEMENT_RSA]);
	return r != 0 ? r : replace(e, nv_index[ENDORSEMENT_ECC], certificates[ENDORSEMENT_ECC]);
}
