/* One guest's vTPM. */
#include "vtpm-stubdom/vtpm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/log.h"
#include "vtpm-stubdom/blob.h"
#include "vtpm-stubdom/derive.h"
#include "vtpm-stubdom/effect.h"
#include "vtpm-stubdom/endorsement.h"
#include "vtpm-stubdom/engine.h"
#include "vtpm-stubdom/handed.h"
#include "vtpm-stubdom/sealed.h"
#include "vtpm-stubdom/tpm12.h"
#include "vtpm-stubdom/tpmif.h"

#define LOCALITY_MAX 4

/* What vtpm_undo() goes back to. */
struct before {
	bool valid; /* else the last command is of a kind that is not undone */
	struct engine_state state;
	struct epochs epochs;
};

struct vtpm {
	struct derive derive;
	struct secret *state_key;
	struct engine *engine;
	struct epochs epochs;
	uint64_t version, stored_version, lease_epoch;
	unsigned int locality; /* of the command being executed */
	bool changed, broken;  /* broken: the engine holds no TPM that may be used */
	bool stands;	       /* the response to the last command, see vtpm_stands() */
	char failure[VTPM_WHY]; /* "": none; with or without @broken */
	struct before before;
	uint8_t response[VTPM_RESPONSE_MAX];
};

static int complain(char why[VTPM_WHY], int r, const char *what)
{
	snprintf(why, VTPM_WHY, "%s: %s", what, error_text(r));
	return r;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t code_of(const uint8_t *command, size_t n)
{
	return n >= 10 ? get_u32(command + 6) : 0;
}

static bool succeeded(const uint8_t *response, size_t n)
{
	return n >= 10 && get_u32(response + 6) == 0;
}

/* Commands without parameters but one u16: Startup and Shutdown, both with CLEAR. */
static int power_command(struct vtpm *v, uint32_t code)
{
	uint8_t bytes[12];
	const uint8_t *response;
	struct buf b;
	size_t n;
	int r;

	buf_over(&b, bytes, sizeof(bytes));
	buf_put_u16(&b, 0x8001);
	buf_put_u32(&b, sizeof(bytes));
	buf_put_u32(&b, code);
	buf_put_u16(&b, 0x0000); /* TPM_SU_CLEAR */
	r = engine_process(v->engine, 0, bytes, sizeof(bytes), &response, &n);
	v->changed |= engine_take_changed(v->engine);
	return r == 0 && !succeeded(response, n) ? E_TPM : r;
}

/* A vTPM without state: never used before, or its state was lost and the KMC says so by version 0. */
static int start_new(struct vtpm *v, char why[VTPM_WHY])
{
	struct secret *roots = derive_roots(&v->derive, &v->epochs);
	int r = roots ? engine_manufacture(v->engine, (const struct roots *)roots->data) : E_CRYPTO;

	if (r == 0)
		r = power_command(v, COMMAND_STARTUP);
	secret_free(&roots);
	return r == 0 ? 0 : complain(why, r, "can't make a new TPM");
}

/* What can be started from, today or by another libtpms: a whole state with the roots of the present epochs. */
static int check_permanent(const struct vtpm *v, const struct secret *permanent)
{
	struct secret *roots = derive_roots(&v->derive, &v->epochs);
	int r = roots ? blob_has_roots(permanent->data, permanent->size, (const struct roots *)roots->data) : E_CRYPTO;

	secret_free(&roots);
	return r;
}

/* The TPM has gone into failure mode, or came so. */
static void notice_failure(struct vtpm *v)
{
	const char *where = engine_failure(v->engine);

	if (!where || v->failure[0])
		return;
	snprintf(v->failure, sizeof(v->failure), "failure mode: %s", where);
	log_error("the TPM is in failure mode until the guest is started again (%s): it answers TPM_RC_FAILURE, and changes nothing of what is stored",
		  where);
}

/* Power on with the opened state. */
static int power_on(struct vtpm *v, const struct engine_state *state)
{
	int r = check_permanent(v, state->permanent);

	if (r == 0)
		r = engine_resume(v->engine, state);
	if (r == 0)
		notice_failure(v);
	if (r == 0 && !state->transient)
		r = power_command(v, COMMAND_STARTUP);
	return r;
}

static int start_from(struct vtpm *v, const struct handoff_handoff *h, char why[VTPM_WHY])
{
	struct engine_state state;
	struct sealed_head head;
	int r = handed_open(h, v->state_key, &head, &state, why);

	if (r != 0)
		return r;
	v->version = v->stored_version = head.version;
	v->epochs = head.epochs;
	r = power_on(v, &state);
	if (r != 0)
		complain(why, r, "the TPM does not start from the sealed state");
	engine_state_free(&state);
	return r;
}

/* What all its keys come from. */
static int begin_keys(struct derive *d, const struct handoff_handoff *h)
{
	struct origin origin;
	int r = origin_get(h->origin, &origin);

	if (r == 0)
		r = derive_init(d, h->seed.p, h->seed.n, &h->uuid, h->generation);
	if (r == 0)
		derive_share(d, &origin);
	return r;
}

int vtpm_open(struct vtpm **out, const struct handoff_handoff *h, char why[VTPM_WHY])
{
	struct vtpm *v = calloc(1, sizeof(*v));
	int r;

	*out = NULL;
	if (!v)
		return complain(why, E_NOMEM, "can't bring up the TPM");
	v->lease_epoch = h->lease_epoch;
	v->epochs = (struct epochs){h->owner_epoch, h->endorsement_epoch, h->platform_epoch};
	r = begin_keys(&v->derive, h);
	if (r == 0)
		r = (v->state_key = derive_state_key(&v->derive)) && (v->engine = engine_new()) ? 0 : E_CRYPTO;
	if (r != 0) {
		complain(why, r, "can't derive the vTPM's keys");
	} else if (h->state.n) {
		r = start_from(v, h, why);
	} else if (h->incarnation > 1) {
		r = E_DENIED;
		snprintf(why, VTPM_WHY, "the guest was resumed (incarnation %" PRIu64 "), but its TPM has no state", h->incarnation);
	} else if (h->state_version) {
		r = E_DENIED;
		snprintf(why, VTPM_WHY, "state version %" PRIu64 " is on record, but was not handed over: its NV contents would be lost", h->state_version);
	} else {
		r = start_new(v, why);
	}
	if (r != 0)
		vtpm_close(&v);
	*out = v;
	return r;
}

void vtpm_close(struct vtpm **v)
{
	if (!*v)
		return;
	engine_free(&(*v)->engine);
	engine_state_free(&(*v)->before.state);
	secret_free(&(*v)->state_key);
	derive_free(&(*v)->derive);
	wipe(*v, sizeof(**v));
	free(*v);
	*v = NULL;
}

static void remember(struct vtpm *v, uint32_t code)
{
	struct before *b = &v->before;
	const struct secret *permanent = engine_permanent(v->engine);

	b->epochs = v->epochs;
	b->valid = effect_is_undoable(code) && permanent && secret_assign(&b->state.permanent, permanent->data, permanent->size) &&
		   engine_transient(v->engine, &b->state.transient) == 0;
}

/* The hierarchy whose roots @code renewed begins its next epoch. */
static bool advance(struct epochs *e, uint32_t code)
{
	switch (code) {
	case COMMAND_CLEAR:
		e->owner++;
		return true;
	case COMMAND_CHANGE_EPS:
		e->endorsement++;
		return true;
	case COMMAND_CHANGE_PPS:
		e->platform++;
		return true;
	default:
		return false;
	}
}

/* The same TPM goes on, and was in order. */
static int resume(struct vtpm *v, const struct engine_state *state)
{
	int r = engine_resume(v->engine, state);

	return r == 0 && engine_failure(v->engine) ? E_TPM : r;
}

/* Replace the random roots that libtpms made, in the running TPM. */
static int renew_roots(struct vtpm *v)
{
	const struct secret *permanent = engine_permanent(v->engine);
	struct secret *roots = derive_roots(&v->derive, &v->epochs);
	struct engine_state state = {
		.permanent = permanent ? secret_dup(permanent->data, permanent->size) : NULL,
	};
	const struct roots *new = roots ? (const struct roots *)roots->data : NULL;
	int r = E_NOMEM;

	if (new && state.permanent && (r = engine_transient(v->engine, &state.transient)) == 0 &&
	    (r = blob_set_roots(state.permanent->data, state.permanent->size, new)) == 0 &&
	    (r = blob_set_volatile(state.transient->data, state.transient->size, new)) == 0)
		r = resume(v, &state);
	engine_state_free(&state);
	secret_free(&roots);
	return r;
}

static struct view keep_response(struct vtpm *v, const uint8_t *p, size_t n)
{
	if (n > sizeof(v->response)) { /* libtpms' own limit is the same */
		p = NULL;
		n = TPMIF_ERROR_SIZE;
		tpmif_error(v->response, TPMIF_RC_FAILURE);
	}
	if (p)
		memcpy(v->response, p, n);
	return view_of(v->response, n);
}

static struct view refuse(struct vtpm *v, uint32_t rc)
{
	return view_of(tpmif_error(v->response, rc), TPMIF_ERROR_SIZE);
}

static struct view give_up(struct vtpm *v, const char *what, int r)
{
	log_error("the TPM is out of order until the guest is started again: %s: %s", what, error_text(r));
	snprintf(v->failure, sizeof(v->failure), "%s: %s", what, error_text(r));
	v->broken = true;
	return refuse(v, TPMIF_RC_FAILURE);
}

static struct view command20(struct vtpm *v, const uint8_t *command, size_t n)
{
	uint32_t code = code_of(command, n);
	const uint8_t *p;
	struct view response;
	size_t n_response;
	int r;

	remember(v, code);
	r = engine_process(v->engine, v->locality, command, n, &p, &n_response);
	if (r != 0)
		return give_up(v, "libtpms failed", r);
	response = keep_response(v, p, n_response);
	v->changed |= engine_take_changed(v->engine);
	v->stands = succeeded(response.p, response.n) && effect_is_transient(code);
	if (!succeeded(response.p, response.n)) {
		v->before.valid = false;
	} else if (advance(&v->epochs, code)) {
		r = renew_roots(v);
		if (r != 0)
			return give_up(v, "can't renew its roots", r);
		v->changed = true;
	}
	return response;
}

static int process12(void *arg, const uint8_t *command, size_t n, const uint8_t **response, size_t *n_response)
{
	struct vtpm *v = arg;
	int r = engine_process(v->engine, v->locality, command, n, response, n_response);

	v->changed |= engine_take_changed(v->engine);
	return r;
}

struct view vtpm_command(struct vtpm *v, unsigned int locality, const uint8_t *command, size_t n)
{
	struct view response;

	if (v->broken)
		return refuse(v, TPMIF_RC_FAILURE);
	if (locality > LOCALITY_MAX)
		return refuse(v, TPMIF_RC_LOCALITY);
	v->locality = locality;
	v->stands = false;
	if (tpm12_is_command(command, n)) {
		v->before.valid = false;
		v->stands = true;
		response = view_of(v->response, tpm12_process(command, n, process12, v, v->response));
	} else {
		response = command20(v, command, n);
	}
	notice_failure(v);
	return response;
}

const char *vtpm_failure(const struct vtpm *v)
{
	return v->failure[0] ? v->failure : NULL;
}

bool vtpm_take_changed(struct vtpm *v)
{
	bool changed = v->changed;

	v->changed = false;
	return changed;
}

/* One half of the TPM's present state under @head, appended to @out; *sealed points there. */
static int seal(struct vtpm *v, const struct sealed_head *head, struct secret *transient, struct buf *out, struct view *sealed)
{
	const struct secret *permanent = engine_permanent(v->engine);
	const struct engine_state state = {.permanent = (struct secret *)(uintptr_t)permanent, .transient = transient}; /* read only */
	size_t start = out->len;
	int r = permanent && !v->broken ? 0 : E_STATE;

	if (r == 0 && head->kind == SEALED_PERMANENT)
		r = check_permanent(v, permanent);
	if (r == 0)
		r = sealed_write(out, v->state_key, head, &state);
	*sealed = view_of(out->data + start, out->len - start);
	return r;
}

static struct sealed_head next_head(const struct vtpm *v)
{
	return (struct sealed_head){.kind = SEALED_PERMANENT, .uuid = v->derive.uuid, .generation = v->derive.generation,
				    .lease_epoch = v->lease_epoch, .version = v->version + 1, .epochs = v->epochs};
}

int vtpm_seal(struct vtpm *v, struct buf *out, struct handoff_store *store)
{
	const struct sealed_head head = next_head(v);
	struct view state;
	int r = seal(v, &head, NULL, out, &state);

	if (r != 0)
		return r;
	v->version = head.version;
	*store = (struct handoff_store){.version = head.version, .owner_epoch = v->epochs.owner, .endorsement_epoch = v->epochs.endorsement,
					.platform_epoch = v->epochs.platform, .state = state};
	return 0;
}

/* Who failed in the midst of renewing roots has others in its memory than on record: make both halves one TPM again. */
static int bind_halves(const struct vtpm *v, struct secret *transient)
{
	struct secret *roots = derive_roots(&v->derive, &v->epochs);
	int r = roots ? blob_set_volatile(transient->data, transient->size, (const struct roots *)roots->data) : E_CRYPTO;

	secret_free(&roots);
	return r;
}

int vtpm_freeze(struct vtpm *v, uint64_t image, struct buf *out, struct buf *transient_out, struct handoff_frozen *frozen)
{
	struct sealed_head head = next_head(v);
	struct secret *transient = NULL;
	struct view state, rest;
	int r = engine_transient(v->engine, &transient);

	if (r == 0 && v->failure[0])
		r = bind_halves(v, transient);
	if (r == 0)
		r = seal(v, &head, NULL, out, &state);
	head.kind = SEALED_TRANSIENT;
	head.incarnation = image;
	if (r == 0)
		r = seal(v, &head, transient, transient_out, &rest);
	secret_free(&transient);
	if (r != 0)
		return r;
	v->version = head.version;
	v->changed = false;
	*frozen = (struct handoff_frozen){.version = head.version, .owner_epoch = v->epochs.owner, .endorsement_epoch = v->epochs.endorsement,
					  .platform_epoch = v->epochs.platform, .state = state, .transient = rest};
	return 0;
}

void vtpm_set_lease(struct vtpm *v, uint64_t lease_epoch)
{
	v->lease_epoch = lease_epoch;
}

void vtpm_stored(struct vtpm *v, uint64_t version)
{
	if (version > v->version || version <= v->stored_version)
		return;
	v->stored_version = version;
	if (version == v->version)
		v->before.valid = false;
}

bool vtpm_undo(struct vtpm *v, bool certain)
{
	bool new_epoch = memcmp(&v->epochs, &v->before.epochs, sizeof(v->epochs)) != 0;
	int r;

	if (!v->before.valid || v->broken || (new_epoch && !certain))
		return false;
	v->before.valid = false;
	r = resume(v, &v->before.state);
	if (r != 0) {
		give_up(v, "can't go back to before a change that was not stored", r);
		return false;
	}
	v->epochs = v->before.epochs;
	v->changed = false;
	return true;
}

bool vtpm_stands(const struct vtpm *v)
{
	return v->stands;
}

bool vtpm_wants_certificates(struct vtpm *v)
{
	bool open;

	return !v->failure[0] && (!endorsement_is_certified(v->engine, &open) || open);
}

int vtpm_certify(struct vtpm *v, struct view rsa, struct view ecc)
{
	const struct view certificates[ENDORSEMENT_KINDS] = {[ENDORSEMENT_RSA] = rsa, [ENDORSEMENT_ECC] = ecc};
	int r;

	if (v->failure[0])
		return E_STATE;
	v->before.valid = false; /* what would be undone is not the last command any more */
	v->locality = 0;
	r = endorsement_provision(v->engine, certificates);
	v->changed |= engine_take_changed(v->engine);
	notice_failure(v);
	return r;
}

uint64_t vtpm_endorsement_epoch(const struct vtpm *v)
{
	return v->epochs.endorsement;
}

void vtpm_shutdown(struct vtpm *v)
{
	int r = v->failure[0] ? E_STATE : power_command(v, COMMAND_SHUTDOWN);

	if (r != 0)
		log_warn("the TPM does not shut down: %s", error_text(r));
}

uint64_t vtpm_version(const struct vtpm *v)
{
	return v->version;
}

const struct uuid *vtpm_uuid(const struct vtpm *v)
{
	return &v->derive.uuid;
}

uint64_t vtpm_lease_epoch(const struct vtpm *v)
{
	return v->lease_epoch;
}
