/* Certificates of hosts as the engine gives them out. */
#include "kmc/hostcert.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"

#define BACKDATE 300  /* seconds, but never more than a tenth of the life */
#define JUST_NOW 1000 /* a fraction of the life: 20 hours of 825 days */

int64_t hostcert_begins(int64_t now, int64_t lifetime_s)
{
	return now - (lifetime_s / 10 < BACKDATE ? lifetime_s / 10 : BACKDATE);
}

int hostcert_row(struct store_hostcert *row, const char *host, const struct ca_cert *cert, const struct ca_cert *ca, int64_t now)
{
	struct ca_description d;
	int r;

	*row = (struct store_hostcert){.issued_at = now, .size = cert->size};
	if (cert->size > sizeof(row->certificate) || snprintf(row->host, sizeof(row->host), "%s", host) >= (int)sizeof(row->host))
		return E_RANGE;
	memcpy(row->certificate, cert->der, cert->size);
	if ((r = ca_cert_describe(cert, &d)) != 0 || (r = ca_cert_fingerprint(cert, row->fingerprint)) != 0 ||
	    (r = ca_cert_fingerprint(ca, row->ca)) != 0)
		return r;
	row->expires_at = d.not_after;
	return 0;
}

bool hostcert_again(const struct store_hostcert *newest, const uint8_t present[32], const uint8_t ca[32], int64_t now)
{
	int64_t life = newest->expires_at - newest->issued_at, age = now - newest->issued_at;

	if (memcmp(newest->ca, ca, sizeof(newest->ca)) != 0 || age < 0 || !hostcert_stands(newest, now))
		return false;
	if (memcmp(newest->fingerprint, present, sizeof(newest->fingerprint)) == 0)
		return age < life / JUST_NOW;
	return age < life / 3;
}

bool hostcert_stands(const struct store_hostcert *c, int64_t now)
{
	return now < c->expires_at;
}

bool hostcert_overdue(int64_t issued_at, int64_t expires_at, int64_t now)
{
	return expires_at - now < (expires_at - issued_at) / 4;
}

int hostcert_find(struct store *s, const char *host, const uint8_t fingerprint[32], int64_t now)
{
	struct store_hostcert c;
	int r = s->ops->hostcert_get(s, host, fingerprint, &c);

	return r != 0 ? r : hostcert_stands(&c, now) ? 0 : E_NOTFOUND;
}
