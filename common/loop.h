/* The event loop of a process: descriptors, deadlines and signals. Only loop.c sees libevent. */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdint.h>

struct loop;
struct source;

enum { LOOP_READ = 1, LOOP_WRITE = 2 }; /* what a descriptor's source waits for */

/** source_fn - called when a source fires; @what: LOOP_READ and LOOP_WRITE bits of a descriptor, 0 otherwise. */
typedef void source_fn(void *arg, unsigned int what);

/** loop_new() - an empty loop, or NULL. Create it in the process that runs it (after fork). */
struct loop *loop_new(void);

/** loop_free() - release *@loop and set it to NULL; its sources must be gone. */
void loop_free(struct loop **loop);

/** loop_run() - dispatch until loop_stop(); 0 or E_IO. */
int loop_run(struct loop *loop);

/** loop_stop() - make loop_run() return after the present callback. */
void loop_stop(struct loop *loop);

/** loop_now_ms() - milliseconds of CLOCK_BOOTTIME, which counts a suspended host's sleep too. */
uint64_t loop_now_ms(void);

/**
 * source_fd() - watch @fd, which stays the caller's and must outlive the source
 * @what: LOOP_READ | LOOP_WRITE, or 0 for nothing yet
 *
 * Level-triggered. Return: the source, owned by the caller, or NULL.
 */
struct source *source_fd(struct loop *loop, int fd, unsigned int what, source_fn *fn, void *arg);

/** source_interest() - replace what a descriptor's source waits for. */
void source_interest(struct source *s, unsigned int what);

/** source_timer() - a deadline, not yet set; or NULL. */
struct source *source_timer(struct loop *loop, source_fn *fn, void *arg);

/** source_set_ms() - fire once in @ms milliseconds, instead of any earlier setting. */
void source_set_ms(struct source *timer, uint64_t ms);

/** source_clear() - forget the deadline. */
void source_clear(struct source *timer);

/** source_signal() - call @fn in the loop when the process receives @signo; or NULL. */
struct source *source_signal(struct loop *loop, int signo, source_fn *fn, void *arg);

/** source_free() - end *@s and set it to NULL; allowed inside its own callback. *@s may be NULL. */
void source_free(struct source **s);

#endif
