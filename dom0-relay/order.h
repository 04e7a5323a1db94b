/* What vtpmctl has the relay do: renew the host's certificate, prepare and unprepare named backends. Each waits for the end, and tells results. */
#ifndef DOM0_RELAY_ORDER_H
#define DOM0_RELAY_ORDER_H

#include "common/uuid.h"

/** order_renew() - a new certificate for this host from the KMC, by the relay at @socket_path, within @seconds. Return: an exit status of vtpmctl. */
int order_renew(const char *socket_path, unsigned int seconds);

/** order_prepare() - a stub domain called @name for the vTPM @uuid (docs/named-backends.md); likewise. */
int order_prepare(const char *socket_path, const struct uuid *uuid, const char *name, unsigned int seconds);

/** order_unprepare() - and its end; likewise. */
int order_unprepare(const char *socket_path, const char *name);

#endif
