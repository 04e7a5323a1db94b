/* Addresses as configuration files spell them. */
#include "kmc/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "common/vchan_name.h"

int address_split(const char *text, char host[ADDRESS_HOST], char port[6])
{
	bool bracket = text[0] == '[';
	const char *end = bracket ? strchr(text, ']') : strrchr(text, ':');
	const char *colon = end && bracket ? end + 1 : end;
	size_t n;
	char *rest;
	unsigned long number;

	if (!end || *colon != ':')
		return E_FORMAT;
	text += bracket;
	n = (size_t)(end - text);
	if (n == 0 || n >= ADDRESS_HOST || (!bracket && memchr(text, ':', n)))
		return E_FORMAT;
	number = strtoul(colon + 1, &rest, 10);
	if (colon[1] < '0' || colon[1] > '9' || *rest || number < 1 || number > 65535)
		return E_FORMAT;
	memcpy(host, text, n);
	host[n] = '\0';
	snprintf(port, 6, "%lu", number);
	return 0;
}

int address_of_kmc(const char *text, char host[ADDRESS_HOST], char port[6])
{
	struct vchan_name v;
	int r = vchan_name_parse(text, &v);

	if (r == E_NOTFOUND)
		return address_split(text, host, port);
	if (r != 0)
		return r;
	snprintf(host, ADDRESS_HOST, "%s", v.peer);
	port[0] = '\0';
	return 0;
}

int address_parse(const char *text, struct sockaddr_storage *addr, socklen_t *size)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
	struct addrinfo *found = NULL;
	char host[ADDRESS_HOST], port[6];

	if (address_split(text, host, port) != 0 || getaddrinfo(host, port, &hints, &found) != 0)
		return E_FORMAT;
	memset(addr, 0, sizeof(*addr));
	memcpy(addr, found->ai_addr, found->ai_addrlen);
	*size = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

struct address_key address_key(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *six = (const void *)addr;
	const struct sockaddr_in *four = (const void *)addr;
	struct address_key key = {{0}};

	if (addr->ss_family == AF_INET6) {
		memcpy(key.b, &six->sin6_addr, 16);
	} else if (addr->ss_family == AF_INET) {
		key.b[10] = key.b[11] = 0xff;
		memcpy(key.b + 12, &four->sin_addr, 4);
	}
	return key;
}

static bool is_mapped(const struct address_key *key)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(key->b, prefix, sizeof(prefix)) == 0;
}

const char *address_format(const struct sockaddr_storage *addr, char text[ADDRESS_TEXT])
{
	const struct address_key key = address_key(addr);
	bool four = is_mapped(&key);

	if (!inet_ntop(four ? AF_INET : AF_INET6, four ? key.b + 12 : key.b, text, ADDRESS_TEXT))
		snprintf(text, ADDRESS_TEXT, "?");
	return text;
}

int address_net_parse(const char *text, struct address_net *net)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits = 128;
	char host[ADDRESS_TEXT], *rest;
	bool four;

	if (n == 0 || n >= sizeof(host))
		return E_FORMAT;
	memcpy(host, text, n);
	host[n] = '\0';
	memset(net, 0, sizeof(*net));
	four = inet_pton(AF_INET, host, net->key.b + 12) == 1;
	if (four)
		net->key.b[10] = net->key.b[11] = 0xff;
	else if (inet_pton(AF_INET6, host, net->key.b) != 1)
		return E_FORMAT;
	if (slash) {
		bits = strtoul(slash + 1, &rest, 10);
		if (slash[1] < '0' || slash[1] > '9' || *rest || bits > (four ? 32 : 128))
			return E_FORMAT;
		bits += four ? 96 : 0;
	}
	net->bits = (unsigned int)bits;
	return 0;
}

bool address_net_has(const struct address_net *net, const struct address_key *key)
{
	unsigned int whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->key.b, key->b, whole) != 0)
		return false;
	return rest == 0 || ((net->key.b[whole] ^ key->b[whole]) >> (8 - rest)) == 0;
}
