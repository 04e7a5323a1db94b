/*
 * vTPMs that share keys: clones that were made with the keys of another, by order.
 *
 * Theory of operation: the seed is the same, wrapped for each of them, so that each may be retired or get a new one without the others. Which
 * keys come of it is said by a row's origin: the vTPM and generation that they were first derived for. The vault alone unwraps and wraps.
 */
#ifndef KMC_ENGINE_SHARE_H
#define KMC_ENGINE_SHARE_H

#include "kmc/engine.h"

#define SHARERS_LISTED 32
#define SHARE_TEXT 100

/* Who has the same keys as a vTPM, besides itself. */
struct sharers {
	struct uuid list[SHARERS_LISTED]; /* the first ones */
	size_t n;	/* how many are listed */
	uint64_t all;	/* how many there are */
};

/** share_list() - who shares the keys of @v, with a seed that is there still; 0, E_DB or E_BUSY. */
int share_list(struct store *s, const struct store_vtpm *v, struct sharers *out);

/** share_text() - for a record of a seed that goes: where its keys live on; empty if nowhere. Return: @text. */
const char *share_text(const struct sharers *o, char text[SHARE_TEXT]);

/** share_start() - make @to, with the keys of @from; kmcctl is answered when it is done. */
void share_start(struct engine *e, uint64_t client, const struct uuid *from, const struct uuid *to);

/* What the vault said to it. */
void share_made(struct engine *e, struct ticket *t, const struct vault_made *m);
void share_failed(struct engine *e, struct ticket *t, const struct vault_failed *m);

#endif
