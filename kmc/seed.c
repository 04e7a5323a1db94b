/* A base seed's inputs, encoded so that no two owners can ever have the same. */
#include "kmc/seed.h"

#include "common/buf.h"
#include "common/error.h"
#include "common/secret.h"
#include "kmc/drbg.h"

static int put_tenant(struct buf *out, struct view tenant)
{
	int r;

	if (tenant.n < 1 || tenant.n > KMC_NAME_MAX)
		return E_ARG;
	if ((r = buf_put_u32(out, (uint32_t)tenant.n)) != 0)
		return r;
	return buf_put(out, tenant.p, tenant.n);
}

int seed_message(const struct seed_owner *owner, struct buf *out)
{
	int r;

	if ((r = buf_put(out, SEED_LABEL, sizeof(SEED_LABEL))) != 0 || (r = put_tenant(out, owner->tenant)) != 0 ||
	    (r = buf_put(out, owner->uuid.b, UUID_SIZE)) != 0)
		return r;
	return buf_put_u32(out, owner->generation);
}

int seed_from_entropy(const struct seed_owner *owner, const struct secret *entropy, struct secret **seed)
{
	uint8_t personal[4 + KMC_NAME_MAX + 4];
	struct buf b;
	int r;

	*seed = NULL;
	buf_over(&b, personal, sizeof(personal));
	if ((r = put_tenant(&b, owner->tenant)) != 0 || (r = buf_put_u32(&b, owner->generation)) != 0)
		return r;
	return drbg_generate(entropy, view_of(owner->uuid.b, UUID_SIZE), view_of(personal, b.len), 0, SEED_SIZE, seed);
}
