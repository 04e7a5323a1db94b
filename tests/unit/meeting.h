/* Two sides of a TLS connection for a test, in one process, with certificates of two authorities. */
#ifndef TESTS_UNIT_MEETING_H
#define TESTS_UNIT_MEETING_H

#include <stdbool.h>

#include "common/tls.h"
#include "tests/unit/unit.h"

/*
 * A group's setup and teardown: in the directory are the authorities one.crt and two.crt and of each server-one, client-one, ... (.crt,
 * .key), for kmc.example and 127.0.0.1; "late" is of the first one and has expired.
 */
int meeting_setup(void **state);
int meeting_teardown(void **state);

extern char meeting_dir[], meeting_why[TLS_WHY];

struct meeting {
	struct tls_context *client_ctx, *server_ctx;
	struct tls *client, *server;
	int fd[2]; /* the client's and the server's end */
};

/* The server's authority is the first one. @peer: whom the client wants to meet. */
void meeting_begin(struct meeting *m, const char *client_ca, const char *client, const char *server, const char *peer);
void meeting_end(struct meeting *m);

/* Run both handshakes as far as they go: what each came to. */
void meeting_shake(struct meeting *m, int *client, int *server);

bool meeting_waits(int r);
struct tls_context *meeting_context(enum tls_role role, const char *ca, const char *name);

#endif
