/* The engine process: policy, leases, epochs and the database, between the front, the vault and kmcctl. */
#ifndef KMC_ENGINE_PROCESS_H
#define KMC_ENGINE_PROCESS_H

struct kmcconf;

/** engine_main() - serve until one of the others ends. @control_fd: of admin_listen(). */
_Noreturn void engine_main(const struct kmcconf *conf, int front_fd, int vault_fd, int control_fd);

#endif
