/* The hand-off's messages and the guest's commands, and what waits for what. */
#include "vtpm-stubdom/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/buf.h"
#include "common/channel.h"
#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/secret.h"
#include "vtpm-stubdom/backend.h"
#include "vtpm-stubdom/engine.h"
#include "vtpm-stubdom/port.h"
#include "vtpm-stubdom/relaylink.h"
#include "vtpm-stubdom/standin.h"
#include "vtpm-stubdom/tpmif.h"
#include "vtpm-stubdom/vtpm.h"
#include "xenstore-schema/nodes.h"

#define STORE_DEADLINE_MS 20000 /* then the guest's command fails: Linux's driver gives up after 120 s */
#define FREEZE_DEADLINE_MS 2000 /* or the guest is gone before its TPM is sealed: the relay waits 4 s for that once xl has saved it */
#define CLOSE_DEADLINE_MS 3500	/* for the last state: the relay's own patience is 5 s */
#define CHANGES_LOGGED_MAX 10	/* of the guest's connection: it can make any number */
#define FAILURES_LOGGED_MAX 3	/* of changes that could not be stored: a guest may try any number, and a disk be full for days */
#define RETRY_MS 2000		/* between two tries to offer the channel, or to store */
#define CERTIFY_MS 2000		/* after which certificates of other keys are asked for again; then twice that, and so on: the KMC makes them */
#define CERTIFY_MAX_MS 3600000	/* and keeps a record of each pair for ever, and a guest can have other keys as often as it likes */

enum service_state { WAITING, READY, SERVING, CLOSING, ENDED, FAILED, STANDING_IN };

