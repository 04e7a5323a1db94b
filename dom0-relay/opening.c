/* Opening vTPMs at the KMC. */
#include "dom0-relay/opening.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "common/privsep.h"
#include "dom0-relay/kmclink.h"
#include "dom0-relay/relaymsg.h"

#define OPENINGS_MAX 256
#define KEY_MARGIN_S 30 /* a protection key that expires sooner is replaced before use */
#define KEY_IS_OLD "the KMC's protection key expires at once: compare the clocks of this host and the KMC"
#define KEY_TRIES 2	/* a key can expire on the way once, not for ever */
#define RESTS_MAX 31	/* calls of openings_again() that pass between two tries, of what the KMC does not decide */

enum step { STEP_FREE, STEP_WAITING, STEP_WRAPPING, STEP_RECORDING, STEP_ASKING, STEP_BELIEVING, STEP_RECALLING };

struct opening {
	enum step step;
	uint64_t ticket;    /* of the guest */
	uint64_t tpm_ticket; /* of this try at the host-tpm process */
	struct uuid uuid;
	bool abandoned, may_hold; /* may_hold: the KMC was asked once, so it may count us as holder */
	bool unanswered; /* over a connection that broke: it may have been done */
	unsigned int key_tries;
	unsigned int rests, rest; /* of RECALLING: how many calls pass next time, and still do */
	bool intended, recorded; /* that it is asked for: is to go on record; is there */
	uint8_t cipher[KMC_RSA_MAX]; /* of RECORDING */
	size_t cipher_size;
	bool reserve;
	uint32_t image;			      /* of a reservation, as the next */
	uint8_t request[KMC_REQUEST_ID_SIZE];
	char tenant[KMC_NAME_MAX + 1];
	struct origin origin; /* of its keys */
	struct kmc_opened facts; /* without its views */
	struct buf state, transient;
	char why[OPENING_WHY]; /* of RECALLING */
};

/* The KMC's public key for this host. */
struct protection {
	bool valid, asked;
	uint8_t key_id[KMC_KEY_ID_SIZE], modulus[KMC_RSA_MAX];
	size_t size;
	uint64_t exponent, expires;
};

struct openings {
	struct kmclink *kmc;
	struct link *tpm;
	const struct opening_ops *ops;
	void *arg;
	uint64_t last_tpm_ticket;
	bool up; /* from openings_up() to openings_down() */
	struct protection key;
	struct opening table[OPENINGS_MAX];
};

struct openings *openings_new(struct kmclink *kmc, struct link *tpm, const struct opening_ops *ops, void *arg)
{
	struct openings *o = calloc(1, sizeof(*o));

	if (o) {
		o->kmc = kmc;
		o->tpm = tpm;
		o->ops = ops;
		o->arg = arg;
	}
	return o;
}

static void end(struct opening *p)
{
	buf_free(&p->state);
	buf_free(&p->transient);
	memset(p, 0, sizeof(*p));
}

void openings_free(struct openings **o)
{
	if (!*o)
		return;
	for (size_t i = 0; i < OPENINGS_MAX; i++)
		end(&(*o)->table[i]);
	free(*o);
	*o = NULL;
}

static struct opening *find(struct openings *o, uint64_t ticket)
{
	for (size_t i = 0; i < OPENINGS_MAX; i++)
		if (o->table[i].step != STEP_FREE && o->table[i].ticket == ticket)
			return &o->table[i];
	return NULL;
}

static struct opening *find_tpm(struct openings *o, uint64_t tpm_ticket)
{
	for (size_t i = 0; i < OPENINGS_MAX; i++)
		if (o->table[i].step != STEP_FREE && o->table[i].tpm_ticket == tpm_ticket)
			return &o->table[i];
	return NULL;
}

static void refuse(struct openings *o, struct opening *p, const char *why)
{
	uint64_t ticket = p->ticket;
	struct uuid uuid = p->uuid;
	bool abandoned = p->abandoned, intended = p->intended;

	end(p);
	if (intended)
		o->ops->undone(o->arg, &uuid);
	if (!abandoned)
		o->ops->refused(o->arg, ticket, why);
	else
		o->ops->ended(o->arg, &uuid);
}

