/*
 * The audit trail in the store: what happened is recorded in the transaction that made it happen, and the newest signed head is kept
 * at hand for hosts.
 */
#ifndef KMC_AUDITLOG_H
#define KMC_AUDITLOG_H

#include <stdbool.h>

#include "common/uuid.h"
#include "kmc/audit.h"

struct source;
struct store;

struct auditlog {
	struct store *store;
	const char *kmc;	/* this kmcd's name */
	struct source *timer;	/* set when there is something to sign; NULL: nobody signs */
	bool due;		/* the timer runs */
	bool signing;		/* the vault was asked */
	uint64_t signed_seq;	/* of the head below; 0: there is none yet */
	uint8_t head[AUDIT_HEAD_MAX];
	size_t head_size;
};

/* One thing that happened; NULL and 0 where there is none. */
struct audit_act {
	enum audit_event event;
	const char *actor; /* host; NULL: an administrator */
	const struct uuid *vtpm;
	const char *host, *pool;
	uint64_t lease_epoch, code;
	const char *detail;
};

/** auditlog_open() - over an open store; fetches the newest signed head of this KMC. 0 or E_DB. */
int auditlog_open(struct auditlog *l, struct store *store, const char *kmc);

/** auditlog_add() - record @a inside the present transaction. 0, or E_DB, E_BUSY or another error: roll back. */
int auditlog_add(struct auditlog *l, const struct audit_act *a);

/** auditlog_add_alone() - the same in a transaction of its own, for what changes nothing else. 0 or E_DB with store->why. */
int auditlog_add_alone(struct auditlog *l, const struct audit_act *a);

/** auditlog_wake() - let the timer fire in @ms, if it does not run and the vault was not asked. */
void auditlog_wake(struct auditlog *l, uint64_t ms);

/** auditlog_last() - whether there is a record that no head of this KMC covers yet; *c says which is the last. */
bool auditlog_last(struct auditlog *l, struct audit_chain *c);

/** auditlog_signed() - keep a head that the vault signed. 0 or E_DB with store->why; E_FORMAT. */
int auditlog_signed(struct auditlog *l, struct view head);

/** auditlog_head() - the newest signed head; absent if there is none yet. */
struct view auditlog_head(const struct auditlog *l);

#endif
