/* Load on a KMC that is killed meanwhile, and the check that nothing it acknowledged is lost. */
#ifndef TESTS_RING2_KMC_LOAD_H
#define TESTS_RING2_KMC_LOAD_H

#include "tests/ring2/kmc_client.h"

/** load_run() - open and store random vTPMs for @seconds, over and over; @path gets a line for each acknowledgement. 0, or 1 if there was none. */
int load_run(const struct kmc_client_options *o, int seconds, const char *path, unsigned int seed);

/** load_verify() - every seed and the newest state of each vTPM in @path are still there. 0 or 1, with a line for what is not. */
int load_verify(const struct kmc_client_options *o, const char *path);

/** load_flood() - ask for what costs the KMC an RSA operation and is refused, as fast as it answers; prints how many answers came. Status: 0, 1. */
int load_flood(const struct kmc_client_options *o, int seconds);

#endif