/* By what says nothing of a lease. If one may have been given before, it is asked for until the KMC says, and then given back. */
static void refuse_undecided(struct openings *o, struct opening *p, const char *why)
{
	if (!p->unanswered || p->reserve) {
		refuse(o, p, why);
		return;
	}
	if (!p->abandoned)
		o->ops->refused(o->arg, p->ticket, why);
	p->abandoned = true;
	p->key_tries = 0;
	p->rest = p->rests;
	p->rests = p->rests < RESTS_MAX ? 2 * p->rests + 1 : RESTS_MAX;
	p->step = STEP_RECALLING;
	o->ops->parked(o->arg);
}

static bool key_is_usable(const struct protection *k)
{
	return k->valid && k->expires > (uint64_t)time(NULL) + KEY_MARGIN_S;
}

static void ask_key(struct openings *o)
{
	if (!o->key.asked && kmclink_send(o->kmc, KMC_PROTECT, KMC_ID(KMC_ID_PROTECT, 0), NULL) == 0)
		o->key.asked = true;
}

/* On record before it is asked for, and no earlier: what was not asked may be started without the KMC. */
static int intend(struct openings *o, struct opening *p)
{
	char why[OPENING_WHY];
	int r;

	if (p->intended || p->recorded)
		return 0;
	r = o->ops->intend(o->arg, p->ticket, &p->uuid);
	p->intended = r == 0;
	if (r == 0)
		return 0;
	snprintf(why, sizeof(why), "can't put on record that it is opened: %s", error_text(r));
	refuse(o, p, why);
	return r;
}

/* Take a waiting opening one step on, if it can be. */
static void advance(struct openings *o, struct opening *p)
{
	struct tpm_wrap wrap = {.uuid = p->uuid, .key_id = view_of(o->key.key_id, sizeof(o->key.key_id)),
				.modulus = view_of(o->key.modulus, o->key.size), .exponent = o->key.exponent};

	if (p->step != STEP_WAITING)
		return;
	if (!kmclink_is_up(o->kmc)) {
		kmclink_hurry(o->kmc);
		return;
	}
	if (!o->up)
		return; /* this host is being attested */
	if (!key_is_usable(&o->key)) {
		ask_key(o);
		return;
	}
	p->step = STEP_WRAPPING;
	if (intend(o, p) != 0)
		return;
	p->tpm_ticket = ++o->last_tpm_ticket;
	link_send(o->tpm, TPM_WRAP, p->tpm_ticket, &wrap);
}

static int begin(struct openings *o, const struct opening *new)
{
	for (size_t i = 0; i < OPENINGS_MAX; i++) {
		struct opening *p = &o->table[i];

		if (p->step != STEP_FREE)
			continue;
		*p = *new;
		advance(o, p);
		return 0;
	}
	return E_NOMEM;
}

int openings_start(struct openings *o, uint64_t ticket, const struct uuid *uuid)
{
	const struct opening new = {.step = STEP_WAITING, .ticket = ticket, .uuid = *uuid};

	return begin(o, &new);
}

int openings_reserve(struct openings *o, uint64_t ticket, const struct uuid *uuid, uint32_t image, const uint8_t *request)
{
	struct opening new = {.step = STEP_WAITING, .ticket = ticket, .uuid = *uuid, .recorded = true, .reserve = true, .image = image};

	memcpy(new.request, request, sizeof(new.request));
	return begin(o, &new);
}

int openings_settle(struct openings *o, uint64_t ticket, const struct uuid *uuid)
{
	const struct opening new = {.step = STEP_WAITING, .ticket = ticket, .uuid = *uuid, .abandoned = true, .may_hold = true, .unanswered = true,
				    .intended = true, .recorded = true};

	return begin(o, &new);
}

bool openings_has(const struct openings *o, const struct uuid *uuid)
{
	for (size_t i = 0; i < OPENINGS_MAX; i++)
		if (o->table[i].step != STEP_FREE && uuid_equal(&o->table[i].uuid, uuid))
			return true;
	return false;
}

void openings_abandon(struct openings *o, uint64_t ticket)
{
	struct opening *p = find(o, ticket);
	struct uuid uuid;
	bool intended;

	if (!p)
		return;
	if (p->may_hold && !p->reserve) {
		p->abandoned = true;
		return;
	}
	if (p->step == STEP_ASKING || p->step == STEP_RECORDING)
		link_send(o->tpm, TPM_FORGET, p->tpm_ticket, NULL);
	uuid = p->uuid;
	intended = p->intended;
	end(p); /* an answer of the host-tpm process finds nobody: it is forgotten there */
	if (intended)
		o->ops->undone(o->arg, &uuid);
}

