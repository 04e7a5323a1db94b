/* kmcctl audit: the trail shown, checked, and written out for other programs. */
#ifndef KMC_CTL_AUDIT_H
#define KMC_CTL_AUDIT_H

#include <stdbool.h>

#include "kmc/ctl_client.h"

/** ctl_audit_show() - records from number @from on, 0: the last ones. Return: an exit code, as the others here. */
int ctl_audit_show(struct ctl_client *c, uint64_t from, bool json);

/** ctl_audit_export() - the same from the first one on, a line of JSON or of RFC 5424 for each. */
int ctl_audit_export(struct ctl_client *c, uint64_t from, bool syslog);

/**
 * ctl_audit_verify() - check the chain from its first record to its last, and that every signed head is of it
 * @key: the file with the audit trail's public key
 * @heads: a file with signed heads that a host kept, in hex at the end of each line; NULL: none
 */
int ctl_audit_verify(struct ctl_client *c, const char *key, const char *heads);

#endif
