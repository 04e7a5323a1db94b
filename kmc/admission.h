/* Who may connect, before any cryptography is spent on them: networks, connections and rate of each address. */
#ifndef KMC_ADMISSION_H
#define KMC_ADMISSION_H

#include <stdint.h>

#include "kmc/address.h"

struct admission;

struct admission_rules {
	const struct address_net *allowed; /* none: everybody */
	unsigned int n_allowed;
	unsigned int connections; /* in all */
	unsigned int per_address; /* at a time; an IPv6 address stands for its /64 */
	unsigned int rate;	  /* new ones of an address in a second, twice as many in a burst */
};

enum admission_verdict {
	ADMISSION_WELCOME,
	ADMISSION_NOT_ALLOWED,
	ADMISSION_TOO_FAST,
	ADMISSION_TOO_MANY_OF_ADDRESS,
	ADMISSION_TOO_MANY,
};

/** admission_new() - @rules are copied, but for the networks. NULL: no memory. */
struct admission *admission_new(const struct admission_rules *rules);
void admission_free(struct admission **a);

/**
 * admission_enter() - a connection from @key at @now_ms; admission_leave() must follow if it is welcome
 *
 * ADMISSION_TOO_MANY costs the address nothing, and only a lack of room is between it and a welcome.
 */
enum admission_verdict admission_enter(struct admission *a, struct address_key key, uint64_t now_ms);
void admission_leave(struct admission *a, struct address_key key);

/** admission_text() - a verdict in words. */
const char *admission_text(enum admission_verdict verdict);

#endif
