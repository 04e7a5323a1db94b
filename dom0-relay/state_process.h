/* The state process of vtpm-relayd: it alone writes the state directory, and waits for the disk so that the relay need not. */
#ifndef DOM0_RELAY_STATE_PROCESS_H
#define DOM0_RELAY_STATE_PROCESS_H

struct relayconf;

/** state_main() - serve the relay over @fd until it ends; never returns. */
void state_main(const struct relayconf *conf, int fd) __attribute__((noreturn));

#endif
