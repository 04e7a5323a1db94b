/* kmcctl ca: the CA's certificate, from the state directory. */
#ifndef KMC_CTL_CA_H
#define KMC_CTL_CA_H

#include <stdbool.h>

struct ca_cert;
struct kmcconf;

/** ctl_ca_show() - what it says; an exit code of ctl_client.h. */
int ctl_ca_show(const struct kmcconf *conf, bool json);

/** ctl_ca_print() - @ca to standard output, PEM or DER; @json: PEM in an object. An exit code; what failed was said. */
int ctl_ca_print(const struct ca_cert *ca, bool der, bool json);

/** ctl_ca_export() - the certificate itself to standard output, PEM or DER; @json: PEM in an object. */
int ctl_ca_export(const struct kmcconf *conf, bool der, bool json);

#endif
