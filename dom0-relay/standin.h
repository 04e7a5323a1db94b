/*
 * Stand-ins: what a guest gets whose stub domain died under it.
 *
 * Theory of operation: the guest's driver shares its page with the dead domain's number and its event channel waits for that
 * number, and nothing that could be written to xenstore makes a live driver let go of them safely: states 5 and 6 make Linux's
 * xen-tpmfront use what it has just freed. So the stand-in is built with the number of the dead domain. Xen has turned the guest's
 * end of the event channel into one that waits for that domain, the page's grant stands as before, and the backend directory comes
 * back at the same path: the stand-in takes the connection up where it was left, and answers the command that was under way. The
 * guest's kernel sees a slow TPM, then one that says TPM_RC_INITIALIZE; no device of it goes or comes.
 *
 * The number also keeps the lease's record true, so that a relay that was restarted finds the stand-in, or makes it.
 */
#ifndef DOM0_RELAY_STANDIN_H
#define DOM0_RELAY_STANDIN_H

struct guest;
struct xenstore;

/** standin_begin() - it has said HELLO: give it the device. 0 or an error. */
int standin_begin(struct guest *g, struct xenstore *xs);

/** standin_explain() - make the guest's reason, for vtpmctl, say what to do. */
void standin_explain(struct guest *g);

#endif
