/* The sealed state that a relay hands over, before a TPM is started from it. */
#ifndef VTPM_STUBDOM_HANDED_H
#define VTPM_STUBDOM_HANDED_H

struct engine_state;
struct handoff_handoff;
struct sealed_head;
struct secret;

#define HANDED_WHY 200 /* bytes of a reason */

/**
 * handed_open() - open the state in @h, and the transient half where the guest was resumed
 * @head: of the permanent half
 * @state: new secrets, owned by the caller; empty on error
 * @why: on error, one line for the administrator
 *
 * Refused (E_DENIED): a state older than the record, of an older epoch or a later lease, and a guest that was resumed without the
 * transient state of its TPM that was frozen with it (DESIGN section 5). E_INTEGRITY: altered, or another vTPM's. Return: 0 or an error.
 */
int handed_open(const struct handoff_handoff *h, const struct secret *state_key, struct sealed_head *head, struct engine_state *state, char why[HANDED_WHY]);

#endif
