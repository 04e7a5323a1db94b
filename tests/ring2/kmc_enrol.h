/* A host that is being enrolled, for tests of what a KMC makes of one that doesn't keep to the protocol. */
#ifndef TESTS_RING2_KMC_ENROL_H
#define TESTS_RING2_KMC_ENROL_H

#include "tests/ring2/kmc_client.h"

/** client_enrol() - ENROL with @token and a new key in software; @behind goes out in one write with it. As client_ask(). */
enum kmc_type client_enrol(struct kmc_client *c, const struct token *token, struct view behind, void *fields);

/** client_prove_wrongly() - a PROVE that is one in its form, and proves nothing. As client_ask(). */
enum kmc_type client_prove_wrongly(struct kmc_client *c, void *fields);

#endif
