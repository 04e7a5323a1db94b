/* relay.conf(5): what vtpm-relayd can be told. */
#ifndef DOM0_RELAY_RELAYCONF_H
#define DOM0_RELAY_RELAYCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"

#define RELAY_CONF "/etc/xen-vtpm/relay.conf"

enum stub_type { STUB_PVH, STUB_PV };

#define RELAYCONF_KEY_TPM "tpm" /* instead of the name of a key's file: the key is in the host's TPM */
#define RELAYCONF_ADDRESSES 8  /* of KMCs, at most */
#define RELAYCONF_ADDRESS 272 /* bytes of one's text, with NUL */

/* Where a KMC is. */
struct kmc_address {
	char text[RELAYCONF_ADDRESS]; /* host:port, [v6]:port or vchan:domain[:name], as it is written */
	char host[256];		      /* that the certificate must carry unless told otherwise */
	char port[6];		      /* empty for vchan */
	char domain[65];	      /* vchan: name or number; empty for TCP */
	bool named;		      /* vchan: the host was given beside the domain */
};

struct relayconf {
	char *kmc_address;   /* one or more, in the order in which they are tried: see relayconf_address() */
	char *kmc_name;	     /* the name in every KMC's certificate; NULL: the host part of each address */
	uint64_t kmc_return_s; /* how often an earlier address is looked for, while a later one serves */
	char *tls_ca, *tls_certificate, *tls_key; /* key: a file, or RELAYCONF_KEY_TPM */
	char *tpm;	     /* TCTI of the host TPM */
	char *user;	     /* of the unprivileged processes */
	char *control;	     /* Unix socket for vtpmctl */
	char *stub_kernel, *stub_initramfs;
	unsigned int stub_type; /* enum stub_type */
	uint64_t stub_memory_mib;
	uint64_t stub_spares;	 /* stub domains that wait for a guest */
	char *stub_records;	 /* directory of the builder: what it built, while the host is up */
	char *state_directory;	 /* leases and sealed state, over restarts of the host */
	uint64_t grace_s;	 /* how long guests may be started without KMC; 0: never */
	char *grace_pcr_list;	 /* what the copies are bound to */
	uint32_t grace_pcrs;	 /* the same as a mask */
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

/** relayconf_parse_address() - one address, of whichever kind: 0 or E_FORMAT; its text is filled in all the same. */
int relayconf_parse_address(const char *text, struct kmc_address *a);

/** relayconf_peer() - the name that the certificate of the KMC at @a must carry. */
const char *relayconf_peer(const struct relayconf *c, const struct kmc_address *a);

/** relayconf_key_in_tpm() - whether the TLS key is in the host's TPM. */
bool relayconf_key_in_tpm(const struct relayconf *c);

/** relayconf_address() - the address number @n of a list separated by spaces or commas: 0, E_NOTFOUND after the last, E_FORMAT. */
int relayconf_address(const char *list, unsigned int n, struct kmc_address *a);

#endif
