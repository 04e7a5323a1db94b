/* The certificate that this host shows, and the authorities that it trusts. */
#include "dom0-relay/identity.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "dom0-relay/relayconf.h"
#include "dom0-relay/statedir.h"

static struct view view_der(const struct certinfo_der *d)
{
	return view_of(d->bytes, d->size);
}

static int complain(char why[IDENTITY_WHY], const char *what, const char *path, int r)
{
	snprintf(why, IDENTITY_WHY, "can't use %s as %s: %s", path, what, r == E_IO ? strerror(errno) : "there is no certificate in PEM in it");
	return r == E_IO ? E_NOTFOUND : E_FORMAT;
}

/* What the KMC gave since, if it is of this enrolment. */
static void take_kept(struct identity *id, const struct relayconf *conf)
{
	struct certinfo_der list[1 + IDENTITY_CAS];
	char path[IDENTITY_PATH];
	struct certinfo c;
	int n;

	if (snprintf(path, sizeof(path), "%s/" STATEDIR_IDENTITY, conf->state_directory) >= (int)sizeof(path))
		return;
	n = certinfo_list(path, list, 1 + IDENTITY_CAS);
	if (n < 2 || !certinfo_same_holder(view_der(&list[0]), view_der(&id->enrolled)) || certinfo_of(view_der(&list[0]), &c) != 0 || c.from < id->from)
		return;
	id->kept = true;
	id->certificate = list[0];
	id->n_cas = (unsigned int)n - 1;
	memcpy(id->cas, list + 1, id->n_cas * sizeof(list[0]));
	id->from = c.from;
	id->until = c.until;
	memcpy(id->path, path, sizeof(path));
	memcpy(id->ca_path, path, sizeof(path));
}

int identity_read(struct identity *id, const struct relayconf *conf, char why[IDENTITY_WHY])
{
	struct certinfo c;
	int n;

	memset(id, 0, sizeof(*id));
	snprintf(id->path, sizeof(id->path), "%s", conf->tls_certificate);
	snprintf(id->ca_path, sizeof(id->ca_path), "%s", conf->tls_ca);
	n = certinfo_list(conf->tls_certificate, &id->enrolled, 1);
	if (n < 0 || certinfo_of(view_der(&id->enrolled), &c) != 0)
		return complain(why, "this host's certificate", conf->tls_certificate, n < 0 ? n : E_FORMAT);
	n = certinfo_list(conf->tls_ca, id->cas, IDENTITY_CAS);
	if (n < 0)
		return complain(why, "the CA's certificate", conf->tls_ca, n);
	id->n_cas = (unsigned int)n;
	id->certificate = id->enrolled;
	id->from = c.from;
	id->until = c.until;
	take_kept(id, conf);
	return 0;
}

int identity_set(struct identity *id, struct view certificate)
{
	struct certinfo c;

	if (certificate.n > sizeof(id->certificate.bytes))
		return E_RANGE;
	if (certinfo_of(certificate, &c) != 0 || !certinfo_same_holder(certificate, view_der(&id->certificate)))
		return E_FORMAT;
	memcpy(id->certificate.bytes, certificate.p, certificate.n);
	id->certificate.size = certificate.n;
	id->from = c.from;
	id->until = c.until;
	return 0;
}

int identity_trust(struct identity *id, struct view authorities)
{
	struct certinfo_der list[IDENTITY_CAS];
	int n = certinfo_split(authorities, list, IDENTITY_CAS);

	if (n < 0)
		return n;
	id->n_cas = (unsigned int)n;
	memcpy(id->cas, list, (size_t)n * sizeof(list[0]));
	return 0;
}

int identity_trusts(const struct identity *id, uint8_t hash[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	for (unsigned int i = 0; ok && i < id->n_cas; i++)
		ok = EVP_DigestUpdate(md, id->cas[i].bytes, id->cas[i].size) == 1;
	ok = ok && EVP_DigestFinal_ex(md, hash, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok ? 0 : E_CRYPTO;
}

bool identity_has(const struct identity *id, const uint8_t hash[32])
{
	uint8_t own[32];

	for (unsigned int i = 0; i < id->n_cas; i++)
		if (EVP_Digest(id->cas[i].bytes, id->cas[i].size, own, NULL, EVP_sha256(), NULL) == 1 && memcmp(own, hash, sizeof(own)) == 0)
			return true;
	return false;
}

int identity_pem(const struct identity *id, struct buf *out)
{
	int r = certinfo_pem(view_der(&id->certificate), out);

	for (unsigned int i = 0; r == 0 && i < id->n_cas; i++)
		r = certinfo_pem(view_der(&id->cas[i]), out);
	return r;
}
