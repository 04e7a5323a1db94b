/* What is under a wrapping key that was replaced, wrapped anew, batch by batch. */
#ifndef KMC_ENGINE_REWRAP_H
#define KMC_ENGINE_REWRAP_H

#include "kmc/engine.h"

/** rewrap_start() - false: no memory. */
bool rewrap_start(struct engine *e, struct loop *loop);

/** rewrap_go_on() - until nothing is under another key than @number: then that is recorded, and the one before it may go. */
void rewrap_go_on(struct engine *e, uint32_t number);

/** rewrap_damaged() - how many things could not be wrapped anew in the last pass. */
uint64_t rewrap_damaged(void);

/* What the vault said to one of a batch. */
void rewrap_answer(struct engine *e, struct ticket *t, struct view wrapped); /* absent: it failed */
void rewrap_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
