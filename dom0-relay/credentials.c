/* What this host shows the KMCs that it connects to, and which it takes. */
#include "dom0-relay/credentials.h"

#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "dom0-relay/identity.h"
#include "dom0-relay/relayconf.h"

static int load_key(struct credentials *c, const struct relayconf *conf, const struct tls_signer *signer, char why[TLS_WHY])
{
	if (relayconf_key_in_tpm(conf))
		return tls_context_new_signer(&c->ctx, TLS_CLIENT, conf->tls_ca, conf->tls_certificate, signer, why);
	log_warn("this host's TLS key is a file (insecure-software-key): enrol it anew for a key in its TPM");
	return tls_context_new(&c->ctx, TLS_CLIENT, conf->tls_ca, conf->tls_certificate, conf->tls_key, why);
}

int credentials_load(struct credentials *c, const struct relayconf *conf, const struct identity *id, const struct tls_signer *signer,
		     char why[TLS_WHY])
{
	int r = load_key(c, conf, signer, why);

	c->certificate = id->certificate;
	if (r != 0 || !id->kept)
		return r;
	r = tls_context_renew(c->ctx, id->certificate.bytes, id->certificate.size);
	if (r == 0)
		r = credentials_trust(c, id);
	if (r != 0)
		snprintf(why, TLS_WHY, "can't use the certificate in %.200s: %s", id->path, error_text(r));
	else if (id->certificate.size != id->enrolled.size || memcmp(id->certificate.bytes, id->enrolled.bytes, id->enrolled.size) != 0)
		c->former = id->enrolled;
	return r;
}

void credentials_free(struct credentials *c)
{
	tls_context_free(&c->ctx);
}

int credentials_renew(struct credentials *c, struct view der)
{
	int r = der.n <= sizeof(c->certificate.bytes) ? tls_context_renew(c->ctx, der.p, der.n) : E_FORMAT;

	if (r != 0)
		return r;
	c->former = c->certificate;
	c->fell_back = false;
	memcpy(c->certificate.bytes, der.p, der.n);
	c->certificate.size = der.n;
	return 0;
}

int credentials_trust(struct credentials *c, const struct identity *id)
{
	struct view cas[IDENTITY_CAS];

	for (unsigned int i = 0; i < id->n_cas; i++)
		cas[i] = view_of(id->cas[i].bytes, id->cas[i].size);
	return tls_context_trust(c->ctx, cas, id->n_cas);
}

void credentials_fall_back(struct credentials *c)
{
	struct certinfo_der other = c->former;

	if (!other.size || tls_context_renew(c->ctx, other.bytes, other.size) != 0)
		return;
	c->fell_back = !c->fell_back;
	c->former = c->certificate;
	c->certificate = other;
	log_warn("this host's %s certificate is not taken: the %s one is tried", c->fell_back ? "renewed" : "former", c->fell_back ? "former" : "renewed");
}

bool credentials_are_all_tried(const struct credentials *c)
{
	return !c->former.size || c->fell_back;
}
