/* Certificates of vTPMs' endorsement keys, in the engine. */
#include "kmc/engine_certify.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/privsep.h"
#include "common/secret.h"
#include "kmc/engine_open.h"
#include "kmc/engine_wrapping.h"

#define AT_ONCE_MAX 32 /* that are being made: the vault's table has twice as many */
#define SHARE 8	       /* of them for one host: keys are made one after the other, and each rise of an epoch asks for new ones */
#define SOON_S 2       /* a pair is made well within it */
#define SHARE_S 8
#define BUSY_S 15

static void answer_later(struct engine *e, const struct asker *a, uint64_t seconds)
{
	const struct kmc_certified m = {.later = seconds};

	engine_answer(e, a, KMC_CERTIFIED, &m);
}

/* Whether @host holds @v under this lease, and the epoch is one that it may have reached. */
static bool is_holder(const struct store_vtpm *v, const struct asker *a, const struct kmc_certify *m)
{
	return strcmp(v->lease.holder, a->host) == 0 && strcmp(v->lease.pool, a->pool) == 0 && v->lease.epoch == m->lease_epoch && v->seed_size &&
	       m->endorsement_epoch >= v->lease.endorsement_epoch;
}

static bool is_present(const struct engine *e, const struct store_ek *k, const struct store_vtpm *v, uint64_t endorsement_epoch)
{
	uint8_t ca[32];

	return k->generation == v->generation && k->endorsement_epoch == endorsement_epoch && ca_cert_fingerprint(&e->ca, ca) == 0 &&
	       bytes_equal(ca, k->ca, sizeof(ca));
}

/* A ticket, unless this vTPM's are being made or too many are. */
static struct ticket *begin(struct engine *e, const struct asker *a, const struct uuid *uuid)
{
	unsigned int n = 0, own = 0;

	for (size_t i = 0; i < TICKETS_MAX; i++) {
		const struct ticket *t = &e->tickets[i];

		if (t->kind != TICKET_ENDORSE)
			continue;
		n++;
		own += strcmp(t->asker.host, a->host) == 0;
		if (uuid_equal(&t->uuid, uuid)) {
			answer_later(e, a, SOON_S);
			return NULL;
		}
	}
	if (own >= SHARE) {
		answer_later(e, a, SHARE_S);
		return NULL;
	}
	if (n < AT_ONCE_MAX) {
		struct ticket *t = engine_ticket(e, TICKET_ENDORSE);

		if (t)
			return t;
	}
	answer_later(e, a, BUSY_S);
	return NULL;
}

static void make(struct engine *e, const struct asker *a, const struct store_vtpm *v, uint64_t endorsement_epoch)
{
	uint8_t origin[ORIGIN_SIZE];
	const struct vault_endorse q = {
		.tenant = view_text(v->lease.pool), .seed = view_of(v->seed, v->seed_size), .uuid = v->uuid, .generation = v->generation,
		.endorsement_epoch = endorsement_epoch, .not_before = (uint64_t)engine_machine_time(), .origin = origin_put(&v->origin, origin),
	};
	struct ticket *t = begin(e, a, &v->uuid);

	if (!t)
		return;
	t->asker = *a;
	t->uuid = v->uuid;
	t->vtpm = *v;
	t->vtpm.lease.endorsement_epoch = endorsement_epoch;
	wrapping_before(e, q.seed);
	link_send(e->vault, VAULT_ENDORSE, t->id, &q);
	answer_later(e, a, SOON_S);
}

void certify_ask(struct engine *e, const struct asker *a, const struct kmc_certify *m)
{
	struct store_vtpm v;
	struct store_ek k;
	int r = e->store->ops->vtpm_get(e->store, &m->uuid, &v);
	bool holds = r == 0 && is_holder(&v, a, m);

	if (r != 0 && r != E_NOTFOUND) {
		engine_refuse_db(e, a);
		return;
	}
	if (!holds) {
		open_refuse_lease(e, a, KMC_REFUSED_EPOCH, &m->uuid, r == 0 ? &v.lease : NULL);
		return;
	}
	r = e->store->ops->ek_get(e->store, &m->uuid, &k);
	if (r == 0 && is_present(e, &k, &v, m->endorsement_epoch)) {
		const struct kmc_certified c = {.rsa = view_of(k.rsa, k.rsa_size), .ecc = view_of(k.ecc, k.ecc_size)};

		engine_answer(e, a, KMC_CERTIFIED, &c);
	} else if (r == 0 || r == E_NOTFOUND) {
		make(e, a, &v, m->endorsement_epoch);
	} else {
		engine_refuse_db(e, a);
	}
}

