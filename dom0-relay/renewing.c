/* This host's certificate, the relay's side. */
#include "dom0-relay/renewing.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/proof.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relaymsg.h"
#include "dom0-relay/statemsg.h"

#define LOOK_S 3600	/* how often the clock is looked at, at least: it may have been set */
#define TRUST_RETRY_S 60
#define RETRY_MAX_S 3600
#define RETRY_MIN_S 5
#define WHY_MAX 320

static const char *const no_kmc = "there is no connection to the KMC, or it has not accepted this host's attestation yet: see 'vtpmctl list'";

enum step { STEP_RESTING, STEP_TRUSTING, STEP_KEEPING_TRUST, STEP_SIGNING, STEP_ASKING, STEP_KEEPING };

struct renewing {
	struct kmclink *kmc;
	struct link *tpm, *disk;
	struct identity id, next; /* next: what is being kept */
	enum step step;
	bool up, wanted; /* wanted: by somebody who does not wait for its time */
	int64_t trust_at; /* when the KMC is asked again whom to trust */
	uint32_t spread;
	int64_t not_before; /* no try before that: the last one failed */
	uint64_t tries;	    /* that ended */
	struct source *timer;
	char why[WHY_MAX]; /* of the last failure; "" after a success */
};

int64_t renewing_due(int64_t from, int64_t until, uint32_t spread)
{
	int64_t life = until - from, jitter = life / 30;

	return until - life / 3 - (jitter > 0 ? (int64_t)spread % jitter : 0); /* hosts that were enrolled together ask at different times */
}

static int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

static int64_t due(const struct renewing *r)
{
	int64_t at = renewing_due(r->id.from, r->id.until, r->spread);

	return at > r->not_before ? at : r->not_before;
}

/* When to look again. */
static void plan(struct renewing *r)
{
	int64_t left = (due(r) < r->trust_at ? due(r) : r->trust_at) - now_s();

	if (r->step != STEP_RESTING || !r->up)
		source_clear(r->timer);
	else if (r->wanted || left <= 0)
		source_set_ms(r->timer, 0);
	else
		source_set_ms(r->timer, (uint64_t)(left < LOOK_S ? left : LOOK_S) * 1000);
}

/* The end of a try. */
static void rest(struct renewing *r)
{
	r->step = STEP_RESTING;
	r->wanted = false;
	r->tries++;
	plan(r);
}

static void failed(struct renewing *r, const char *why)
{
	int64_t left = (r->id.until - now_s()) / 20;

	if (strcmp(why, r->why) != 0)
		log_warn("this host's certificate could not be renewed: %s", why);
	snprintf(r->why, sizeof(r->why), "%s", why);
	r->not_before = now_s() + (left < RETRY_MIN_S ? RETRY_MIN_S : left > RETRY_MAX_S ? RETRY_MAX_S : left);
	rest(r);
}

static void ask(struct renewing *r, struct view possession)
{
	const struct kmc_renew m = {.certificate = view_of(r->id.certificate.bytes, r->id.certificate.size), .possession = possession};

	r->step = STEP_ASKING;
	if (kmclink_send(r->kmc, KMC_RENEW, KMC_ID_RENEW, &m) != 0)
		failed(r, "the connection to the KMC broke");
}

static int sha256(struct view v, uint8_t hash[32])
{
	return EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : E_CRYPTO;
}

/* What the key signs; and that the connection shows the certificate that is asked for. */
static int make_proof(const struct renewing *r, uint8_t proof[PROOF_SIZE])
{
	uint8_t hash[32], shown[32], key[32], spki[CERTINFO_SPKI_MAX];
	int n;

	if (sha256(view_of(r->id.certificate.bytes, r->id.certificate.size), hash) != 0 || kmclink_certificate(r->kmc, shown) != 0)
		return E_CRYPTO;
	if (memcmp(hash, shown, sizeof(hash)) != 0)
		return E_CRYPTO;
	n = certinfo_public(view_of(r->id.certificate.bytes, r->id.certificate.size), spki);
	if (n < 0 || sha256(view_of(spki, (size_t)n), key) != 0)
		return E_CRYPTO;
	return proof_renew(hash, key, proof);
}