bool openings_cancel(struct openings *o, uint64_t ticket)
{
	struct opening *p = find(o, ticket);

	if (!p || p->may_hold || p->intended || p->step != STEP_WAITING)
		return false;
	end(p);
	return true;
}

void openings_again(struct openings *o)
{
	bool rests = false;

	for (size_t i = 0; i < OPENINGS_MAX; i++) {
		struct opening *p = &o->table[i];

		if (p->step != STEP_RECALLING)
			continue;
		if (p->rest) {
			p->rest--;
			rests = true;
			continue;
		}
		p->step = STEP_WAITING;
		advance(o, p);
	}
	if (rests)
		o->ops->parked(o->arg);
}

void openings_why(const struct openings *o, uint64_t ticket, char why[OPENING_WHY])
{
	const struct opening *p = NULL;

	for (size_t i = 0; i < OPENINGS_MAX; i++)
		if (o->table[i].step != STEP_FREE && o->table[i].ticket == ticket)
			p = &o->table[i];
	if (!p)
		snprintf(why, OPENING_WHY, "not being opened");
	else if (p->why[0])
		snprintf(why, OPENING_WHY, "%s", p->why);
	else if (p->step == STEP_WRAPPING || p->step == STEP_BELIEVING)
		snprintf(why, OPENING_WHY, "the host TPM has not answered");
	else if (p->step == STEP_RECORDING)
		snprintf(why, OPENING_WHY, "the state directory has not answered");
	else if (!kmclink_is_up(o->kmc))
		snprintf(why, OPENING_WHY, "%s", kmclink_why(o->kmc));
	else if (!o->up)
		snprintf(why, OPENING_WHY, "this host's attestation at the KMC is not done");
	else if (p->step == STEP_WAITING && o->key.valid && !key_is_usable(&o->key))
		snprintf(why, OPENING_WHY, "%s", KEY_IS_OLD);
	else
		snprintf(why, OPENING_WHY, "the KMC has not answered");
}

void openings_up(struct openings *o)
{
	o->up = true;
	o->key.asked = false;
	if (!key_is_usable(&o->key))
		ask_key(o);
	for (size_t i = 0; i < OPENINGS_MAX; i++) {
		o->table[i].rest = o->table[i].rests = 0; /* another KMC, or the same one mended */
		advance(o, &o->table[i]);
	}
}

void openings_down(struct openings *o)
{
	o->up = false;
	o->key.asked = false;
	for (size_t i = 0; i < OPENINGS_MAX; i++) {
		struct opening *p = &o->table[i];

		if (p->step != STEP_ASKING)
			continue;
		link_send(o->tpm, TPM_FORGET, p->tpm_ticket, NULL);
		p->step = STEP_WAITING;
		p->unanswered = true;
	}
}

static void ask(struct openings *o, struct opening *p)
{
	const struct view key_id = view_of(o->key.key_id, sizeof(o->key.key_id)), cipher = view_of(p->cipher, p->cipher_size);
	const struct kmc_open open = {.key_id = key_id, .cipher = cipher};
	const struct kmc_reserve reserve = {
		.key_id = key_id, .cipher = cipher, .image = p->image, .request = view_of(p->request, sizeof(p->request))};

	if (kmclink_send(o->kmc, p->reserve ? KMC_RESERVE : KMC_OPEN, KMC_ID(KMC_ID_OPEN, p->ticket),
			 p->reserve ? (const void *)&reserve : &open) != 0) {
		link_send(o->tpm, TPM_FORGET, p->tpm_ticket, NULL);
		p->step = STEP_WAITING;
		return;
	}
	p->step = STEP_ASKING;
	p->may_hold = true;
}

static void on_wrapped(struct openings *o, struct opening *p, const struct tpm_wrapped *w)
{
	memcpy(p->cipher, w->cipher.p, w->cipher.n);
	p->cipher_size = w->cipher.n;
	p->step = STEP_RECORDING;
	if (p->recorded)
		ask(o, p);
}

