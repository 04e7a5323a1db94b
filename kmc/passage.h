/*
 * One client's way through a forwarder: bytes of a channel to a TCP connection and back. What the bytes say is TLS's secret.
 *
 *   DIALING --connected--> OPEN --one side ended--> ENDING --all of it delivered, or 5 s--> closed
 */
#ifndef KMC_PASSAGE_H
#define KMC_PASSAGE_H

#include <stdint.h>
#include <sys/socket.h>

struct channel;
struct loop;
struct passage;

#define PASSAGE_WHY 128 /* bytes of a reason */

/* @why: "" for an end in good order. The owner frees the passage in it or later. */
typedef void passage_closed_fn(void *arg, struct passage *p, const char *why);

struct passage_limits {
	unsigned int dial_ms;  /* until TCP is there */
	unsigned int stall_ms; /* while bytes wait and a side takes none */
	unsigned int end_ms;   /* to deliver what is left when a side has ended */
};

/**
 * passage_new() - begin to connect
 * @channel: met by its client; owned by the passage from now on, closed even if NULL (no memory) is returned
 *
 * @fn is called once, from the loop, never inside.
 */
struct passage *passage_new(struct loop *loop, struct channel *channel, const struct sockaddr_storage *to, socklen_t size,
			    const struct passage_limits *limits, passage_closed_fn *fn, void *arg);
void passage_free(struct passage **p);

#endif