static void begin(struct renewing *r)
{
	uint8_t proof[PROOF_SIZE], digest[32], signature[KMCLINK_SIGNATURE];
	int n = make_proof(r, proof);

	if (n == 0)
		n = sha256(view_of(proof, sizeof(proof)), digest);
	if (n == 0)
		n = kmclink_sign(r->kmc, view_of(proof, sizeof(proof)), signature);
	if (n > 0) {
		ask(r, view_of(signature, (size_t)n));
	} else if (n == E_STATE) {
		r->step = STEP_SIGNING;
		link_send(r->tpm, TPM_SIGN, RENEWING_TICKET, &(const struct tpm_sign){.digest = view_of(digest, sizeof(digest))});
	} else {
		failed(r, "can't sign the request");
	}
}

static void ask_trust(struct renewing *r)
{
	uint8_t have[32];

	r->trust_at = now_s() + LOOK_S; /* unless the KMC says otherwise */
	if (identity_trusts(&r->id, have) == 0 && kmclink_send(r->kmc, KMC_TRUST, KMC_ID_RENEW, &(const struct kmc_trust){.have = view_of(have, sizeof(have))}) == 0)
		r->step = STEP_TRUSTING;
}

static void on_timer(void *arg, unsigned int what)
{
	struct renewing *r = arg;

	(void)what;
	if (r->step == STEP_RESTING && r->up && now_s() >= r->trust_at)
		ask_trust(r);
	else if (r->step == STEP_RESTING && r->up && (r->wanted || now_s() >= due(r)))
		begin(r);
	else
		plan(r);
}

struct renewing *renewing_new(struct loop *loop, struct kmclink *kmc, struct link *tpm, struct link *disk, const struct identity *id)
{
	struct renewing *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct renewing){.kmc = kmc, .tpm = tpm, .disk = disk, .id = *id};
	r->timer = source_timer(loop, on_timer, r);
	if (!r->timer || getrandom(&r->spread, sizeof(r->spread), 0) != sizeof(r->spread))
		renewing_free(&r);
	return r;
}

void renewing_free(struct renewing **r)
{
	if (!*r)
		return;
	source_free(&(*r)->timer);
	free(*r);
	*r = NULL;
}

void renewing_up(struct renewing *r)
{
	r->up = true;
	r->trust_at = 0;
	if (strcmp(r->why, no_kmc) == 0)
		r->why[0] = '\0';
	if (identity_set(&r->id, kmclink_shown(r->kmc)) != 0) /* a KMC may have taken the former one only */
		log_error("this host's certificate is not for its name and key");
	plan(r);
}

void renewing_down(struct renewing *r)
{
	r->up = false;
	if (r->step == STEP_TRUSTING)
		r->step = STEP_RESTING;
	if (r->step == STEP_ASKING) { /* whatever became of it, it is asked for again */
		r->step = STEP_RESTING;
		r->wanted = true;
	}
	source_clear(r->timer);
}

void renewing_now(struct renewing *r)
{
	if (r->step == STEP_SIGNING || r->step == STEP_ASKING || r->step == STEP_KEEPING)
		return;
	r->trust_at = 0; /* its authority may be another one by now */
	r->wanted = true;
	r->not_before = 0;
	if (r->up)
		plan(r);
	else
		failed(r, no_kmc);
}

void renewing_status(const struct renewing *r, struct ctl_status *s)
{
	s->certificate_until = (uint64_t)r->id.until;
	s->renew_at = (uint64_t)due(r);
	s->renewals = r->tries;
	if (r->why[0])
		s->renew_failed = view_text(r->why);
}

/* Write @r->next down; renewing_disk() goes on. */
static bool keep(struct renewing *r, enum step step)
{
	uint8_t room[STATE_IDENTITY_MAX];
	struct buf b;

	buf_over(&b, room, sizeof(room));
	if (identity_pem(&r->next, &b) != 0)
		return false;
	r->step = step;
	link_send(r->disk, STATE_IDENTITY, RENEWING_TICKET, &(const struct state_identity){.pem = view_of(room, b.len)});
	return true;
}

