/*
 * Whose request goes to the engine next, so that a host that floods waits for itself.
 *
 * The engine takes a bounded number of requests at a time: few large ones (they carry a state, or bring one back), many small ones. Of
 * these a host has its share at most, a part of all; of those that wait, the one whose host has the fewest under way goes first, and
 * among these who waits the longest. And a host has a rate: what comes faster waits. Nobody is refused here, and nothing is read of a
 * connection whose request waits.
 *
 * Pure: no clock, no connection. Strangers, who have no name, are one host together.
 */
#ifndef KMC_TURNS_H
#define KMC_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum turn_size { TURN_SMALL, TURN_LARGE, TURN_SIZES };

#define TURNS_LARGE 6	     /* at the engine: privsep.c queues eight messages of the largest size */
#define TURNS_SMALL 128
#define TURNS_LARGE_SHARE 3  /* of these, of one host */
#define TURNS_SMALL_SHARE 32

struct turns;

/** turns_new() - for so many @connections, and @rate requests of a host in a second, twice as many in a burst. NULL: no memory. */
struct turns *turns_new(size_t connections, unsigned int rate);
void turns_free(struct turns **t);

/** turns_ask() - connection @conn of @host, in the front's @place, has a request. It has one at a time. */
void turns_ask(struct turns *t, size_t place, uint64_t conn, const char *host, enum turn_size size, uint64_t now_ms);

/**
 * turns_next() - the place of a request that goes to the engine now
 * @wait_ms: if there is none: when to ask again, if nothing happens before; 0: not before something happens
 */
bool turns_next(struct turns *t, uint64_t now_ms, size_t *place, uint64_t *wait_ms);

/** turns_answered() - the engine has answered the request of @conn, which may be gone by now. False: there is none. */
bool turns_answered(struct turns *t, uint64_t conn);

/** turns_leave() - the connection in @place is gone: it waits no more. What it has at the engine stays until that answers. */
void turns_leave(struct turns *t, size_t place);

#endif
