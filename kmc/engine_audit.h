/* The audit trail in the engine: its head is signed, kmcctl reads it. */
#ifndef KMC_ENGINE_AUDIT_H
#define KMC_ENGINE_AUDIT_H

#include <stdbool.h>

#include "kmc/engine.h"

/** audit_start() - over the open store; from now on heads are signed. */
void audit_start(struct engine *e, struct loop *loop);

/** audit_clock() - record it, once, if the machine's clock was set back. */
void audit_clock(struct engine *e);

/* Answers of the vault to a TICKET_SIGN. */
void audit_signed(struct engine *e, struct ticket *t, const struct vault_signed *m);
void audit_sign_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

/** audit_request() - serve a request of kmcctl about the audit trail; false: it is about something else. */
bool audit_request(struct engine *e, uint64_t client, uint64_t type, const void *fields);

#endif
