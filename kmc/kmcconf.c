/* The options of kmc.conf and their defaults. */
#include "kmc/kmcconf.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"

#define OPTION(s, k, t, member, ...) {.section = (s), .key = (k), .kind = (t), .offset = offsetof(struct kmcconf, member), __VA_ARGS__}

static const struct config_option options[] = {
	OPTION("kmc", "name", CONFIG_TEXT, name, .fallback = "kmc"),
	OPTION("kmc", "listen", CONFIG_TEXT, listen, .fallback = "0.0.0.0:7443 [::]:7443"),
	OPTION("kmc", "address", CONFIG_TEXT, address),
	OPTION("kmc", "state", CONFIG_PATH, state, .fallback = "/var/lib/xen-vtpm-kmc"),
	OPTION("kmc", "user", CONFIG_TEXT, user, .fallback = "xen-vtpm-kmc"),
	OPTION("kmc", "control", CONFIG_PATH, control, .fallback = "/run/xen-vtpm-kmc/control.sock"),
	OPTION("tls", "ca", CONFIG_PATH, tls_ca),
	OPTION("tls", "certificate", CONFIG_PATH, tls_certificate),
	OPTION("tls", "key", CONFIG_PATH, tls_key),
	OPTION("ca", "url", CONFIG_TEXT, ca_url),
	OPTION("ca", "host-lifetime", CONFIG_SECONDS, host_lifetime_s, .fallback = "825d", .min = 10, .max = 3650LL * 86400),
	OPTION("store", "engine", CONFIG_CHOICE, store_engine, .fallback = "sqlite", .words = "sqlite postgresql"),
	OPTION("store", "connection", CONFIG_TEXT, connection),
	OPTION("store", "database", CONFIG_PATH, database),
	OPTION("states", "keep", CONFIG_UINT, states_kept, .fallback = "4", .min = 1, .max = 1000),
	OPTION("states", "images", CONFIG_UINT, images_kept, .fallback = "1", .min = 0, .max = 100),
	OPTION("states", "quota", CONFIG_UINT, states_quota_kib, .fallback = "1024", .min = 16, .max = 1048576),
	OPTION("tpm", "tcti", CONFIG_TEXT, tpm, .fallback = "device:/dev/tpmrm0"),
	OPTION("keys", "rsa", CONFIG_CHOICE, rsa_bits, .fallback = "2048", .words = "2048 3072"),
	OPTION("keys", "lifetime", CONFIG_SECONDS, key_lifetime_s, .fallback = "24h", .min = 120, .max = 365 * 86400),
	OPTION("keys", "ready", CONFIG_UINT, keys_ready, .fallback = "4", .min = 1, .max = 32),
	OPTION("enrol", "allowed", CONFIG_BOOL, enrol, .fallback = "yes"),
	OPTION("enrol", "ek-roots", CONFIG_PATH, ek_roots),
	OPTION("limits", "connections", CONFIG_UINT, connections, .fallback = "1024", .min = 1, .max = 16384),
	OPTION("limits", "per-host", CONFIG_UINT, per_host, .fallback = "8", .min = 1, .max = 1024),
	OPTION("limits", "per-address", CONFIG_UINT, per_address, .fallback = "64", .min = 1, .max = 16384),
	OPTION("limits", "rate", CONFIG_UINT, rate, .fallback = "50", .min = 1, .max = 100000),
	OPTION("limits", "requests", CONFIG_UINT, requests, .fallback = "500", .min = 1, .max = 1000000),
	OPTION("limits", "handshake", CONFIG_SECONDS, handshake_s, .fallback = "5s", .min = 1, .max = 60),
	OPTION("limits", "allow", CONFIG_TEXT, allow),
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

typedef int word_fn(struct kmcconf *c, const char *word);

static int on_listen(struct kmcconf *c, const char *word)
{
	if (c->n_listen == KMCCONF_LISTEN_MAX)
		return E_RANGE;
	return address_parse(word, &c->listen_at[c->n_listen], &c->listen_size[c->n_listen]) == 0 ? (c->n_listen++, 0) : E_FORMAT;
}

static int on_allow(struct kmcconf *c, const char *word)
{
	if (c->n_allowed == KMCCONF_ALLOW_MAX)
		return E_RANGE;
	return address_net_parse(word, &c->allowed[c->n_allowed]) == 0 ? (c->n_allowed++, 0) : E_FORMAT;
}

static int on_address(struct kmcconf *c, const char *word)
{
	char host[ADDRESS_HOST], port[6];

	(void)c;
	return address_of_kmc(word, host, port);
}

static int each_word(struct kmcconf *c, const char *key, const char *list, word_fn *fn, const char *form, char why[CONFIG_WHY])
{
	char *copy = strdup(list), *save = NULL, *word;
	int r = copy ? 0 : E_NOMEM;

	for (word = copy ? strtok_r(copy, " ", &save) : NULL; word && r == 0; word = strtok_r(NULL, " ", &save)) {
		r = fn(c, word);
		if (r == E_FORMAT)
			snprintf(why, CONFIG_WHY, "kmc.conf: %s: '%.64s' is not %s", key, word, form);
		else if (r == E_RANGE)
			snprintf(why, CONFIG_WHY, "kmc.conf: %s: there are too many", key);
	}
	free(copy);
	return r == 0 || r == E_NOMEM ? r : E_CONFIG;
}

#define URL_MAX 200

/* It goes into certificates, where a comma would end it. */
static bool is_url(const char *s)
{
	size_t n = strlen(s);

	if (n > URL_MAX || (strncmp(s, "http://", 7) != 0 && strncmp(s, "ldap://", 7) != 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~' || strchr(",;\\\"", s[i]))
			return false;
	return true;
}

const char *kmcconf_user(const struct kmcconf *c)
{
	return strcmp(c->user, "root") == 0 ? NULL : c->user;
}

const char *kmcconf_path(const struct kmcconf *c, const char *name, char path[KMCCONF_PATH])
{
	snprintf(path, KMCCONF_PATH, "%s/%s", c->state, name);
	return path;
}

int kmcconf_own_host(const struct kmcconf *c, char host[ADDRESS_HOST])
{
	char first[ADDRESS_HOST + 8], port[6];
	const char *p = c->address + strspn(c->address, " ");

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(p, " "), p);
	return address_of_kmc(first, host, port);
}

static int fill_in(const struct kmcconf *c, char **member, const char *name)
{
	char path[KMCCONF_PATH];

	if (!*member)
		*member = strdup(kmcconf_path(c, name, path));
	return *member ? 0 : E_NOMEM;
}

static int derive(struct kmcconf *c, char why[CONFIG_WHY])
{
	static const unsigned int bits[] = {2048, 3072};
	char text[ADDRESS_HOST + 8];
	int r;

	c->rsa_bits = bits[c->rsa_bits];
	if (strlen(c->name) > KMC_NAME_MAX || strlen(c->state) > KMCCONF_PATH - 64) {
		snprintf(why, CONFIG_WHY, "kmc.conf: name or state is too long");
		return E_CONFIG;
	}
	r = each_word(c, "listen", c->listen, on_listen, "a numeric address and port such as 192.0.2.1:7443 or [::]:7443", why);
	if (r == 0 && c->allow)
		r = each_word(c, "allow", c->allow, on_allow, "a network such as 192.0.2.0/24 or 2001:db8::/32", why);
	if (r != 0)
		return r;
	if (c->ca_url && !is_url(c->ca_url)) {
		snprintf(why, CONFIG_WHY, "kmc.conf: [ca] url: write an http:// or ldap:// URL of up to %d characters without commas and spaces", URL_MAX);
		return E_CONFIG;
	}
	if (c->store_engine == STORE_ENGINE_PGSQL && !c->connection) {
		snprintf(why, CONFIG_WHY, "kmc.conf: [store] engine = postgresql needs connection = ..., as in libpq's documentation");
		return E_CONFIG;
	}
	if (c->n_listen == 0 || (c->address && (!c->address[strspn(c->address, " ")] || strlen(c->address) > KMCCONF_ADDRESSES))) {
		snprintf(why, CONFIG_WHY, "kmc.conf: %s: write host:port", c->n_listen ? "address" : "listen");
		return E_CONFIG;
	}
	if (c->address && (r = each_word(c, "address", c->address, on_address, "host:port, vchan:DOMAIN or vchan:DOMAIN:NAME", why)) != 0)
		return r;
	if (!c->address) {
		snprintf(text, sizeof(text), "%s:%u", c->name,
			 ntohs(((const struct sockaddr_in *)(const void *)&c->listen_at[0])->sin_port));
		c->address = strdup(text);
	}
	if (!c->address || (r = fill_in(c, &c->tls_ca, "ca.crt")) != 0 ||
	    (r = fill_in(c, &c->tls_certificate, "server.crt")) != 0 ||
	    (r = fill_in(c, &c->tls_key, "server.key")) != 0)
		return E_NOMEM;
	r = fill_in(c, &c->ek_roots, "ek-roots.pem");
	return r != 0 ? r : fill_in(c, &c->database, "db/kmc.db");
}

int kmcconf_read(const char *path, struct kmcconf *c, char why[CONFIG_WHY])
{
	int r = config_read(path, options, N_OPTIONS, c, sizeof(*c), why);

	if (r == 0 && (r = derive(c, why)) != 0)
		kmcconf_free(c);
	return r;
}

void kmcconf_free(struct kmcconf *c)
{
	config_free(options, N_OPTIONS, c);
}
