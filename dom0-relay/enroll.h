/*
 * vtpmctl enroll: prove this host's TPM to the KMC of a token, and bring home a certificate.
 *
 *   connect (TLS, the CA pinned by the token) -> ENROL -> CHALLENGE -> TPM2_ActivateCredential, TPM2_Quote -> PROVE -> ENROLLED -> files
 */
#ifndef DOM0_RELAY_ENROLL_H
#define DOM0_RELAY_ENROLL_H

#include <stdbool.h>

#include "common/token.h"

#define ENROLL_WHY 512

struct enroll_options {
	const struct token *token;
	const char *tcti;   /* of the host TPM */
	const char *conf;   /* relay.conf: written if it is not there */
	const char *ca, *certificate, *key; /* files to write */
	bool software_key;  /* the administrator said that the TLS key may be a file */
	bool replace;	    /* files that are there */
};

/** enroll_run() - all of it; what is done is printed. 0, or an error with @why filled in: then no file was changed. */
int enroll_run(const struct enroll_options *o, char why[ENROLL_WHY]);

/** enroll_print_ek() - the SHA-256 of the TPM's endorsement key, for 'kmcctl host add --ek'; likewise. */
int enroll_print_ek(const char *tcti, char why[ENROLL_WHY]);

#endif
