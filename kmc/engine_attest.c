/*
 * Attestation of hosts at their connections.
 *
 * Theory of operation: a good quote counts for the connection on which its nonce was given, and for a while. So a stolen TLS key is worth
 * no seed on another machine, whatever the real host has shown. A bad quote counts for the host, on all its connections and at all
 * kmcd of the same database, until it shows a good one.
 */
#include "kmc/engine_attest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/error.h"
#include "common/log.h"
#include "common/proof.h"
#include "kmc/attest.h"
#include "kmc/kmcconf.h"

void engine_attest_start(struct engine *e)
{
	e->attestations = calloc((size_t)e->conf->connections, sizeof(*e->attestations));
	if (!e->attestations)
		fatal("can't start: out of memory");
}

/* The front numbers connections so that each has a place of its own in tables of this size. */
static struct attestation *place_of(struct engine *e, const struct asker *a)
{
	return &e->attestations[(a->conn >> 1) % e->conf->connections];
}

static struct attestation *find(struct engine *e, const struct asker *a)
{
	struct attestation *t = place_of(e, a);

	return t->conn == a->conn >> 1 ? t : NULL;
}

int engine_policy(struct engine *e, const char *pool, struct store_policy *policy)
{
	int r = e->store->ops->policy_get(e->store, pool, policy);

	if (r == E_NOTFOUND)
		*policy = attest_default_policy(pool);
	return r == E_NOTFOUND ? 0 : r;
}

/* 0; E_NOTFOUND: it was added by files; E_DB. */
static int read_host(struct engine *e, const struct asker *a, struct store_policy *policy, struct store_identity *identity)
{
	int r = engine_policy(e, a->pool, policy);

	return r != 0 ? r : e->store->ops->identity_get(e->store, a->host, identity);
}

static void give_nonce(struct engine *e, const struct asker *a, const struct store_policy *policy)
{
	struct attestation *t = place_of(e, a);
	struct kmc_nonce m = {.pcrs = policy->pcrs};

	if (t->conn != a->conn >> 1)
		*t = (struct attestation){.conn = a->conn >> 1};
	if (getrandom(t->nonce, sizeof(t->nonce), 0) != sizeof(t->nonce)) {
		engine_refuse(e, a, KMC_REFUSED_INTERNAL, "the KMC has no random numbers");
		return;
	}
	t->nonce_at = engine_now();
	t->pcrs = policy->pcrs;
	m.nonce = view_of(t->nonce, sizeof(t->nonce));
	engine_answer(e, a, KMC_NONCE, &m);
}

void engine_attest_ask(struct engine *e, const struct asker *a)
{
	const struct kmc_attested none = {.interval = 0};
	struct store_identity identity;
	struct store_policy policy;
	struct attest_verdict v;
	int r = read_host(e, a, &policy, &identity);

	if (r == 0) {
		give_nonce(e, a, &policy);
		return;
	}
	if (r != E_NOTFOUND) {
		engine_refuse_db(e, a);
		return;
	}
	v = attest_may_open(&policy, NULL, 0, engine_now());
	if (v.good)
		engine_answer(e, a, KMC_ATTESTED, &none);
	else
		engine_refuse(e, a, KMC_REFUSED_ATTESTATION, "%s", v.text);
}

/* Check the quote and note what came of it in @known. */
static struct attest_verdict judge(const struct store_policy *policy, struct store_identity *known, const struct attestation *t,
				   struct view fingerprint, const struct kmc_quote *m, int64_t now)
{
	const struct attest_claim claim = {.quote = m->quote, .signature = m->signature, .values = m->values};
	struct attest_verdict v = {.good = false};
	struct attest_facts facts;
	uint8_t qualifying[32];

	if (proof_attest(t->nonce, fingerprint.p, m->image.p, qualifying) != 0) {
		snprintf(v.text, sizeof(v.text), "the KMC can't compute a hash");
	} else if (attest_verify(view_of(known->ak, known->ak_size), &claim, t->pcrs, qualifying, &facts, v.text) == 0) {
		facts.image = m->image.p;
		v = attest_decide(policy, known, &facts, now);
		known->has_image = facts.image != NULL;
		if (facts.image)
			memcpy(known->image, facts.image, sizeof(known->image));
		known->last = facts.pcrs;
		known->last_firmware = facts.firmware;
		if (v.good)
			attest_update(known, &facts, now);
	}
	known->failed = !v.good;
	memcpy(known->reason, v.text, sizeof(known->reason));
	return v;
}

/* Judging in the transaction that records it: 'policy accept' may come between otherwise. */
struct judging {
	struct engine *e;
	const struct asker *a;
	const struct attestation *t;
	struct view fingerprint;
	const struct kmc_quote *m;
	struct store_policy policy;
	struct attest_verdict v;
};

static int judge_and_record(struct store *s, void *arg)
{
	struct judging *j = arg;
	struct store_identity known;
	int r = read_host(j->e, j->a, &j->policy, &known);

	if (r != 0)
		return r;
	j->v = judge(&j->policy, &known, j->t, j->fingerprint, j->m, engine_now());
	return s->ops->identity_put(s, &known);
}

void engine_attest_quote(struct engine *e, const struct asker *a, struct view fingerprint, const struct kmc_quote *m)
{
	struct attestation *t = find(e, a);
	struct judging j = {.e = e, .a = a, .t = t, .fingerprint = fingerprint, .m = m};
	struct kmc_attested answer = {0};
	int r;

	if (!t || !t->nonce_at || engine_now() - t->nonce_at > ATTEST_NONCE_S) {
		engine_refuse(e, a, KMC_REFUSED_ATTESTATION, "no nonce was given for this quote, or it was used or is too old: ask for a new one");
		return;
	}
	t->nonce_at = 0;
	r = store_transact(e->store, judge_and_record, &j);
	t->good_until = r == 0 && j.v.good ? attest_good_until(&j.policy, engine_now()) : 0;
	if (r == E_NOTFOUND) {
		engine_refuse(e, a, KMC_REFUSED_ATTESTATION, "this host has no attestation key here");
	} else if (r != 0) {
		engine_refuse_db(e, a);
	} else if (!j.v.good) {
		engine_refuse(e, a, KMC_REFUSED_ATTESTATION, "%s", j.v.text);
	} else {
		if (j.v.text[0])
			log_about(LOG_LV_WARN, ABOUT(.host = a->host), "host '%s' is let pass: %s", a->host, j.v.text);
		answer.interval = j.policy.interval_s;
		answer.remark = j.v.text[0] ? view_text(j.v.text) : (struct view){0};
		engine_answer(e, a, KMC_ATTESTED, &answer);
	}
}

bool engine_attest_allows(struct engine *e, const struct asker *a)
{
	const struct attestation *t = find(e, a);
	struct store_identity identity;
	struct store_policy policy;
	struct attest_verdict v;
	int r = read_host(e, a, &policy, &identity);

	if (r != 0 && r != E_NOTFOUND) {
		engine_refuse_db(e, a);
		return false;
	}
	v = attest_may_open(&policy, r == 0 ? &identity : NULL, t ? t->good_until : 0, engine_now());
	if (!v.good)
		engine_refuse(e, a, KMC_REFUSED_ATTESTATION, "%s", v.text);
	return v.good;
}
