/* The keymaker process: makes RSA keys for the vault, so that an open never waits for one. It sees nothing else. */
#ifndef KMC_KEYMAKER_H
#define KMC_KEYMAKER_H

struct kmcconf;

/** keymaker_main() - serve the vault at @fd until it ends. */
_Noreturn void keymaker_main(const struct kmcconf *conf, int fd);

#endif
