/* The certificate authorities of a KMC. */
#include "kmc/authorities.h"

#include <openssl/evp.h>
#include <string.h>

#include "common/error.h"

static int take(struct authorities *a, const struct store_authority *row)
{
	struct authority *t = &a->list[a->n];

	if (a->n == AUTHORITIES_MAX || row->size > sizeof(t->cert.der))
		return E_RANGE;
	*t = (struct authority){.number = row->number, .state = row->state, .made_at = row->made_at, .key_size = row->key_size};
	t->cert.size = row->size;
	memcpy(t->cert.der, row->certificate, row->size);
	memcpy(t->key, row->key, row->key_size);
	if (ca_cert_fingerprint(&t->cert, t->hash) != 0)
		return E_RANGE;
	a->n++;
	if (row->state == AUTHORITY_RETIRED)
		return 0;
	if (a->n_live == AUTHORITIES_LIVE_MAX || a->bundle_size + row->size > sizeof(a->bundle))
		return E_RANGE;
	a->n_live++;
	memcpy(a->bundle + a->bundle_size, row->certificate, row->size);
	a->bundle_size += row->size;
	return 0;
}

int authorities_read(struct authorities *a, struct store *s, const struct ca_cert *file)
{
	struct store_authority row = {.number = 0};
	int r;

	memset(a, 0, sizeof(*a));
	while ((r = s->ops->authority_next(s, row.number, &row)) == 0)
		if ((r = take(a, &row)) != 0)
			return r;
	if (r != E_NOTFOUND)
		return r;
	if (!a->n) {
		row = (struct store_authority){.number = 1, .state = AUTHORITY_CURRENT, .size = file->size};
		memcpy(row.certificate, file->der, file->size);
		if ((r = take(a, &row)) != 0)
			return r;
	}
	return EVP_Digest(a->bundle, a->bundle_size, a->bundle_hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_RANGE;
}

bool authorities_same(const struct authorities *a, const struct authorities *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->list[i].number != b->list[i].number || a->list[i].state != b->list[i].state ||
		    a->list[i].key_size != b->list[i].key_size || memcmp(a->list[i].key, b->list[i].key, a->list[i].key_size) != 0 || memcmp(a->list[i].hash, b->list[i].hash, 32) != 0)
			return false;
	return true;
}

const struct authority *authorities_in(const struct authorities *a, enum authority_state state)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->list[i].state == (uint32_t)state)
			return &a->list[i];
	return NULL;
}

const struct authority *authorities_newest(const struct authorities *a)
{
	const struct authority *newest = NULL;

	for (size_t i = 0; i < a->n; i++)
		if (a->list[i].state != AUTHORITY_RETIRED)
			newest = &a->list[i];
	return newest;
}

const struct authority *authorities_issuer(const struct authorities *a, const struct ca_cert *cert)
{
	for (size_t i = 0; i < a->n; i++)
		if (ca_cert_issued_by(cert, &a->list[i].cert))
			return &a->list[i];
	return NULL;
}
