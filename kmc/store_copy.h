/* A whole database, from one engine to the other or the same: backup and recovery. */
#ifndef KMC_STORE_COPY_H
#define KMC_STORE_COPY_H

#include "kmc/store.h"

/**
 * store_copy() - all rows of @from, as they are at one moment, into @to, which was made just now
 *
 * One of the two must be SQLite: it knows the tables. Others may read and write @from meanwhile. Return: 0 or E_DB with @why filled in.
 */
int store_copy(struct store *from, struct store *to, char why[STORE_WHY]);

#endif
