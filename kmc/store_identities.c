/* Rows of what hosts have proved, and of what their pools ask. */
#include "kmc/store_row.h"

/* A TPM's 64-bit numbers may use all their bits: SQL's can't, so they are eight bytes. */
static void wide_out(uint64_t n, uint8_t b[8])
{
	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(n >> (56 - 8 * i));
}

static uint64_t get_wide(struct row *w)
{
	uint8_t b[8] = {0};
	uint64_t n = 0;

	row_get_exact(w, b, sizeof(b));
	for (int i = 0; i < 8; i++)
		n = n << 8 | b[i];
	return n;
}

static void get_pcrs(struct row *w, struct store_pcrs *p)
{
	uint64_t mask = row_get_number(w);

	w->bad |= mask >> STORE_PCRS != 0;
	p->mask = (uint32_t)mask;
	row_get_exact(w, p->value, sizeof(p->value));
}

static int identity_get(struct store *s, const char *host, struct store_identity *i)
{
	struct row w = row_start(s, SQL_IDENTITY_GET);
	size_t n;
	int r;

	row_put_text(&w, host);
	r = row_find(s, &w, "can't look up a host's identity");
	if (r != 0)
		return r;
	row_get_text(&w, i->host, sizeof(i->host));
	i->ak_size = row_get_blob(&w, i->ak, sizeof(i->ak));
	row_get_exact(&w, i->ek, sizeof(i->ek));
	i->ek_check = (uint32_t)row_get_number(&w);
	i->software_key = row_get_number(&w) != 0;
	get_pcrs(&w, &i->reference);
	get_pcrs(&w, &i->last);
	i->reference_firmware = get_wide(&w);
	i->last_firmware = get_wide(&w);
	i->clock_ms = get_wide(&w);
	i->reset_count = row_get_number(&w);
	i->restart_count = row_get_number(&w);
	i->attested_at = row_get_time(&w);
	i->failed = row_get_number(&w) != 0;
	row_get_text(&w, i->reason, sizeof(i->reason));
	n = row_get_blob(&w, i->image, sizeof(i->image));
	w.bad |= n != 0 && n != sizeof(i->image);
	i->has_image = n != 0;
	return row_finish(s, &w, "a host's identity");
}

static int identity_put(struct store *s, const struct store_identity *i)
{
	struct row w = row_start(s, SQL_IDENTITY_PUT);
	uint8_t wide[3][8];

	wide_out(i->reference_firmware, wide[0]);
	wide_out(i->last_firmware, wide[1]);
	wide_out(i->clock_ms, wide[2]);
	row_put_text(&w, i->host);
	row_put_blob(&w, i->ak, i->ak_size);
	row_put_blob(&w, i->ek, sizeof(i->ek));
	row_put_number(&w, i->ek_check);
	row_put_number(&w, i->software_key);
	row_put_number(&w, i->reference.mask);
	row_put_blob(&w, i->reference.value, sizeof(i->reference.value));
	row_put_number(&w, i->last.mask);
	row_put_blob(&w, i->last.value, sizeof(i->last.value));
	for (int n = 0; n < 3; n++)
		row_put_blob(&w, wide[n], sizeof(wide[n]));
	row_put_number(&w, i->reset_count);
	row_put_number(&w, i->restart_count);
	row_put_time(&w, i->attested_at);
	row_put_number(&w, i->failed);
	row_put_text(&w, i->reason);
	row_put_blob(&w, i->image, i->has_image ? sizeof(i->image) : 0);
	return row_run(s, &w, "can't write a host's identity");
}

static int identity_drop(struct store *s, const char *host)
{
	struct row w = row_start(s, SQL_IDENTITY_DROP);

	row_put_text(&w, host);
	return row_run(s, &w, "can't remove a host's identity");
}

static int policy_get(struct store *s, const char *pool, struct store_policy *p)
{
	struct row w = row_start(s, SQL_POLICY_GET);
	size_t n;
	int r;

	row_put_text(&w, pool);
	r = row_find(s, &w, "can't look up a pool's policy");
	if (r != 0)
		return r;
	row_get_text(&w, p->pool, sizeof(p->pool));
	p->pcrs = (uint32_t)row_get_number(&w);
	p->interval_s = row_get_number(&w);
	p->require = row_get_number(&w) != 0;
	p->ek_policy = (uint32_t)row_get_number(&w);
	p->note_clock = row_get_number(&w) != 0;
	p->note_firmware = row_get_number(&w) != 0;
	p->maintenance_until = row_get_time(&w);
	n = row_get_blob(&w, p->images, sizeof(p->images));
	w.bad |= n % sizeof(p->images[0]) != 0;
	p->n_images = n / sizeof(p->images[0]);
	return row_finish(s, &w, "a pool's policy");
}

static int policy_put(struct store *s, const struct store_policy *p)
{
	struct row w = row_start(s, SQL_POLICY_PUT);

	row_put_text(&w, p->pool);
	row_put_number(&w, p->pcrs);
	row_put_number(&w, p->interval_s);
	row_put_number(&w, p->require);
	row_put_number(&w, p->ek_policy);
	row_put_number(&w, p->note_clock);
	row_put_number(&w, p->note_firmware);
	row_put_time(&w, p->maintenance_until);
	row_put_blob(&w, p->images, p->n_images * sizeof(p->images[0]));
	return row_run(s, &w, "can't write a pool's policy");
}

void store_identities_fill(struct store_ops *ops)
{
	ops->identity_get = identity_get;
	ops->identity_put = identity_put;
	ops->identity_drop = identity_drop;
	ops->policy_get = policy_get;
	ops->policy_put = policy_put;
}
