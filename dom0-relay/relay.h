/*
 * The relay's guests: what xenstore, the KMC, the builder, the host TPM and the stub domains tell becomes events of guest_machine.h, and its
 * actions become messages. relay.c drives the machine; relay_builder.c, relay_stub.c and moving.c act and listen, each on one side.
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

/** relay_is_kept() - an earlier lease or opening of its vTPM is not done with: the KMC is not to be asked for the next one yet. */
bool relay_is_kept(const struct guest *g);

/** relay_adopt() - an earlier relay served the device @ids, which libxl asked for as above: go on with it. Return: its guest, or NULL: there is no record, or no place, and its lease is given back. */
struct guest *relay_adopt(struct relay *r, struct node_ids ids);

/** relay_event() - drive @g's state machine and do what it says. */
void relay_event(struct guest *g, enum guest_event event);

/** relay_fail() - the same, with the reason for people: logged once, kept for vtpmctl. */
void relay_fail(struct guest *g, enum guest_event event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

struct builder_domain;

/** relay_identified() - who the domain is that the guest runs in. */
void relay_identified(struct guest *g, const struct builder_domain *d);

struct opening_result;
void relay_opened(void *arg, uint64_t ticket, const struct opening_result *result);

/** relay_intend() - put on record that the guest with @ticket opens @uuid; openings_intended() follows. 0 or an error. */
int relay_intend(void *arg, uint64_t ticket, const struct uuid *uuid);

/** relay_retry_open() - nothing is kept for @uuid any more: whoever waits for that may open. */
void relay_retry_open(struct relay *r, const struct uuid *uuid);

/* --- relay_builder.c: what is asked of the builder --- */

/* What the machine says; see enum guest_action. */
void relay_identify(struct guest *g);
void relay_build(struct guest *g);
void relay_rebuild(struct guest *g);
void relay_keep_stub(struct guest *g);
void relay_destroy_stub(struct guest *g);

/** relay_parted() - the guest with @ticket is done with its named stub domain, which is not destroyed yet. */
void relay_parted(void *arg, uint64_t ticket);

/** relay_builder_says() - an answer of the builder to the relay @arg; for link_new(). */
void relay_builder_says(void *arg, uint64_t type, uint64_t id, const void *fields);

/* --- relay_stub.c: what a guest's stub domain is told, and says --- */

/** relay_meet_stub() - the stub domain's channel may be there: connect to it. */
void relay_meet_stub(struct guest *g);

/** relay_listen() - g->stub was a spare's or a prepared one's: what it says is this guest's from now on. */
void relay_listen(struct guest *g);

/* What the machine says. */
void relay_hand_off(struct guest *g);
void relay_serve(struct guest *g);
void relay_stand_in(struct guest *g);
void relay_close_stub(struct guest *g);

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
