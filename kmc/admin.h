/* The control socket for kmcctl: root only, a few clients at a time, each wait with a deadline. */
#ifndef KMC_ADMIN_H
#define KMC_ADMIN_H

#include <stdint.h>

#include "kmc/admmsg.h"

struct admin;
struct loop;

/** admin_listen() - make the socket at @path, and its directory if need be; the descriptor or E_IO (errno says why). */
int admin_listen(const char *path);

/** admin_fn - a request of @client: answer with admin_answer(), now or later; the last message ends it. */
typedef void admin_fn(void *arg, uint64_t client, uint64_t type, const void *fields);

/** admin_new() - serve at the listening @fd, which it owns from now on. NULL: no memory. */
struct admin *admin_new(struct loop *loop, int fd, admin_fn *fn, void *arg);
void admin_free(struct admin **a);

/** admin_answer() - append a message for @client; nothing happens if it has gone. 0, or E_RANGE: the page is full. */
int admin_answer(struct admin *a, uint64_t client, enum adm_type type, const void *fields);

/** admin_fail() - the last message of a request that failed: @r of error.h, and a line for the administrator. */
void admin_fail(struct admin *a, uint64_t client, int r, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
