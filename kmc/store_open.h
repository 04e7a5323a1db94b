/* The storage engine that kmc.conf names. */
#ifndef KMC_STORE_OPEN_H
#define KMC_STORE_OPEN_H

#include "kmc/store.h"

struct kmcconf;

/** store_open() - as store_sqlite_open() and store_pgsql_open(), whichever is configured. */
int store_open(struct store **s, const struct kmcconf *conf, bool create, char why[STORE_WHY]);

#endif