/* A KMC that has us trust nobody who has certified it would be lost to us. */
static const char *check_authorities(struct renewing *r, struct view authorities)
{
	uint8_t root[32];

	r->next = r->id;
	if (identity_trust(&r->next, authorities) != 0)
		return "they are no certificates of authorities";
	if (kmclink_root(r->kmc, root) != 0 || !identity_has(&r->next, root))
		return "the one that has certified this KMC is not among them: 'kmcctl server renew' there";
	return keep(r, STEP_KEEPING_TRUST) ? NULL : "they are too many";
}

static void on_trusted(struct renewing *r, const struct kmc_trusted *m)
{
	const char *why = m->authorities.p ? check_authorities(r, m->authorities) : NULL;

	r->trust_at = now_s() + (int64_t)m->again;
	r->wanted |= m->renew && now_s() >= r->not_before;
	if (r->step == STEP_KEEPING_TRUST)
		return;
	if (why)
		log_error("the KMC's authorities are not taken over: %s", why);
	r->step = STEP_RESTING;
	plan(r);
}

static void on_renewed(struct renewing *r, const struct kmc_renewed *m)
{
	r->next = r->id;
	if (identity_set(&r->next, m->certificate) != 0 || !keep(r, STEP_KEEPING))
		failed(r, "the KMC sent a certificate that is not for this host's name and key");
}

void renewing_kmc(struct renewing *r, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *no = fields;
	char why[WHY_MAX];

	if (r->step == STEP_TRUSTING && type == KMC_TRUSTED) {
		on_trusted(r, fields);
	} else if (r->step == STEP_TRUSTING) { /* refused */
		r->trust_at = now_s() + TRUST_RETRY_S;
		r->step = STEP_RESTING;
		plan(r);
	} else if (r->step != STEP_ASKING) {
		log_warn("the KMC answered about a certificate what was not asked");
	} else if (type == KMC_RENEWED) {
		on_renewed(r, fields);
	} else if (type == KMC_REFUSED) {
		snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(no->code), (int)no->reason.n, (const char *)no->reason.p);
		failed(r, why);
	} else {
		failed(r, "the KMC answered with something else");
	}
}

void renewing_tpm(struct renewing *r, uint64_t type, const void *fields)
{
	const struct relay_failed *no = fields;
	const struct tpm_signed *done = fields;
	char why[WHY_MAX];

	if (r->step != STEP_SIGNING || (type != TPM_SIGNED && type != TPM_FAILED))
		fatal("the host-tpm process sent message %" PRIu64 " out of turn", type);
	if (type == TPM_SIGNED) {
		ask(r, done->signature);
		return;
	}
	snprintf(why, sizeof(why), "%.*s", (int)no->reason.n, (const char *)no->reason.p);
	failed(r, why);
}

static void use(struct renewing *r)
{
	if (kmclink_renew(r->kmc, view_of(r->next.certificate.bytes, r->next.certificate.size)) != 0) {
		failed(r, "the new certificate can't be used");
		return;
	}
	r->id = r->next;
	r->why[0] = '\0';
	r->not_before = now_s() + RETRY_MIN_S;
	log_info("this host's certificate was renewed");
	rest(r);
	kmclink_reconnect(r->kmc, "this host's certificate was renewed");
}

/* They are on the disk, or could not be written. */
static void trust(struct renewing *r, uint64_t type)
{
	r->step = STEP_RESTING;
	if (type == STATE_IDENTIFIED && kmclink_trust(r->kmc, &r->next) == 0) {
		r->id = r->next;
		log_info("this host trusts %u of the KMC's authorities from now on", r->id.n_cas);
		r->trust_at = 0; /* tell the KMC so */
	}
	plan(r);
}

void renewing_disk(struct renewing *r, uint64_t type, const void *fields)
{
	const struct state_failed *no = fields;
	char why[WHY_MAX];

	if (r->step == STEP_KEEPING_TRUST) {
		trust(r, type);
		return;
	}
	if (r->step != STEP_KEEPING)
		fatal("the state process sent message %" PRIu64 " out of turn", type);
	if (type == STATE_IDENTIFIED) {
		use(r);
		return;
	}
	snprintf(why, sizeof(why), "%.*s", (int)no->reason.n, (const char *)no->reason.p);
	failed(r, why);
}
