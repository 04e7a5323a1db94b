/* The options of relay.conf and their defaults. */
#include "dom0-relay/relayconf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/vchan_name.h"

#define OPTION(s, k, t, member, ...) {.section = (s), .key = (k), .kind = (t), .offset = offsetof(struct relayconf, member), __VA_ARGS__}

static const struct config_option options[] = {
	OPTION("kmc", "address", CONFIG_TEXT, kmc_address, .fallback = "localhost:7443"),
	OPTION("kmc", "name", CONFIG_TEXT, kmc_name),
	OPTION("kmc", "return", CONFIG_SECONDS, kmc_return_s, .fallback = "60s", .min = 1, .max = 86400),
	OPTION("tls", "ca", CONFIG_PATH, tls_ca, .fallback = "/etc/xen-vtpm/ca.crt"),
	OPTION("tls", "certificate", CONFIG_PATH, tls_certificate, .fallback = "/etc/xen-vtpm/host.crt"),
	OPTION("tls", "key", CONFIG_TEXT, tls_key, .fallback = RELAYCONF_KEY_TPM),
	OPTION("host", "tpm", CONFIG_TEXT, tpm, .fallback = "device:/dev/tpmrm0"),
	OPTION("host", "user", CONFIG_TEXT, user, .fallback = "xen-vtpm"),
	OPTION("host", "control", CONFIG_PATH, control, .fallback = "/run/xen-vtpm/control.sock"),
	OPTION("stub", "kernel", CONFIG_PATH, stub_kernel, .fallback = "/usr/lib/xen-vtpm/vmlinux"),
	OPTION("stub", "initramfs", CONFIG_PATH, stub_initramfs, .fallback = "/usr/lib/xen-vtpm/initramfs.img"),
	OPTION("stub", "type", CONFIG_CHOICE, stub_type, .fallback = "pvh", .words = "pvh pv"),
	OPTION("stub", "memory", CONFIG_UINT, stub_memory_mib, .fallback = "24", .min = 16, .max = 1024),
	OPTION("stub", "spares", CONFIG_UINT, stub_spares, .fallback = "1", .min = 0, .max = 16),
	OPTION("stub", "records", CONFIG_PATH, stub_records, .fallback = "/run/xen-vtpm-builder"),
	OPTION("state", "directory", CONFIG_PATH, state_directory, .fallback = "/var/lib/xen-vtpm/state"),
	OPTION("grace", "time", CONFIG_SECONDS, grace_s, .fallback = "0", .min = 0, .max = 30 * 86400),
	OPTION("grace", "pcrs", CONFIG_TEXT, grace_pcr_list, .fallback = "0,1,2,3,7"),
	OPTION("state", "durability", CONFIG_CHOICE, durability, .fallback = "host", .words = "host kmc"),
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

int relayconf_split_address(const char *address, char *host, unsigned int host_cap, char port[6])
{
	bool bracket = address[0] == '[';
	const char *end = bracket ? strchr(address, ']') : strrchr(address, ':');
	const char *colon = end && bracket ? end + 1 : end;
	size_t n;
	char *rest;
	unsigned long number;

	if (!end || *colon != ':')
		return E_FORMAT;
	address += bracket;
	n = (size_t)(end - address);
	if (n == 0 || n >= host_cap || (!bracket && memchr(address, ':', n)))
		return E_FORMAT;
	number = strtoul(colon + 1, &rest, 10);
	if (colon[1] < '0' || colon[1] > '9' || *rest || number < 1 || number > 65535)
		return E_FORMAT;
	memcpy(host, address, n);
	host[n] = '\0';
	snprintf(port, 6, "%lu", number);
	return 0;
}

int relayconf_parse_address(const char *text, struct kmc_address *a)
{
	struct vchan_name v;
	int r = vchan_name_parse(text, &v);

	a->port[0] = a->domain[0] = '\0';
	a->named = false;
	snprintf(a->text, sizeof(a->text), "%s", text);
	if (r == E_NOTFOUND)
		return relayconf_split_address(text, a->host, sizeof(a->host), a->port);
	if (r != 0)
		return r;
	snprintf(a->host, sizeof(a->host), "%s", v.peer);
	snprintf(a->domain, sizeof(a->domain), "%s", v.domain);
	a->named = v.named;
	return 0;
}

int relayconf_address(const char *list, unsigned int n, struct kmc_address *a)
{
	static const char separators[] = " ,";
	char text[RELAYCONF_ADDRESS];
	size_t length;
	int r;

	list += strspn(list, separators);
	for (; n && *list; n--) {
		list += strcspn(list, separators);
		list += strspn(list, separators);
	}
	length = strcspn(list, separators);
	if (!length)
		return E_NOTFOUND;
	snprintf(text, sizeof(text), "%.*s", (int)length, list);
	r = relayconf_parse_address(text, a);
	return length < sizeof(text) ? r : E_FORMAT;
}

const char *relayconf_peer(const struct relayconf *c, const struct kmc_address *a)
{
	return c->kmc_name && !a->named ? c->kmc_name : a->host;
}

/* Every address, and that there is one. */
static int check_addresses(const char *path, const char *list, char why[CONFIG_WHY])
{
	struct kmc_address a;
	unsigned int n = 0;
	int r;

	while ((r = relayconf_address(list, n, &a)) == 0)
		n++;
	if (r == E_NOTFOUND && n >= 1 && n <= RELAYCONF_ADDRESSES)
		return 0;
	if (r == E_FORMAT)
		snprintf(why, CONFIG_WHY, "%s: address: '%.64s' is not host:port, vchan:DOMAIN or vchan:DOMAIN:NAME", path, a.text);
	else
		snprintf(why, CONFIG_WHY, "%s: address: give one to %d of the form host:port", path, RELAYCONF_ADDRESSES);
	return E_CONFIG;
}

bool relayconf_key_in_tpm(const struct relayconf *c)
{
	return strcmp(c->tls_key, RELAYCONF_KEY_TPM) == 0;
}

/* Numbers from 0 to 23, separated by commas. */
static int read_pcrs(const char *list, uint32_t *mask)
{
	for (*mask = 0;; list++) {
		char *end;
		unsigned long n = strtoul(list, &end, 10);

		if (*list < '0' || *list > '9' || n > 23)
			return E_FORMAT;
		*mask |= 1u << n;
		if (!*end)
			return 0;
		if (*end != ',')
			return E_FORMAT;
		list = end;
	}
}

int relayconf_read(const char *path, struct relayconf *c, char why[CONFIG_WHY])
{
	int r = config_read(path, options, N_OPTIONS, c, sizeof(*c), why);

	if (r != 0)
		return r;
	r = check_addresses(path ? path : "the defaults", c->kmc_address, why);
	if (r == 0 && c->tls_key[0] != '/' && !relayconf_key_in_tpm(c)) {
		snprintf(why, CONFIG_WHY, "%s: [tls] key: '%.64s' is neither '" RELAYCONF_KEY_TPM "' nor the absolute path of a file", path ? path : "the defaults",
			 c->tls_key);
		r = E_CONFIG;
	}
	if (r == 0 && read_pcrs(c->grace_pcr_list, &c->grace_pcrs) != 0) {
		snprintf(why, CONFIG_WHY, "%s: [grace] pcrs: '%.64s' is no list of PCRs such as 0,1,2,3,7", path ? path : "the defaults",
			 c->grace_pcr_list);
		r = E_CONFIG;
	}
	if (r != 0)
		relayconf_free(c);
	return r;
}

void relayconf_free(struct relayconf *c)
{
	config_free(options, N_OPTIONS, c);
}
