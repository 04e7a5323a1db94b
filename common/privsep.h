/*
 * Messages between the processes of one daemon, over a socket pair.
 *
 * Theory of operation: a link carries the frames of msg.h and knows one protocol, a list of schemas. Each side was
 * started by the same parent from the same binary, so anything strange on a link (unknown type, bad field, an
 * overlong frame, a full queue) means that a process was taken over or is broken: it is fatal. So is the other
 * side's end, unless the link was told to expect it.
 */
#ifndef COMMON_PRIVSEP_H
#define COMMON_PRIVSEP_H

#include <stddef.h>
#include <stdint.h>

#include "common/msg.h"

struct loop;
struct link;

struct privsep_protocol {
	const char *name;
	size_t body_max; /* bytes of the largest message's body */
	const struct msg_schema *schemas;
	size_t n_schemas;
};

#define PRIVSEP_FIELDS_MAX 512 /* bytes of the largest message struct */

/**
 * link_fn - a message arrived
 * @type: of the schema; @id: as sent; @fields: the schema's struct, whose views are valid during the call only
 */
typedef void link_fn(void *arg, uint64_t type, uint64_t id, const void *fields);

/** privsep_pair() - a connected, non-blocking, close-on-exec socket pair: 0 or E_IO. */
int privsep_pair(int fd[2]);

/**
 * link_new() - speak @protocol over @fd, which the link owns from now on
 * @peer: name of the other process, for the log
 *
 * Return: the link, or NULL.
 */
struct link *link_new(struct loop *loop, int fd, const char *peer, const struct privsep_protocol *protocol, link_fn *fn, void *arg);

/** link_on_end() - call @fn when the other side ends, instead of fatal(). */
void link_on_end(struct link *l, void (*fn)(void *arg), void *arg);

/**
 * link_gather() - handle what arrives together as one round: @before, the messages, @after
 *
 * What they cause to be sent, on any link of this process, leaves at the end of the round, or some milliseconds after the first of it: for
 * processes whose requests are many and short. @before and @after may be NULL; link_call() makes no round.
 */
void link_gather(struct link *l, void (*before)(void *arg), void (*after)(void *arg), void *arg);

/** link_send() - queue one message; what can't be queued is fatal. @fields may be NULL for a message without fields. */
void link_send(struct link *l, uint64_t type, uint64_t id, const void *fields);

/**
 * link_call() - send a message and wait for the one answer with its id, for start-up and tests only
 * @answer: schema's struct for @answer_type; views in it are valid until the next call on the link
 *
 * Return: 0, E_TIMEOUT, E_EOF, or E_UNKNOWN for an answer of another type.
 */
int link_call(struct link *l, uint64_t type, const void *fields, uint64_t answer_type, void *answer, int timeout_ms);

/** link_free() - close and release *@l; it may be NULL. */
void link_free(struct link **l);

#endif
