/* Addresses as configuration files spell them: host:port, and networks such as 10.0.0.0/8. */
#ifndef KMC_ADDRESS_H
#define KMC_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_HOST 256 /* bytes of a host with its NUL */
#define ADDRESS_TEXT 64	 /* bytes of a printed address and port */

/** address_split() - take host:port, v4:port or [v6]:port apart; 0 or E_FORMAT. */
int address_split(const char *text, char host[ADDRESS_HOST], char port[6]);

/**
 * address_of_kmc() - an address that hosts are given: host:port, or vchan:DOMAIN[:NAME] (common/vchan_name.h)
 * @host: the name for the KMC's certificate; @port: empty for vchan
 *
 * Return: 0 or E_FORMAT.
 */
int address_of_kmc(const char *text, char host[ADDRESS_HOST], char port[6]);

/** address_parse() - a numeric address and port for bind(2); 0 or E_FORMAT. */
int address_parse(const char *text, struct sockaddr_storage *addr, socklen_t *size);

/** address_format() - the address without its port into @text, IPv4 in IPv6 as IPv4. Return: @text. */
const char *address_format(const struct sockaddr_storage *addr, char text[ADDRESS_TEXT]);

/* 16 bytes that stand for a peer: an IPv4 address is mapped into IPv6. */
struct address_key {
	uint8_t b[16];
};

/** address_key() - of a peer; all zero for what is neither IPv4 nor IPv6. */
struct address_key address_key(const struct sockaddr_storage *addr);

struct address_net {
	struct address_key key;
	unsigned int bits; /* 0 to 128 */
};

/** address_net_parse() - one network, or one address that stands for itself; 0 or E_FORMAT. */
int address_net_parse(const char *text, struct address_net *net);

/** address_net_has() - whether @key lies in @net. */
bool address_net_has(const struct address_net *net, const struct address_key *key);

#endif
