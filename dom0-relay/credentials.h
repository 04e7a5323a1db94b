/*
 * What this host shows the KMCs that it connects to, and which it takes: of the files of the enrolment, and of what came since.
 *
 * A certificate that a KMC does not take gives way to the one before, which that KMC may know: its database may have come from a backup.
 * They take turns until one of them is welcome.
 */
#ifndef DOM0_RELAY_CREDENTIALS_H
#define DOM0_RELAY_CREDENTIALS_H

#include <stdbool.h>

#include "common/certinfo.h"
#include "common/tls.h"

struct identity;
struct relayconf;

struct credentials {
	struct tls_context *ctx; /* for connections */
	struct certinfo_der certificate, former; /* what is shown; what was before, empty for nothing */
	bool fell_back; /* the one before is shown, because a KMC did not take the other */
};

/**
 * credentials_load() - @signer: asked where the key is in the TPM; it must outlive the credentials
 *
 * Return: 0, or an error of tls_context_new() with @why.
 */
int credentials_load(struct credentials *c, const struct relayconf *conf, const struct identity *id, const struct tls_signer *signer,
		     char why[TLS_WHY]);
void credentials_free(struct credentials *c);

/** credentials_renew() - show the certificate @der from the next connection on. 0, E_FORMAT or E_CRYPTO: it is not for this host's key. */
int credentials_renew(struct credentials *c, struct view der);

/** credentials_trust() - KMCs must be certified by one of the authorities in @id; 0, E_FORMAT or E_CRYPTO. */
int credentials_trust(struct credentials *c, const struct identity *id);

/** credentials_fall_back() - what is shown was not taken. */
void credentials_fall_back(struct credentials *c);

/** credentials_are_all_tried() - there is no other to fall back to, or that is what is shown. */
bool credentials_are_all_tried(const struct credentials *c);

#endif