/* One issue, recorded if the lease is still what it was when it was asked for. */
struct issue {
	struct engine *e;
	const struct ticket *t;
	struct store_ek ek;
};

static void put_hash(char *out, size_t cap, const char *what, const uint8_t *der, size_t n)
{
	uint8_t hash[32] = {0};
	size_t at = strlen(out);

	at += (size_t)snprintf(out + at, cap - at, "%s", what);
	if (EVP_Digest(der, n, hash, NULL, EVP_sha256(), NULL) != 1) {
		snprintf(out + at, cap - at, "unknown");
		return;
	}
	for (size_t i = 0; i < sizeof(hash) && at + 2 < cap; i++)
		at += (size_t)snprintf(out + at, cap - at, "%02x", hash[i]);
}

static int record(const struct issue *i)
{
	const struct lease *l = &i->t->vtpm.lease;
	char detail[200] = "";
	const struct audit_act act = {.event = AUDIT_EK_CERTIFIED, .actor = i->t->asker.host, .vtpm = &i->t->uuid, .pool = l->pool,
				      .lease_epoch = l->epoch, .detail = detail};

	put_hash(detail, sizeof(detail), "SHA-256 of the certificates: RSA ", i->ek.rsa, i->ek.rsa_size);
	put_hash(detail, sizeof(detail), " P-256 ", i->ek.ecc, i->ek.ecc_size);
	return auditlog_add(&i->e->audit, &act);
}

/* E_DENIED: the vTPM has changed hands, or its seed was replaced, meanwhile. */
static int keep(struct store *s, void *arg)
{
	const struct issue *i = arg;
	const struct store_vtpm *was = &i->t->vtpm;
	struct store_vtpm v;
	int r = s->ops->vtpm_get(s, &i->t->uuid, &v);

	if (r != 0)
		return r == E_NOTFOUND ? E_DENIED : r;
	if (v.generation != was->generation || v.lease.epoch != was->lease.epoch || strcmp(v.lease.holder, was->lease.holder) != 0)
		return E_DENIED;
	return (r = s->ops->ek_put(s, &i->ek)) != 0 ? r : record(i);
}

void certify_endorsed(struct engine *e, struct ticket *t, const struct vault_endorsed *m)
{
	struct issue i = {.e = e, .t = t, .ek = {.uuid = t->uuid, .generation = t->vtpm.generation,
						 .endorsement_epoch = t->vtpm.lease.endorsement_epoch, .issued_at = engine_now()}};
	char u[UUID_TEXT];
	int r;

	_Static_assert(VAULT_CERT_MAX <= STORE_CERTIFICATE_MAX, "a certificate must fit");
	i.ek.rsa_size = m->rsa.n;
	i.ek.ecc_size = m->ecc.n;
	memcpy(i.ek.rsa, m->rsa.p, m->rsa.n);
	memcpy(i.ek.ecc, m->ecc.p, m->ecc.n);
	r = ca_cert_fingerprint(&e->ca, i.ek.ca);
	if (r == 0)
		r = store_transact(e->store, keep, &i);
	uuid_format(&t->uuid, u);
	if (r == 0)
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &t->uuid, .host = t->asker.host), "the endorsement keys of vTPM %s were certified for host '%s'", u, t->asker.host);
	else if (r == E_DENIED)
		log_about(LOG_LV_INFO, ABOUT(.vtpm = &t->uuid), "vTPM %s changed hands while its endorsement keys were certified: the certificates are dropped", u);
	else
		log_about(LOG_LV_ERROR, ABOUT(.vtpm = &t->uuid), "the certificates of vTPM %s can't be kept: %s", u, e->store->why);
	engine_ticket_end(t);
}

void certify_failed(struct engine *e, struct ticket *t, const struct vault_failed *m)
{
	char u[UUID_TEXT];

	(void)e;
	log_about(LOG_LV_ERROR, ABOUT(.vtpm = &t->uuid), "can't certify the endorsement keys of vTPM %s: %.*s", uuid_format(&t->uuid, u),
		  (int)m->reason.n, (const char *)m->reason.p);
	engine_ticket_end(t);
}
