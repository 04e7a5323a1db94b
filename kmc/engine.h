/*
 * The engine's middle: what its parts share, and how a host is answered.
 *
 * The engine decides and owns the database. A host's request is answered at once, or waits under a ticket for the vault.
 */
#ifndef KMC_ENGINE_H
#define KMC_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/kmcmsg.h"
#include "kmc/auditlog.h"
#include "kmc/ca.h"
#include "kmc/engine_tally.h"
#include "kmc/procmsg.h"
#include "kmc/repeats.h"
#include "kmc/replays.h"
#include "kmc/store.h"

struct admin;
struct attestation;
struct authorities;
struct ekroots;
struct enrolment;
struct kmcconf;
struct link;
struct loop;

#define TICKETS_MAX 320	   /* the front lets in fewer, see SLOTS in front.c */
#define OPENS_TOGETHER 32  /* are decided in one transaction */
#define TICK_MS 1000	   /* how often tickets are looked at */
#define TICKET_MS 10000	   /* a host waits so long for the vault */
#define REASON_MAX 240	   /* bytes of a refusal's text, as in the protocol */

/* A host as it stands at the other end of a connection. */
struct asker {
	uint64_t conn, id; /* id: of its request */
	uint64_t session;  /* of its connection, see engine_session.h */
	char host[STORE_NAME], pool[STORE_NAME];
};

enum ticket_kind { TICKET_FREE, TICKET_PROTECT, TICKET_OPEN, TICKET_HOST, TICKET_SIGN, TICKET_CHALLENGE, TICKET_ENROL, TICKET_REPLICA, TICKET_SERVER, TICKET_ENDORSE, TICKET_RENEW, TICKET_CA, TICKET_CA_MAKE, TICKET_CA_KEEP, TICKET_WRAPPING, TICKET_SHARE, TICKET_CARD, TICKET_EXPORT, TICKET_IMPORT };

/* A request that waits for the vault. */
struct ticket {
	enum ticket_kind kind;
	uint64_t id, since_ms;
	bool given_up;	     /* the host was told so: what comes is dropped */
	bool granted;	     /* open: the lease that goes with it is on record */
	struct asker asker;  /* all but host */
	struct uuid uuid;    /* open: once decrypted; share: the clone's */
	struct store_vtpm vtpm; /* open: as committed; share: the one that is cloned */
	bool reserve;	     /* an open that is a reservation: for a domain that came with this incarnation, under this name; an import that was done before */
	uint64_t image;
	uint8_t request[KMC_REQUEST_ID_SIZE];
	uint64_t client;     /* host, replica, server, share, card, export, import: of the control socket */
	struct store_host host; /* host: to be added; replica: its name */
	struct ca_cert present; /* renew: what the host has; CA to be kept: whose key */
	char remark[STORE_REASON_MAX + 1]; /* replica: for the audit trail */
};

struct engine {
	const struct kmcconf *conf;
	struct store *store;
	struct auditlog audit;
	struct repeats repeats; /* of refusals */
	struct replays replays; /* of opens and reservations */
	bool clock_is_back; /* as far as the audit trail knows */
	struct link *front, *vault;
	struct admin *admin;
	struct ca_cert ca; /* what signs */
	struct ca_cert server_ca; /* what this kmcd's own certificate is by: what new hosts are given as their trust anchor */
	uint32_t server_authority; /* its number */
	struct authorities *authorities; /* all of them, see engine_ca.h */
	struct source *timer; /* runs while there are tickets */
	struct ekroots *ekroots;
	struct attestation *attestations; /* by connection, see engine_attest.h */
	struct session *sessions;	  /* by connection, see engine_session.h */
	struct enrolment *enrolments;	  /* ENROLMENTS_MAX, see engine_enrol.h */
	uint64_t last_enrolment;
	int64_t stranger_at; /* when a peer without good token was logged last */
	uint64_t last_ticket, opens, refusals;
	struct engine_tally tally;
	int64_t started_at;
	bool front_ready, vault_ready;
	struct ticket tickets[TICKETS_MAX];
	struct ticket *undecided[OPENS_TOGETHER]; /* opens that wait for the end of this round */
	size_t n_undecided;
	struct buf frame, state, volatile_state; /* for one answer; for one state */
};

/** engine_answer() - send one message to a host. */
void engine_answer(struct engine *e, const struct asker *a, enum kmc_type type, const void *fields);

/** engine_refuse() - say no, with the reason for its administrator; it is logged and recorded here too. Outside of transactions. */
void engine_refuse(struct engine *e, const struct asker *a, enum kmc_refusal code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/** engine_refuse_db() - the database failed: the log gets the particulars, the host does not. */
void engine_refuse_db(struct engine *e, const struct asker *a);

/** engine_check_host() - that the certificate still stands for a host, and at its HELLO that it has not expired; fills in the pool, or refuses. */
bool engine_check_host(struct engine *e, struct asker *a, struct view fingerprint, bool hello);

/** engine_ticket() - a new ticket, or NULL if there are too many. */
struct ticket *engine_ticket(struct engine *e, enum ticket_kind kind);

/** engine_find() - the ticket with @id; fatal() if there is none: the vault answers what was asked. */
struct ticket *engine_find(struct engine *e, uint64_t id);
void engine_ticket_end(struct ticket *t);

/** engine_is_name() - whether @s may be a name of a host or pool: of files, in certificates, in sentences. */
bool engine_is_name(const char *s);

/** engine_now() - seconds since 1970, by a clock that can't be set back (kmc/clock.h): for what expires. */
int64_t engine_now(void);

/** engine_machine_time() - by the machine's clock: for what others compare with theirs. */
int64_t engine_machine_time(void);

/** engine_clock_start() - it was @latest at least; engine_clock_behind(): by how much the machine's clock was set back since, in seconds. */
void engine_clock_start(int64_t latest);
int64_t engine_clock_behind(void);

#endif