struct service {
	struct loop *loop;
	struct service_world world;
	enum service_state state;
	struct relaylink *link;
	struct vtpm *vtpm;
	struct node_ids ids;
	struct uuid stands_in_for; /* in STANDING_IN */
	struct backend *backend;
	struct source *deadline;  /* for the store that a response or the end waits for */
	struct source *restore;	  /* try again to store what can't be undone */
	struct source *reoffer;	  /* the channel, after the relay went away */
	struct buf sealed;	  /* the last STORE, until it is answered; or what was frozen */
	struct buf transient;	  /* the other half of that */
	struct handoff_store store;
	bool unanswered;	  /* there is one */
	bool unsent;		  /* it, or what was frozen: the relay has not read enough to have room for it */
	bool behind;		  /* there is a change that no answer waits for and that is not stored */
	bool stays;		  /* prepared: it waits for the next relay, though it holds nothing */
	bool failure_told;	  /* to this relay */
	bool held_back;		  /* no command is served: frozen, to be frozen, or resumed and not thawed yet */
	uint64_t freeze_image;	  /* to be frozen for this one; 0: no */
	uint64_t frozen_image;	  /* is frozen for this one, and frozen is what was said; 0: no */
	struct handoff_frozen frozen;
	struct view held;	  /* the response that waits for it; the vTPM's until the next command. p == NULL: none */
	uint64_t certified_epoch; /* the endorsement hierarchy's, whose keys have certificates or were asked for */
	bool certify;		  /* the KMC is asked for certificates of the endorsement keys */
	struct source *recertify; /* it is to be asked for those of other keys */
	uint64_t certify_at_ms, certify_pause_ms; /* not before; since the last time */
	struct buf certificates;  /* the answer's frame, until they can be put into the TPM */
	uint64_t commands, malformed, service_ns, began_ns;
	unsigned int changes_logged;
	unsigned int failures_logged; /* since a state was stored */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void answer(struct service *s, struct view response)
{
	backend_answer(s->backend, response.p, response.n);
	s->service_ns += now_ns() - s->began_ns;
	s->commands++;
}

/* Give the relay what was sealed last. Without a relay now, it is sent when there is one. */
static void send_sealed(struct service *s)
{
	int r = s->frozen_image ? relaylink_send(s->link, HANDOFF_FROZEN, &s->frozen) : relaylink_send(s->link, HANDOFF_STORE, &s->store);

	s->unsent = r == E_RANGE;
	if (s->unsent)
		source_set_ms(s->restore, RETRY_MS);
}

/* What no answer waits for is stored when it can be. */
static void store_later(struct service *s)
{
	s->behind = true;
	source_set_ms(s->restore, RETRY_MS);
}

/* Seal the present state and give it to the relay: 0 or an error. */
static int send_store(struct service *s)
{
	int r;

	buf_reset(&s->sealed);
	s->unanswered = false;
	r = vtpm_seal(s->vtpm, &s->sealed, &s->store);
	if (r != 0) {
		if (s->failures_logged++ < FAILURES_LOGGED_MAX)
			log_error("the TPM's state can't be sealed, the last one on record stays: %s", error_text(r));
		return r;
	}
	s->unanswered = true;
	send_sealed(s);
	return 0;
}

/* The change of the last command is not safe: the guest must not believe that it happened, unless it is none of the command's. */
static void fail_held(struct service *s, bool certain, const char *why)
{
	uint8_t error[TPMIF_ERROR_SIZE];
	bool undone = vtpm_undo(s->vtpm, certain);
	struct view response = s->held;

	if (!vtpm_stands(s->vtpm))
		response = view_of(tpmif_error(error, TPMIF_RC_NV_UNAVAILABLE), sizeof(error));
	if (s->failures_logged++ < FAILURES_LOGGED_MAX)
		log_error("a change of the TPM could not be stored (%s): %s", why, undone ? "the guest's command fails and is undone" : vtpm_stands(s->vtpm) ?
			  "it is stored later" : "the guest's command fails");
	s->held = (struct view){0};
	source_clear(s->deadline);
	answer(s, response);
	if (!undone || (!certain && send_store(s) != 0)) /* should that one arrive late, this one comes after it */
		store_later(s);
}

static void say_status(struct service *s)
{
	const char *failure = s->vtpm ? vtpm_failure(s->vtpm) : NULL;
	struct rusage usage = {0};
	struct handoff_status_reply reply;

	getrusage(RUSAGE_SELF, &usage);
	reply = (struct handoff_status_reply){
		.commands = s->commands, .malformed = s->malformed, .resident_kib = (uint64_t)usage.ru_maxrss,
		.connected = s->backend && backend_connected(s->backend), .service_ns = s->service_ns,
		.failure = failure ? view_text(failure) : (struct view){0},
	};
	relaylink_send(s->link, HANDOFF_STATUS_REPLY, &reply);
}

/* It is out of order: the relay hears of it once, and again when it asks. */
static void tell_failure(struct service *s)
{
	if (s->failure_told || !s->vtpm || !vtpm_failure(s->vtpm))
		return;
	s->failure_told = true;
	say_status(s);
}

static void on_request(void *arg, const struct tpmif_request *r)
{
	struct service *s = arg;
	struct view response;
	int e;

	s->began_ns = now_ns();
	response = vtpm_command(s->vtpm, r->locality, r->data, r->n);
	tell_failure(s);
	if (!vtpm_take_changed(s->vtpm)) {
		answer(s, response);
		return;
	}
	s->held = response;
	if (s->unanswered) /* what nobody waits for, the start's own say: should this command be undone, it is due still */
		store_later(s);
	e = send_store(s);
	if (e != 0)
		fail_held(s, true, error_text(e));
	else
		source_set_ms(s->deadline, STORE_DEADLINE_MS);
}

static void on_malformed(void *arg)
{
	struct service *s = arg;

	s->malformed++;
	s->commands++;
}

static void on_connected(void *arg, bool connected)
{
	struct service *s = arg;
	const struct handoff_frontend f = {.connected = connected};

	if (s->changes_logged++ < CHANGES_LOGGED_MAX)
		log_info("the guest's driver %s", connected ? "is connected" : "went away");
	relaylink_send(s->link, HANDOFF_FRONTEND, &f);
}

/* The relay passes it on when it can; an answer that is lost is asked for again by the next HELLO or the next start. */
static void ask_certificates(struct service *s)
{
	const struct handoff_certify q = {.endorsement_epoch = vtpm_endorsement_epoch(s->vtpm)};

	s->certify = true;
	relaylink_send(s->link, HANDOFF_CERTIFY, &q);
}

/* TPM2_ChangeEPS: the keys are others. */
static void on_recertify(void *arg, unsigned int what)
{
	struct service *s = arg;
	uint64_t now = loop_now_ms();

	(void)what;
	if (!s->vtpm)
		return;
	if (now < s->certify_at_ms) {
		source_set_ms(s->recertify, s->certify_at_ms - now);
		return;
	}
	s->certify_pause_ms = s->certify_pause_ms ? 2 * s->certify_pause_ms : CERTIFY_MS;
	if (s->certify_pause_ms > CERTIFY_MAX_MS)
		s->certify_pause_ms = CERTIFY_MAX_MS;
	s->certify_at_ms = now + s->certify_pause_ms;
	ask_certificates(s);
}

/* Not while a response is held or a state under way: undoing that command would undo this too. */
static void put_certificates(struct service *s)
{
	struct handoff_certificates c;
	struct msg m;
	int r;

	if (!buf_left(&s->certificates) || s->held.p || s->unanswered || s->held_back || (s->state != READY && s->state != SERVING))
		return;
	r = msg_next(&s->certificates, HANDOFF_BODY_MAX, &m);
	if (r == 0)
		r = msg_fields(&m, handoff_schema(HANDOFF_CERTIFICATES), &c);
	if (r == 0 && c.endorsement_epoch == vtpm_endorsement_epoch(s->vtpm)) {
		r = vtpm_certify(s->vtpm, c.rsa, c.ecc);
		s->certify = false;
	}
	buf_reset(&s->certificates);
	if (r != 0)
		log_warn("the certificates of the endorsement keys can't be put into the TPM: %s; the next start tries again", error_text(r));
	if (vtpm_take_changed(s->vtpm) && send_store(s) != 0) /* nobody waits for it */
		store_later(s);
}

static void on_certificates(struct service *s, const struct handoff_certificates *c)
{
	if (!s->vtpm || !s->certify)
		return;
	buf_reset(&s->certificates);
	if (handoff_write(&s->certificates, HANDOFF_CERTIFICATES, c) == 0)
		put_certificates(s);
}

static void fail(struct service *s, int r, const char *why)
{
	const struct handoff_failed f = {.code = (uint64_t)-r, .reason = view_text(why)};

	log_error("can't serve: %s", why);
	relaylink_send(s->link, HANDOFF_FAILED, &f);
	backend_free(&s->backend);
	vtpm_close(&s->vtpm);
	s->unanswered = false;
	s->held_back = false;
	s->freeze_image = s->frozen_image = 0;
	s->state = FAILED;
}

/* --- a guest that sleeps --- */

/* Seal all of it, once no response waits for the relay any more. What was not stored is in it. */
static void freeze_if_due(struct service *s)
{
	int r;

	if (!s->freeze_image || s->held.p)
		return;
	source_clear(s->restore);
	s->unanswered = false;
	buf_reset(&s->sealed);
	buf_reset(&s->transient);
	r = vtpm_freeze(s->vtpm, s->freeze_image, &s->sealed, &s->transient, &s->frozen);
	if (r != 0) {
		fail(s, r, "the TPM can't be sealed for a guest that sleeps");
		return;
	}
	s->frozen_image = s->freeze_image;
	s->freeze_image = 0;
	send_sealed(s);
	log_info("the guest sleeps: frozen as state version %" PRIu64, s->frozen.version);
}

static void on_freeze(struct service *s, const struct handoff_freeze *f)
{
	if (s->frozen_image == f->image) { /* asked again, by a relay that has not heard it */
		send_sealed(s);
		return;
	}
	s->held_back = true;
	backend_hold(s->backend, true);
	vtpm_set_lease(s->vtpm, f->lease_epoch);
	s->frozen_image = 0;
	s->freeze_image = f->image;
	if (s->held.p)
		source_set_ms(s->deadline, FREEZE_DEADLINE_MS);
	freeze_if_due(s);
}

static void on_thaw(struct service *s, const struct handoff_thaw *t)
{
	bool frozen = s->frozen_image != 0;

	s->held_back = false;
	s->freeze_image = s->frozen_image = 0;
	if (s->held.p)
		source_set_ms(s->deadline, STORE_DEADLINE_MS);
	buf_reset(&s->transient);
	vtpm_set_lease(s->vtpm, t->lease_epoch);
	if ((frozen && send_store(s) != 0) || s->behind) /* whether what was frozen was kept, nobody said */
		store_later(s);
	if (s->backend)
		backend_hold(s->backend, false);
	put_certificates(s);
	log_info("the guest runs: serving it under lease %" PRIu64, t->lease_epoch);
}

static void on_handoff(struct service *s, const struct handoff_handoff *h)
{
	char why[VTPM_WHY], uuid[UUID_TEXT];
	struct handoff_ready ready;
	int r = vtpm_open(&s->vtpm, h, why);

	if (r != 0) {
		fail(s, r, why);
		return;
	}
	s->ids = (struct node_ids){.guest = (unsigned int)h->guest_domid, .dev = (unsigned int)h->devid};
	s->state = READY;
	s->held_back = h->incarnation > 1;
	ready = (struct handoff_ready){.state_version = vtpm_version(s->vtpm), .lease_epoch = h->lease_epoch};
	relaylink_send(s->link, HANDOFF_READY, &ready);
	tell_failure(s);
	log_info("vTPM %s for domain %u is up, state version %" PRIu64, uuid_format(&h->uuid, uuid), s->ids.guest, ready.state_version);
	s->certified_epoch = vtpm_endorsement_epoch(s->vtpm);
	if (vtpm_wants_certificates(s->vtpm))
		ask_certificates(s);
	/* The start itself is a change (a reset was counted). Nobody has seen it: the guest does not wait for it. */
	if (vtpm_take_changed(s->vtpm) && send_store(s) != 0)
		store_later(s);
}

static void on_request_to_standin(void *arg, const struct tpmif_request *r)
{
	struct service *s = arg;
	uint8_t response[STANDIN_SIZE];

	s->began_ns = now_ns();
	answer(s, view_of(standin_response(r->data, r->n, response), sizeof(response)));
}

static void on_stand_in(struct service *s, const struct handoff_stand_in *q)
{
	static const struct backend_ops ops = {.request = on_request_to_standin, .malformed = on_malformed, .connected = on_connected};
	struct port *port;

	s->ids = (struct node_ids){.guest = (unsigned int)q->guest_domid, .dev = (unsigned int)q->devid};
	s->stands_in_for = q->uuid;
	s->state = STANDING_IN;
	port = s->world.open_port(s->world.arg, &s->ids);
	s->backend = port ? backend_new(s->loop, port, &ops, s) : NULL;
	if (!s->backend)
		fail(s, E_XEN, "can't reach the guest's device: xenstore, gntdev or evtchn refused");
	else
		log_warn("the TPM of domain %u is gone until that domain is started anew: every command is answered with TPM_RC_INITIALIZE", s->ids.guest);
}

static void on_serve(struct service *s)
{
	static const struct backend_ops ops = {.request = on_request, .malformed = on_malformed, .connected = on_connected};
	struct port *port = s->world.open_port(s->world.arg, &s->ids);

	s->backend = port ? backend_new(s->loop, port, &ops, s) : NULL;
	if (!s->backend) {
		fail(s, E_XEN, "can't reach the guest's device: xenstore, gntdev or evtchn refused");
		return;
	}
	backend_hold(s->backend, s->held_back);
	s->state = SERVING;
}

static void end(struct service *s)
{
	source_clear(s->deadline);
	vtpm_close(&s->vtpm);
	s->state = ENDED;
	relaylink_send(s->link, HANDOFF_CLOSED, NULL);
	source_set_ms(s->deadline, CLOSE_DEADLINE_MS); /* the relay closes the channel when it has read that */
}

static void on_close(struct service *s)
{
	s->held = (struct view){0};
	backend_free(&s->backend);
	if (!s->vtpm || s->held_back) { /* what was frozen is the relay's, and not to change any more */
		end(s);
		return;
	}
	s->state = CLOSING;
	vtpm_shutdown(s->vtpm);
	if ((vtpm_take_changed(s->vtpm) || s->behind) && send_store(s) != 0) /* behind: one that failed can't be shut down */
		log_error("the TPM's last state can't be sealed");
	if (s->unanswered)
		source_set_ms(s->deadline, CLOSE_DEADLINE_MS);
	else
		end(s);
}

static void on_stored(struct service *s, const struct handoff_stored *stored)
{
	struct view held = s->held;

	if (!s->vtpm || !s->unanswered || stored->version != s->store.version)
		return; /* about a version that another has replaced meanwhile, or after the end */
	s->unanswered = false;
	buf_reset(&s->sealed);
	if (stored->result == 0) {
		vtpm_stored(s->vtpm, stored->version);
		s->behind = false;
		s->failures_logged = 0;
	}
	if (s->state == CLOSING) {
		end(s);
	} else if (held.p && stored->result == 0) {
		s->held = (struct view){0};
		source_clear(s->deadline);
		answer(s, held);
	} else if (held.p) {
		fail_held(s, true, error_text(-(int)stored->result));
	} else if (stored->result != 0) {
		if (s->failures_logged++ < FAILURES_LOGGED_MAX)
			log_warn("state version %" PRIu64 " was not stored: %s", stored->version, error_text(-(int)stored->result));
		store_later(s);
	}
	if (s->vtpm && stored->result == 0 && s->store.endorsement_epoch != s->certified_epoch) {
		s->certified_epoch = s->store.endorsement_epoch;
		on_recertify(s, 0);
	}
	freeze_if_due(s);
	put_certificates(s);
}

static void on_restore(void *arg, unsigned int what)
{
	struct service *s = arg;
	int r = 0;

	(void)what;
	if (s->vtpm && s->unsent && (s->unanswered || s->frozen_image))
		send_sealed(s);
	if (!s->behind || s->held_back || (s->state != READY && s->state != SERVING))
		return;
	if (!s->unanswered) /* else: the command that this one is of may be undone, and then it is due as before */
		r = send_store(s);
	if (r != E_STATE) /* there is a TPM to be stored */
		store_later(s);
}

static void on_deadline(void *arg, unsigned int what)
{
	struct service *s = arg;

	(void)what;
	if (s->state == CLOSING) {
		log_warn("the TPM's last state is not confirmed; the end does not wait for it any longer");
		end(s);
	} else if (s->state == ENDED) {
		loop_stop(s->loop);
	} else if (s->held.p) {
		fail_held(s, false, "no answer in time");
		freeze_if_due(s);
	}
}

/* The relay is our own: what it must not say now ends the work with the relay, not with the guest. */
static void on_message(void *arg, enum handoff_type type, const void *fields)
{
	struct service *s = arg;

	if (type == HANDOFF_HANDOFF && s->state == WAITING)
		on_handoff(s, fields);
	else if (type == HANDOFF_STAY && s->state == WAITING)
		s->stays = true;
	else if (type == HANDOFF_STAND_IN && s->state == WAITING)
		on_stand_in(s, fields);
	else if (type == HANDOFF_SERVE && s->state == READY)
		on_serve(s);
	else if (type == HANDOFF_SERVE && s->state == SERVING) /* the next relay can't know whether the one before said it */
		return;
	else if (type == HANDOFF_STORED)
		on_stored(s, fields);
	else if (type == HANDOFF_FREEZE && s->state == SERVING)
		on_freeze(s, fields);
	else if (type == HANDOFF_THAW && s->vtpm && s->held_back)
		on_thaw(s, fields);
	else if (type == HANDOFF_STATUS)
		say_status(s);
	else if (type == HANDOFF_CERTIFICATES)
		on_certificates(s, fields);
	else if (type == HANDOFF_CLOSE && s->state != CLOSING && s->state != ENDED)
		on_close(s);
	else
		log_warn("message %d of the relay does not belong here (state %d)", (int)type, (int)s->state);
}

static void meet(struct service *s);

static void on_broken(void *arg, int r)
{
	struct service *s = arg;

	relaylink_free(&s->link);
	if (!s->vtpm && s->state != STANDING_IN && (!s->stays || s->state != WAITING)) { /* nothing is lost */
		log_info("the relay closed the channel: the end");
		loop_stop(s->loop);
		return;
	}
	if (s->state == WAITING)
		log_info("the relay is gone (%s): waiting for the next one", error_text(r));
	else
		log_warn("the relay is gone (%s): serving on, changes of the TPM wait for it", error_text(r));
	source_set_ms(s->reoffer, 0);
}

static void on_reoffer(void *arg, unsigned int what)
{
	(void)what;
	meet(arg);
}

/* Offer the channel and say who we are; what was not answered is sent again. */
static void meet(struct service *s)
{
	static const struct relaylink_ops ops = {.message = on_message, .broken = on_broken};
	static const uint8_t held = 1;
	struct handoff_hello hello = {.program = view_of(s->world.program, sizeof(s->world.program)), .engine = view_text(engine_version())};
	struct channel *channel = s->world.offer(s->world.arg);

	if (!channel && errno == ENOTSUP) {
		loop_stop(s->loop);
		return;
	}
	s->link = channel ? relaylink_new(s->loop, channel, &ops, s) : NULL;
	if (!s->link) {
		source_set_ms(s->reoffer, RETRY_MS);
		return;
	}
	if (s->vtpm) {
		hello.vtpm = view_of(vtpm_uuid(s->vtpm)->b, UUID_SIZE);
		hello.lease_epoch = vtpm_lease_epoch(s->vtpm);
		hello.held = s->held_back ? view_of(&held, sizeof(held)) : (struct view){0};
	} else if (s->state == STANDING_IN) {
		hello.vtpm = view_of(s->stands_in_for.b, UUID_SIZE);
	}
	hello.connected = s->backend && backend_connected(s->backend);
	relaylink_send(s->link, HANDOFF_HELLO, &hello);
	s->failure_told = false;
	tell_failure(s);
	if (s->unanswered)
		send_sealed(s);
	if (s->vtpm && s->certify)
		ask_certificates(s);
}

struct service *service_new(struct loop *loop, const struct service_world *world)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = loop;
	s->world = *world;
	s->deadline = source_timer(loop, on_deadline, s);
	s->restore = source_timer(loop, on_restore, s);
	s->reoffer = source_timer(loop, on_reoffer, s);
	s->recertify = source_timer(loop, on_recertify, s);
	if (!s->deadline || !s->restore || !s->reoffer || !s->recertify || buf_init(&s->sealed, HANDOFF_STATE_MAX) != 0 ||
	    buf_init(&s->certificates, 2 * HANDOFF_CERTIFICATE_MAX + 64) != 0 ||
	    buf_init(&s->transient, HANDOFF_TRANSIENT_MAX) != 0) {
		service_free(&s);
		return NULL;
	}
	meet(s);
	if (!s->link)
		service_free(&s);
	return s;
}

void service_free(struct service **s)
{
	if (!*s)
		return;
	backend_free(&(*s)->backend);
	vtpm_close(&(*s)->vtpm);
	relaylink_free(&(*s)->link);
	source_free(&(*s)->deadline);
	source_free(&(*s)->restore);
	source_free(&(*s)->reoffer);
	source_free(&(*s)->recertify);
	buf_free(&(*s)->sealed);
	buf_free(&(*s)->certificates);
	buf_free(&(*s)->transient);
	free(*s);
	*s = NULL;
}
