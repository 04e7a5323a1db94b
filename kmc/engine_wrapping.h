/*
 * Replacement of the wrapping key, in the engine. docs/kmc-design.md says why it is as it is.
 *
 *   made ----all kmcd that run have it----> in use ----nothing is under the one before----> done, the one before it is destroyed
 *
 * Everything is in the database: any kmcd of it goes on where another, or it itself before it died, stopped.
 */
#ifndef KMC_ENGINE_WRAPPING_H
#define KMC_ENGINE_WRAPPING_H

#include "kmc/engine.h"

/** wrapping_start() - the store is open: teach the vault what it needs, before anything else. */
void wrapping_start(struct engine *e, struct loop *loop);

/** wrapping_ready() - the vault is there, and @oldest the first of its wrapping keys: go on with what is under way. */
void wrapping_ready(struct engine *e, uint32_t oldest);

/** wrapping_before() - to be called before @wrapped is sent to the vault: it may be under a key that another kmcd made. */
void wrapping_before(struct engine *e, struct view wrapped);

/**
 * wrapping_allows() - inside the transaction that writes something new that is wrapped
 *
 * Return: 0; E_STATE: the key that it is under was replaced meanwhile and may be destroyed: have it wrapped anew, after
 * wrapping_look(); E_DB, E_BUSY.
 */
int wrapping_allows(struct store *s, struct view wrapped);

/** wrapping_look() - at the database, whether there is something to do. */
void wrapping_look(struct engine *e);

/** wrapping_newest() - the newest key; the first has no row and is never under way. 0, E_DB or E_BUSY. */
int wrapping_newest(struct store *s, struct store_wrapping *k);

/** wrapping_wake() - look at once. */
void wrapping_wake(void);

/** wrapping_oldest() - number of the oldest wrapping key on this machine. */
uint32_t wrapping_oldest(void);

#define WRAPPING_MAKE 1 /* client of a ticket that engine_keys.c made; its image is the client */

/* What the vault said. */
void wrapping_kept(struct engine *e, struct ticket *t);
void wrapping_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

/** wrapping_progress() - number of the wrapping key that is to be in use, and how many things are not under it. 0 or E_DB. */
int wrapping_progress(struct engine *e, uint64_t *number, uint64_t *left);

#endif
