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
#define RETRY_MAX_S 3600
#define RETRY_MIN_S 5
#define WHY_MAX 320

static const char *const no_kmc = "there is no connection to the KMC, or it has not accepted this host's attestation yet: see 'vtpmctl list'";

enum step { STEP_RESTING, STEP_SIGNING, STEP_ASKING, STEP_KEEPING };

struct renewing {
	struct kmclink *kmc;
	struct link *tpm, *disk;
	struct identity id, next; /* next: what is being kept */
	enum step step;
	bool up, wanted; /* wanted: by somebody who does not wait for its time */
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
	int64_t left = due(r) - now_s();

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

static void on_timer(void *arg, unsigned int what)
{
	struct renewing *r = arg;

	(void)what;
	if (r->step == STEP_RESTING && r->up && (r->wanted || now_s() >= due(r)))
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
	if (strcmp(r->why, no_kmc) == 0)
		r->why[0] = '\0';
	if (identity_set(&r->id, kmclink_shown(r->kmc)) != 0) /* a KMC may have taken the former one only */
		log_error("this host's certificate is not for its name and key");
	plan(r);
}

void renewing_down(struct renewing *r)
{
	r->up = false;
	if (r->step == STEP_ASKING) { /* whatever became of it, it is asked for again */
		r->step = STEP_RESTING;
		r->wanted = true;
	}
	source_clear(r->timer);
}

void renewing_now(struct renewing *r)
{
	if (r->step != STEP_RESTING)
		return;
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

static void on_renewed(struct renewing *r, const struct kmc_renewed *m)
{
	uint8_t room[STATE_IDENTITY_MAX];
	struct buf b;

	r->next = r->id;
	buf_over(&b, room, sizeof(room));
	if (identity_set(&r->next, m->certificate) != 0 || identity_pem(&r->next, &b) != 0) {
		failed(r, "the KMC sent a certificate that is not for this host's name and key");
		return;
	}
	r->step = STEP_KEEPING;
	link_send(r->disk, STATE_IDENTITY, RENEWING_TICKET, &(const struct state_identity){.pem = view_of(room, b.len)});
}

void renewing_kmc(struct renewing *r, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *no = fields;
	char why[WHY_MAX];

	if (r->step != STEP_ASKING) {
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

void renewing_disk(struct renewing *r, uint64_t type, const void *fields)
{
	const struct state_failed *no = fields;
	char why[WHY_MAX];

	if (r->step != STEP_KEEPING)
		fatal("the state process sent message %" PRIu64 " out of turn", type);
	if (type == STATE_IDENTIFIED) {
		use(r);
		return;
	}
	snprintf(why, sizeof(why), "%.*s", (int)no->reason.n, (const char *)no->reason.p);
	failed(r, why);
}
