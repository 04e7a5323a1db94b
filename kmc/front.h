/* The front process: TLS with strangers. It holds its TLS key and nothing else worth having. */
#ifndef KMC_FRONT_H
#define KMC_FRONT_H

struct kmcconf;

/** front_main() - serve until the engine at @fd ends. */
_Noreturn void front_main(const struct kmcconf *conf, int fd);

#endif
