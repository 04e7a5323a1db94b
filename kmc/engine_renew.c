/*
 * Hosts' next certificates.
 *
 * Theory of operation: a host asks over a connection that its present certificate has made, and signs with its key; it gets the next one
 * for the same name and the same key. Which certificate it uses is known from its connections: at the first HELLO with a newer one, that is
 * the one on record. Older ones for the same key stand until they expire, so that a lost answer, a crash before the file was written, or
 * a second relay of the host leaves it a certificate that works; nobody gains by it, since the key is the same. Enrolment and removal of
 * the host end all of them.
 */
#include "kmc/engine_renew.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/eckey.h"
#include "common/error.h"
#include "common/log.h"
#include "common/proof.h"
#include "common/secret.h"
#include "kmc/authorities.h"
#include "kmc/hostcert.h"
#include "kmc/kmcconf.h"

static int sha256(struct view v, uint8_t hash[32])
{
	return EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

/* That it is this connection's certificate, and its key signed. The key into @spki. Return: its bytes, or 0 with *why. */
static size_t check(const struct ca_cert *cert, struct view fingerprint, struct view possession, uint8_t spki[CA_SPKI_MAX], const char **why)
{
	uint8_t hash[32], key[32], proof[PROOF_SIZE];
	int n;

	*why = "the KMC can't compute a hash";
	if (ca_cert_fingerprint(cert, hash) != 0)
		return 0;
	*why = "that is not the certificate of this connection";
	if (!bytes_equal(hash, fingerprint.p, sizeof(hash)) || (n = ca_cert_public(cert, spki)) < 0)
		return 0;
	*why = "the request is not signed by the key of the present certificate";
	if (sha256(view_of(spki, (size_t)n), key) != 0 || proof_renew(hash, key, proof) != 0 ||
	    eckey_verify(view_of(spki, (size_t)n), view_of(proof, sizeof(proof)), possession) != 0)
		return 0;
	return (size_t)n;
}

static void give(struct engine *e, const struct asker *a, struct view certificate)
{
	engine_answer(e, a, KMC_RENEWED, &(const struct kmc_renewed){.certificate = certificate});
}

/* One that was issued before serves. 0: it was sent; E_NOTFOUND; E_DB. */
static int give_again(struct engine *e, const struct asker *a, struct view fingerprint)
{
	struct store_hostcert newest;
	uint8_t ca[32];
	int r = e->store->ops->hostcert_newest(e->store, a->host, &newest);

	if (r != 0)
		return r;
	if (ca_cert_fingerprint(&e->ca, ca) != 0 || !hostcert_again(&newest, fingerprint.p, ca, engine_now()))
		return E_NOTFOUND;
	give(e, a, view_of(newest.certificate, newest.size));
	return 0;
}

void renew_ask(struct engine *e, const struct asker *a, struct view fingerprint, const struct kmc_renew *m)
{
	int64_t now = engine_machine_time(), life = (int64_t)e->conf->host_lifetime_s;
	struct vault_issue q = {.name = view_text(a->host), .not_before = (uint64_t)hostcert_begins(now, life), .not_after = (uint64_t)(now + life)};
	struct ca_cert present = {.size = m->certificate.n};
	uint8_t spki[CA_SPKI_MAX];
	const char *why;
	struct ticket *t;
	int r;

	memcpy(present.der, m->certificate.p, m->certificate.n);
	q.spki = view_of(spki, check(&present, fingerprint, m->possession, spki, &why));
	if (!q.spki.n) {
		engine_refuse(e, a, KMC_REFUSED_ENROLMENT, "no new certificate: %s", why);
		return;
	}
	r = give_again(e, a, fingerprint);
	if (r == 0)
		return;
	if (r != E_NOTFOUND) {
		engine_refuse_db(e, a);
		return;
	}
	t = engine_ticket(e, TICKET_RENEW);
	if (!t) {
		engine_refuse(e, a, KMC_REFUSED_BUSY, "the KMC is busy: try again");
		return;
	}
	t->asker = *a;
	t->present = present;
	link_send(e->vault, VAULT_ISSUE, t->id, &q);
}

struct writing {
	struct engine *e;
	const struct asker *a;
	const struct ca_cert *present;
	struct store_hostcert next;
};

/* The one that the host has may be from before there were rows. */
static int keep_present(struct store *s, const struct writing *w, const struct store_host *host)
{
	struct store_hostcert row, old;
	int r = hostcert_row(&row, host->name, w->present, &w->e->authorities->list[0].cert, host->added_at);

	if (r != 0)
		return r;
	r = s->ops->hostcert_get(s, host->name, row.fingerprint, &old);
	row.used_at = host->added_at;
	return r == E_NOTFOUND ? s->ops->hostcert_put(s, &row) : r;
}

/* Which one it is, for the trail. */
static void describe(char text[100], const struct store_hostcert *c)
{
	int at = snprintf(text, 100, "SHA-256 of the certificate ");

	for (size_t i = 0; i < sizeof(c->fingerprint); i++)
		at += snprintf(text + at, 100 - (size_t)at, "%02x", c->fingerprint[i]);
}

/* In one transaction. 0, E_DENIED: the host was removed or enrolled anew meanwhile; E_DB. */
static int put_next(struct store *s, void *arg)
{
	struct writing *w = arg;
	char detail[100];
	const struct audit_act act = {.event = AUDIT_HOST_RENEWED, .actor = w->a->host, .pool = w->a->pool, .detail = detail};
	struct store_host host;
	uint8_t present[32];
	int r;

	if ((r = s->ops->host_get(s, w->a->host, &host)) != 0 || (r = ca_cert_fingerprint(w->present, present)) != 0)
		return r;
	r = host.removed ? E_NOTFOUND : memcmp(present, host.fingerprint, 32) == 0 ? 0 : hostcert_find(s, host.name, present, engine_now());
	if (r != 0)
		return r == E_NOTFOUND ? E_DENIED : r;
	describe(detail, &w->next);
	if ((r = keep_present(s, w, &host)) != 0 || (r = s->ops->hostcert_put(s, &w->next)) != 0 ||
	    (r = s->ops->hostcert_prune(s, host.name, host.fingerprint, HOSTCERT_KEPT)) != 0)
		return r;
	return auditlog_add(&w->e->audit, &act);
}

void renew_issued(struct engine *e, struct ticket *t, const struct vault_issued *m)
{
	const struct asker a = t->asker;
	const struct ca_cert present = t->present;
	struct writing w = {.e = e, .a = &a, .present = &present};
	struct ca_cert cert = {.size = m->cert.n};
	int r;

	engine_ticket_end(t);
	memcpy(cert.der, m->cert.p, m->cert.n);
	r = hostcert_row(&w.next, a.host, &cert, &e->ca, engine_machine_time());
	if (r == 0)
		r = store_transact(e->store, put_next, &w);
	if (r == E_DENIED) {
		engine_refuse(e, &a, KMC_REFUSED_UNKNOWN_HOST, "host '%s' was removed here", a.host);
	} else if (r != 0) {
		engine_refuse_db(e, &a);
	} else {
		log_about(LOG_LV_INFO, ABOUT(.host = a.host), "host '%s' of pool '%s' gets a new certificate", a.host, a.pool);
		give(e, &a, m->cert);
	}
}

void renew_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	const struct asker a = t->asker;

	engine_ticket_end(t);
	log_error("vault: %.*s", (int)m->reason.n, (const char *)m->reason.p);
	engine_refuse(e, &a, KMC_REFUSED_INTERNAL, "the KMC's vault could not issue a certificate: its log says more");
}

