/* Attestation at the KMC, the relay's side. */
#include "dom0-relay/attesting.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/privsep.h"
#include "common/proof.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/opening.h"
#include "dom0-relay/relaymsg.h"

#define RETRY_MS 15000	/* after a refusal */
#define HURRY_MS 1000	/* the least time between two tries, whoever waits */
#define WHY_MAX 320

enum step { STEP_DOWN, STEP_RESTING, STEP_ASKING, STEP_QUOTING, STEP_SHOWING };

struct attesting {
	struct kmclink *kmc;
	struct link *tpm;
	void (*settled)(void *arg);
	void *arg;
	uint8_t certificate[32];
	uint8_t image[PROOF_IMAGE_SIZE], quoted[PROOF_IMAGE_SIZE]; /* what stub domains start from now; what this try's quote says */
	bool image_said, has_image, quoted_image;
	enum step step;
	bool is_settled, abandoned; /* abandoned: an answer of the TPM is on its way that nobody waits for */
	uint64_t tried_at, good_at; /* good_at: 0 for never, or not any more */
	struct source *timer;
	char why[WHY_MAX]; /* of the last refusal, so that it is said once */
};

/* The end of a try: the next in @ms, 0 for never. */
static void rest(struct attesting *a, uint64_t ms)
{
	bool first = !a->is_settled;

	a->step = STEP_RESTING;
	a->is_settled = true;
	if (ms)
		source_set_ms(a->timer, ms);
	else
		source_clear(a->timer);
	if (first)
		a->settled(a->arg);
}

static void refused(struct attesting *a, const char *why)
{
	a->good_at = 0;
	if (strcmp(why, a->why) != 0)
		log_error("this host's attestation failed: %s; new guests get no vTPM until it succeeds", why);
	snprintf(a->why, sizeof(a->why), "%s", why);
	rest(a, RETRY_MS);
}

static void begin(struct attesting *a)
{
	if (a->step != STEP_RESTING || a->abandoned || !a->image_said)
		return;
	a->tried_at = loop_now_ms();
	a->step = STEP_ASKING;
	if (kmclink_send(a->kmc, KMC_ATTEST, KMC_ID_ATTEST, NULL) != 0)
		a->step = STEP_RESTING; /* it is going down */
}

static void on_timer(void *arg, unsigned int what)
{
	(void)what;
	begin(arg);
}

struct attesting *attesting_new(struct loop *loop, struct kmclink *kmc, struct link *tpm, void (*settled)(void *arg), void *arg)
{
	struct attesting *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct attesting){.kmc = kmc, .tpm = tpm, .settled = settled, .arg = arg};
	a->timer = source_timer(loop, on_timer, a);
	if (!a->timer)
		attesting_free(&a);
	return a;
}

void attesting_free(struct attesting **a)
{
	if (!*a)
		return;
	source_free(&(*a)->timer);
	free(*a);
	*a = NULL;
}

void attesting_up(struct attesting *a, const uint8_t certificate[32])
{
	memcpy(a->certificate, certificate, sizeof(a->certificate));
	a->step = STEP_RESTING;
	a->is_settled = false;
	if (a->abandoned)
		return; /* it goes on when the TPM has answered */
	begin(a);
}

void attesting_down(struct attesting *a)
{
	a->abandoned |= a->step == STEP_QUOTING;
	a->step = STEP_DOWN;
	source_clear(a->timer);
}

void attesting_image(struct attesting *a, const uint8_t *digest)
{
	a->has_image = digest != NULL;
	if (digest)
		memcpy(a->image, digest, sizeof(a->image));
	if (!a->image_said) {
		a->image_said = true;
		begin(a);
	} else {
		attesting_hurry(a);
	}
}

uint64_t attesting_good_ms(const struct attesting *a)
{
	return a->good_at;
}

void attesting_hurry(struct attesting *a)
{
	if (a->step == STEP_RESTING)
		source_set_ms(a->timer, loop_now_ms() - a->tried_at >= HURRY_MS ? 0 : HURRY_MS);
}

static void on_nonce(struct attesting *a, const struct kmc_nonce *m)
{
	struct tpm_attest q = {.pcrs = m->pcrs};
	uint8_t proof[PROOF_SIZE];

	memcpy(a->quoted, a->image, sizeof(a->quoted));
	a->quoted_image = a->has_image;
	if (proof_attest(m->nonce.p, a->certificate, a->quoted_image ? a->quoted : NULL, proof) != 0) {
		refused(a, "can't compute a hash");
		return;
	}
	q.qualifying = view_of(proof, sizeof(proof));
	a->step = STEP_QUOTING;
	link_send(a->tpm, TPM_ATTEST, ATTESTING_TICKET, &q);
}

static void on_attested(struct attesting *a, const struct kmc_attested *m)
{
	if (m->remark.p)
		log_warn("the KMC lets this host pass, but says: %.*s", (int)m->remark.n, (const char *)m->remark.p);
	else if (a->why[0])
		log_info("this host's attestation succeeds again");
	a->why[0] = '\0';
	a->good_at = loop_now_ms();
	rest(a, m->interval * 1000);
}

void attesting_kmc(struct attesting *a, enum kmc_type type, const void *fields)
{
	const struct kmc_refused *no = fields;
	char why[WHY_MAX];

	if (type == KMC_NONCE && a->step == STEP_ASKING) {
		on_nonce(a, fields);
	} else if (type == KMC_ATTESTED && (a->step == STEP_ASKING || a->step == STEP_SHOWING)) {
		on_attested(a, fields);
	} else if (type == KMC_REFUSED && (a->step == STEP_ASKING || a->step == STEP_SHOWING)) {
		snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(no->code), (int)no->reason.n,
			 (const char *)no->reason.p);
		refused(a, why);
	} else {
		log_warn("the KMC answered about an attestation what was not asked");
	}
}

void attesting_tpm(struct attesting *a, uint64_t type, const void *fields)
{
	const struct relay_failed *failed = fields;
	const struct tpm_attested *t = fields;
	char why[WHY_MAX];

	if (a->abandoned) { /* of a connection that is gone */
		a->abandoned = false;
		begin(a);
		return;
	}
	if (type == TPM_ATTESTED && a->step == STEP_QUOTING) {
		const struct kmc_quote m = {.quote = t->quote, .signature = t->signature, .values = t->values,
					    .image = a->quoted_image ? view_of(a->quoted, sizeof(a->quoted)) : (struct view){0}};

		a->step = STEP_SHOWING;
		if (kmclink_send(a->kmc, KMC_QUOTE, KMC_ID_ATTEST, &m) != 0)
			a->step = STEP_RESTING;
	} else if (type == TPM_FAILED && a->step == STEP_QUOTING) {
		snprintf(why, sizeof(why), "%.*s", (int)failed->reason.n, (const char *)failed->reason.p);
		refused(a, why);
	} else {
		fatal("the host-tpm process sent message %" PRIu64 " out of turn", type);
	}
}
