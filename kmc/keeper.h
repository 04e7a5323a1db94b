/* The keeper process: writes and removes files of the vault directory, for the vault. */
#ifndef KMC_KEEPER_H
#define KMC_KEEPER_H

struct kmcconf;

/** keeper_main() - never returns. @fd: the vault's link. */
void keeper_main(const struct kmcconf *conf, int fd);

#endif
