/*
 * The vault's part in the replacement of the wrapping key: what it is told to learn, to use and to destroy, and the files that follow;
 * and the authority's key, which is one of these files, when another authority signs.
 *
 * Each step is answered once its files are on the disk. In memory it holds from the moment it was asked: what the engine sends behind a LEARN
 * may be under that key.
 */
#ifndef KMC_VAULT_WRAPPING_H
#define KMC_VAULT_WRAPPING_H

#include "common/privsep.h"
#include "kmc/vault.h"

/* What it says at the end of a step: @r 0 or an error with the reason. */
typedef void vault_kept_fn(void *arg, uint64_t id, int r, const char *why);

/** vault_wrapping_start() - over the link to the keeper, which is the caller's. */
void vault_wrapping_start(struct vault *v, struct link *keeper, vault_kept_fn *fn, void *arg);

/** vault_wrapping_ask() - LEARN, USE, DESTROY or CA_KEEP; @fn is called with @id when it is done or has failed. */
void vault_wrapping_ask(uint64_t type, uint64_t id, const void *fields);

/** vault_wrapping_answer() - what the keeper said. */
void vault_wrapping_answer(uint64_t type, uint64_t id, const void *fields);

#endif
