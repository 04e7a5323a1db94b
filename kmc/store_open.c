/* The storage engine that kmc.conf names. */
#include "kmc/store_open.h"

#include "kmc/kmcconf.h"

int store_open(struct store **s, const struct kmcconf *conf, bool create, char why[STORE_WHY])
{
	return conf->store_engine == STORE_ENGINE_PGSQL ? store_pgsql_open(s, conf->connection, create, why)
	       : store_sqlite_open(s, conf->database, create, why);
}
