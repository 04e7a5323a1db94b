/* Addresses and networks of kmc.conf: whatever the text, an answer; and a network that is accepted has its own address. */
#include "kmc/address.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), host[ADDRESS_HOST], port[6], shown[ADDRESS_TEXT];
	struct sockaddr_storage addr;
	struct address_net net;
	socklen_t n;

	must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (address_split(text, host, port) == 0)
		must(*host && *port && strlen(host) < ADDRESS_HOST);
	if (address_of_kmc(text, host, port) == 0)
		must(*host && strlen(host) < ADDRESS_HOST && (*port || strncmp(text, "vchan:", 6) == 0));
	if (address_parse(text, &addr, &n) == 0)
		must(strlen(address_format(&addr, shown)) > 1);
	if (address_net_parse(text, &net) == 0)
		must(net.bits <= 128 && address_net_has(&net, &net.key));
	free(text);
	return 0;
}
