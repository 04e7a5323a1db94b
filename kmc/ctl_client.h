/* kmcctl's side of the control socket. */
#ifndef KMC_CTL_CLIENT_H
#define KMC_CTL_CLIENT_H

#include <stdbool.h>

#include "kmc/admmsg.h"

/* Exit codes of kmcctl, as in the manual page. */
enum { EXIT_FINE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_NO_KMCD = 3, EXIT_NOTFOUND = 4, EXIT_EXISTS = 5 };

struct ctl_client;

/** ctl_connect() - to kmcd at the socket @path; NULL after it said why not. */
struct ctl_client *ctl_connect(const char *path);
void ctl_close(struct ctl_client **c);

/** ctl_fn - one message of an answer; false: that was the last one. */
typedef bool ctl_fn(void *arg, uint64_t type, const void *fields);

/** ctl_ask() - send a request and hand @fn every message of its answer. Return: an exit code; what failed was said. */
int ctl_ask(struct ctl_client *c, enum adm_type type, const void *request, ctl_fn *fn, void *arg);

/** ctl_order() - the same of what is answered with one message, which says no more than that it is done. */
int ctl_order(struct ctl_client *c, enum adm_type type, const void *request);

/** ctl_say() - one line to standard error, "kmcctl: " in front. */
void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