void openings_intended(struct openings *o, const struct uuid *uuid, const char *why)
{
	for (size_t i = 0; i < OPENINGS_MAX; i++) {
		struct opening *p = &o->table[i];

		if (p->step == STEP_FREE || !p->intended || p->recorded || !uuid_equal(&p->uuid, uuid))
			continue;
		p->recorded = !why;
		if (why && p->step == STEP_RECORDING)
			link_send(o->tpm, TPM_FORGET, p->tpm_ticket, NULL);
		if (why)
			refuse(o, p, why);
		else if (p->step == STEP_RECORDING)
			ask(o, p);
		return;
	}
}

static struct view kept(const struct buf *b)
{
	return view_of(buf_left(b) ? buf_ptr(b) : NULL, buf_left(b));
}

/* A lease that came and can't be used goes back. A reservation does so by CANCEL, which its owner sends. */
static void orphan(struct openings *o, struct opening *p, const struct kmc_opened *m)
{
	p->intended = false;
	if (!p->reserve)
		o->ops->orphaned(o->arg, &p->uuid, m->lease_epoch, m->state_version);
}

static void on_seed(struct openings *o, struct opening *p, const struct tpm_seed *s)
{
	const struct kmc_opened *f = &p->facts;
	uint8_t origin[ORIGIN_SIZE];
	const struct opening_result result = {
		.uuid = p->uuid, .seed = s->seed, .tenant = view_text(p->tenant), .state = kept(&p->state), .transient = kept(&p->transient),
		.generation = f->generation, .lease_epoch = f->lease_epoch, .owner_epoch = f->owner_epoch,
		.endorsement_epoch = f->endorsement_epoch, .platform_epoch = f->platform_epoch, .state_version = f->state_version,
		.origin = origin_put(&p->origin, origin),
	};

	if (p->abandoned)
		orphan(o, p, f);
	else
		o->ops->opened(o->arg, p->ticket, &result);
	end(p);
}

void openings_tpm(struct openings *o, uint64_t type, uint64_t ticket, const void *fields)
{
	const struct relay_failed *failed = fields;
	struct opening *p = find_tpm(o, ticket);
	char why[OPENING_WHY];

	if (!p) { /* abandoned meanwhile */
		if (type == TPM_WRAPPED)
			link_send(o->tpm, TPM_FORGET, ticket, NULL);
		return;
	}
	if (type == TPM_WRAPPED && p->step == STEP_WRAPPING) {
		on_wrapped(o, p, fields);
	} else if (type == TPM_SEED && p->step == STEP_BELIEVING) {
		on_seed(o, p, fields);
	} else if (type == TPM_FAILED) {
		snprintf(why, sizeof(why), "%.*s", (int)failed->reason.n, (const char *)failed->reason.p);
		if (p->step == STEP_BELIEVING) { /* the KMC did open: the lease has to go back */
			orphan(o, p, &p->facts);
			refuse(o, p, why);
		} else {
			refuse_undecided(o, p, why);
		}
	} else {
		fatal("the host-tpm process sent message %u out of turn", (unsigned int)type);
	}
}

static void on_protected(struct openings *o, const struct kmc_protected *m)
{
	struct protection *k = &o->key;

	k->asked = false;
	k->valid = true;
	k->size = m->modulus.n;
	k->exponent = m->exponent;
	k->expires = m->expires;
	memcpy(k->key_id, m->key_id.p, sizeof(k->key_id));
	memcpy(k->modulus, m->modulus.p, m->modulus.n);
	if (!key_is_usable(k)) {
		log_error("%s", KEY_IS_OLD);
		return;
	}
	for (size_t i = 0; i < OPENINGS_MAX; i++)
		advance(o, &o->table[i]);
}

static bool keep(struct buf *b, struct view v)
{
	return !v.p || (buf_init(b, v.n) == 0 && buf_put(b, v.p, v.n) == 0);
}

