/*
 * The certificate that this host shows, and the authorities that it trusts.
 *
 * Enrolment puts them where relay.conf says. What the KMC gives the host later, renewed certificates and new authorities, is kept in the state
 * directory, in identity.pem: the host's certificate first, then its authorities. That file counts as long as it is for the same
 * name and key and not older than the certificate of the enrolment; a new enrolment puts an end to it.
 */
#ifndef DOM0_RELAY_IDENTITY_H
#define DOM0_RELAY_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/certinfo.h"

struct buf;
struct relayconf;

#define IDENTITY_CAS 4
#define IDENTITY_PATH 1024

struct identity {
	bool kept; /* it is from the state directory */
	struct certinfo_der certificate, enrolled; /* enrolled: the one of the enrolment */
	struct certinfo_der cas[IDENTITY_CAS];
	unsigned int n_cas;
	int64_t from, until; /* the certificate's, seconds since 1970 */
	char path[IDENTITY_PATH]; /* of the file that it is from */
	char ca_path[IDENTITY_PATH]; /* of the one that the authorities are from */
};

#define IDENTITY_WHY 1200

/** identity_read() - what counts on this host. 0, or E_NOTFOUND or E_FORMAT with @why: the files of the enrolment can't be used. */
int identity_read(struct identity *id, const struct relayconf *conf, char why[IDENTITY_WHY]);

/** identity_set() - another certificate, in DER; 0, E_RANGE or E_FORMAT. */
int identity_set(struct identity *id, struct view certificate);

/** identity_trust() - these authorities and no others: certificates in DER, one behind the other; 0, E_RANGE or E_FORMAT. */
int identity_trust(struct identity *id, struct view authorities);

/** identity_trusts() - SHA-256 of the authorities' certificates, one behind the other; 0 or E_CRYPTO. */
int identity_trusts(const struct identity *id, uint8_t hash[32]);

/** identity_has() - whether the authority with that SHA-256 of its certificate is among them. */
bool identity_has(const struct identity *id, const uint8_t hash[32]);

/** identity_pem() - append all of identity.pem to @out; 0, E_RANGE or E_CRYPTO. */
int identity_pem(const struct identity *id, struct buf *out);

#endif
