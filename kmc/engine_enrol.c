/*
 * Enrolment of hosts by token.
 *
 *   ENROL: token good, keys what they should be, the pool's rule for endorsement keys -> CREDENTIAL at the vault -> CHALLENGE
 *   PROVE: the TPM with both keys answered, quoted, the TLS key signed -> ISSUE at the vault -> token used up, host written -> ENROLLED
 *
 * Whoever has no good token gets as far as one look into the database. The token is used up in the transaction that makes the host: it
 * serves once, and an enrolment that broke off can be tried again.
 */
#include "kmc/engine_enrol.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/eckey.h"
#include "common/error.h"
#include "common/log.h"
#include "common/proof.h"
#include "common/secret.h"
#include "common/token.h"
#include "kmc/engine_attest.h"
#include "kmc/hostcert.h"
#include "kmc/kmcconf.h"

#define BAD_TOKEN "this token is not known here: it was used, has expired or was replaced; 'kmcctl host add' makes a new one"

static int sha256(struct view v, uint8_t hash[32])
{
	return EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

static struct enrolment *find(struct engine *e, const struct asker *a)
{
	for (size_t i = 0; i < ENROLMENTS_MAX; i++)
		if (e->enrolments[i].conn == a->conn)
			return &e->enrolments[i];
	return NULL;
}

/* A free place, or that of the oldest: its connection has most likely gone. */
static struct enrolment *take_place(struct engine *e, const struct asker *a)
{
	struct enrolment *place = &e->enrolments[0];

	for (size_t i = 1; i < ENROLMENTS_MAX && place->conn; i++)
		if (!e->enrolments[i].conn || e->enrolments[i].serial < place->serial)
			place = &e->enrolments[i];
	*place = (struct enrolment){.conn = a->conn, .serial = ++e->last_enrolment};
	return place;
}

static void end(struct enrolment *n)
{
	wipe(n, sizeof(*n));
}

static void refuse(struct engine *e, const struct asker *a, const char *why)
{
	engine_refuse(e, a, KMC_REFUSED_ENROLMENT, "%s", why);
}

/* Who has no good token gets no record in the database, and a line in the log at most once a second. */
static void refuse_stranger(struct engine *e, const struct asker *a, const char *why)
{
	const struct kmc_refused m = {.code = KMC_REFUSED_ENROLMENT, .reason = view_text(why)};

	e->refusals++;
	if (engine_now() != e->stranger_at)
		log_warn("a peer with a token was not enrolled: %s", why);
	e->stranger_at = engine_now();
	engine_answer(e, a, KMC_REFUSED, &m);
}

/* That the token stands and its host may be made. 0, E_DENIED with *why, E_DB. */
static int check_token(struct engine *e, const uint8_t hash[32], struct store_token *token, const char **why)
{
	struct store_host host;
	int r = e->store->ops->token_get(e->store, hash, token);

	*why = BAD_TOKEN;
	if (r == E_NOTFOUND || (r == 0 && token->expires_at <= engine_now()))
		return E_DENIED;
	if (r != 0)
		return r;
	r = e->store->ops->host_get(e->store, token->host, &host);
	*why = "there is a host of this name already: 'kmcctl host remove' it first, if it is to be enrolled anew";
	if (r == 0 && !host.removed)
		return E_DENIED;
	return r == E_NOTFOUND ? 0 : r;
}

/* That the TLS key is the one that is said to be in the TPM, unless it is said to be a file. PROVE shows that it is there. */
static bool is_tls_key(const struct kmc_enrol *m)
{
	uint8_t spki[ECKEY_SPKI_MAX];
	struct quote_ak key;
	int n;

	if (m->software_key)
		return true;
	n = m->tls_key.p && quote_tls_key(m->tls_key, &key) == 0 ? eckey_spki_of(key.x, key.y, spki) : E_FORMAT;
	return n > 0 && (size_t)n == m->spki.n && memcmp(spki, m->spki.p, m->spki.n) == 0;
}

/* The keys of the host, and what its pool asks of its TPM. 0, E_DENIED with @why, E_DB. */
static int check_keys(struct engine *e, struct enrolment *n, const struct store_token *token, const struct kmc_enrol *m, char why[REASON_MAX])
{
	struct store_policy policy;
	struct quote_ek ek;
	struct quote_ak ak;
	const char *denied;
	int r = engine_policy(e, n->pool, &policy);

	if (r != 0)
		return r;
	n->pcrs = policy.pcrs;
	if (quote_ek(m->ek, &ek) != 0 || quote_ak(m->ak, &ak) != 0 || sha256(m->ek, n->ek) != 0) {
		snprintf(why, REASON_MAX, "the TPM's endorsement or attestation key is not of the kind that is asked for");
		return E_DENIED;
	}
	if (!is_tls_key(m)) {
		snprintf(why, REASON_MAX, "a TLS key in the TPM was promised, but not shown: give --insecure-software-key for one in a file");
		return E_DENIED;
	}
	if (ekcert_check(e->ekroots, m->certificate, &ek, &n->ek_check, why) != 0)
		return E_DENIED;
	denied = ek_decide((enum ek_policy)policy.ek_policy, n->ek_check, token->has_ek, memcmp(token->ek, n->ek, sizeof(n->ek)) == 0);
	snprintf(why, REASON_MAX, "%s", denied ? denied : "");
	return denied ? E_DENIED : 0;
}

static void ask_challenge(struct engine *e, const struct asker *a, struct enrolment *n, const struct kmc_enrol *m)
{
	uint8_t name[2 + 32] = {0x00, 0x0b}; /* SHA-256's algorithm id, then the hash: TPM 2.0 Part 1, 16 Names */
	const struct vault_credential q = {.ek = m->ek, .name = view_of(name, sizeof(name))};
	struct ticket *t = sha256(m->ak, name + 2) == 0 ? engine_ticket(e, TICKET_CHALLENGE) : NULL;

	if (!t) {
		engine_refuse(e, a, KMC_REFUSED_BUSY, "the KMC is busy: try again");
		end(n);
		return;
	}
	t->asker = *a;
	link_send(e->vault, VAULT_CREDENTIAL, t->id, &q);
}

static void on_enrol(struct engine *e, struct asker *a, const struct kmc_enrol *m)
{
	struct store_token token;
	struct enrolment *n;
	uint8_t hash[32];
	char reason[REASON_MAX];
	const char *why = BAD_TOKEN;
	int r = token_hash(m->token.p, hash);

	if (r == 0)
		r = check_token(e, hash, &token, &why);
	if (r == E_DENIED) {
		refuse_stranger(e, a, why);
		return;
	}
	if (r != 0) {
		engine_refuse_db(e, a);
		return;
	}
	n = take_place(e, a);
	memcpy(a->host, token.host, sizeof(a->host));
	memcpy(n->token, hash, sizeof(n->token));
	memcpy(n->host, token.host, sizeof(n->host));
	memcpy(n->pool, token.pool, sizeof(n->pool));
	memcpy(n->ak, m->ak.p, n->ak_size = m->ak.n);
	memcpy(n->spki, m->spki.p, n->spki_size = m->spki.n);
	n->software_key = m->software_key != 0;
	if (m->tls_key.p)
		memcpy(n->tls_key, m->tls_key.p, n->tls_key_size = m->tls_key.n);
	r = check_keys(e, n, &token, m, reason);
	if (r == 0) {
		ask_challenge(e, a, n, m);
		return;
	}
	if (r == E_DENIED)
		refuse(e, a, reason);
	else
		engine_refuse_db(e, a);
	end(n);
}

void engine_enrol_challenge(struct engine *e, struct ticket *t, const struct vault_challenge *m)
{
	const struct asker a = t->asker;
	struct enrolment *n = find(e, &a);
	struct kmc_challenge c = {.credential = m->credential, .secret = m->secret};

	engine_ticket_end(t);
	if (!n || getrandom(n->nonce, sizeof(n->nonce), 0) != sizeof(n->nonce)) {
		engine_refuse(e, &a, KMC_REFUSED_BUSY, "the KMC is busy: try again");
		return;
	}
	memcpy(n->answer, m->answer.p, sizeof(n->answer));
	n->challenged = true;
	c.nonce = view_of(n->nonce, sizeof(n->nonce));
	c.pcrs = n->pcrs;
	engine_answer(e, &a, KMC_CHALLENGE, &c);
}

/* NULL: all is proved. */
static const char *check_proof(struct enrolment *n, const struct kmc_prove *m, char why[ATTEST_WHY])
{
	const struct attest_claim claim = {.quote = m->quote, .signature = m->signature, .values = m->values};
	const struct view spki = view_of(n->spki, n->spki_size);
	uint8_t hash[32], proof[32];

	if (sha256(m->credential, hash) != 0 || !bytes_equal(hash, n->answer, sizeof(hash)))
		return "its TPM does not hold both the endorsement and the attestation key";
	if (sha256(spki, hash) != 0 || proof_make(PROOF_ENROL, n->nonce, hash, proof) != 0)
		return "the KMC can't compute a hash";
	if (attest_verify(view_of(n->ak, n->ak_size), &claim, n->pcrs, proof, &n->facts, why) != 0)
		return why;
	if (!n->software_key && (!m->certified.p || !m->certified_by.p ||
	    attest_certified(view_of(n->ak, n->ak_size), view_of(n->tls_key, n->tls_key_size), m->certified, m->certified_by, proof) != 0))
		return "its TPM does not certify that its TLS key is in it";
	return eckey_verify(spki, view_of(proof, sizeof(proof)), m->possession) == 0
		       ? NULL : "it does not have the private half of its TLS key, or that is not on P-256";
}

static void on_prove(struct engine *e, struct asker *a, const struct kmc_prove *m)
{
	int64_t now = engine_machine_time(), life = (int64_t)e->conf->host_lifetime_s;
	struct vault_issue q = {.not_before = (uint64_t)hostcert_begins(now, life), .not_after = (uint64_t)(now + life)};
	struct enrolment *n = find(e, a);
	char text[ATTEST_WHY];
	const char *why;
	struct ticket *t;

	if (!n || !n->challenged) {
		refuse(e, a, "there is no challenge to answer: begin again");
		return;
	}
	n->challenged = false;
	memcpy(a->host, n->host, sizeof(a->host));
	why = check_proof(n, m, text);
	t = why ? NULL : engine_ticket(e, TICKET_ENROL);
	if (t) {
		t->asker = *a;
		q.name = view_text(n->host);
		q.spki = view_of(n->spki, n->spki_size);
		link_send(e->vault, VAULT_ISSUE, t->id, &q);
		return;
	}
	if (why)
		refuse(e, a, why);
	else
		engine_refuse(e, a, KMC_REFUSED_BUSY, "the KMC is busy: try again");
	end(n);
}

void engine_enrol_ask(struct engine *e, struct asker *a, enum kmc_type type, const void *fields)
{
	snprintf(a->host, sizeof(a->host), "(to be enrolled)");
	if (type == KMC_ENROL)
		on_enrol(e, a, fields);
	else if (type == KMC_PROVE)
		on_prove(e, a, fields);
	else
		fatal("the front process passed on a message of a peer without certificate");
}

static struct store_identity identity_of(const struct enrolment *n)
{
	struct store_identity i = {.ak_size = n->ak_size, .ek_check = n->ek_check, .software_key = n->software_key, .reference = n->facts.pcrs,
				   .last = n->facts.pcrs, .reference_firmware = n->facts.firmware, .last_firmware = n->facts.firmware};

	memcpy(i.host, n->host, sizeof(i.host));
	memcpy(i.ak, n->ak, n->ak_size);
	memcpy(i.ek, n->ek, sizeof(i.ek));
	attest_update(&i, &n->facts, engine_now());
	return i;
}

struct writing {
	struct engine *e;
	const struct enrolment *n;
	struct store_host host;
	struct store_hostcert cert;
	const char *why;
};

/* In one transaction: 0, E_DENIED with why, E_DB. */
static int write_host(struct store *s, void *arg)
{
	struct writing *w = arg;
	const struct enrolment *n = w->n;
	const struct store_identity identity = identity_of(n);
	const struct audit_act act = {.event = AUDIT_HOST_ENROLLED, .host = n->host, .pool = n->pool, .detail = ek_check_text(n->ek_check)};
	struct store_token token;
	int r;

	if ((r = check_token(w->e, n->token, &token, &w->why)) != 0 || (r = s->ops->token_drop(s, n->host)) != 0 ||
	    (r = s->ops->host_put(s, &w->host)) != 0 || (r = s->ops->hostcert_drop(s, n->host)) != 0 ||
	    (r = s->ops->hostcert_put(s, &w->cert)) != 0 || (r = s->ops->trust_put(s, n->host, w->e->server_authority)) != 0 || (r = s->ops->identity_put(s, &identity)) != 0)
		return r;
	return auditlog_add(&w->e->audit, &act);
}

void engine_enrol_issued(struct engine *e, struct ticket *t, const struct vault_issued *m)
{
	const struct asker a = t->asker;
	struct enrolment *n = find(e, &a);
	struct writing w = {.e = e, .n = n, .host = {.added_at = engine_machine_time()}, .why = "it took too long: begin again"};
	struct ca_cert cert = {.size = m->cert.n};
	int r = E_DENIED;

	engine_ticket_end(t);
	memcpy(cert.der, m->cert.p, m->cert.n);
	if (n && (r = hostcert_row(&w.cert, n->host, &cert, &e->ca, w.host.added_at)) == 0) {
		memcpy(w.host.name, n->host, sizeof(w.host.name));
		memcpy(w.host.pool, n->pool, sizeof(w.host.pool));
		memcpy(w.host.fingerprint, w.cert.fingerprint, sizeof(w.host.fingerprint));
		w.host.expires_at = w.cert.expires_at;
		r = store_transact(e->store, write_host, &w);
	}
	if (r == 0) {
		const struct kmc_enrolled answer = {.name = view_text(n->host), .pool = view_text(n->pool), .certificate = m->cert,
						    .ca = view_of(e->server_ca.der, e->server_ca.size)};

		log_about(LOG_LV_INFO, ABOUT(.host = n->host), "host '%s' was enrolled into pool '%s': endorsement key %s%s", n->host, n->pool, ek_check_text(n->ek_check),
			 n->software_key ? ", TLS key in a file (insecure)" : "");
		engine_answer(e, &a, KMC_ENROLLED, &answer);
	} else if (r == E_DENIED) {
		refuse(e, &a, w.why);
	} else {
		engine_refuse_db(e, &a);
	}
	if (n)
		end(n);
}

void engine_enrol_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	const struct asker a = t->asker;
	struct enrolment *n = find(e, &a);

	engine_ticket_end(t);
	log_error("vault: %.*s", (int)m->reason.n, (const char *)m->reason.p);
	engine_refuse(e, &a, KMC_REFUSED_INTERNAL, "the KMC's vault could not serve this host: its log says more");
	if (n)
		end(n);
}
