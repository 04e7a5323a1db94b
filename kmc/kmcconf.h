/* kmc.conf(5): what kmcd and kmcctl can be told. */
#ifndef KMC_KMCCONF_H
#define KMC_KMCCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "common/kmcmsg.h"
#include "kmc/address.h"

#define KMC_CONF "/etc/xen-vtpm/kmc.conf"
#define KMCCONF_LISTEN_MAX 8
#define KMCCONF_ALLOW_MAX 32

enum { STORE_ENGINE_SQLITE, STORE_ENGINE_PGSQL }; /* in the order of the words in kmcconf.c */

struct kmcconf {
	char *name;	/* what hosts are told */
	char *listen;	/* numeric address:port, several separated by spaces */
	char *address;	/* host:port that hosts are given, its own first, several separated by spaces; NULL: the name and the first port of @listen */
	char *state;	/* directory of everything below that is not set */
	char *user;	/* of all processes once they have what they need; root: stay root */
	char *control;	/* Unix socket for kmcctl */
	char *tls_ca, *tls_certificate, *tls_key; /* NULL until kmcconf_read() filled them in */
	unsigned int store_engine; /* STORE_ENGINE_... */
	char *database;		   /* SQLite: the file */
	char *connection;	   /* PostgreSQL: libpq's connection string; not for logs */
	uint64_t states_kept;	   /* sealed states of one vTPM, the newest included */
	uint64_t states_quota_kib; /* of one vTPM in all */
	uint64_t images_kept;	   /* earlier volatile states of one vTPM, for 'kmcctl vtpm allow-image' */
	char *tpm; /* TCTI of the KMC's TPM */
	unsigned int rsa_bits; /* 2048 or 3072 */
	uint64_t key_lifetime_s, keys_ready;
	bool enrol;	/* hosts with a token, but without certificate, may ask */
	uint64_t host_lifetime_s; /* of a host's certificate */
	char *ca_url;	/* where our CA's certificate is to be had, for the certificates of vTPMs; NULL: not said */
	char *ek_roots; /* CAs of TPM manufacturers, PEM */
	uint64_t connections, per_host, per_address, rate, requests, handshake_s;
	char *allow; /* networks separated by spaces; NULL: everybody */

	/* read from the above */
	struct sockaddr_storage listen_at[KMCCONF_LISTEN_MAX];
	socklen_t listen_size[KMCCONF_LISTEN_MAX];
	unsigned int n_listen;
	struct address_net allowed[KMCCONF_ALLOW_MAX];
	unsigned int n_allowed;
};

/** kmcconf_read() - @path or, when NULL, the defaults; errors as config_read(). Release with kmcconf_free(). */
int kmcconf_read(const char *path, struct kmcconf *c, char why[CONFIG_WHY]);
void kmcconf_free(struct kmcconf *c);

/** kmcconf_user() - for process_confine(): the user to become, NULL to stay. */
const char *kmcconf_user(const struct kmcconf *c);

#define KMCCONF_ADDRESSES 300 /* bytes of all addresses that hosts are given */
#define KMCCONF_PATH 256 /* bytes of a path with its NUL */

/** kmcconf_own_host() - the host of the first address that hosts are given; 0 or E_FORMAT. */
int kmcconf_own_host(const struct kmcconf *c, char host[ADDRESS_HOST]);

/** kmcconf_path() - @name in the state directory into @path; the state directory is short enough for it. Return: @path. */
const char *kmcconf_path(const struct kmcconf *c, const char *name, char path[KMCCONF_PATH]);

#endif