/* The host TPM takes the layers off; what the KMC said in clear is bound into them. */
static void on_opened(struct openings *o, struct opening *p, const struct kmc_opened *m, struct view transient)
{
	const struct tpm_believe believe = {
		.tenant = m->tenant, .reply = m->reply, .generation = m->generation, .lease_epoch = m->lease_epoch,
		.owner_epoch = m->owner_epoch, .endorsement_epoch = m->endorsement_epoch, .platform_epoch = m->platform_epoch,
		.state_version = m->state_version, .image = p->image,
		.request = p->reserve ? view_of(p->request, sizeof(p->request)) : (struct view){0}, .origin = m->origin,
	};

	if (origin_get(m->origin, &p->origin) != 0) {
		link_send(o->tpm, TPM_FORGET, p->tpm_ticket, NULL);
		orphan(o, p, m);
		refuse(o, p, "the KMC's answer does not say whose keys the vTPM has");
		return;
	}
	if (!keep(&p->state, m->state) || !keep(&p->transient, transient)) {
		orphan(o, p, m);
		refuse(o, p, "no memory for the vTPM's state");
		return;
	}
	view_copy_text(m->tenant, p->tenant, sizeof(p->tenant));
	p->facts = *m;
	p->step = STEP_BELIEVING;
	link_send(o->tpm, TPM_BELIEVE, p->tpm_ticket, &believe);
}

static void on_reserved(struct openings *o, struct opening *p, const struct kmc_reserved *m)
{
	const struct kmc_opened opened = {
		.tenant = m->tenant, .generation = m->generation, .lease_epoch = m->lease_epoch, .owner_epoch = m->owner_epoch,
		.endorsement_epoch = m->endorsement_epoch, .platform_epoch = m->platform_epoch, .state_version = m->state_version,
		.reply = m->reply, .state = m->state, .audit = m->audit, .origin = m->origin,
	};

	on_opened(o, p, &opened, m->volatile_state);
}

/* Of a reservation: what its source has sent may be on its way still. */
static bool may_change(const struct opening *p, uint64_t code)
{
	return p->reserve && (code == KMC_REFUSED_HELD || code == KMC_REFUSED_IMAGE || code == KMC_REFUSED_BUSY);
}

static void not_yet(struct openings *o, struct opening *p, const char *why)
{
	uint64_t ticket = p->ticket;

	end(p);
	o->ops->not_yet(o->arg, ticket, why);
}

static void on_refused(struct openings *o, struct opening *p, const struct kmc_refused *m)
{
	char why[OPENING_WHY];

	link_send(o->tpm, TPM_FORGET, p->tpm_ticket, NULL);
	if (m->code == KMC_REFUSED_KEY && ++p->key_tries < KEY_TRIES) {
		o->key.valid = false;
		p->step = STEP_WAITING;
		advance(o, p);
		return;
	}
	if (m->code == KMC_REFUSED_ATTESTATION)
		o->ops->unattested(o->arg);
	snprintf(why, sizeof(why), "the KMC refused (%s): %.*s", kmc_refusal_text(m->code), (int)m->reason.n, (const char *)m->reason.p);
	if (m->code == KMC_REFUSED_PARKED && !p->abandoned) {
		memcpy(p->why, why, sizeof(p->why));
		p->may_hold = false; /* not by this */
		p->step = STEP_RECALLING;
		o->ops->parked(o->arg);
		return;
	}
	if (may_change(p, m->code))
		not_yet(o, p, why);
	else if (m->code == KMC_REFUSED_HELD || m->code == KMC_REFUSED_PARKED || m->code == KMC_REFUSED_POLICY)
		refuse(o, p, why);
	else
		refuse_undecided(o, p, why);
}

static void on_no_key(struct openings *o, const struct kmc_refused *m)
{
	char why[OPENING_WHY];

	o->key.asked = false;
	snprintf(why, sizeof(why), "the KMC gave no protection key (%s): %.*s", kmc_refusal_text(m->code), (int)m->reason.n,
		 (const char *)m->reason.p);
	for (size_t i = 0; i < OPENINGS_MAX; i++)
		if (o->table[i].step == STEP_WAITING)
			refuse_undecided(o, &o->table[i], why);
}

void openings_kmc(struct openings *o, enum kmc_type type, uint64_t id, const void *fields)
{
	struct opening *p = find(o, KMC_ID_TICKET(id));

	if (KMC_ID_KIND(id) == KMC_ID_PROTECT) {
		if (type == KMC_PROTECTED)
			on_protected(o, fields);
		else if (type == KMC_REFUSED)
			on_no_key(o, fields);
		return;
	}
	if (!p || p->step != STEP_ASKING) {
		log_warn("the KMC answered an open that was not asked");
		return;
	}
	if (type == KMC_OPENED && !p->reserve)
		on_opened(o, p, fields, (struct view){0});
	else if (type == KMC_RESERVED && p->reserve)
		on_reserved(o, p, fields);
	else if (type == KMC_REFUSED)
		on_refused(o, p, fields);
}
