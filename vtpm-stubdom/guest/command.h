/*
 * One command's life: from the kernel's device into the shared page, and its response back. Pure decisions; guestd.c acts.
 *
 * The kernel sends one command at a time. It can't say that it gave one up (its proxy driver has no cancellation): that shows by
 * the next command that arrives while one is still with the backend. The page must be clear before that one may enter it.
 */
#ifndef VTPM_STUBDOM_GUEST_COMMAND_H
#define VTPM_STUBDOM_GUEST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_HEADER_SIZE 10

enum command_state {
	COMMAND_NONE,	   /* the kernel wants nothing */
	COMMAND_HELD,	   /* one waits for a connection; no backend has seen it, or seeing it again does no harm */
	COMMAND_SUBMITTED, /* one is with the backend */
	COMMAND_CLEARING,  /* the page holds one that nobody waits for; it was asked to be cancelled */
	COMMAND_QUEUED,	   /* the same, and another waits for the page */
};

enum command_event {
	COMMAND_ARRIVED,   /* the kernel sent one, instead of any other that it waited for */
	COMMAND_CONNECTED, /* a clear page is shared with a backend */
	COMMAND_FINISHED,  /* the page holds a response */
	COMMAND_IDLED,	   /* the page holds nothing: the backend dropped what was submitted */
	COMMAND_LOST,	   /* the page is gone, with all that the backend has not answered */
	COMMAND_DEADLINE,  /* command_patience_ms() is over */
	COMMAND_ABANDONED, /* the kernel's device is closed */
};

/* What to do, in this order; several bits may be set. */
enum {
	COMMAND_DO_CANCEL = 1, /* ask the backend to cancel what is in the page */
	COMMAND_DO_SUBMIT = 2, /* put the command that waits into the page */
	COMMAND_DO_ANSWER = 4, /* give the page's response to the kernel */
	COMMAND_DO_RETRY = 8,  /* answer TPM_RC_RETRY: it has not been executed */
	COMMAND_DO_FAIL = 16,  /* answer TPM_RC_FAILURE: it may have been executed */
};

struct command_step {
	enum command_state next;
	unsigned int actions;
};

/**
 * command_step() - decide
 * @connected: is there a page, and will it be there?
 * @repeatable: command_repeatable() of the command that was sent last
 */
struct command_step command_step(enum command_state now, enum command_event event, bool connected, bool repeatable);

/** command_patience_ms() - how long a command may stay in a state; 0: for ever. */
uint64_t command_patience_ms(enum command_state state);

/**
 * command_repeatable() - would executing the command twice leave the TPM as executing it once does?
 *
 * Only commands of a short list, and only without sessions: a session's nonces move with each execution, and a second
 * attempt would count as an attack. docs/guests.md gives the reasons.
 */
bool command_repeatable(const uint8_t *command, size_t n);

/** command_well_formed() - a header, whose length is the command's. */
bool command_well_formed(const uint8_t *command, size_t n);

/** command_locality() - the locality that the kernel's proxy driver asks us to use from now on, -1 for any other command. */
int command_locality(const uint8_t *command, size_t n);

#endif
