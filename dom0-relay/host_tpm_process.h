/* The host-tpm process of vtpm-relayd: it alone opens the host TPM and knows response keys. */
#ifndef DOM0_RELAY_HOST_TPM_PROCESS_H
#define DOM0_RELAY_HOST_TPM_PROCESS_H

struct relayconf;

/** host_tpm_main() - serve the relay over @fd until it ends; never returns. */
void host_tpm_main(const struct relayconf *conf, int fd) __attribute__((noreturn));

#endif
