/*
 * The state directory: one file for each lease that this host holds, written so that a power cut at any moment leaves
 * the newest record that was acknowledged.
 *
 * Theory of operation: a file has two slots of fixed size, allocated when the lease begins, so that a disk that fills
 * up later refuses new guests and not the writes of running ones. A record goes into the older slot with a sequence
 * number and a SHA-256 over both, then one fdatasync(): a torn slot fails its hash, and the other one counts.
 */
#ifndef DOM0_RELAY_STATEDIR_H
#define DOM0_RELAY_STATEDIR_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"
#include "common/uuid.h"

struct buf;
struct state_name;
struct state_placed;
struct state_record;
struct statedir;

#define STATEDIR_WHY 240 /* bytes for an error's text */

/**
 * statedir_open() - use the directory at @path, which is made if need be
 *
 * Only one process at a time: the directory is locked. Return: 0 (*d is the caller's), E_BUSY, E_IO or E_NOMEM, with @why.
 */
int statedir_open(struct statedir **d, const char *path, char why[STATEDIR_WHY]);
void statedir_close(struct statedir **d);

/** statedir_save() - write @p durably. Return: 0, or E_IO or E_NOMEM with @why: what was saved before is whole. */
int statedir_save(struct statedir *d, const struct state_placed *p, char why[STATEDIR_WHY]);

/** statedir_drop() - forget that record, durably; that there is none is no error. Return: 0 or E_IO with @why. */
int statedir_drop(struct statedir *d, const struct state_name *name, char why[STATEDIR_WHY]);

/** statedir_list() - the files of records, up to @max. Return: how many, or E_IO. */
int statedir_list(struct statedir *d, struct state_name *list, size_t max);

/** statedir_touch() - remember when the KMC was there last. 0, or E_IO with @why. */
int statedir_touch(struct statedir *d, uint64_t contact, char why[STATEDIR_WHY]);

/** statedir_contact() - as remembered, or 0. */
uint64_t statedir_contact(struct statedir *d);

#define STATEDIR_IDENTITY "identity.pem" /* the name of a file there, see identity.h */

/** statedir_identity() - @pem takes the place of what was kept, as a whole and durably. 0, or E_IO with @why: what was there is whole. */
int statedir_identity(struct statedir *d, struct view pem, char why[STATEDIR_WHY]);

/**
 * statedir_load() - the newest whole record of the file @name; a file that a crash left before its first record, or with half of that, is removed
 * @b: emptied and filled; the views of @r point into it
 *
 * Return: 0, E_NOTFOUND, E_INTEGRITY (no slot is whole), E_IO, or an error of state_record_read() for what another
 * version wrote.
 */
int statedir_load(struct statedir *d, const struct state_name *name, struct buf *b, struct state_record *r);

/**
 * statedir_peek() - the same from the directory at @path, which a relay may be using: nothing is written
 *
 * Of two records of the vTPM @uuid it is the one of the newer lease. The same errors, with @why but for E_NOTFOUND.
 */
int statedir_peek(const char *path, const struct uuid *uuid, struct buf *b, struct state_record *r, char why[STATEDIR_WHY]);

#endif