struct using {
	const char *host;
	const uint8_t *fingerprint;
	bool newer; /* than the one on record */
};

static int put_used(struct store *s, void *arg)
{
	struct using *u = arg;
	struct store_hostcert c, old;
	struct store_host host;
	int r;

	u->newer = false;
	if ((r = s->ops->host_get(s, u->host, &host)) != 0 || (r = s->ops->hostcert_get(s, u->host, u->fingerprint, &c)) != 0)
		return r;
	r = s->ops->hostcert_get(s, u->host, host.fingerprint, &old);
	if (r != 0 && r != E_NOTFOUND)
		return r;
	u->newer = r == E_NOTFOUND || c.issued_at > old.issued_at || (c.issued_at == old.issued_at && !c.used_at);
	if (!u->newer)
		return 0;
	c.used_at = engine_now();
	host.expires_at = c.expires_at;
	memcpy(host.fingerprint, c.fingerprint, sizeof(host.fingerprint));
	r = s->ops->hostcert_put(s, &c);
	return r != 0 ? r : s->ops->host_put(s, &host);
}

void renew_used(struct engine *e, const struct asker *a, struct view fingerprint)
{
	struct using u = {.host = a->host, .fingerprint = fingerprint.p};
	struct store_host host;
	int r = e->store->ops->host_get(e->store, a->host, &host);

	if (r == 0 && memcmp(host.fingerprint, fingerprint.p, sizeof(host.fingerprint)) == 0)
		return;
	if (r == 0)
		r = store_transact(e->store, put_used, &u);
	if (r != 0 && r != E_NOTFOUND) /* it is tried again at the next HELLO, and the certificate stands meanwhile */
		log_about(LOG_LV_WARN, ABOUT(.host = a->host), "that host '%s' uses its new certificate could not be recorded: %s", a->host, e->store->why);
	else if (r == 0 && u.newer)
		log_about(LOG_LV_INFO, ABOUT(.host = a->host), "host '%s' uses its new certificate", a->host);
}
