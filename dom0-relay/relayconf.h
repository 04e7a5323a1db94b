/* relay.conf(5): what vtpm-relayd can be told. */
#ifndef DOM0_RELAY_RELAYCONF_H
#define DOM0_RELAY_RELAYCONF_H

#include <stdint.h>

#include "common/config.h"

#define RELAY_CONF "/etc/xen-vtpm/relay.conf"

enum stub_type { STUB_PVH, STUB_PV };

struct relayconf {
	char *kmc_address;   /* host:port or [v6]:port */
	char *kmc_name;	     /* the name in the KMC's certificate; NULL: the host part of the address */
	char *tls_ca, *tls_certificate, *tls_key;
	char *tpm;	     /* TCTI of the host TPM */
	char *user;	     /* of the unprivileged processes */
	char *control;	     /* Unix socket for vtpmctl */
	char *stub_kernel, *stub_initramfs;
	unsigned int stub_type; /* enum stub_type */
	uint64_t stub_memory_mib;
	uint64_t stub_spares;	 /* stub domains that wait for a guest */
	char *stub_records;	 /* directory of the builder: what it built, while the host is up */
	char *state_directory;	 /* leases and sealed state, over restarts of the host */
	unsigned int durability; /* enum durability of keeping.h: host or kmc */
};

/** relayconf_read() - @path or, when NULL, the defaults; errors as config_read(). Release with relayconf_free(). */
int relayconf_read(const char *path, struct relayconf *c, char why[CONFIG_WHY]);
void relayconf_free(struct relayconf *c);

/**
 * relayconf_split_address() - the host and port of @address
 *
 * Return: 0, or E_FORMAT for anything but host:port, v4:port or [v6]:port that fits.
 */
int relayconf_split_address(const char *address, char *host, unsigned int host_cap, char port[6]);

#endif
