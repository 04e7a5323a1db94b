/*
 * The relay process: xenstore's watches, the KMC's answers, the builder's, the host TPM's and the stub domains'
 * become events of guest_machine.h, and its actions become messages.
 */
#ifndef DOM0_RELAY_RELAY_H
#define DOM0_RELAY_RELAY_H

#include "dom0-relay/guests.h"
#include "dom0-relay/keeping.h"
#include "dom0-relay/relay_tally.h"

struct control;
struct keeping;
struct kmclink;
struct link;
struct loop;
struct attesting;
struct certifying;
struct openings;
struct relayconf;
struct renewing;
struct named;
struct spares;
struct xenstore;

struct relay {
	const struct relayconf *conf;
	struct loop *loop;
	struct xenstore *xs;
	struct link *builder, *tpm, *disk;
	struct kmclink *kmc;
	struct attesting *attesting;
	struct certifying *certifying;
	struct renewing *renewing;
	struct openings *openings;
	struct keeping *keeping;
	struct control *control;
	struct spares *spares;
	struct named *named;
	struct guests guests;
	struct relay_tally tally;
	struct uuid boot;   /* of this host */
	uint64_t contact, touched;   /* when a KMC was there last, and as it is written down; seconds since 1970 */
	bool kmc_seen;		     /* since the last gracing_down() */
	struct source *grace_timer;  /* NULL: no grace is configured */
	struct source *again;	     /* openings that wait for another host */
	bool listed;	    /* what earlier runs left is known: xenstore may be believed */
	size_t look_next;   /* the next guest whose stub domain is looked at, of a round that goes on */
	bool looking, look_again;
	unsigned int depth; /* of relay_event(): entries are freed at the outermost */
};

/** relay_request() - libxl asks for a vTPM: state 1 in the control directory, below dom0 or, where the line names it, the domain ids.stub. */
void relay_request(struct relay *r, struct node_ids ids);

/** relay_name_of() - "domain 5 device 0 vTPM 8c6f...": the beginning of every line about a guest; valid until the next call. */
const char *relay_name_of(const struct guest *g);

/** relay_is_kept() - an earlier lease or opening of its vTPM is not done with: the KMC is not to be asked for the next one yet. */
bool relay_is_kept(const struct guest *g);

/** relay_adopt() - an earlier relay served the device @ids, which libxl asked for as above: go on with it. Return: its guest, or NULL without record. */
struct guest *relay_adopt(struct relay *r, struct node_ids ids);

/** relay_event() - drive @g's state machine and do what it says. */
void relay_event(struct guest *g, enum guest_event event);

/** relay_fail() - the same, with the reason for people: logged once, kept for vtpmctl. */
void relay_fail(struct guest *g, enum guest_event event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What the parts around tell; each finds its guest and makes an event of it. */
struct builder_domain;
void relay_identified(struct guest *g, const struct builder_domain *d);
void relay_built(struct relay *r, uint64_t build_ticket, unsigned int stub);
void relay_build_failed(struct relay *r, uint64_t build_ticket, const char *why);
void relay_kept(struct relay *r, uint64_t ticket);
void relay_destroyed(struct relay *r, uint64_t ticket);
void relay_parted(struct relay *r, uint64_t ticket); /* from its named stub domain, which is not destroyed yet */

struct opening_result;
void relay_opened(void *arg, uint64_t ticket, const struct opening_result *result);

/** relay_retry_open() - nothing is kept for @uuid any more: whoever waits for that may open. */
void relay_retry_open(struct relay *r, const struct uuid *uuid);

/** relay_meet_stub() - the stub domain's channel may be there: connect to it. */
void relay_meet_stub(struct guest *g);

/* --- moving.c: guests that sleep, wake up, and come from elsewhere --- */

#define RELAY_SHUTDOWN_SUSPEND 2 /* of xen/sched.h */

struct handoff_frozen;

/** relay_close() - libxl takes the device away. */
void relay_close(struct guest *g);

/** relay_look() - ask whether the guest sleeps; relay_looked() - the answer; relay_watch_sleep() - and again while it matters. */
void relay_look(struct guest *g);
void relay_looked(struct guest *g, const struct builder_domain *d);
void relay_not_looked(struct guest *g); /* the hypervisor did not answer */
void relay_watch_sleep(struct guest *g);
void relay_on_look(void *arg, unsigned int what);

/* What the machine says; see enum guest_action. */
void relay_mark(struct guest *g);
void relay_reserve(struct guest *g);
void relay_commit(struct guest *g);
void relay_freeze(struct guest *g);
void relay_resume(struct guest *g);
void relay_thaw(struct guest *g);

/** relay_ask_reservation() - it is on record: ask the KMC, unless it was asked already. */
void relay_ask_reservation(struct guest *g);

/* What others tell. */
void relay_frozen(struct guest *g, const struct handoff_frozen *f);
void relay_not_yet(void *arg, uint64_t ticket, const char *why);
void relay_moved(void *arg, uint64_t ticket, enum keeping_move what, uint64_t lease_epoch, const char *why);

/* The relay's ends of the links to its helpers, and the socket for vtpmctl. */
struct relay_fds {
	int builder, tpm, disk, control;
};

/** relay_main() - run the relay process; never returns. */
void relay_main(const struct relayconf *conf, const struct relay_fds *fds) __attribute__((noreturn));

#endif
