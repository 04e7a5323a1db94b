/*
 * One host's connection in the front: TLS, frames, deadlines.
 *
 *   HANDSHAKE --TLS--> NEW --WELCOME--> READY        one deadline for handshake and HELLO together
 *       |               |                 |
 *       +---------------+--- CLOSING <----+          the last answer is flushed
 *       |                       |
 *       +-------> LINGER <------+                    what still comes is dropped until the peer has gone too, for a second at most
 *
 * A peer without certificate goes from HANDSHAKE to ENROL: it may say ENROL and PROVE, within a minute, and then it is closed.
 *
 * A request is either not there yet, waiting for a turn, or at the engine; meanwhile nothing more is read. An idle connection
 * stays (a host keeps one open for its whole life); one whose peer is gone is found by TCP keep-alive; one that began a frame or owes us
 * reading has a deadline.
 */
#ifndef KMC_CONN_H
#define KMC_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/kmcmsg.h"
#include "kmc/address.h"

struct conn;
struct loop;
struct tls_context;

/* What the owner is told. */
struct conn_ops {
	void (*request)(void *arg, struct conn *c, enum kmc_type type, struct view frame); /* @frame stays until the answer */
	void (*closed)(void *arg, struct conn *c, const char *why); /* free it now; why: "" for a peer that simply left */
};

/** conn_new() - begin with the accepted @fd, which the connection owns from now on. NULL: no memory (@fd is closed). */
struct conn *conn_new(struct loop *loop, struct tls_context *tls, int fd, const struct sockaddr_storage *peer, uint64_t deadline_ms,
		      const struct conn_ops *ops, void *arg);
void conn_free(struct conn **c);

/** conn_answer() - the answer to the request at hand: one whole frame, copied. The connection may be closed when it returns. */
void conn_answer(struct conn *c, struct view frame);

/** conn_refuse() - answer the request at hand with a refusal and close; likewise. */
void conn_refuse(struct conn *c, enum kmc_refusal code, const char *why);

const char *conn_name(const struct conn *c);		 /* of the host, from its verified certificate; "" before the handshake and for who has none */
bool conn_is_arriving(const struct conn *c);		 /* it is not known yet whether it is of any use: no HELLO, no ENROL */
bool conn_is_enrolling(const struct conn *c);		 /* a peer without certificate that has begun to enrol */
bool conn_is_anonymous(const struct conn *c);		 /* a peer without certificate */
const uint8_t *conn_fingerprint(const struct conn *c);	 /* 32 bytes; zero for who has none */
const struct sockaddr_storage *conn_peer(const struct conn *c);
uint64_t conn_id(const struct conn *c);			 /* as set by conn_set_id() */
void conn_set_id(struct conn *c, uint64_t id);

#endif
