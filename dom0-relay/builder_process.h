/* The builder process of vtpm-relayd: root, and the only one that can create or destroy domains. */
#ifndef DOM0_RELAY_BUILDER_PROCESS_H
#define DOM0_RELAY_BUILDER_PROCESS_H

struct relayconf;

/** builder_main() - serve the relay over @fd until it ends; never returns. */
void builder_main(const struct relayconf *conf, int fd) __attribute__((noreturn));

#endif
