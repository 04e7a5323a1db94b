/* The vault process: the KMC's TPM and every private key, behind a link to the engine. */
#ifndef KMC_VAULT_PROCESS_H
#define KMC_VAULT_PROCESS_H

struct kmcconf;

/** vault_main() - serve the engine at @fd until it ends. */
_Noreturn void vault_main(const struct kmcconf *conf, int fd);

#endif
