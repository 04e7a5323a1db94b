/*
 * Certificates of vTPMs' endorsement keys, by the TCG's EK Credential Profile for TPM 2.0 (version 2).
 *
 * Empty subject; subjectAltName, critical: directory name with TPM manufacturer, model and version; subjectDirectoryAttributes: the
 * specification's family, level and revision; extended key usage tcg-kp-EKCertificate; keyEncipherment or keyAgreement.
 */
#ifndef KMC_EKISSUE_H
#define KMC_EKISSUE_H

#include "kmc/ca.h"
#include "kmc/procmsg.h"

/* Who vouches, and how it is said. */
struct ekissue_authority {
	const struct x509_key *key;
	const struct ca_cert *ca;
	const char *url; /* of the CA's certificate, or NULL */
	int64_t not_before;
};

/** ekissue() - certificates for both keys of @made, valid as long as the CA's. 0 or an error of ca_issue() with @why filled in. */
int ekissue(const struct ekissue_authority *by, const struct ekmaker_made *made, struct ca_cert *rsa, struct ca_cert *ecc, char why[CA_WHY]);

#endif
