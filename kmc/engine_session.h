/* Sessions: of all connections of a host only the one that was welcomed last may change leases (docs/models/README.md, rule 1). */
#ifndef KMC_ENGINE_SESSION_H
#define KMC_ENGINE_SESSION_H

#include "kmc/engine.h"

/** engine_session_start() - make the table; fatal() without memory. */
void engine_session_start(struct engine *e);

/** engine_session_begin() - @a said HELLO: its connection is the present one from now on, at all kmcd. 0 or E_DB. */
int engine_session_begin(struct engine *e, struct asker *a);

/** engine_session_of() - the session of @a's connection; 0: it has said no HELLO. */
uint64_t engine_session_of(const struct engine *e, const struct asker *a);

/** engine_session_check() - inside a transaction: 0; E_STATE: the host has a newer connection; E_DB or E_BUSY. */
int engine_session_check(struct store *s, const struct asker *a);

/** engine_session_refuse() - say so; the front closes the connection. */
void engine_session_refuse(struct engine *e, const struct asker *a);

#endif
