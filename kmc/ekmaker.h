/* The ekmaker process: makes the endorsement keys that a vTPM will have, for their certificates. Of a seed it sees that hierarchy's only. */
#ifndef KMC_EKMAKER_H
#define KMC_EKMAKER_H

#include "vtpm-stubdom/endorsement.h"

struct kmcconf;
struct secret;

/* The TPM that keys are made in, without any secret between two of them. */
struct ekmaker {
	struct engine *engine;
	struct secret *blank; /* its state, with roots of zeroes */
};

/** ekmaker_open() - 0 or an error of the engine. */
int ekmaker_open(struct ekmaker *m);
void ekmaker_close(struct ekmaker *m);

/** ekmaker_make() - both public keys of the endorsement primary seed @eps, which has 64 bytes: 0 or an error. */
int ekmaker_make(struct ekmaker *m, const uint8_t *eps, struct endorsement_key keys[ENDORSEMENT_KINDS], struct endorsement_facts *facts);

/** ekmaker_main() - serve the vault at @fd until it ends. */
_Noreturn void ekmaker_main(const struct kmcconf *conf, int fd);

#endif
